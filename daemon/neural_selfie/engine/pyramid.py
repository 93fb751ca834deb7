"""Sizes: which scales a picture is painted at, coarse to fine, and how pictures are brought to them.

Nothing here looks at what a picture shows.
"""

import math

from torch import Tensor
from torch.nn import functional

_MOST_APART = 1.5  # by eye
_LEAST_PX = 5  # the patches of the sharpening still fit


def scales(height: int, width: int, *, ratio: float, coarsest_px: int) -> list[float]:
    """Given the final size, return the scale factors from coarse to fine; the last one is 1.

    Each is `ratio` of the next, as long as the short edge stays at least `coarsest_px`.
    """
    found = [1.0]
    while min(height, width) * found[-1] * ratio >= coarsest_px:
        found.append(found[-1] * ratio)
    return found[::-1]


def sized(height: int, width: int, factor: float, *, at_least: int = 1) -> tuple[int, int]:
    """Given a size and a factor, return the scaled size, no edge shorter than `at_least`."""
    return max(at_least, round(height * factor)), max(at_least, round(width * factor))


def fit_long_edge(height: int, width: int, long_edge_px: int) -> tuple[int, int]:
    """Given a size, return the one of the same shape whose long edge is `long_edge_px`."""
    return sized(height, width, long_edge_px / max(height, width))


def style_factor(style: tuple[int, int], photo: tuple[int, int]) -> float:
    """Given the sizes (height, width) of style image and picture, return what brings the style to the picture's size.

    Then their long edges are equal, unless their shapes differ much: ribbons and panoramas are compared by area.
    """
    by_edge = max(photo) / max(style)
    by_area = math.sqrt(photo[0] * photo[1] / (style[0] * style[1]))
    return min(max(by_edge, by_area / _MOST_APART), by_area * _MOST_APART)


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """Given a picture (C, H, W), return it at (C, height, width): bicubic, and free of aliases when it shrinks."""
    if picture.shape[1:] == (height, width):
        return picture
    return functional.interpolate(picture[None], (height, width), mode="bicubic", antialias=True, align_corners=False)[
        0
    ]


def halved(picture: Tensor) -> Tensor:
    """Given a picture (C, H, W), return it at half the size, but no edge shorter than 5 px."""
    return resized(picture, max(_LEAST_PX, picture.shape[1] // 2), max(_LEAST_PX, picture.shape[2] // 2))
