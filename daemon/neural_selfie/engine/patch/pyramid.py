"""Sizes: which scales a picture is painted at, coarse to fine, and how pictures are brought to them.

Nothing here looks at what a picture shows.
"""

import math

from torch import Tensor
from torch.nn import functional


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


def area_factor(height: int, width: int, area: float) -> float:
    """Given a size, return the factor that brings it to `area` pixels."""
    return math.sqrt(area / (height * width))


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """Given a picture (C, H, W), return it at (C, height, width): bicubic, and free of aliases when it shrinks."""
    if picture.shape[1:] == (height, width):
        return picture
    return functional.interpolate(picture[None], (height, width), mode="bicubic", antialias=True, align_corners=False)[
        0
    ]
