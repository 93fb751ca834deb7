"""VGG-19 weights from a file: proven to be whole, and said what pictures the network wants to see.

What is returned shares no memory with the file, which may be replaced afterwards. Nothing is fetched or kept here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from torch import Tensor

from neural_selfie.engine import state_dict
from neural_selfie.engine.gatys import layouts

# The published files carry the beginning of their SHA-256 in their names.
_KNOWN: Final[Mapping[str, layouts.Prepared]] = {"dcbb9e9d": "torchvision", "d01eb7cb": "caffe"}


@dataclass(frozen=True, slots=True)
class Vgg:
    """VGG-19 without its classifier, on the CPU in float32.

    `convolutions`: sixteen pairs of weight (out, in, 3, 3) and bias (out,), conv1_1 to conv5_4. The network sees
    `matrix` (3, 3) @ rgb + `offset` (3,), rgb in 0..1. `padding` of each convolution by one pixel; `ceil_pooling`:
    whether 2 x 2 pooling keeps an odd last row. `layout`: torchvision, caffe, vgg_conv or vgg_normalised. `sha256`:
    of the file's bytes.
    """

    convolutions: tuple[tuple[Tensor, Tensor], ...]
    matrix: Tensor
    offset: Tensor
    padding: Literal["zeros", "reflect"]
    ceil_pooling: bool
    layout: str
    sha256: str


def load(path: Path) -> Vgg:
    """Given a .pth, .pt or .safetensors file with VGG-19, return the network in it.

    Raise WeightsUnavailableError, naming the file and what is wrong with it, for anything else.
    """
    with state_dict.opened(path, "VGG-19's weights", layouts.SIGNATURES, unneeded="classifier.") as read:
        found = layouts.parts(read.tensors, read.names, _KNOWN.get(read.sha256[:8]))
        return Vgg(
            found.convolutions, found.matrix, found.offset, found.padding, found.ceil_pooling, found.layout, read.sha256
        )


def official_url() -> str:
    """Return where torchvision keeps its VGG-19 (IMAGENET1K_V1); the name ends with the beginning of its SHA-256."""
    from torchvision.models import VGG19_Weights  # noqa: PLC0415 - slow to load, and needed for nothing else

    return str(VGG19_Weights.IMAGENET1K_V1.url)
