"""Pooling of 2 x 2 blocks, by maximum, mean or root mean square, and its way back with as little kept as possible.

Replacing VGG's maximum changes how large the features behind it are; the factors that undo this are those of
Crowson's style-transfer-pytorch: 2 for the mean, and 0.78 for the root of the sum of four squares, hence 1.56 for the
root of their mean. A last odd row or column is dropped, or with `ceil` pooled by itself, as in the networks of the
original AdaIN.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Pooling = Literal["max", "average", "l2"]
FACTORS: dict[Pooling, float] = {"max": 1.0, "average": 2.0, "l2": 1.56}
_NOBODY = 4  # no element of the block was above zero


@dataclass(frozen=True, slots=True)
class Pooled:
    """What the way back needs: the size before, and which of four was the maximum (uint8), or the factors of each."""

    size: tuple[int, int]
    factor: float = 1.0
    chosen: Tensor | None = None
    shares: Tensor | None = None


def pooled(image: Tensor, pooling: Pooling, *, factor: float, ceil: bool, keep: bool = True) -> tuple[Pooled, Tensor]:
    """Given rectified features (B, C, H, W), return what the way back needs and the features at half the size.

    `factor` multiplies the result, unless the pooling is by maximum.
    """
    size = (image.shape[2], image.shape[3])
    if ceil and (size[0] % 2 or size[1] % 2):
        image = functional.pad(image, (0, size[1] % 2, 0, size[0] % 2), mode="replicate")
    if pooling == "max":
        return _maximum(image, size, keep=keep)
    if pooling == "average":
        return Pooled(size, factor), functional.avg_pool2d(image, 2).mul_(factor)
    root = functional.avg_pool2d(image.square(), 2).sqrt_()
    height, width = 2 * root.shape[2], 2 * root.shape[3]
    divided = image[:, :, :height, :width] / _doubled(root).clamp_min_(1e-12) if keep else None
    shares = divided.mul_(factor / 4) if divided is not None else None
    return Pooled(size, factor, shares=shares), root.mul_(factor)


def unpooled(gradient: Tensor, kept: Pooled) -> Tensor:
    """Given the gradient of pooled features, return that of the features before, zero where they were not above 0."""
    height, width = 2 * gradient.shape[2], 2 * gradient.shape[3]
    if kept.chosen is not None:
        result = gradient.new_empty(gradient.shape[0], height, width, gradient.shape[1]).permute(0, 3, 1, 2)
        for number in range(4):
            torch.mul(gradient, kept.chosen == number, out=result[:, :, number // 2 :: 2, number % 2 :: 2])
    elif kept.shares is not None:
        result = _doubled(gradient).mul_(kept.shares)
    else:
        result = _doubled(gradient).mul_(kept.factor / 4)
    return _resized(result, kept.size)


def _maximum(image: Tensor, size: tuple[int, int], *, keep: bool) -> tuple[Pooled, Tensor]:
    if not keep:
        return Pooled(size), functional.max_pool2d(image, 2)
    height, width = image.shape[2] // 2 * 2, image.shape[3] // 2 * 2
    quarter = [image[:, :, number // 2 : height : 2, number % 2 : width : 2] for number in range(4)]
    upper, lower = torch.maximum(quarter[0], quarter[1]), torch.maximum(quarter[2], quarter[3])
    largest = torch.maximum(upper, lower)
    chosen = torch.where(lower > upper, (quarter[3] > quarter[2]).to(torch.uint8) + 2, quarter[1] > quarter[0])
    return Pooled(size, chosen=chosen.masked_fill_(largest <= 0, _NOBODY)), largest


def _doubled(image: Tensor) -> Tensor:
    return functional.interpolate(image, scale_factor=2.0, mode="nearest")


def _resized(gradient: Tensor, size: tuple[int, int]) -> Tensor:
    """Give the gradient the size of what was pooled: nothing for a dropped row, the sum for one pooled by itself."""
    down, right = size[0] - gradient.shape[2], size[1] - gradient.shape[3]
    if down > 0 or right > 0:
        return functional.pad(gradient, (0, max(right, 0), 0, max(down, 0)))
    if down < 0:
        gradient[:, :, -2] += gradient[:, :, -1]
        gradient = gradient[:, :, :-1]
    if right < 0:
        gradient[:, :, :, -2] += gradient[:, :, :, -1]
        gradient = gradient[:, :, :, :-1]
    return gradient
