"""The loss of a picture and its gradient: what the photo and the styles ask for, for several variants at once.

A picture is walked through the network in one tile or in several: first the statistics of all of them, then the
gradients given these (Galerne et al. 2024, "Scaling Painting Style Transfer"), which agrees with one tile to the last
digits. It knows nothing of optimisers and of files.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from neural_selfie.engine.gatys import losses
from neural_selfie.engine.gatys.losses import Moments, StyleLoss, StyleTerm
from neural_selfie.engine.gatys.network import Network
from neural_selfie.engine.gatys.walk import Place, Walk, tiles

STRIP_NUMBERS = 2 << 20  # 8 MB of features for each strip: by measurement, what a processor's cache likes


@dataclass(frozen=True, slots=True)
class Spending:
    """How memory is spent: blocks that are walked again on the way back, the edge of tiles in px, size of strips.

    `pairs`: of how many steps at most L-BFGS may remember the curvature; None is what the recipe says.
    """

    recomputed_blocks: int = 0
    tile_px: int | None = None
    strip_numbers: int | None = STRIP_NUMBERS
    pairs: int | None = None

    def walks(self, network: Network, height: int, width: int) -> list[Walk]:
        """Given the size of a picture, return a walk for each of its tiles."""
        return [
            Walk(network, tile, self.recomputed_blocks, self.strip_numbers)
            for tile in tiles(network, height, width, self.tile_px)
        ]


@dataclass(frozen=True, slots=True)
class StyleTarget:
    """What one layer should look like in one region.

    `moments`: of the style's features, (1, C). `half`: the root of their covariance, where the loss is W2. `shares`:
    (h, w) at this layer, 0..1; None is everywhere.
    """

    moments: Moments
    half: Tensor | None = None
    shares: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """What a picture of one size should come to. Weights are (B,), one for each variant.

    `content`: features of the photo (1, C, h, w) by layer; `kept`: how much more each place of them counts (h, w).
    `style`: a target for each region, by layer. `layers` multiplies the loss of each layer.
    """

    content: Mapping[str, Tensor]
    style: Mapping[str, tuple[StyleTarget, ...]]
    content_weight: Tensor
    style_weight: Tensor
    tv_weight: Tensor
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    style_loss: StyleLoss = "gram"
    half_sum: bool = False
    nine_point: bool = False
    kept: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Losses:
    """Values (B,) with their weights in."""

    content: Tensor
    style: Tensor
    tv: Tensor

    @property
    def total(self) -> Tensor:
        """What is made small."""
        return self.content + self.style + self.tv


@dataclass(slots=True)
class _Sums:
    """Sums of features and of their products over pixels, and how many pixels there were."""

    first: Tensor
    second: Tensor
    count: Tensor

    def moments(self) -> Moments:
        return Moments(self.first / self.count, self.second / self.count)


@dataclass(frozen=True, slots=True)
class Objective:
    """A network, a goal and how to walk. The batch of images is (B, 3, H, W), sRGB in 0..1."""

    network: Network
    goal: Goal
    spending: Spending = field(default_factory=Spending)

    def __call__(self, image: Tensor) -> tuple[Losses, Tensor]:
        """Given images, return their losses and the gradient of the sum of the totals."""
        walks = self.spending.walks(self.network, image.shape[2], image.shape[3])
        looked = _Looked(self.goal, image.shape[0])
        for walk in walks:
            walk.forward(image, looked.visit, keep=len(walks) == 1)
        looked.judge()
        roughness, gradient = losses.total_variation(image, nine_point=self.goal.nine_point)
        gradient *= self.goal.tv_weight[:, None, None, None]
        for walk in walks:
            if len(walks) > 1:
                walk.forward(image, None, keep=True)
            walk.tile.of(gradient).add_(walk.backward(looked.seed))
        return Losses(looked.content, looked.style, roughness * self.goal.tv_weight), gradient


@dataclass(slots=True)
class _Looked:
    """What has been seen of the features of the images, and what follows for their gradients."""

    goal: Goal
    batch: int
    content: Tensor = field(init=False)
    style: Tensor = field(init=False)
    sums: dict[tuple[str, int], _Sums] = field(default_factory=dict)
    terms: dict[tuple[str, int], StyleTerm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.content = self.goal.content_weight.new_zeros(self.batch)
        self.style = self.goal.style_weight.new_zeros(self.batch)

    def visit(self, layer: str, features: Tensor, place: Place) -> None:
        if layer in self.goal.content:
            apart = (features - _at(self.goal.content[layer], place)).square_()
            if layer in self.goal.kept:
                apart *= _at(self.goal.kept[layer], place)
            self.content += apart.sum((1, 2, 3)) * self._content_scale(layer)
        for region, target in enumerate(self.goal.style.get(layer, ())):
            shares = None if target.shares is None else _at(target.shares, place)
            add_sums(self.sums, (layer, region), features, shares)

    def judge(self) -> None:
        """Once all features were seen: what do their statistics say?"""
        for layer, targets in self.goal.style.items():
            for region, target in enumerate(targets):
                now = self.sums[layer, region].moments()
                if self.goal.style_loss == "gram" or target.half is None:
                    term = losses.gram(now, target.moments)
                else:
                    term = losses.wasserstein(now, target.moments, target.half)
                self.terms[layer, region] = term
                self.style += term.value * self.goal.style_weight * self._style_scale(layer, target)

    def seed(self, layer: str, features: Tensor, place: Place, gradient: Tensor) -> None:
        if layer in self.goal.content:
            apart = features - _at(self.goal.content[layer], place)
            if layer in self.goal.kept:
                apart *= _at(self.goal.kept[layer], place)
            gradient += apart.mul_(2 * self._content_scale(layer)[:, None, None, None])
        for region, target in enumerate(self.goal.style.get(layer, ())):
            term, sums = self.terms[layer, region], self.sums[layer, region]
            scale = self.goal.style_weight * (self._style_scale(layer, target) / sums.count)
            added = losses.pixels(features) @ (term.by_second * (2 * scale[:, None, None]))
            if term.by_mean is not None:
                added += (term.by_mean * scale[:, None])[:, None, :]
            added = added.view(len(added), *features.shape[2:], -1).permute(0, 3, 1, 2)
            gradient += added if target.shares is None else added.mul_(_at(target.shares, place))

    def _content_scale(self, layer: str) -> Tensor:
        share = 0.5 if self.goal.half_sum else 1 / math.prod(self.goal.content[layer].shape)
        return self.goal.content_weight * (self.goal.content_layers[layer] * share)

    def _style_scale(self, layer: str, target: StyleTarget) -> float | Tensor:
        """A region counts by its area: a small one must not outshout the rest."""
        return self.goal.style_layers[layer] * (1.0 if target.shares is None else target.shares.mean())


def add_sums(sums: dict[tuple[str, int], _Sums], key: tuple[str, int], features: Tensor, shares: Tensor | None) -> None:
    """Given features (B, C, h, w) of a part of a picture and shares (h, w), add their sums to those under `key`."""
    first, second = losses.sums(features, shares)
    count = features.new_tensor(features.shape[2] * features.shape[3]) if shares is None else shares.sum()
    if key in sums:
        sums[key].first += first
        sums[key].second += second
        sums[key].count += count
    else:
        sums[key] = _Sums(first, second, count)


def moments_of(network: Network, image: Tensor, spending: Spending) -> dict[str, Moments]:
    """Given an image (1, 3, h, w), return the moments of its features at every layer that is looked at."""
    sums: dict[tuple[str, int], _Sums] = {}
    for walk in spending.walks(network, image.shape[2], image.shape[3]):
        walk.forward(image, lambda layer, features, _: add_sums(sums, (layer, 0), features, None), keep=False)
    return {layer: found.moments() for (layer, _), found in sums.items()}


def features_of(network: Network, image: Tensor, layers: frozenset[str], spending: Spending) -> dict[str, Tensor]:
    """Given an image (1, 3, H, W), return its features (1, C, h, w) at the layers."""
    parts: dict[str, list[tuple[Tensor, Place]]] = {layer: [] for layer in layers}

    def take(layer: str, features: Tensor, place: Place) -> None:
        if layer in layers:
            parts[layer].append((features.clone(), place))

    for walk in spending.walks(network, image.shape[2], image.shape[3]):
        walk.forward(image, take, keep=False)
    found = {}
    for layer, pieces in parts.items():
        height, width = (max(place[axis].stop for _, place in pieces) for axis in (0, 1))
        like = pieces[0][0]
        whole = like.new_empty(1, height, width, like.shape[1]).permute(0, 3, 1, 2)
        if like.is_contiguous():
            whole = like.new_empty(1, like.shape[1], height, width)
        for piece, place in pieces:
            _at(whole, place).copy_(piece)
        found[layer] = whole
    return found


def _at(features: Tensor, place: Place) -> Tensor:
    return features[..., place[0], place[1]]
