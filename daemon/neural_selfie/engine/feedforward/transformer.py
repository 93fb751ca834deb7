"""The transformer network of Johnson et al. 2016, whole or in tiles: one way through, nothing is learned.

A normalisation looks at the whole picture, so tiles are given its statistics instead of finding their own; each tile
is looked at together with the pixels that it sees around it. That leaves no seams.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine import state_dict
from neural_selfie.engine.feedforward import layouts
from neural_selfie.engine.feedforward.layouts import Layer
from neural_selfie.errors import WeightsUnavailableError

LEAST_PX: Final = 16  # a quarter of it can still be mirrored at its borders
UNIT_PX: Final = 4  # the network halves twice
SEEN_PX: Final = 64  # around a pixel; 54, rounded up to units: 4 + 1 + 2 + 10 · 4 + 2 + 1 + 4
_HALVING: Final = (1, 2)
_RESIDUAL: Final = range(3, 13)  # in pairs
_DOUBLING: Final = (13, 14)
_EPSILON: Final = 1e-5  # as in torch.nn.InstanceNorm2d


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and variance (1, C, 1, 1) of what one layer sees in a picture."""

    mean: Tensor
    variance: Tensor


@dataclass(frozen=True, slots=True)
class Transformer:
    """A trained network on a device. `layout` and `sha256` are those of its file."""

    layers: tuple[Layer, ...]
    scale: Tensor
    offset: Tensor
    layout: str
    sha256: str

    def statistics(self, image: Tensor) -> list[Statistics]:
        """Given an image (1, 3, H, W), sRGB in 0..1, return the statistics of all fifteen normalised layers."""
        found: list[Statistics] = []
        self._through(image, (), found)
        return found

    def painted(self, image: Tensor, statistics: Sequence[Statistics] = ()) -> Tensor:
        """Given an image (1, 3, H, W), sRGB in 0..1, no edge under 16 px, return the painting of the same size.

        With `statistics` those are used in place of the image's own. Values may leave 0..1.
        """
        height, width = image.shape[2:]
        return self._through(image, statistics, [])[:, :, :height, :width]  # enlarged from a quarter: up to 3 px more

    def painted_in_tiles(
        self, image: Tensor, statistics: Sequence[Statistics], tile_px: int
    ) -> Iterator[tuple[Tensor, float]]:
        """Given an image and statistics, yield the painting, always the same tensor, and how much is done, 0..1."""
        result = torch.empty_like(image)
        tiles = list(_tiles(image.shape[2], image.shape[3], tile_px))
        for number, (rows, columns) in enumerate(tiles, start=1):
            top, left = max(0, rows.start - SEEN_PX), max(0, columns.start - SEEN_PX)
            seen = image[:, :, top : rows.stop + SEEN_PX, left : columns.stop + SEEN_PX]
            painted = self.painted(seen, statistics)[:, :, rows.start - top :, columns.start - left :]
            result[:, :, rows, columns] = painted[:, :, : rows.stop - rows.start, : columns.stop - columns.start]
            yield result, number / len(tiles)

    def _through(self, image: Tensor, given: Sequence[Statistics], found: list[Statistics]) -> Tensor:
        features = image * self.scale[:, None, None] + self.offset[:, None, None]
        kept = features
        for number, layer in enumerate(self.layers):
            second = number in _RESIDUAL and (number - _RESIDUAL.start) % 2 == 1
            if number in _RESIDUAL and not second:
                kept = features
            if number in _DOUBLING:
                features = functional.interpolate(features, scale_factor=2, mode="nearest")
            around = layer.weight.shape[3] // 2
            features = functional.pad(features, (around,) * 4, mode="reflect")
            features = functional.conv2d(features, layer.weight, layer.bias, stride=2 if number in _HALVING else 1)
            if layer.gain is None or layer.shift is None:
                continue
            features = _normalised(features, layer.gain, layer.shift, given[number] if given else None, found)
            features = features.add_(kept) if second else features.relu_()
        return (features - self.offset[:, None, None]) / self.scale[:, None, None]


def load(path: Path, device: torch.device | str = "cpu") -> Transformer:
    """Given a .pth, .pt, .model or .safetensors file with a trained network, return it on a device.

    Raise WeightsUnavailableError, naming the file and what is wrong with it, for anything else.
    """
    with state_dict.opened(path, "the trained network", layouts.SIGNATURES) as read:
        found = layouts.parts(read.tensors, read.names)
        return Transformer(
            tuple(_on(layer, device) for layer in found.layers),
            found.scale.to(device),
            found.offset.to(device),
            found.layout,
            read.sha256,
        )


def is_one(path: Path) -> bool:
    """Given a file, say whether it holds a network of this kind, whole or not; False if it cannot be read at all."""
    with suppress(WeightsUnavailableError), state_dict.opened(path, "", layouts.SIGNATURES) as read:
        return layouts.is_one(read.names)
    return False


def _on(layer: Layer, device: torch.device | str) -> Layer:
    return replace(
        layer,
        weight=layer.weight.to(device),
        bias=layer.bias.to(device),
        gain=None if layer.gain is None else layer.gain.to(device),
        shift=None if layer.shift is None else layer.shift.to(device),
    )


def _normalised(
    features: Tensor, gain: Tensor, shift: Tensor, given: Statistics | None, found: list[Statistics]
) -> Tensor:
    """Return features (1, C, h, w), changed in place, with mean 0 and variance 1, times gain, plus shift."""
    if given is None:
        variance, mean = torch.var_mean(features, (2, 3), correction=0, keepdim=True)
        given = Statistics(mean, variance)
    found.append(given)
    factor = gain[:, None, None] / (given.variance + _EPSILON).sqrt()
    return features.sub_(given.mean).mul_(factor).add_(shift[:, None, None])


def _tiles(height: int, width: int, tile_px: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of tiles that cover a picture once; all begin at whole units, none is a mere sliver."""
    edge = max(UNIT_PX, tile_px // UNIT_PX * UNIT_PX)

    def cuts(length: int) -> list[slice]:
        starts = range(0, max(1, length - UNIT_PX), edge)
        stops = [*starts[1:], length]
        return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]

    return ((rows, columns) for rows in cuts(height) for columns in cuts(width))
