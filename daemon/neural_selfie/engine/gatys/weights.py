"""VGG-19 weights from a file: read safely, proven to be whole, and said what pictures the network wants to see.

Nothing in a file is ever run: pickles are read by torch's `weights_only`, which knows tensors and refuses the rest.
What is returned shares no memory with the file, which may be replaced afterwards. Nothing is fetched or kept here.
"""

import hashlib
import os
import stat
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from neural_selfie.engine.gatys import layouts
from neural_selfie.errors import WeightsUnavailableError

# The published files carry the beginning of their SHA-256 in their names.
_KNOWN: Final[Mapping[str, layouts.Prepared]] = {"dcbb9e9d": "torchvision", "d01eb7cb": "caffe"}
_ZIP: Final = b"PK\x03\x04"
_HEAD_BYTES: Final = 64


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
    try:
        found, sha256 = _read(path)
    except FileNotFoundError:
        raise WeightsUnavailableError(f"There is no file {path}: VGG-19's weights cannot be read.") from None
    except OSError as error:
        raise WeightsUnavailableError(f"The weights file {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise WeightsUnavailableError(f"The weights file {path} cannot be used: {error}") from error
    return Vgg(found.convolutions, found.matrix, found.offset, found.padding, found.ceil_pooling, found.layout, sha256)


def official_url() -> str:
    """Return where torchvision keeps its VGG-19 (IMAGENET1K_V1); the name ends with the beginning of its SHA-256."""
    from torchvision.models import VGG19_Weights  # noqa: PLC0415 - slow to load, and needed for nothing else

    return str(VGG19_Weights.IMAGENET1K_V1.url)


def _read(path: Path) -> tuple[layouts.Parts, str]:
    """Return the network and the SHA-256 of one and the same file; raise ValueError, OSError."""
    before = path.stat()
    if not stat.S_ISREG(before.st_mode):
        raise ValueError("it is no file.")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    tensors, names = _content(path, head)
    found = layouts.parts(tensors, names, _KNOWN.get(sha256[:8]))
    if _identity(path.stat()) != _identity(before):
        raise ValueError("it changed while it was read; wait until it is complete.")
    return found, sha256


def identity(path: Path) -> tuple[int, int, int, int] | None:
    """Given a file of weights, return what changes when the file does; None if it is not there."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _identity(facts: os.stat_result) -> tuple[int, int, int, int]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _content(path: Path, head: bytes) -> tuple[Mapping[str, object], Collection[str]]:
    """Given a file and its first bytes, return its state dict and all names in it; raise ValueError, OSError."""
    if not head:
        raise ValueError("it is empty; fetch it again.")
    if head.lstrip().startswith(b"<"):
        raise ValueError("it is a web page, not a network: the download went wrong; fetch it again.")
    if path.suffix.lower() == ".safetensors":
        return _safetensors(path)
    tensors = layouts.unwrapped(_pickled(path, mapped=head.startswith(_ZIP)))
    return tensors, tensors.keys()


def _safetensors(path: Path) -> tuple[Mapping[str, object], Collection[str]]:
    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
            tensors = {key: file.get_tensor(key) for key in keys if "classifier." not in key}
    except SafetensorError as error:
        raise ValueError(f"it is damaged or no safetensors file ({error}); fetch it again.") from error
    return layouts.unwrapped(tensors), layouts.unwrapped(dict.fromkeys(keys)).keys()


def _pickled(path: Path, *, mapped: bool) -> object:
    """Return what torch.save wrote; only files in the zip form (since torch 1.6) can be mapped instead of read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about storages and protocols of old files: nothing a person can act on
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file makes the reader raise; that it can be read is proven
        if "GLOBAL" in str(error):
            raise ValueError(
                "it holds more than numbers and would run program code when opened, so it was not. Save the network's "
                "state_dict() with torch.save, or use another file."
            ) from error
        raise ValueError("it is damaged, incomplete or no file of torch.save; fetch or copy it again.") from error
