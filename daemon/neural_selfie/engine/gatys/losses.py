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
_LIFT = 1e-6  # of the trace, for sums in float32 may leave a covariance with eigenvalues below zero
_GROWING_STEPS, _SETTLING_STEPS = 12, 5  # each of the first makes what is small 3.4 times as large


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
    """Given moments and the target's `half`, return the squared Wasserstein distance of Gaussians over C.

    |μ - μ'|² + tr(Σ + Σ' - 2 (Σ'^½ Σ Σ'^½)^½), Dowson and Landau 1982, as used by Crowson's style-transfer-pytorch.
    In float64 where it matters: the root of a small eigenvalue keeps half of the digits only, and what rounding makes
    of hundreds of them would hide from an optimiser what a step gains.
    """
    channels = now.second.shape[-1]
    ours = covariance(now)
    root_of = root_by_eigenvalues if ours.device.type == "cpu" else root_by_polar_factor
    root_trace, by_root_trace = root_of(ours, half)
    apart = now.mean - target.mean
    trace = ours.diagonal(dim1=1, dim2=2).sum(1) + half.square().sum((1, 2)) - 2 * root_trace
    by_covariance = (-2 / channels * by_root_trace).to(now.second)
    by_covariance.diagonal(dim1=1, dim2=2).add_(1 / channels)
    by_mean = 2 * apart / channels - 2 * (by_covariance @ now.mean[..., None])[..., 0]  # as Σ = second - μ μᵀ
    value = (apart.square().sum(1) + trace) / channels
    return StyleTerm(value.to(now.mean), by_covariance, by_mean)


def covariance(moments: Moments) -> Tensor:
    """Given moments, return the covariance (B, C, C) with 1e-4 added to its diagonal, float64."""
    mean = moments.mean.double()
    result = moments.second.double() - mean[:, :, None] * mean[:, None, :]
    result.diagonal(dim1=1, dim2=2).add_(_W2_EPSILON)
    return result


def half_of(target: Moments) -> Tensor:
    """Given the moments of a style, return the root of their covariance (B, C, C), float64."""
    found = covariance(target)
    values, vectors = torch.linalg.eigh(found)
    half: Tensor = (vectors * values.clamp_min(0).sqrt()[:, None, :]) @ vectors.mT
    return half


def root_by_eigenvalues(ours: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Given Σ and Σ'^½ (B, C, C), return the trace (B,) of (Σ'^½ Σ Σ'^½)^½ and its gradient by Σ: one decomposition."""
    values, vectors = torch.linalg.eigh(half @ ours @ half)
    values = values.clamp_min(_LEAST_EIGENVALUE).sqrt()
    turned = half @ vectors
    return values.sum(1), turned / (2 * values[:, None, :]) @ turned.mT


def root_by_polar_factor(ours: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same for a GPU, which is slow at eigenvalues and makes the processor wait for them.

    With Σ = L Lᵀ the trace is the sum of the singular values of X = Σ'^½ L, that is tr(Uᵀ X) with the orthogonal factor
    U of X = U H; its gradient by Σ is Σ'^½ U L⁻¹ / 2. U comes from products in float32: first steps that make small
    singular values larger as fast as a polynomial of degree 5 can (the coefficients of Jordan 2024, "Muon"), then
    Newton and Schulz's (Higham 2008, section 8.3).
    """
    lifted = ours.diagonal(dim1=1, dim2=2).sum(1) * _LIFT
    lower = torch.linalg.cholesky_ex(ours + torch.diag_embed(lifted[:, None].expand(ours.shape[:2])))[0]
    product = half @ lower
    factor = (product / product.square().sum((1, 2), keepdim=True).sqrt()).float()
    for _ in range(_GROWING_STEPS):
        square = factor @ factor.mT
        factor = 3.4445 * factor + (2.0315 * (square @ square) - 4.775 * square) @ factor
    for _ in range(_SETTLING_STEPS):
        factor = 1.5 * factor - 0.5 * (factor @ factor.mT) @ factor
    exact = factor.double()
    gradient = torch.linalg.solve_triangular(lower, half @ exact, upper=False, left=False)
    return (exact * product).sum((1, 2)), (gradient + gradient.mT) / 4


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
