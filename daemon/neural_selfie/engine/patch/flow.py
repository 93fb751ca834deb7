"""Draw strokes through: smooth a picture along its local direction, never across it.

Line integral convolution over the structure tensor, as in flow-based painterly filters (Kyprianidis and Kang 2011,
"Image and video abstraction by coherence-enhancing filtering"), with short straight lines instead of traced ones.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.colour import luminance
from neural_selfie.engine.pyramid import halved, resized

_NEIGHBOURHOOD_PX = 7  # over which the direction is judged
_FULL_AMOUNT = 7.0
_COMBED_OCTAVES = 2


def combed(picture: Tensor, reach_px: float) -> Tensor:
    """Given a picture (3, H, W), return it smoothed over `reach_px` pixels to both sides along its strokes.

    Where there is no direction, nothing changes.
    """
    right, down, coherence = direction(luminance(picture))
    height, width = picture.shape[1:]
    y = torch.arange(height, device=picture.device, dtype=torch.float32)[:, None].expand(-1, width)
    x = torch.arange(width, device=picture.device, dtype=torch.float32)[None].expand(height, -1)
    total = picture.clone()
    for step in (-1.0, -0.5, 0.5, 1.0):
        column = (x + step * reach_px * right) * (2 / max(1, width - 1)) - 1
        row = (y + step * reach_px * down) * (2 / max(1, height - 1)) - 1
        places = torch.stack([column, row], -1)[None]
        total += functional.grid_sample(picture[None], places, padding_mode="border", align_corners=True)[0]
    return picture + coherence * (total / 5 - picture)


def combed_like(
    picture: Tensor, octaves: Sequence[Sequence[Tensor]], shares: Sequence[float], reach_px: float
) -> Tensor:
    """Given a picture and style images at each octave, fine to coarse, comb it where its strokes are less clear.

    Only the two finest octaves are judged and combed. One seventh less clear than the style is combed in full,
    as clear as the style not at all.
    """
    for number in reversed(range(min(_COMBED_OCTAVES, len(octaves)))):
        small = picture
        for _ in range(number):
            small = halved(small)
        wanted = sum(share * clearness(image) for image, share in zip(octaves[number], shares, strict=True))
        amount = min(1.0, max(0.0, _FULL_AMOUNT * (1 - clearness(small) / max(wanted, 1e-6))))
        if amount > 0:
            change = amount * (combed(small, reach_px) - small)
            picture = picture + resized(change, picture.shape[1], picture.shape[2])
    return picture


def clearness(picture: Tensor) -> float:
    """Given a picture (3, H, W), return how far neighbouring gradients agree, 0..1: strokes do, static does not."""
    xx, yy, xy = _structure(luminance(picture))
    return float(_anisotropy(xx, yy, xy).sum() / (xx + yy).sum().clamp_min(1e-6))


def direction(grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Given a grey picture (H, W), return its strokes' directions (right, down), of length 1, and clearness 0..1."""
    xx, yy, xy = _structure(grey)
    angle = 0.5 * torch.atan2(2 * xy, xx - yy)  # of the gradient; the stroke stands upright on it
    return -torch.sin(angle), torch.cos(angle), _anisotropy(xx, yy, xy) / (xx + yy).clamp_min(1e-6)


def _structure(grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    framed = functional.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across = (framed[1:-1, 2:] - framed[1:-1, :-2]) / 2
    along = (framed[2:, 1:-1] - framed[:-2, 1:-1]) / 2
    products = torch.stack([across * across, along * along, across * along])[None]
    margin = _NEIGHBOURHOOD_PX // 2
    padded = functional.pad(products, (margin,) * 4, mode="replicate")
    xx, yy, xy = functional.avg_pool2d(padded, _NEIGHBOURHOOD_PX, stride=1)[0]
    return xx, yy, xy


def _anisotropy(xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    return ((xx - yy).square() + 4 * xy.square()).sqrt()
