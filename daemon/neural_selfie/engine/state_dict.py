"""A network's numbers from a file, by name (a state dict): read safely, and proven to be numbers.

Nothing in a file is ever run: pickles are read by torch's `weights_only`, which knows tensors and refuses the rest.
Which network it is, and what pictures it wants to see, is for others to say; nothing is fetched or kept here.
"""

import hashlib
import os
import stat
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from neural_selfie.errors import WeightsUnavailableError

_ZIP: Final = b"PK\x03\x04"
_HEAD_BYTES: Final = 64
_NESTS: Final = ("state_dict", "model_state_dict", "model")


@dataclass(frozen=True, slots=True)
class StateDict:
    """What a file holds: tensors by name, all names (also of tensors that were not read), the SHA-256 of its bytes."""

    tensors: Mapping[str, object]
    names: Collection[str]
    sha256: str


@contextmanager
def opened(path: Path, what: str, signatures: Collection[str], *, unneeded: str | None = None) -> Iterator[StateDict]:
    """Given a .pth, .pt or .safetensors file and what should be in it, let the body use its state dict.

    `signatures`: keys that tell where a network begins in a larger one. `unneeded`: what names of tensors contain that
    need not be read. The tensors may be the file itself, so the body has to copy what it keeps. Raise
    WeightsUnavailableError, naming file and fault, if it cannot be read, changes meanwhile, or the body raises
    ValueError.
    """
    try:
        before = path.stat()
        yield _read(path, before, signatures, unneeded)
        _refuse_changed(path, before)
    except FileNotFoundError:
        raise WeightsUnavailableError(f"There is no file {path}: {what} cannot be read.") from None
    except OSError as error:
        raise WeightsUnavailableError(f"The weights file {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise WeightsUnavailableError(f"The weights file {path} cannot be used: {error}") from error


def identity(path: Path) -> tuple[int, int, int, int] | None:
    """Given a file of weights, return what changes when the file does; None if it is not there."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def unwrapped(content: object, signatures: Collection[str]) -> dict[str, object]:
    """Given what a file holds, return the innermost state dict with plain keys; raise ValueError if it has none.

    Known wrappings: a checkpoint's "state_dict", and the "module." that training on several GPUs puts before each key;
    `signatures` as in `opened`.
    """
    while isinstance(content, Mapping) and not any(str(key).endswith(".weight") for key in content):
        inner = next((content[nest] for nest in _NESTS if isinstance(content.get(nest), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not content:
        raise ValueError("it holds no network's numbers by name (a state dict).")
    names = [str(key) for key in content]
    ends = [(name, signature) for signature in signatures for name in names if name.endswith(f".{signature}")]
    prefix = ends[0][0].removesuffix(ends[0][1]) if len(ends) == 1 else ""
    if not prefix and all(name.startswith("module.") for name in names):
        prefix = "module."
    return {str(key).removeprefix(prefix): value for key, value in content.items()}


def numbers(tensors: Mapping[str, object], key: str, shape: tuple[int, ...], network: str) -> Tensor:
    """Return a copy of a tensor in float32 that shares no memory with the file it came from.

    Raise ValueError where it is missing, of another shape than the network's, or holds what is no number.
    """
    value = tensors.get(key)
    if value is None:
        raise ValueError(f"{key} is missing.")
    if not isinstance(value, Tensor) or value.layout != torch.strided or not value.dtype.is_floating_point:
        raise ValueError(f"{key} holds no plain floating-point numbers.")
    if tuple(value.shape) != shape:
        raise ValueError(f"{key} has the shape {tuple(value.shape)} where {network} has {shape}.")
    copy = torch.empty(shape, dtype=torch.float32).copy_(value.detach())
    if not bool(torch.isfinite(copy).all()):
        raise ValueError(f"{key} contains what is no number (NaN or infinite): the file is damaged.")
    return copy


def _read(path: Path, facts: os.stat_result, signatures: Collection[str], unneeded: str | None) -> StateDict:
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is no file.")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    content, names = _content(path, head, unneeded)
    tensors = unwrapped(content, signatures)
    return StateDict(tensors, tensors if names is None else unwrapped(dict.fromkeys(names), signatures), sha256)


def _refuse_changed(path: Path, before: os.stat_result) -> None:
    if _identity(path.stat()) != _identity(before):
        raise ValueError("it changed while it was read; wait until it is complete.")


def _identity(facts: os.stat_result) -> tuple[int, int, int, int]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _content(path: Path, head: bytes, unneeded: str | None) -> tuple[object, Collection[str] | None]:
    """Given a file and its first bytes, return what it holds, and all names if those are more; raise ValueError."""
    if not head:
        raise ValueError("it is empty; fetch it again.")
    if head.lstrip().startswith(b"<"):
        raise ValueError("it is a web page, not a network: the download went wrong; fetch it again.")
    if path.suffix.lower() == ".safetensors":
        return _safetensors(path, unneeded)
    return _pickled(path, mapped=head.startswith(_ZIP)), None


def _safetensors(path: Path, unneeded: str | None) -> tuple[Mapping[str, object], Collection[str]]:
    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
            tensors = {key: file.get_tensor(key) for key in keys if unneeded is None or unneeded not in key}
    except SafetensorError as error:
        raise ValueError(f"it is damaged or no safetensors file ({error}); fetch it again.") from error
    return tensors, keys


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
