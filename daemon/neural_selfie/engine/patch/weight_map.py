"""Where the photo must be kept: along edges, and more so where a face may be. A map of factors for the content weight.

No face detector: skin is told by its hue and a smooth neighbourhood, so wood, sand and sunsets may count as skin too;
they only keep a little more of their edges for it.
"""

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.colour import luminance
from neural_selfie.engine.pyramid import fit_long_edge, resized

_LOOK_PX = 320  # long edge at which edges are judged: a face of a tenth of the picture still has eyes here
_FLOOR = 0.3  # factor where nothing happens: strokes are free in skies


def weight_map(photo: Tensor, *, edges: float, faces: float) -> Tensor:
    """Given a photo (3, H, W), return factors (1, h, w), long edge at most 320 px.

    0.3 in flat parts, 0.3 + edges along strong edges, and `faces` times as much again on edges within skin.
    """
    height, width = photo.shape[1:]
    small = resized(photo, *fit_long_edge(height, width, min(_LOOK_PX, max(height, width)))).clamp(0, 1)
    energy = edge_energy(luminance(small))
    skin = _blurred(_skin(small), 4)
    return (_FLOOR + edges * energy + faces * edges * energy.sqrt() * skin)[None]


def edge_energy(grey: Tensor) -> Tensor:
    """Given a grey picture (H, W), return how strong edges are around each pixel, 1 for the strongest 5 %."""
    across = functional.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    right = (across[1:-1, 2:] - across[1:-1, :-2]) / 2
    down = (across[2:, 1:-1] - across[:-2, 1:-1]) / 2
    strength = _blurred((right.square() + down.square()).sqrt(), 2)
    strong = strength.flatten().kthvalue(max(1, round(0.95 * strength.numel()))).values
    return (strength / strong.clamp_min(0.02)).clamp(0, 1)


def _skin(photo: Tensor) -> Tensor:
    """Given a photo, return 0..1 per pixel: does its hue lie between red and yellow, neither grey nor glaring?"""
    red, green, blue = photo
    bright, dark = photo.amax(0), photo.amin(0)
    chroma = bright - dark
    saturation = chroma / bright.clamp_min(1e-3)
    hue = (green - blue) / chroma.clamp_min(1e-3)  # 0 = red, 1 = yellow, where red is the brightest channel
    warm = _step(red - torch.maximum(green, blue), -0.02, 0.03) * _step(hue, -0.1, 0.1) * _step(0.95 - hue, 0, 0.15)
    return warm * _step(saturation, 0.08, 0.2) * _step(0.8 - saturation, 0, 0.1) * _step(bright, 0.12, 0.25)


def _step(value: Tensor, low: float, high: float) -> Tensor:
    return ((value - low) / (high - low)).clamp(0, 1)


def _blurred(plane: Tensor, radius: int) -> Tensor:
    """Given (H, W), return it smoothed twice with a box of 2·radius + 1."""
    size = 2 * radius + 1
    for _ in range(2):
        padded = functional.pad(plane[None, None], (radius,) * 4, mode="replicate")
        plane = functional.avg_pool2d(padded, size, stride=1)[0, 0]
    return plane
