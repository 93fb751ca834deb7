"""A VGG-19 of few channels in double precision, and smooth pictures: for tests that compare to the last digits.

Its sixteen convolutions, its pooling and its colours are those of the real one, only narrower, so that a whole gradient
takes milliseconds; and in double precision hardly any rectifier or maximum is decided by rounding.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from plain_gatys import DEVIATION, MEAN

CHANNELS = (4, 4, 5, 5, *(6,) * 4, *(8,) * 8)


@dataclass(frozen=True, slots=True)
class SmallVgg:
    """What the engine reads of a file of weights."""

    convolutions: tuple[tuple[Tensor, Tensor], ...]
    matrix: Tensor
    offset: Tensor
    padding: Literal["zeros", "reflect"] = "zeros"
    ceil_pooling: bool = False


def small_vgg(dtype: torch.dtype = torch.float64, *, ceil_pooling: bool = False, seed: int = 0) -> SmallVgg:
    """Return the seeded network."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    pairs = [
        ((random(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5).to(dtype), (random(outputs) * 0.05).to(dtype))
        for inputs, outputs in zip((3, *CHANNELS), CHANNELS, strict=False)
    ]
    mean, deviation = torch.tensor(MEAN).to(dtype), torch.tensor(DEVIATION).to(dtype)
    return SmallVgg(tuple(pairs), torch.diag(1 / deviation), -mean / deviation, ceil_pooling=ceil_pooling)


def smooth(height: int, width: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a seeded picture (1, 3, height, width) in 0..1 of soft shapes of several sizes and a little grain."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 3, height, width, dtype=torch.float64)
    for cells, share in ((3, 0.5), (9, 0.3), (27, 0.15)):
        coarse = torch.rand(1, 3, cells, cells, generator=generator, dtype=torch.float64)
        picture += share * functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    grain = torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)
    return (picture + 0.05 * grain).to(dtype)


def apart(found: Tensor, wanted: Tensor) -> float:
    """Return the norm of the difference as a share of the norm of what is wanted."""
    return float((found - wanted).norm() / wanted.norm())
