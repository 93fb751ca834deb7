"""VGG-19 forward and backward, block by block, keeping only what the gradient of an image needs.

The weights stand still, so the way back needs no input of any convolution: of each layer only the signs are kept
(one byte for each number), or the features themselves where a loss looks at them. That takes about a quarter of
the memory of a general gradient program. It knows nothing of losses.

Names of layers are those of Gatys et al.: `conv4_2` before the rectifier, `relu4_2` after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.gatys import winograd
from neural_selfie.engine.gatys.pooling import FACTORS, Pooled, Pooling, pooled, unpooled

BLOCKS = (2, 2, 4, 4, 4)  # convolutions between one pooling and the next: Simonyan and Zisserman 2015, configuration E
LAYERS = tuple(
    f"{kind}{block}_{place}"
    for block, count in enumerate(BLOCKS, start=1)
    for place in range(1, count + 1)
    for kind in ("conv", "relu")
)
_SMALL_BLOCK = 4  # the fifth block has a 256th of the pixels: too few to repay 76 MB of prepared weights
Padding = Literal["zeros", "replicate", "reflect"]


class Weights(Protocol):
    """What a file of weights says: sixteen convolutions, how colours enter the first, how borders are padded."""

    @property
    def convolutions(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Weight (O, C, 3, 3) and bias (O,), from conv1_1 to conv5_4."""

    @property
    def matrix(self) -> Tensor:
        """(3, 3): the network sees matrix @ rgb + offset, rgb in 0..1."""

    @property
    def offset(self) -> Tensor:
        """(3,)."""

    @property
    def padding(self) -> Padding:
        """What stands beyond the borders."""

    @property
    def ceil_pooling(self) -> bool:
        """Whether an odd last row is pooled by itself."""


Seed = Callable[[str, Tensor, Tensor | None], Tensor]
"""Given a layer's name, its features and the gradient that reaches them (None: nothing yet), return the gradient with
what the losses at this layer add; the gradient may be changed in place."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution of 3 x 3 with its way back.

    It has its `weight` (O, C, 3, 3), or `fast`: the same prepared for Winograd's algorithm.
    """

    weight: Tensor | None
    bias: Tensor
    fast: Tensor | None

    def forward(self, image: Tensor, padding: Padding) -> Tensor:
        """Given (B, C, H, W), return (B, O, H, W)."""
        if padding != "zeros":
            image = functional.pad(image, (1, 1, 1, 1), mode=padding)
        if self.fast is not None:
            result = winograd.convolved(image, self.fast)
            result = result if padding == "zeros" else result[:, :, 1:-1, 1:-1]
            return result.add_(self.bias[:, None, None])
        return functional.conv2d(image, _there(self.weight), self.bias, padding=1 if padding == "zeros" else 0)

    def backward(self, gradient: Tensor, padding: Padding) -> Tensor:
        """Given the gradient of the result, return that of the input."""
        if self.fast is not None:
            if padding == "zeros":
                return winograd.convolved_back(gradient, self.fast)
            return unpadded(winograd.convolved_back(functional.pad(gradient, (1, 1, 1, 1)), self.fast), padding)
        back = functional.conv_transpose2d(gradient, _there(self.weight), padding=1 if padding == "zeros" else 0)
        return back if padding == "zeros" else unpadded(back, padding)


@dataclass(slots=True)
class Tape:
    """What one block keeps for the way back: features where a loss looks, else signs; and what the pooling chose."""

    features: dict[str, Tensor] = field(default_factory=dict)
    signs: dict[str, Tensor] = field(default_factory=dict)
    pooled: Pooled | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """The convolutions up to the deepest layer that a loss looks at. Images are (B, C, H, W)."""

    blocks: tuple[tuple[Convolution, ...], ...]
    looked_at: frozenset[str]
    pooling: Pooling
    factor: float
    matrix: Tensor
    offset: Tensor
    padding: Padding
    ceil_pooling: bool
    layout: torch.memory_format
    dtype: torch.dtype

    def enter(self, image: Tensor) -> Tensor:
        """Given an image (B, 3, H, W), sRGB in 0..1, return it as the first convolution wants it."""
        coloured = functional.conv2d(image, self.matrix[:, :, None, None], self.offset)
        return coloured.to(self.dtype, memory_format=self.layout)

    def leave(self, gradient: Tensor) -> Tensor:
        """Given the gradient at the first convolution's input, return that of the image."""
        return functional.conv2d(gradient.to(self.matrix.dtype), self.matrix.T[:, :, None, None].contiguous())

    def forward(self, block: int, image: Tensor, *, keep: bool = True) -> tuple[Tensor, Tape]:
        """Given the number of a block from 0 and its input, return its output and its tape.

        The output is pooled unless the block is the last. Without `keep` the tape holds features only.
        """
        tape = Tape()
        convolutions = self.blocks[block]
        for place, convolution in enumerate(convolutions, start=1):
            conv, relu = f"conv{block + 1}_{place}", f"relu{block + 1}_{place}"
            image = convolution.forward(image, self.padding)
            if conv in self.looked_at:
                tape.features[conv] = image
                image = image.relu()
            else:
                image.relu_()
            pooled_next = place == len(convolutions) and block + 1 < len(self.blocks)
            if relu in self.looked_at:
                tape.features[relu] = image
            elif keep and conv not in self.looked_at and not (pooled_next and self.pooling == "max"):
                tape.signs[relu] = image > 0
        if block + 1 < len(self.blocks):
            tape.pooled, image = pooled(image, self.pooling, factor=self.factor, ceil=self.ceil_pooling, keep=keep)
        return image, tape

    def backward(self, block: int, tape: Tape, gradient: Tensor | None, seed: Seed) -> Tensor:
        """Given a block, its tape (used up), and the gradient of its output (None: it is the last), return that of its
        input.
        """
        if tape.pooled is not None and gradient is not None:
            gradient = unpooled(gradient, tape.pooled)
        for place in range(len(self.blocks[block]), 0, -1):
            conv, relu = f"conv{block + 1}_{place}", f"relu{block + 1}_{place}"
            after, before = tape.features.pop(relu, None), tape.features.pop(conv, None)
            if after is not None:
                gradient = seed(relu, after, gradient)
            if gradient is not None:
                rectified = after if after is not None else before
                if rectified is not None:
                    gradient = torch.ops.aten.threshold_backward(gradient, rectified, 0)
                elif relu in tape.signs:
                    gradient.mul_(tape.signs.pop(relu))
            if before is not None:
                gradient = seed(conv, before, gradient)
            if gradient is not None:
                gradient = self.blocks[block][place - 1].backward(gradient, self.padding)
        if gradient is None:
            raise ValueError(f"no loss looks at block {block + 1} or behind it")
        return gradient


def network(
    weights: Weights,
    looked_at: Sequence[str],
    *,
    device: torch.device,
    pooling: Pooling = "max",
    rescale: bool = True,
    padding: Padding | None = None,
    direct: bool = False,
    lean: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Network:
    """Given weights and the layers that losses look at, return the network up to the deepest of them on a device.

    `padding`: None as the weights say. `direct`: channels first and no Winograd, as plain programs compute: slower, and
    the gradient agrees with theirs to the last digits, where otherwise a few rectifiers and maxima out of a million
    are decided by rounding. `lean`: no Winograd, whose prepared weights take 160 MB. Raise ValueError for a layer that
    VGG-19 does not have.
    """
    for layer in looked_at:
        if layer not in LAYERS:
            raise ValueError(f"VGG-19 has no layer {layer!r}; it has conv1_1, relu1_1 ... relu5_4")
    depth = max(LAYERS.index(layer) for layer in looked_at) // 2 + 1
    blocks: list[tuple[Convolution, ...]] = []
    remaining = list(weights.convolutions[:depth])
    padding = padding or weights.padding
    able = device.type == "cpu" and dtype == torch.float32 and not direct and not lean
    layout = torch.contiguous_format if direct else torch.channels_last
    for number, count in enumerate(BLOCKS):
        if remaining:
            fast = able and number < _SMALL_BLOCK
            blocks.append(tuple(_convolution(*pair, device, dtype, layout, fast=fast) for pair in remaining[:count]))
            remaining = remaining[count:]
    return Network(
        tuple(blocks),
        frozenset(looked_at),
        pooling,
        FACTORS[pooling] if rescale else 1.0,
        weights.matrix.to(device),
        weights.offset.to(device),
        padding,
        weights.ceil_pooling,
        layout,
        dtype,
    )


def _convolution(
    weight: Tensor,
    bias: Tensor,
    device: torch.device,
    dtype: torch.dtype,
    layout: torch.memory_format,
    *,
    fast: bool,
) -> Convolution:
    bias = bias.to(device, dtype, copy=True)  # a view would keep the whole file of weights in memory
    if fast and winograd.pays(weight.shape[0], weight.shape[1]):
        return Convolution(None, bias, winograd.prepared(weight))
    return Convolution(weight.to(device, dtype, memory_format=layout), bias, None)


def _there(weight: Tensor | None) -> Tensor:
    if weight is None:
        raise ValueError("a convolution has its weight in one form or the other")
    return weight


def unpadded(gradient: Tensor, padding: Padding) -> Tensor:
    """Given the gradient of an image with a border of 1, return that of the image before the border was made."""
    batch, channels, height, width = gradient.shape
    like = gradient.new_empty(()).expand(batch, channels, height - 2, width - 2)
    if padding == "reflect":
        reflected: Tensor = torch.ops.aten.reflection_pad2d_backward(gradient, like, [1, 1, 1, 1])
        return reflected
    replicated: Tensor = torch.ops.aten.replication_pad2d_backward(gradient, like, [1, 1, 1, 1])
    return replicated
