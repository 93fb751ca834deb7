"""Draw strokes through: smooth a picture along its local direction, never across it.

Line integral convolution over the structure tensor, as in flow-based painterly filters (Kyprianidis and Kang 2011,
"Image and video abstraction by coherence-enhancing filtering"), with short straight lines instead of traced ones.
"""

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.colour import luminance

_NEIGHBOURHOOD_PX = 7  # over which the direction is judged


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


def direction(grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Given a grey picture (H, W), return its strokes' directions (right, down), of length 1, and clearness 0..1."""
    framed = functional.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across = (framed[1:-1, 2:] - framed[1:-1, :-2]) / 2
    along = (framed[2:, 1:-1] - framed[:-2, 1:-1]) / 2
    products = torch.stack([across * across, along * along, across * along])[None]
    margin = _NEIGHBOURHOOD_PX // 2
    padded = functional.pad(products, (margin,) * 4, mode="replicate")
    xx, yy, xy = functional.avg_pool2d(padded, _NEIGHBOURHOOD_PX, stride=1)[0]
    clear = ((xx - yy).square() + 4 * xy.square()).sqrt() / (xx + yy).clamp_min(1e-6)
    angle = 0.5 * torch.atan2(2 * xy, xx - yy)  # of the gradient; the stroke stands upright on it
    return -torch.sin(angle), torch.cos(angle), clear
