"""Moments of style images on disk, so that the next job with the same style begins at once. Losing them loses nothing.

A key is the SHA-256 of the style's pixels as they enter the network, the weights, and how the network was built; files
are written whole or not at all, and the oldest go when the folder grows too large.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from neural_selfie.engine.gatys.losses import Moments
from neural_selfie.engine.gatys.network import Network

_VERSION = "1"  # of what is stored: another one makes old files be ignored
_BYTES_MOST = 512 << 20


@dataclass(frozen=True, slots=True)
class Store:
    """A folder (None: nothing is kept) for the moments of one file of weights, known by its SHA-256."""

    folder: Path | None
    weights_sha256: str

    def moments(self, image: Tensor, network: Network, make: Callable[[], dict[str, Moments]]) -> dict[str, Moments]:
        """Given a style (3, h, w) and a network, return the moments at its layers, made by `make` if not at hand."""
        if self.folder is None:
            return make()
        path = self.folder / f"{self._key(image, network)}.safetensors"
        if (found := _read(path, image.device)) is not None and found.keys() >= network.looked_at:
            return found
        made = make()
        _write(path, made)
        return made

    def _key(self, image: Tensor, network: Network) -> str:
        built = (
            _VERSION,
            self.weights_sha256,
            torch.__version__,
            image.device.type,
            tuple(image.shape),
            sorted(network.looked_at),
            network.pooling,
            network.factor,
            network.padding,
            str(network.layout),
            str(network.dtype),
        )
        key = hashlib.sha256(repr(built).encode())
        key.update(image.cpu().contiguous().numpy().tobytes())
        return key.hexdigest()


def _read(path: Path, device: torch.device) -> dict[str, Moments] | None:
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        os.utime(path)
    except (OSError, safetensors.SafetensorError):  # missing, or not whole: made anew
        return None
    layers = {name.partition(".")[0] for name in tensors}
    return {
        layer: Moments(tensors[f"{layer}.mean"].to(device), tensors[f"{layer}.second"].to(device)) for layer in layers
    }


def _write(path: Path, moments: dict[str, Moments]) -> None:
    tensors = {}
    for layer, found in moments.items():
        tensors[f"{layer}.mean"], tensors[f"{layer}.second"] = found.mean.cpu(), found.second.cpu().contiguous()
    temp = path.with_name(f".{path.name}.{os.getpid()}.part")
    with suppress(OSError):  # a full disk must not keep a picture from being painted
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temp.write_bytes(safetensors.torch.save(tensors))
            temp.replace(path)
        finally:
            temp.unlink(missing_ok=True)
        _prune(path.parent)


def _prune(folder: Path) -> None:
    files = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in folder.glob("*.safetensors"))
    excess = sum(size for _, size, _ in files) - _BYTES_MOST
    for _, size, file in files:
        if excess <= 0:
            return
        file.unlink(missing_ok=True)
        excess -= size
