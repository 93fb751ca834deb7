"""One daemon for each state folder: a lock that the kernel gives back when its holder dies.

An open-file-description lock (fcntl(2)): no child inherits it, and asking who holds it never takes it, so a `status`
at the wrong moment keeps no daemon from starting.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neural_selfie.errors import LedgerBusyError

_FLOCK = "hhlli"  # struct flock on Linux: type, whence, start, length (0: to the end), pid (0 for such locks)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock while the block runs; raise LedgerBusyError naming the process that holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except BlockingIOError:
            raise LedgerBusyError(
                f"A daemon (process {_written(descriptor)}) already works on {path.parent}. Stop it first, or give "
                "this one another state folder and inbox."
            ) from None
        written = os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        os.ftruncate(descriptor, written)  # afterwards: whoever asks meanwhile finds a number
        yield
    finally:
        free = struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, free)  # a child that is just being started has the descriptor too
        os.close(descriptor)


def holder(path: Path) -> int | None:
    """Return the process id of the daemon that holds the lock, or None if no daemon runs."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
        return None if answer[0] == fcntl.F_UNLCK else _process(_written(descriptor))
    finally:
        os.close(descriptor)


def _process(written: str) -> int:
    return int(written) if written.isdecimal() else 0  # somebody wrote into the file: a daemon runs all the same


def _written(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode(errors="replace").strip()
