"""Faces: found where they are at every size, kept softly, and no trouble where there are none."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from neural_selfie.engine.faces import Box, face_map, find

FOREHEAD, CHIN, LEFT, RIGHT = 75, 183, 178, 275  # of the astronaut's face, px of 512


def tensor(image: Image.Image) -> Tensor:
    """Given an image, return it as engines have it."""
    return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def portrait(edge_px: int, share: float, angle: float = 0.0) -> tuple[Tensor, tuple[float, float, float]]:
    """Return a square picture with a face of that share of its height, and centre and height of the face in it."""
    astronaut = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]  # skimage has no types
    x, y, height = (LEFT + RIGHT) / 2, (FOREHEAD + CHIN) / 2, CHIN - FOREHEAD
    turned = astronaut.rotate(angle, Image.Resampling.BICUBIC, center=(x, y), fillcolor=(120, 130, 140))
    factor = share * edge_px / height
    size = round(512 * factor)
    canvas = Image.new("RGB", (edge_px, edge_px), (120, 130, 140))
    middle = edge_px / 2
    canvas.paste(
        turned.resize((size, size), Image.Resampling.LANCZOS), (round(middle - x * factor), round(middle - y * factor))
    )
    return tensor(canvas), (middle, middle, share * edge_px)


def surroundings(edge_px: int = 400) -> Tensor:
    """Return a picture without a face: hills, a sun, a house with windows and a fence, and noise."""
    random = np.random.default_rng(5)
    rows, columns = np.mgrid[0:edge_px, 0:edge_px]
    picture = np.stack([0.5 + 0.4 * rows / edge_px, 0.6 * np.ones_like(rows), 1 - 0.5 * rows / edge_px])
    hills = rows > edge_px * (0.6 + 0.08 * np.sin(columns / 40))
    picture[:, hills] = [[0.3], [0.5], [0.2]]
    picture[:, np.hypot(rows - 80, columns - 300) < 40] = [[1.0], [0.9], [0.3]]
    picture[:, 200:320, 60:200] = 0.7
    picture[:, 230:260, 80:110] = picture[:, 230:260, 150:180] = 0.2
    picture[:, 330:390, ::12] = 0.4
    return torch.from_numpy(picture + random.normal(0, 0.02, picture.shape)).float().clamp(0, 1)


@pytest.mark.parametrize("angle", [0.0, -10.0, 10.0])
@pytest.mark.parametrize("share", [0.06, 0.2, 0.5, 0.8])
def test_a_face_is_found_at_every_size(share: float, angle: float) -> None:
    """From 6 to 80 % of the picture, upright and a little turned: a box whose middle lies on the face."""
    picture, (x, y, height) = portrait(600, share, angle)
    [near] = [
        box
        for box in find(picture)
        if abs(box.left + box.size / 2 - x) < 0.2 * height and abs(box.top + box.size / 2 - y) < 0.2 * height
    ]
    assert 0.6 * height < near.size < 1.4 * height


def test_a_large_photo_is_searched_at_a_small_copy() -> None:
    """Boxes are in pixels of the photo, whatever its size, and 12 megapixels are not slower than half a one."""
    small, _ = portrait(600, 0.3)
    large = torch.nn.functional.interpolate(small[None], scale_factor=6, mode="bilinear")[0]
    [box], [grown] = find(small), find(large)
    assert abs(grown.left / 6 - box.left) < 5
    assert abs(grown.size / 6 - box.size) < 8
    started_at = time.process_time()
    find(large)
    assert time.process_time() - started_at < 4


def test_the_map_holds_the_face_and_lets_go_of_the_rest() -> None:
    """1 from the brows to the chin, 0 a head away, and nowhere a step that could be seen."""
    picture, (x, y, height) = portrait(500, 0.35)
    faces = face_map(picture)
    assert faces.shape == (500, 500)
    assert 0 <= float(faces.min()) <= float(faces.max()) <= 1
    for down in (-0.35, 0.0, 0.45):  # brows, nose, chin
        assert float(faces[round(y + down * height), round(x)]) > 0.9
    assert float(faces[:, : round(x - 1.2 * height)].max()) == 0
    assert float(faces[: round(y - 1.2 * height)].max()) == 0
    assert float(faces[round(y + 1.3 * height) :].max()) == 0
    assert float(faces.diff(dim=0).abs().max()) < 0.08
    assert float(faces.diff(dim=1).abs().max()) < 0.08


def test_a_picture_without_a_face_is_left_alone() -> None:
    """No face: zeros of the photo's size; one pixel and one line of pixels are pictures too."""
    assert not face_map(surroundings()).any()
    for shape in ((1, 1), (1, 300), (300, 2)):
        empty = face_map(torch.rand(3, *shape, generator=torch.Generator().manual_seed(1)))
        assert empty.shape == shape
        assert not empty.any()


def test_the_same_photo_has_the_same_faces() -> None:
    """With one thread or several, now or again: the same boxes in the same order."""
    import cv2  # noqa: PLC0415 - as the module under test

    left, _ = portrait(400, 0.3)
    picture = torch.cat([left, left.flip(2)], dim=2)
    threads = cv2.getNumThreads()
    found: list[list[Box]] = []
    try:
        for number in (1, 2, 4):
            cv2.setNumThreads(number)
            found += [find(picture), find(picture)]
    finally:
        cv2.setNumThreads(threads)
    assert len(found[0]) >= 2
    assert all(boxes == found[0] for boxes in found)


def test_what_to_install_is_said() -> None:
    """Where OpenCV is not installed the job waits, and says what is missing."""
    script = (
        "import sys; sys.modules['cv2'] = None\n"  # what `import` finds for a package that is not there
        "import torch; from neural_selfie.engine.faces import face_map\n"
        "from neural_selfie.errors import EngineUnavailableError\n"
        "try: face_map(torch.zeros(3, 64, 64))\n"
        "except EngineUnavailableError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'neural-selfie[faces]'" in done.stdout
