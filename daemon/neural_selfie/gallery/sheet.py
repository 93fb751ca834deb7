"""Draws the contact sheet of a sweep: every variant in a grid, rows and columns labelled, photo and style in a corner.

It decodes pictures of the outbox: never call it in the daemon's own process. Which sheets are due, `sheets` decides.
"""

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_selfie.gallery.small import opened

if TYPE_CHECKING:
    from PIL import Image, ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

_CELL_PX = 360  # long edge of a picture
_LEAST_CELL_PX = 96
_LARGEST_PX = 12_000  # of the sheet: every viewer opens that
_GAP_PX = 14
_MARGIN_PX = 36
_TITLE_PX = 34
_LABEL_PX = 24
_PAPER, _INK, _QUIET, _BLANK = "#faf9f6", "#1d1b18", "#5f5a52", "#ece8e0"
_QUALITY = 88
_WORDS_MOST = 60


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a grid: the number that changes, and its values in order; () and "" where nothing changes."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sweep of one photo: `pictures` by the values of its variant (see `point`), each a file; size of one in px.

    `photo` and `style` are the small pictures of the corner, where there are such.
    """

    title: str
    across: tuple[Axis, ...]
    down: tuple[Axis, ...]
    pictures: Mapping[str, Path]
    aspect: float
    photo: Path | None = None
    style: Path | None = None


def point(variant: Mapping[str, Any]) -> str:
    """Given a variant, return it as a text in which the order of its numbers does not matter."""
    return json.dumps(variant, sort_keys=True, default=str)


def axes_of(variants: Sequence[Mapping[str, Any]]) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """Given the variants of a sweep, return the numbers that change to the right and those that change downwards.

    The one with most values goes to the right and the next down; further ones go wherever the grid stays more square.
    """
    axes = []
    for name in sorted({name for variant in variants for name in variant}):
        found = {json.dumps(variant[name], default=str): variant[name] for variant in variants if name in variant}
        axes.append(Axis(name, tuple(sorted(found.values(), key=_order))))
    across: list[Axis] = []
    down: list[Axis] = []
    for axis in sorted(axes, key=lambda axis: (-len(axis.values), axis.name)):
        (across if _count(across) <= _count(down) else down).append(axis)
    return tuple(across), tuple(down)


def regular(variants: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Given the variants of a preset, say of each whether it belongs to the grid that most of them make.

    Single pictures that somebody asked for later, with other values, would only add rows of empty cells.
    """
    names = Counter(frozenset(variant) for variant in variants)
    usual = max(names, key=lambda each: (names[each], len(each)))
    found = [variant.keys() == usual for variant in variants]
    for name in usual:
        values = [json.dumps(variant.get(name), default=str) for variant in variants]
        counts = Counter(value for value, fits in zip(values, found, strict=True) if fits)
        most = max(counts.values())
        found = [fits and 2 * counts[value] >= most for value, fits in zip(values, found, strict=True)]
    return found


def draw(sheet: Sheet, comment: str) -> bytes:
    """Given a sheet, return it as a JPEG that carries a comment; a picture that cannot be read is an empty cell."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - the daemon's own process, which imports this, has no decoder

    columns, rows = _points(sheet.across), _points(sheet.down)
    cell = _cell_of(sheet, len(columns), len(rows))
    title, label = _font(_TITLE_PX), _font(_LABEL_PX)
    left = (
        max(cell[0], *(round(label.getlength(line)) for row in rows for line in _words(row).splitlines()), 200)
        + _GAP_PX
    )
    corner = max(cell[1] // 2, 120)
    top = _TITLE_PX + 2 * _GAP_PX + corner
    width = 2 * _MARGIN_PX + left + len(columns) * (cell[0] + _GAP_PX)
    height = 2 * _MARGIN_PX + top + len(rows) * (cell[1] + _GAP_PX)
    paper = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(paper)
    pen.text((_MARGIN_PX, _MARGIN_PX), _cut(sheet.title), font=title, fill=_INK)
    _corner(paper, sheet, (left - _GAP_PX, corner))
    for number, column in enumerate(columns):
        x = _MARGIN_PX + left + number * (cell[0] + _GAP_PX)
        _labelled(pen, (x, _MARGIN_PX + top - _GAP_PX), column, label, cell[0])
    for number, row in enumerate(rows):
        y = _MARGIN_PX + top + number * (cell[1] + _GAP_PX)
        pen.text((_MARGIN_PX + left - _GAP_PX, y + cell[1] // 2), _words(row), font=label, fill=_INK, anchor="rm")
        for place, column in enumerate(columns):
            x = _MARGIN_PX + left + place * (cell[0] + _GAP_PX)
            _hang(paper, sheet.pictures.get(point(dict([*column, *row]))), (x, y), cell)
    stream = io.BytesIO()
    paper.save(stream, "JPEG", quality=_QUALITY, comment=comment)
    return stream.getvalue()


def _corner(paper: "Image.Image", sheet: Sheet, room: tuple[int, int]) -> None:
    """Put photo and style above the labels of the rows, side by side."""
    shown = [path for path in (sheet.photo, sheet.style) if path is not None]
    half = (room[0] - _GAP_PX) // 2
    for number, path in enumerate(shown):
        _hang(paper, path, (_MARGIN_PX + number * (half + _GAP_PX), _MARGIN_PX + _TITLE_PX + _GAP_PX), (half, room[1]))


def _hang(paper: "Image.Image", path: Path | None, at: tuple[int, int], room: tuple[int, int]) -> None:
    """Put a picture into a cell, or an empty one where there is none that can be read."""
    from PIL import Image  # noqa: PLC0415 - as above
    from PIL.Image import Resampling  # noqa: PLC0415 - as above

    try:
        if path is None:
            raise FileNotFoundError
        picture = opened(path, max(room))
    except (OSError, ValueError):
        paper.paste(_BLANK, (*at, at[0] + room[0], at[1] + room[1]))
        return
    picture.thumbnail(room, Resampling.LANCZOS)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    paper.paste(picture, at)


def _labelled(
    pen: "ImageDraw.ImageDraw",
    at: tuple[int, int],
    values: Sequence[tuple[str, Any]],
    font: "FreeTypeFont | ImageFont",
    width: int,
) -> None:
    """Write the label of a column above it, a line for each number so that it fits the column."""
    lines = [f"{name} {_value(value)}" for name, value in values]
    for number, line in enumerate(reversed(lines)):
        fitting = font if pen.textlength(line, font=font) <= width else _font(round(_LABEL_PX * 0.7))
        pen.text((at[0], at[1] - number * _LABEL_PX * 1.3), line, font=fitting, fill=_INK, anchor="ld")


def _cell_of(sheet: Sheet, columns: int, rows: int) -> tuple[int, int]:
    """Return width and height of a cell in px: smaller where the sheet would become too large."""
    for edge in range(_CELL_PX, _LEAST_CELL_PX, -8):
        width = round(edge * min(1.0, sheet.aspect))
        height = round(edge / max(1.0, sheet.aspect))
        if max((columns + 1) * (width + _GAP_PX), (rows + 1) * (height + _GAP_PX)) < _LARGEST_PX:
            return width, height
    return _LEAST_CELL_PX, _LEAST_CELL_PX


def _points(axes: tuple[Axis, ...]) -> list[list[tuple[str, Any]]]:
    """Return every combination of the values of some axes, the first slowest; one empty one without axes."""
    points: list[list[tuple[str, Any]]] = [[]]
    for axis in axes:
        points = [[*before, (axis.name, value)] for before in points for value in axis.values]
    return points


def _words(values: Sequence[tuple[str, Any]]) -> str:
    return "\n".join(f"{name} {_value(value)}" for name, value in values)


def _value(value: Any) -> str:
    return _cut(f"{value:g}" if isinstance(value, float) else str(value), 24)


def _cut(text: str, most: int = _WORDS_MOST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _count(axes: Sequence[Axis]) -> int:
    count = 1
    for axis in axes:
        count *= len(axis.values)
    return count


def _order(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, str(value)


def _font(size_px: int) -> "FreeTypeFont | ImageFont":
    from PIL import ImageFont  # noqa: PLC0415 - as above

    try:
        return ImageFont.truetype("DejaVuSans.ttf", size_px)  # where it is installed: it knows most alphabets
    except OSError:
        return ImageFont.load_default(size_px)
