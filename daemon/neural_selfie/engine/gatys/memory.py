"""How much memory a painting takes, how much is free, and the ladder of ways to take less.

Predictions are bytes for each pixel, measured with `benchmarks/gatys.py`; that they can be wrong is why the ladder is
also climbed down when memory does run out.
"""

import ctypes
import os
import resource
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch

from neural_selfie.engine.gatys.network import Network
from neural_selfie.engine.gatys.objective import Spending
from neural_selfie.engine.gatys.walk import tiles
from neural_selfie.engine.recipe import GatysRecipe
from neural_selfie.errors import OutOfDeviceMemoryError

Result = TypeVar("Result")

_SAFETY = 0.8  # of what is free: other programs live here too
_FEATURES_BYTES = 900.0  # for each pixel that the network looks at, keeping everything, by measurement
_RECOMPUTED_BYTES = 620.0
_WEIGHTS_BYTES = 450e6  # the network and what stands beside it, whatever the size of the picture, by measurement
_IMAGES_BYTES = 12.0  # one image (3 float32)
_IMAGES = {"lbfgs": 14, "adam": 8, "torch-lbfgs": 10}  # that an optimiser and the losses hold beside its history
_HISTORY = {"lbfgs": 1, "adam": 0, "torch-lbfgs": 2}  # for each step that is remembered: two of two or four bytes
_SMALLEST_TILE_PX = 256
_PAIRS_IN_TILES = 8  # where tiles are needed, the pairs of 40 steps would take more than everything else
WORTH_GIVING_BACK_PX = 100_000
_CGROUP = Path("/sys/fs/cgroup")


def ladder(recipe: GatysRecipe, network: Network, size: tuple[int, int], variants: int) -> list[Spending]:
    """Given a recipe, a picture's size (height, width) and how many variants go together, return ways to spend memory.

    The first needs most. `memory: auto` begins with the first that is predicted to fit; those that the recipe forces
    come alone.
    """
    strips = Spending().strip_numbers if network.matrix.device.type == "cpu" else None
    recomputed = min(2, len(network.blocks))
    full, again = Spending(0, None, strips), Spending(recomputed, None, strips)
    edges = [edge for edge in _edges(recipe.tile_px) if edge < max(size)]
    tiled = [Spending(0, edge, strips, _PAIRS_IN_TILES) for edge in edges]
    if recipe.memory == "full":
        return [full]
    if recipe.memory == "checkpoint":
        return [again]
    if recipe.memory == "tiles":
        return tiled or [full]
    free = free_bytes(network.matrix.device)
    ways = [full, again, *tiled]
    fitting = [way for way in ways if predicted_bytes(recipe, network, size, variants, way) <= _SAFETY * free]
    return ways[ways.index(fitting[0]) :] if fitting else ways[-1:]


def with_room(devices: Sequence[torch.device], work: Callable[[torch.device], Result]) -> Result:
    """Given devices, the most wanted first, return what `work` returns on the first that has memory enough for it.

    Raise OutOfDeviceMemoryError if the last has not.
    """
    for device in devices[:-1]:
        try:
            return work(device)
        except (OutOfDeviceMemoryError, RuntimeError) as error:
            if not (isinstance(error, OutOfDeviceMemoryError) or is_out_of_memory(error)):
                raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return work(devices[-1])


def predicted_bytes(
    recipe: GatysRecipe, network: Network, size: tuple[int, int], variants: int, spending: Spending
) -> float:
    """Given a picture's size and a way to spend memory, return how many bytes the painting needs at its peak."""
    height, width = size
    seen = max(
        (tile.rows.last - tile.rows.first) * (tile.columns.last - tile.columns.first)
        for tile in tiles(network, height, width, spending.tile_px)
    )
    features = _RECOMPUTED_BYTES if spending.recomputed_blocks else _FEATURES_BYTES
    remembered = min(recipe.history, recipe.iterations, recipe.history if spending.pairs is None else spending.pairs)
    images = _IMAGES[recipe.optimiser] + _HISTORY[recipe.optimiser] * remembered
    scale = variants * (0.5 if network.dtype == torch.bfloat16 else 1.0)
    return _WEIGHTS_BYTES + seen * features * scale + height * width * variants * images * _IMAGES_BYTES


def free_bytes(device: torch.device) -> float:
    """Given a device, return how much memory this process may still take there, as far as can be known."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    known = [_available_bytes(), _left_in_cgroup(), _left_in_limit()]
    return min(bytes_ for bytes_ in known if bytes_ is not None)


def give_back() -> None:
    """Hand to the system what was freed and the C library keeps: after reading the weights, 80 MB (glibc only).

    Between two evaluations of a large picture it keeps 200 MB in pieces, of which the next can use only some: its peak
    is then 50 MB higher, and this takes 3 % of its time.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Given what a painting raised, say whether memory ran out: PyTorch has no class for that on a CPU."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    words = ("can't allocate memory", "could not create a", "not enough memory", "out of memory", "bad_alloc")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _edges(tile_px: int) -> list[int]:
    edges = [tile_px]
    while edges[-1] // 2 >= _SMALLEST_TILE_PX:
        edges.append(edges[-1] // 2)
    return edges


def _available_bytes() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return float(line.split()[1]) * 1024
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _left_in_cgroup() -> float | None:
    with suppress(OSError, ValueError):
        own = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
        folder = _CGROUP / own
        return float((folder / "memory.max").read_text()) - float((folder / "memory.current").read_text())
    return None


def _left_in_limit() -> float | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    used = float(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return float(limit) - used
