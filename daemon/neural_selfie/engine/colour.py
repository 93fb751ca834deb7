"""Colour moved between pictures: by a linear map, by whole histograms, or all chroma at once.

The linear map is Monge-Kantorovich's (Pitié and Kokaram 2007): of all linear maps that carry one palette (mean and
covariance) onto another, the one that changes colours least. Nothing here knows white points or colour names; pictures
are (3, H, W), sRGB in 0..1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Variance added to each palette, (about 2/255) squared: a flat photo is not blown up into its own noise.
_LEAST_VARIANCE = 6e-5
_TURNS = 10  # Pitié et al. see no change after some ten turns; the linear map before them saves the first few
_TURNED_BY = 2005  # any seed: the turns are the same in every run
_SAMPLE = 1 << 14  # pixels that stand for all while turning, and
_KNOTS = 4096  # steps of the curve that they give; the last pass takes every pixel as it is


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


def keep_luminance(painting: Tensor, photo: Tensor) -> Tensor:
    """Given a painting and its photo, both (3, H, W), return the painting's luma with the photo's chroma.

    Gatys et al. 2016 (arXiv 1606.05897, section "luminance-only transfer") in BT.601's Y'CbCr: Cb and Cr are the
    differences of blue and red to luma, so luma is exchanged by adding the same to all channels. Where that leaves
    0..1, chroma shrinks towards grey as far as needed: luma and hue stay. Raise ValueError for two sizes.
    """
    if painting.shape != photo.shape:
        raise ValueError(f"the painting is {tuple(painting.shape)}, the photo {tuple(photo.shape)}")
    luma = luminance(painting).clamp(0, 1)
    chroma = photo - luminance(photo)
    room = torch.where(chroma > 0, 1 - luma, luma) / chroma.abs().clamp_min(1e-6)
    return (luma + room.amin(0).clamp(max=1) * chroma).clamp(0, 1)


def match_histogram(picture: Tensor, reference: Tensor) -> Tensor:
    """Given a picture (3, H, W) and a reference of any size, return the picture with the reference's distribution.

    Iterative distribution transfer (Pitié, Kokaram and Dahyot 2005): the colours are turned in space, each axis gets
    the reference's histogram, and so on. It begins with the linear map and ends with red, green and blue themselves,
    whose histograms are then the reference's exactly, but for areas of one colour, which stay of one colour. The
    same pictures give the same result on one device.
    """
    moved = move_colours(picture, palette_of(picture), palette_of(reference), 1.0).flatten(1)
    target = reference.flatten(1)
    generator = torch.Generator().manual_seed(_TURNED_BY)
    target_sample = _sample(target, generator)
    for _ in range(_TURNS):
        turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q.to(moved)
        axes, target_axes = turn @ moved, turn @ target_sample
        sample = _sample(axes, generator)
        moved = turn.T @ torch.stack([_curved(*rows) for rows in zip(axes, sample, target_axes, strict=True)])
    return torch.stack([_matched(*rows) for rows in zip(moved, moved, target, strict=True)]).reshape_as(picture)


def _sample(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Given pixels (3, N), return them, or of many a fixed choice."""
    if pixels.shape[1] <= _SAMPLE:
        return pixels
    return pixels[:, torch.randint(pixels.shape[1], (_SAMPLE,), generator=generator).to(pixels.device)]


def _curved(values: Tensor, sample: Tensor, reference: Tensor) -> Tensor:
    """Do as `_matched`, but along a curve of 4096 steps: nearly the same, and several times as fast."""
    lowest, highest = values.min(), values.max()
    share = torch.linspace(0, 1, _KNOTS, device=values.device)
    curve = _matched(lowest + share * (highest - lowest), sample, reference)
    place = (values - lowest) / (highest - lowest).clamp_min(1e-6) * (_KNOTS - 1)
    low = place.long().clamp(0, _KNOTS - 2)
    return torch.lerp(curve[low], curve[low + 1], place - low)


def _matched(values: Tensor, sample: Tensor, reference: Tensor) -> Tensor:
    """Given values, a sample of them, and a reference, all of one axis, return the values with its histogram.

    Equal values stay equal: each goes to the middle of the quantiles that all of its kind have in the sample.
    """
    ordered, target = sample.sort().values.contiguous(), reference.sort().values
    values = values.contiguous()
    below = torch.searchsorted(ordered, values)
    upto = torch.searchsorted(ordered, values, right=True)
    place = ((below + upto).double() / (2 * len(ordered)) * len(target) - 0.5).clamp(0, len(target) - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=len(target) - 1)
    return torch.lerp(target[low], target[high], (place - low).to(target))


def luminance(picture: Tensor) -> Tensor:
    """Given a picture (3, H, W), return its luma (H, W) with the weights of ITU-R BT.601."""
    return 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]


def _square_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T
    return root
