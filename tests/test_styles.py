"""The style images that ship: their programs paint them, and they are rich enough to paint with."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from neural_selfie import styles
from neural_selfie.styles.__main__ import main

NAMES = tuple(styles.PROGRAMS)
SMALL_PX = 192
Pixels = NDArray[np.float64]


@cache
def painted(name: str) -> Image.Image:
    """Return a small version of a style as its program paints it today."""
    return styles.program(name)(width=SMALL_PX)


@cache
def shipped(name: str) -> Image.Image:
    """Return the style image that ships."""
    with Image.open(styles.image_path(name)) as image:
        return image.convert("RGB")


def brightness(image: Image.Image) -> Pixels:
    """Return luma, 0..1, of shape (height, width)."""
    return np.asarray(image.convert("L"), dtype=np.float64) / 255


def likeness(one: Image.Image, other: Image.Image) -> float:
    """Return how alike two pictures are from afar: the correlation of 48 x 36 pixels, all channels; 1 is the same."""
    far = [np.asarray(image.resize((48, 36), Image.Resampling.BOX), dtype=np.float64).ravel() for image in (one, other)]
    return float(np.corrcoef(far[0], far[1])[0, 1])


def test_the_list_of_styles_loads_neither_numpy_nor_pillow() -> None:
    """The daemon's parent may read the names of the styles without loading what paints them."""
    code = "import sys; from neural_selfie import styles; sys.exit(bool({'numpy', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_an_unknown_style_is_refused() -> None:
    """A name that is not a style's has neither image nor program."""
    for ask in (styles.image_path, styles.program):
        with pytest.raises(KeyError):
            ask("mona-lisa")


def test_the_folder_holds_the_images_of_all_styles_and_no_others() -> None:
    """Every name has its image and every image its name."""
    assert {path.stem for path in styles.folder().glob("*.jpg")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_style_is_the_same_for_the_same_seed_and_another_for_another(name: str) -> None:
    """Every stroke comes from the seed."""
    paint = styles.program(name)
    assert paint(width=SMALL_PX).tobytes() == painted(name).tobytes()
    assert paint(seed=7, width=SMALL_PX).tobytes() != painted(name).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_image_that_ships_is_what_its_program_paints(name: str) -> None:
    """Painted small, each program agrees with its own image from afar and with no other."""
    alike = {path.stem: likeness(painted(name), shipped(path.stem)) for path in styles.folder().glob("*.jpg")}
    assert alike.pop(name) > 0.97
    assert max(alike.values()) < 0.8


@pytest.mark.parametrize("name", NAMES)
def test_a_style_has_light_and_dark(name: str) -> None:
    """Values run from nearly black to nearly white: a style without either makes dull pictures."""
    dark, light = np.quantile(brightness(shipped(name)), [0.01, 0.99])
    assert dark < 0.15
    assert light > 0.80


@pytest.mark.parametrize("name", NAMES)
def test_a_style_has_detail_at_every_octave_and_no_flat_places(name: str) -> None:
    """From single pixels to 64 of them there is something to see, and no 32 x 32 pixels are without paint."""
    luma = brightness(shipped(name))
    height, width = (length // 64 * 64 for length in luma.shape)
    level = luma[:height, :width]
    tiles = level.reshape(height // 32, 32, width // 32, 32).std(axis=(1, 3))
    assert tiles.min() > 0.02
    for _ in range(6):
        coarser = level.reshape(level.shape[0] // 2, 2, level.shape[1] // 2, 2).mean(axis=(1, 3))
        assert (level - coarser.repeat(2, axis=0).repeat(2, axis=1)).std() > 0.015
        level = coarser


def test_the_styles_can_be_repainted_from_the_command_line(tmp_path: Path) -> None:
    """The command writes JPEG without colour subsampling, and ends with 64 for a name or width that cannot be."""
    assert main(["scream", "--into", str(tmp_path / "new"), "--width", str(SMALL_PX)]) == 0
    with Image.open(tmp_path / "new" / "scream.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (SMALL_PX, SMALL_PX * 3 // 4))
        assert likeness(image.convert("RGB"), painted("scream")) > 0.999
    assert main(["mona-lisa", "--into", str(tmp_path)]) == 64
    assert main(["scream", "--into", str(tmp_path), "--width", "0"]) == 64
