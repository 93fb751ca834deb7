"""Colour as Gaussians: mean and covariance, and the linear map that carries one palette onto another.

The map is Monge-Kantorovich's (Pitié and Kokaram 2007): of all linear maps that do so, the one that changes colours
least. It knows nothing of white points or colour names; pictures are (3, H, W), sRGB in 0..1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Variance added to each palette, (about 2/255) squared: a flat photo is not blown up into its own noise.
_LEAST_VARIANCE = 6e-5


@dataclass(frozen=True, slots=True)
class Palette:
    """Mean (3,) and covariance (3, 3) of a picture's colours, in double precision."""

    mean: Tensor
    covariance: Tensor


def palette_of(picture: Tensor) -> Palette:
    """Given a picture (3, H, W), return the mean and covariance of its colours."""
    pixels = picture.flatten(1).double()
    mean = pixels.mean(1)
    centred = pixels - mean[:, None]
    return Palette(mean, centred @ centred.T / pixels.shape[1])


def mixed_palette(pictures: Sequence[Tensor], shares: Sequence[float]) -> Palette:
    """Given pictures and their shares (sum 1), return the palette of the mixture: as if they hung side by side."""
    palettes = [palette_of(picture) for picture in pictures]
    mean = torch.stack([share * p.mean for share, p in zip(shares, palettes, strict=True)]).sum(0)
    spread = [p.covariance + torch.outer(p.mean - mean, p.mean - mean) for p in palettes]
    return Palette(mean, torch.stack([share * s for share, s in zip(shares, spread, strict=True)]).sum(0))


def move_colours(picture: Tensor, source: Palette, target: Palette, share: float) -> Tensor:
    """Given a picture (3, H, W) whose palette is `source`, return it moved by `share` (0..1) of the way to `target`.

    At 1 its mean and covariance are the target's; in between they lie on the shortest way (McCann's interpolation),
    so that moving the photo by s and the style by 1 - s lets them meet. Values may leave 0..1.
    """
    if share == 0:
        return picture
    identity = torch.eye(3, dtype=torch.float64, device=picture.device)
    root = _square_root(source.covariance + _LEAST_VARIANCE * identity)
    inverse = torch.linalg.inv(root)
    middle = _square_root(root @ (target.covariance + _LEAST_VARIANCE * identity) @ root)
    matrix = share * (inverse @ middle @ inverse) + (1 - share) * identity
    mean = share * target.mean + (1 - share) * source.mean
    offset = mean - matrix @ source.mean
    moved: Tensor = matrix.float() @ picture.flatten(1) + offset.float()[:, None]
    return moved.reshape_as(picture)


def luminance(picture: Tensor) -> Tensor:
    """Given a picture (3, H, W), return its luma (H, W) with the weights of ITU-R BT.601."""
    return 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]


def _square_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    return root
