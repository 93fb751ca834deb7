"""Which contact sheets are due: `<preset>.sheet.jpg` beside the pictures of a sweep, for people who look at files only.

A sheet carries a mark of what is on it, so that after a restart only those are drawn again that are out of date. One
of a sweep that has lost all variants but one is removed; files of that name that are not ours are left alone.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from neural_selfie.files import names
from neural_selfie.gallery import sheet
from neural_selfie.gallery.copying import STYLES
from neural_selfie.gallery.describing import STYLE_DIGITS
from neural_selfie.gallery.index import GalleryIndex, Hung
from neural_selfie.gallery.writing import replace_file

_MARK: Final = "neural-selfie sheet "
_HEAD_BYTES: Final = 512  # the comment stands at the beginning of the file

Sweep = tuple[str, str]  # folder, preset


class Sheets:
    """The contact sheets of one outbox."""

    def __init__(self, index: GalleryIndex) -> None:
        self._index = index
        self._changed: set[Sweep] = set()
        self._due: set[Sweep] = set()

    @property
    def pending(self) -> bool:
        """Whether sheets are still to be drawn in this round."""
        return bool(self._due)

    def changed(self, hung: Hung) -> None:
        """Take note that a painting came or went."""
        if hung.entry.variant:
            self._changed.add((hung.entry.folder, hung.entry.preset))

    def begin(self, folders: Collection[str] | None) -> None:
        """What has changed by now in these folders, or in all of them, will be drawn.

        Not with every new picture: a sweep of a hundred would be drawn a hundred times.
        """
        due = {sweep for sweep in self._changed if folders is None or sweep[0] in folders}
        self._due |= due
        self._changed -= due

    def work(
        self, clock: Callable[[], float], until: float, avoid: frozenset[str], about_to: Callable[[str], None]
    ) -> None:
        """Draw what is due until the clock says `until`; `avoid` and `about_to` as for small copies."""
        while self._due and clock() < until:
            sweep = self._due.pop()
            target = self._index.outbox / sheet_of(sweep)
            if str(target) not in avoid:
                with suppress(ValueError, OSError):
                    self._bring_up_to_date(sweep, target, about_to)

    def _bring_up_to_date(self, sweep: Sweep, target: Path, about_to: Callable[[str], None]) -> None:
        folder, preset = sweep
        beside = self._index.in_folder(folder)
        variants = [hung for hung in beside if hung.entry.preset == preset and hung.entry.variant]
        there = mark_of(target)
        if target.name in {hung.entry.picture for hung in beside} or (there is None and target.exists()):
            return  # a painting of a preset with a strange name, or a file of somebody else
        if variants:
            regular = sheet.regular([hung.entry.variant for hung in variants])
            variants = [hung for hung, fits in zip(variants, regular, strict=True) if fits]
        if len(variants) < 2:  # noqa: PLR2004 - one picture is no sweep
            if there is not None:
                target.unlink()
            return
        mark = _mark([(sheet.point(hung.entry.variant), hung.picture_ns) for hung in variants])
        if there == mark:
            return
        about_to(str(target))
        replace_file(self._index.outbox, sheet_of(sweep), sheet.draw(self._sheet(variants), comment=_MARK + mark))

    def _sheet(self, variants: Sequence[Hung]) -> sheet.Sheet:
        outbox, first = self._index.outbox, variants[0].entry
        across, down = sheet.axes_of([hung.entry.variant for hung in variants])
        styles = [outbox / STYLES / f"{sha256[:STYLE_DIGITS]}.webp" for sha256 in first.style_sha256[:1]]
        return sheet.Sheet(
            title=names.shown(f"{first.photo}, {first.preset}"),
            across=across,
            down=down,
            pictures={
                sheet.point(each.entry.variant): outbox / each.entry.folder / each.entry.picture for each in variants
            },
            aspect=first.width / first.height,
            photo=None if first.preview is None else outbox / first.preview,
            style=next((style for style in styles if style.is_file()), None),
        )


def sheet_of(sweep: Sweep) -> str:
    """Given folder and preset, return where the contact sheet of that sweep lies, relative to the outbox."""
    folder, preset = sweep
    return f"{folder}/{names.picture_name(preset, {}, '.sheet.jpg')}"


def mark_of(path: Path) -> str | None:
    """Given a file, return what it says of the variants that are on it; None if it is not a sheet of ours."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if not head and path.is_file():
        return ""  # as a power cut leaves it
    _, found, rest = head.partition(_MARK.encode())
    return rest[:16].decode("ascii", "replace") if found else None


def _mark(variants: Sequence[tuple[str, int]]) -> str:
    content: Mapping[str, Any] = dict(sorted(variants))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
