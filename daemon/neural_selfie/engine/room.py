"""Memory of a device, for every engine: how much is free, whether it ran out, and where to go then."""

import ctypes
import os
import resource
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import torch

from neural_selfie.errors import OutOfDeviceMemoryError

Result = TypeVar("Result")

SAFETY: Final = 0.8  # of what is free: other programs live here too
_CGROUP = Path("/sys/fs/cgroup")


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
