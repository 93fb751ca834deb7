"""The files that trained transformer networks come in, told apart by their keys; pure, it opens no file.

Two are known: those of pytorch/examples (fast_neural_style: candy, mosaic, rain_princess, udnie) and those of
eriklindernoren/Fast-Neural-Style-Transfer. Both hold the network of Johnson et al. 2016 (arXiv 1603.08155) with
instance normalisation and, instead of transposed convolutions, enlarging before a convolution.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from neural_selfie.engine.state_dict import numbers

# Of the sixteen convolutions: filters, channels in, edge of the filters.
SHAPES: Final = (
    (32, 3, 9),
    (64, 32, 3),
    (128, 64, 3),
    *((128, 128, 3),) * 10,
    (64, 128, 3),
    (32, 64, 3),
    (3, 32, 9),
)
SIGNATURES: Final = ("conv1.conv2d.weight", "model.0.block.1.weight")
_KIND: Final = "such a network"
# torchvision's usual mean and deviation; pytorch/examples' networks see 0..255 as it is.
_MEAN: Final = (0.485, 0.456, 0.406)
_DEVIATION: Final = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution (`weight` (O, C, k, k), `bias` (O,)), and what follows its normalisation, `gain` and `shift` (O,).

    The last layer is not normalised and has neither.
    """

    weight: Tensor
    bias: Tensor
    gain: Tensor | None
    shift: Tensor | None


@dataclass(frozen=True, slots=True)
class Parts:
    """The sixteen layers from first to last. The network sees and gives rgb · `scale` + `offset`, rgb in 0..1."""

    layers: tuple[Layer, ...]
    scale: Tensor
    offset: Tensor
    layout: str


def is_one(names: Collection[str]) -> bool:
    """Given all names of a state dict, say whether it is a network of this kind, whole or not."""
    return any(signature in names for signature in SIGNATURES)


def parts(tensors: Mapping[str, object], names: Collection[str]) -> Parts:
    """Given a state dict and all its names, return the network in it; raise ValueError, saying what is wrong with it.

    Running means and variances, which old files of pytorch/examples still have, are of no use and are left alone.
    """
    if SIGNATURES[0] in names:
        return Parts(
            tuple(_layers(tensors, _examples())), torch.full((3,), 255.0), torch.zeros(3), layout="pytorch/examples"
        )
    if SIGNATURES[1] in names:
        mean, deviation = torch.tensor(_MEAN), torch.tensor(_DEVIATION)
        layers = tuple(_layers(tensors, _lindernoren()))
        return Parts(layers, 1 / deviation, -mean / deviation, layout="eriklindernoren")
    shown = ", ".join(sorted(names)[:3])
    raise ValueError(
        f"it is no network for fast style transfer in a layout that is known here (it has {shown}, ...). Those of "
        "pytorch/examples (fast_neural_style) are."
    )


def _layers(tensors: Mapping[str, object], keys: Iterator[tuple[str, str]]) -> Iterator[Layer]:
    for (convolution, normalisation), (outputs, inputs, edge) in zip(keys, SHAPES, strict=True):
        weight = numbers(tensors, f"{convolution}.weight", (outputs, inputs, edge, edge), _KIND)
        bias = numbers(tensors, f"{convolution}.bias", (outputs,), _KIND)
        if normalisation:
            gain = numbers(tensors, f"{normalisation}.weight", (outputs,), _KIND)
            yield Layer(weight, bias, gain, numbers(tensors, f"{normalisation}.bias", (outputs,), _KIND))
        else:
            yield Layer(weight, bias, None, None)


def _examples() -> Iterator[tuple[str, str]]:
    """Yield the keys of each convolution and of its normalisation in transformer_net.py."""
    yield from ((f"conv{number}.conv2d", f"in{number}") for number in (1, 2, 3))
    for block in range(1, 6):
        yield from ((f"res{block}.conv{number}.conv2d", f"res{block}.in{number}") for number in (1, 2))
    yield from (("deconv1.conv2d", "in4"), ("deconv2.conv2d", "in5"), ("deconv3.conv2d", ""))


def _lindernoren() -> Iterator[tuple[str, str]]:
    """Yield the keys of each convolution and of its normalisation in models.py."""
    for number in range(3):
        yield f"model.{number}.block.1", f"model.{number}.norm"
    for number in range(3, 8):
        yield from ((f"model.{number}.block.{half}.block.1", f"model.{number}.block.{half}.norm") for half in (0, 1))
    yield from ((f"model.{number}.block.1", f"model.{number}.norm") for number in (8, 9))
    yield "model.10.block.1", ""
