"""Where faces are, so that they can be kept recognisable: boxes, and a soft map of what lies between brow and chin.

OpenCV 4's Haar cascade `frontalface_alt2` (Lienhart, after Viola and Jones 2001), which ships inside the package and
looks at 0.4 megapixels in 0.4 s on one core, face or none. It was compared with scikit-image 0.26's LBP cascade on a
portrait at 5 to 80 % of the picture, turned by 0, 10 and 20 degrees to both sides, and on 18 pictures without faces:
alt2 found it upright and at 10 degrees at every size, with 1 false box in 30 pictures of it and 3 in the 18 others; LBP
missed some of those, took 0.4 to 0.9 s, and saw faces in bricks, grass, coffee and the moon. `default` and `alt` were
worse in either respect; equalising the picture first helped none. The package takes 162 MB and needs numpy only,
scikit-image with scipy takes more.

Finds no profiles, no faces turned by more than some 15 degrees or smaller than 4 % of the long edge, and now and
then one that is none. The same photo gives the same boxes; the number of threads changes nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neural_selfie.engine.colour import luminance
from neural_selfie.engine.pyramid import fit_long_edge, resized
from neural_selfie.errors import EngineUnavailableError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LOOK_PX = 640  # long edge at which faces are looked for
_SMALLEST_PX = 22  # the cascade was trained on 20 px
_STEP = 1.05  # between two sizes of the window; 1.1 misses half of the faces below 7 %
_NEIGHBOURS = 5  # windows that have to agree; 3 sees faces in windows and leaves, 8 misses small ones
# A box of this cascade goes from the forehead to below the lower lip. By eye, as shares of its edge: the ellipse that
# holds forehead, cheeks and chin, and how much larger the one is outside of which nothing is raised.
_CENTRE_DOWN, _HALF_WIDTH, _HALF_HEIGHT = 0.6, 0.43, 0.6
_OUTER = 1.35


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A face in a photo: its square in pixels, from the left and from the top."""

    top: int
    left: int
    size: int


def find(photo: Tensor) -> list[Box]:
    """Given a photo (3, H, W), sRGB in 0..1, return its faces, the topmost first.

    Raise EngineUnavailableError where OpenCV is not installed.
    """
    height, width = photo.shape[1:]
    look_px = min(_LOOK_PX, max(height, width))
    small = resized(photo, *fit_long_edge(height, width, look_px)).clamp(0, 1)
    grey = (luminance(small) * 255).round().to(torch.uint8).cpu().contiguous().numpy()
    scale = max(height, width) / look_px
    return sorted(
        Box(round(top * scale), round(left * scale), round(edge * scale)) for left, top, edge in _squares(grey)
    )


def face_map(photo: Tensor) -> Tensor:
    """Given a photo (3, H, W), sRGB in 0..1, return (H, W): 1 on brows, eyes, nose, mouth and chin of every face.

    It falls smoothly to 0 a little outside the hairline and is 0 everywhere where no face is found. Raise
    EngineUnavailableError where OpenCV is not installed.
    """
    height, width = photo.shape[1:]
    faces = torch.zeros(height, width, device=photo.device)
    rows = torch.arange(height, device=photo.device)[:, None] + 0.5
    columns = torch.arange(width, device=photo.device)[None, :] + 0.5
    for box in find(photo):
        down = (rows - box.top - _CENTRE_DOWN * box.size) / (_HALF_HEIGHT * box.size)
        across = (columns - box.left - box.size / 2) / (_HALF_WIDTH * box.size)
        radius = (down.square() + across.square()).sqrt()
        inside = ((_OUTER - radius) / (_OUTER - 1)).clamp(0, 1)
        faces = torch.maximum(faces, inside.square() * (3 - 2 * inside))
    return faces


def _squares(grey: "npt.NDArray[np.uint8]") -> list[tuple[int, int, int]]:
    """Given a grey picture, return left, top and edge of every face."""
    try:
        import cv2.data  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise EngineUnavailableError(
            "`protect: faces` needs OpenCV 4, which is not installed: pip install 'neural-selfie[faces]'. "
            "Without it, take `protect: faces` from the preset."
        ) from error
    cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_alt2.xml")
    if cascade.empty():  # OpenCV 5 brings none
        raise EngineUnavailableError(
            "This OpenCV has no face detector: version 4 has one, pip install 'neural-selfie[faces]' brings it."
        )
    smallest = (_SMALLEST_PX, _SMALLEST_PX)
    found = cascade.detectMultiScale(grey, scaleFactor=_STEP, minNeighbors=_NEIGHBOURS, minSize=smallest)
    return [(int(left), int(top), int(edge)) for left, top, edge, _ in found]
