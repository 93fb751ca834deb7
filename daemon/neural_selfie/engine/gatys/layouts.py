"""The key layouts that VGG-19 files come in, told apart by their content; pure, it opens no file.

Four are known. Two of them, torchvision's and Caffe's, have the same keys and shapes but were trained on pictures
prepared differently: RGB by mean and deviation there, BGR in -128..128 here. What is no VGG-19 is refused with
a ValueError whose text says what it is instead. Nothing here says whether a network was trained well, or at all.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from neural_selfie.engine.state_dict import numbers

Prepared = Literal["torchvision", "caffe"]

# Simonyan and Zisserman 2014 (arXiv 1409.1556), table 1, column E: convolutions and their channels, block by block.
CHANNELS: Final = (64, 64, 128, 128, *(256,) * 4, *(512,) * 8)
NAMES: Final = tuple(
    f"conv{block}_{number}" for block, count in enumerate((2, 2, 4, 4, 4), 1) for number in range(1, count + 1)
)
_IN_FEATURES: Final = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
_IN_NORMALISED: Final = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)

# torchvision's VGG19_Weights.IMAGENET1K_V1.transforms: red first, 0..1, minus the mean, by the deviation.
_MEAN: Final = (0.485, 0.456, 0.406)
_DEVIATION: Final = (0.229, 0.224, 0.225)
# The page of the Caffe model: blue first, 0..255, minus the mean.
_CAFFE_MEAN: Final = (103.939, 116.779, 123.68)

SIGNATURES: Final = ("features.0.weight", "conv1_1.weight")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a state dict says; the fields mean what those of `weights.Vgg` mean."""

    convolutions: tuple[tuple[Tensor, Tensor], ...]
    matrix: Tensor
    offset: Tensor
    layout: str
    padding: Literal["zeros", "reflect"] = "zeros"
    ceil_pooling: bool = False


def parts(tensors: Mapping[str, object], names: Collection[str], known: Prepared | None = None) -> Parts:
    """Given a state dict and all its names (also of tensors that were not read), return the network in it.

    `known`: how its pictures are prepared, where that is known from elsewhere. Raise ValueError, saying what it is
    instead of a VGG-19, or what is wrong with it.
    """
    if any(name.endswith("running_mean") for name in names):
        raise ValueError("it is a network with batch normalisation (such as vgg19_bn), which VGG-19 has not.")
    first = tensors.get("0.weight")
    if "conv1_1.weight" in names:
        return _caffe(_convolutions(tensors, NAMES), "vgg_conv")
    if isinstance(first, Tensor) and tuple(first.shape) == (3, 3, 1, 1):
        return _normalised(tensors, first)
    if "features.0.weight" in names or (isinstance(first, Tensor) and first.ndim == 4):  # noqa: PLR2004 - 3 x 3 filters
        prefix = "features." if "features.0.weight" in names else ""
        convolutions = _convolutions(tensors, [f"{prefix}{number}" for number in _IN_FEATURES])
        prepared = known or ("caffe" if "classifier.1.weight" in names else pictures_for(convolutions))
        return _caffe(convolutions, "caffe") if prepared == "caffe" else _torchvision(convolutions)
    shown = ", ".join(sorted(names)[:3])
    raise ValueError(f"it is no VGG-19 in any layout that is known here (it has {shown}, ...).")


def _convolutions(tensors: Mapping[str, object], prefixes: Collection[str]) -> tuple[tuple[Tensor, Tensor], ...]:
    missing = [prefix for prefix in prefixes if f"{prefix}.weight" not in tensors]
    if missing:
        raise ValueError(
            f"{len(missing)} of the {len(CHANNELS)} convolutions of VGG-19 are missing, {missing[0]} first: it is "
            "another network, such as VGG-16, or was cut short."
        )
    inputs = (3, *CHANNELS)
    return tuple(
        (_numbers(tensors, f"{prefix}.weight", (out, inputs[index], 3, 3)), _numbers(tensors, f"{prefix}.bias", (out,)))
        for index, (prefix, out) in enumerate(zip(prefixes, CHANNELS, strict=True))
    )


def _numbers(tensors: Mapping[str, object], key: str, shape: tuple[int, ...]) -> Tensor:
    return numbers(tensors, key, shape, "VGG-19")


def _torchvision(convolutions: tuple[tuple[Tensor, Tensor], ...]) -> Parts:
    mean, deviation = torch.tensor(_MEAN), torch.tensor(_DEVIATION)
    return Parts(convolutions, torch.diag(1 / deviation), -mean / deviation, layout="torchvision")


def _caffe(convolutions: tuple[tuple[Tensor, Tensor], ...], layout: str) -> Parts:
    matrix = 255 * torch.eye(3).flip(0)
    return Parts(convolutions, matrix, -torch.tensor(_CAFFE_MEAN), layout=layout)


def _normalised(tensors: Mapping[str, object], first: Tensor) -> Parts:
    convolutions = _convolutions(tensors, [str(number) for number in _IN_NORMALISED])
    matrix = _numbers(tensors, "0.weight", tuple(first.shape)).reshape(3, 3)
    offset = _numbers(tensors, "0.bias", (3,))
    return Parts(convolutions, matrix, offset, layout="vgg_normalised", padding="reflect", ceil_pooling=True)


def pictures_for(convolutions: tuple[tuple[Tensor, Tensor], ...]) -> Prepared:
    """Given the sixteen convolutions, return which pictures they were trained on; the numbers are all there is.

    A first layer that is tiny can only be meant for inputs of -128..128. Otherwise two witnesses speak, each from -1
    (torchvision) to 1 (Caffe), and a draw is torchvision:

    - the biases of the first layer: Caffe's are positive, of either sign in torchvision's, 0 in a fresh network;
    - the size of the weights in the last block: inputs that are 57 times larger have to be made small on the way.

    Published figures: biases 0.50 +- 0.33 against 0.01 +- 0.50, weights of the last layer 0.0085 against 0.015 (0.021
    in a fresh network); Caffe's are those of VGG-16, which its authors trained in the same way as VGG-19. The size of
    the first layer's weights does not tell: 0.21 against 0.25.
    """
    first, biases = convolutions[0]
    if _size(first) < _TINY:
        return "caffe"
    rms = _size(biases)
    positive = float(biases.mean()) / rms if rms > 0 else 0.0
    last = sum(_size(weight) for weight, _ in convolutions[-4:]) / 4
    small = torch.tensor(_BETWEEN / max(last, 1e-12)).log() / torch.tensor(_BETWEEN / _CAFFE_LAST).log()
    witnesses = torch.tensor([(positive - _POSITIVE) / _POSITIVE, float(small)]).clamp(-1, 1)
    return "caffe" if float(witnesses.sum()) > 0 else "torchvision"


_TINY: Final = 0.015  # between the fresh network's 0.059 and what it is when made for inputs of 255, 0.001
_POSITIVE: Final = 0.42  # mean by root mean square of the biases: half of Caffe's 0.84; torchvision's is 0.02
_CAFFE_LAST: Final = 0.0085
_BETWEEN: Final = 0.0113  # the geometric mean of that and torchvision's 0.015


def _size(tensor: Tensor) -> float:
    return float(tensor.square().mean().sqrt())
