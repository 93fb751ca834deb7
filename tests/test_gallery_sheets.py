"""Contact sheets of sweeps: what is on them, and when they are drawn again."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gallery_samples import SHA, hung, picture, publish
from neural_selfie.gallery import Order, build, sheet
from neural_selfie.gallery.hanging import Wall
from neural_selfie.gallery.sheets import mark_of

RED, GREEN = "#c00000", "#00a000"


def sweep(outbox: Path, colours: dict[tuple[float, float], str], *, folder: str = "me-abc123") -> None:
    """Publish a variant of each colour."""
    for (weight, scale), colour in colours.items():
        stem = f"swept.{weight},{scale}"
        publish(outbox, folder, stem, preset="swept", variant={"content_weight": weight, "style_scale": scale})
        picture(outbox / folder / f"{stem}.jpg", size=(300, 200), colour=colour)


def round_of(wall: Wall, outbox: Path) -> None:
    """Let a wall look around and do all there is to do."""
    while wall.work(Order(outbox=outbox), lambda _path: None).more:
        pass


def colours_of(path: Path) -> dict[str, int]:
    """Count the pixels of a sheet that are nearly red and nearly green."""
    with Image.open(path) as image:
        red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    return {
        "red": int(((red > 150) & (green < 60) & (blue < 60)).sum()),
        "green": int(((red < 60) & (green > 120) & (blue < 60)).sum()),
        "blue": int(((red < 60) & (green < 60) & (blue > 200)).sum()),
    }


def test_a_sheet_shows_every_variant(tmp_path: Path) -> None:
    """Each picture of the grid is on it, with photo and style in the corner."""
    sweep(tmp_path, {(0.2, 0.5): RED, (0.2, 1.0): GREEN, (0.6, 0.5): RED, (0.6, 1.0): RED})
    styles = tmp_path.parent / f"{tmp_path.name}-styles"
    picture(styles / f"{SHA}.jpg", size=(300, 300), colour="blue")
    build(tmp_path, styles=styles)
    found = colours_of(tmp_path / "me-abc123/swept.sheet.jpg")
    assert found["green"] > 40_000
    assert found["red"] == pytest.approx(3 * found["green"], rel=0.02)
    assert found["blue"] > 1_000
    assert len(hung(tmp_path)) == 4


def test_single_pictures_do_not_widen_a_sheet() -> None:
    """What was asked for later, with a value that nothing else has or with another number, is not on it."""
    grid = [{"content_weight": weight, "style_scale": scale} for weight in (1, 2, 3) for scale in (1, 2, 3)]
    later = [{"content_weight": 9, "style_scale": 1}, {"content_weight": 1, "style_scale": 1, "seed": 7}]
    assert sheet.regular([*grid, *later]) == [True] * 9 + [False, False]
    assert sheet.regular(grid[:4]) == [True] * 3 + [False]
    assert sheet.regular(grid[:5]) == [True] * 5


def test_a_sheet_follows_its_variants(tmp_path: Path) -> None:
    """It is drawn again when a variant comes, changes or goes, and removed with the last but one; not otherwise."""
    path = tmp_path / "me-abc123/swept.sheet.jpg"
    sweep(tmp_path, {(0.2, 0.5): RED})
    wall = Wall(tmp_path)
    round_of(wall, tmp_path)
    assert not path.exists()
    sweep(tmp_path, {(0.6, 0.5): GREEN})
    round_of(wall, tmp_path)
    assert colours_of(path)["green"] > 40_000
    before = path.stat().st_ino
    round_of(wall, tmp_path)
    build(tmp_path)  # another process, later
    assert path.stat().st_ino == before
    sweep(tmp_path, {(1.5, 0.5): GREEN})
    (tmp_path / "me-abc123/swept.0.2,0.5.json").unlink()
    round_of(wall, tmp_path)
    assert colours_of(path)["red"] == 0
    (tmp_path / "me-abc123/swept.1.5,0.5.json").unlink()
    round_of(wall, tmp_path)
    assert not path.exists()


def test_files_of_that_name_that_are_not_ours_stay(tmp_path: Path) -> None:
    """Neither somebody's file nor the painting of a preset with such a name is overwritten."""
    sweep(tmp_path, {(0.2, 0.5): RED, (0.6, 0.5): GREEN})
    sweep(tmp_path, {(0.2, 0.5): RED, (0.6, 0.5): GREEN}, folder="you-abc123")
    (tmp_path / "me-abc123/swept.sheet.jpg").write_text("mine")
    publish(tmp_path, "you-abc123", "swept.sheet", preset="swept.sheet")
    before = (tmp_path / "you-abc123/swept.sheet.jpg").read_bytes()
    build(tmp_path)
    assert (tmp_path / "me-abc123/swept.sheet.jpg").read_text() == "mine"
    assert (tmp_path / "you-abc123/swept.sheet.jpg").read_bytes() == before


def test_what_cannot_be_read_is_an_empty_cell(tmp_path: Path) -> None:
    """A damaged picture spoils its own cell only; a sheet that a power cut emptied is drawn again."""
    sweep(tmp_path, {(0.2, 0.5): RED, (0.6, 0.5): GREEN})
    (tmp_path / "me-abc123/swept.0.2,0.5.jpg").write_bytes(b"\xff\xd8 no picture")
    path = tmp_path / "me-abc123/swept.sheet.jpg"
    build(tmp_path)
    assert colours_of(path)["green"] > 40_000
    path.write_bytes(b"")
    build(tmp_path)
    assert mark_of(path)


@pytest.mark.parametrize(
    ("values", "across", "down"),
    [
        ({"a": [1, 2, 3]}, ["a"], []),
        ({"a": [1, 2], "b": [1, 2, 3]}, ["b"], ["a"]),
        ({"a": [1, 2], "b": [1, 2, 3], "c": ["x", "y"]}, ["b"], ["a", "c"]),
    ],
)
def test_axes_make_a_grid_that_is_nearly_square(
    values: dict[str, list[Any]], across: list[str], down: list[str]
) -> None:
    """The number with most values goes to the right, the next down, each in its order."""
    variants = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    found = sheet.axes_of(variants[::-1])
    assert ([axis.name for axis in found[0]], [axis.name for axis in found[1]]) == (across, down)
    assert all(list(axis.values) == values[axis.name] for axes in found for axis in axes)


def test_numbers_stand_before_words_and_in_their_order() -> None:
    """Values of several kinds are sorted without complaint."""
    [axis] = sheet.axes_of([{"a": value} for value in ("x", 10, 9.5, True, None)])[0]
    assert axis.values == (True, 9.5, 10, None, "x")


def test_a_sheet_of_a_thousand_variants_can_be_opened(tmp_path: Path) -> None:
    """Cells become smaller where the sheet would become larger than every viewer takes."""
    axes = tuple(sheet.Axis(name, tuple(range(count))) for name, count in (("wide", 100), ("high", 10)))
    drawn = sheet.draw(sheet.Sheet("t", axes[:1], axes[1:], {}, 1.0), comment="c")
    path = tmp_path / "sheet.jpg"
    path.write_bytes(drawn)
    with Image.open(path) as image:
        assert max(image.size) < 13_000
        assert image.info["comment"] == b"c"
