"""The losses as functions of what they look at, each with its gradient in closed form.

A style is known by statistics of its features: mean and second moment, which are sums over pixels. So the gradient at
every pixel is one small matrix times its features, the same for all pixels: with the statistics of a whole picture at
hand, tiles of it can be worked on one after the other and agree exactly.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

StyleLoss = Literal["gram", "w2"]
_W2_EPSILON = 1e-4  # added to both covariances, as in Crowson's style-transfer-pytorch
_LEAST_EIGENVALUE = 1e-8  # the square of that: what rounding leaves below it is noise
_ROOT_STEPS = 15  # 12 there, where the gradient is another iteration


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean (B, C) and raw second moment (B, C, C) of features, over all pixels or weighted by a mask."""

    mean: Tensor
    second: Tensor


@dataclass(frozen=True, slots=True)
class StyleTerm:
    """The value (B,) of a style loss, and its gradients by the second moment (B, C, C), symmetric, and mean (B, C)."""

    value: Tensor
    by_second: Tensor
    by_mean: Tensor | None


def pixels(features: Tensor) -> Tensor:
    """Given features (B, C, H, W), return them as (B, H·W, C), a view where they are stored channels last."""
    features = features.float() if features.element_size() < 4 else features  # noqa: PLR2004 - bytes of a float
    if features.is_contiguous():
        return features.flatten(2).transpose(1, 2)
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def sums(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Given features (B, C, h, w) and shares (h, w), return the sums over pixels: (B, C) and (B, C, C)."""
    flat = pixels(features)
    if mask is None:
        return flat.sum(1), flat.transpose(1, 2) @ flat
    shared = flat * mask.flatten()[:, None]
    return shared.sum(1), flat.transpose(1, 2) @ shared


def gram(now: Moments, target: Moments) -> StyleTerm:
    """Given moments, return the mean squared difference of the Gram matrices over C, as in PyTorch's tutorial.

    The Gram matrix divided by the number of pixels is the raw second moment. Gatys et al. (arXiv 1508.06576, eq. 4)
    weigh each layer C²/4 times as much.
    """
    channels = now.second.shape[-1]
    difference = now.second - target.second
    scale = channels**-4  # 1/C for each Gram matrix, squared; and the mean over C² entries
    return StyleTerm(difference.square().sum((1, 2)) * scale, difference * (2 * scale), None)


def wasserstein(now: Moments, target: Moments, half: Tensor) -> StyleTerm:
    """Given moments and the target's `root_of_covariance`, return the squared Wasserstein distance of Gaussians over C.

    |μ - μ'|² + tr(Σ + Σ' - 2 (Σ'^½ Σ Σ'^½)^½), Dowson and Landau 1982, as used by Crowson's style-transfer-pytorch.
    Its gradient by Σ is I - Σ'^½ (Σ'^½ Σ Σ'^½)^-½ Σ'^½: one decomposition gives both.
    """
    channels = now.second.shape[-1]
    ours = covariance(now)
    root, inverse = roots(half @ ours @ half)
    apart = now.mean - target.mean
    trace = (ours + half @ half - 2 * root).diagonal(dim1=1, dim2=2).sum(1)
    by_covariance = -(half @ inverse @ half) / channels
    by_covariance.diagonal(dim1=1, dim2=2).add_(1 / channels)
    by_mean = 2 * apart / channels - 2 * (by_covariance @ now.mean[..., None])[..., 0]  # as Σ = second - μ μᵀ
    return StyleTerm((apart.square().sum(1) + trace) / channels, by_covariance, by_mean)


def covariance(moments: Moments) -> Tensor:
    """Given moments, return the covariance (B, C, C) with 1e-4 added to its diagonal."""
    result = moments.second - moments.mean[:, :, None] * moments.mean[:, None, :]
    result.diagonal(dim1=1, dim2=2).add_(_W2_EPSILON)
    return result


def roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Given symmetric positive definite matrices (B, C, C), return their square roots and the inverses of these.

    On a CPU by eigenvalues, exact; on a GPU by Denman and Beavers's iteration in the form of Newton and Schulz (Higham
    2008, eq. 6.35), which is products only, so that the GPU never waits for the processor.
    """
    if matrix.device.type == "cpu":
        values, vectors = torch.linalg.eigh(matrix)
        values = values.clamp_min(_LEAST_EIGENVALUE).sqrt()[:, None, :]
        return (vectors * values) @ vectors.mT, (vectors / values) @ vectors.mT
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    size = matrix.square().sum((1, 2), keepdim=True).sqrt()
    root, inverse = matrix / size, identity.expand_as(matrix)
    for _ in range(_ROOT_STEPS):
        step = 1.5 * identity - 0.5 * (inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * size.sqrt(), inverse / size.sqrt()


def total_variation(image: Tensor, *, nine_point: bool) -> tuple[Tensor, Tensor]:
    """Given an image (B, 3, H, W), return its roughness (B,) and the gradient of the sum of these.

    Two points: the mean squared difference to the right and lower neighbours. Nine points: the same with diagonals,
    2 (right²/3 + down²/3 + diagonals²/12 each), Crowson's style-transfer-pytorch, which is closer to round.
    """
    directions = [(0, 1, 2 / 3), (1, 0, 2 / 3), (1, 1, 1 / 6), (1, -1, 1 / 6)] if nine_point else [(0, 1, 1), (1, 0, 1)]
    value = image.new_zeros(image.shape[0])
    gradient = torch.zeros_like(image)
    height, width = image.shape[2:]
    for down, right, share in directions:
        here = (..., slice(0, height - down), slice(max(0, -right), width - max(0, right)))
        there = (..., slice(down, height), slice(max(0, right), width - max(0, -right)))
        difference = image[there] - image[here]
        count = max(1, difference[0].numel())  # a picture of one column has no neighbours to the right
        value += share * difference.square().sum((1, 2, 3)) / count
        difference *= 2 * share / count
        gradient[there] += difference
        gradient[here] -= difference
    return value, gradient
