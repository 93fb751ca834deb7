"""Look at a dropped file before anything else happens to it: is it a regular file, whole, a picture, and which one?

Meant to run in a process of its own that may die of what it is given; it never loads torch or numpy. It guarantees
that what it hashed is what it decoded: the file is opened once and read once, and both work on those bytes. It does
not guarantee that nobody writes to the file afterwards.
"""

import errno
import hashlib
import os
import resource
import stat
from pathlib import Path

from neural_selfie.engine import reading
from neural_selfie.errors import DamagedPhotoError, NotAFileError, PhotoTooLargeError, TruncatedPhotoError
from neural_selfie.files import names
from neural_selfie.model import Limits, PhotoFacts

KINDS = (
    (stat.S_ISLNK, "a link to another file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
BASE_BYTES = 2 << 30  # interpreter, Pillow and its libraries take 0.2 GiB of address space
BYTES_PER_CPU = 160 << 20  # decoders start a thread per processor: 8 MiB of stack, 128 MiB of malloc arena each
BYTES_PER_PIXEL = (
    24  # measured at 12 megapixels: JPEG 5, progressive 7, AVIF 10, HEIC 15, WebP 17 (it keeps two canvases)
)


def inspect(path: Path, limits: Limits) -> PhotoFacts:
    """Given a path, return what a full decode of the file says about it; width and height are those once upright.

    Raise NotAFileError for anything but a regular file (which is never opened), TruncatedPhotoError if the file ends
    early or changed meanwhile, another PhotoRefusedError if it cannot be painted; an OSError of the file system
    comes through as it is.
    """
    name = names.shown(path.name)
    _refuse_unless_regular(os.lstat(path).st_mode, name)
    descriptor = _open(path, name)
    try:
        before = os.fstat(descriptor)
        _refuse_unless_regular(before.st_mode, name)
        reading.check_bytes(before.st_size, name, limits)
        data = _read(descriptor, before.st_size)
        try:
            decoded = reading.read(data, name, limits)
        except (DamagedPhotoError, PhotoTooLargeError):
            _refuse_if_changed(path, descriptor, before, name)
            raise
        _refuse_if_changed(path, descriptor, before, name)
    finally:
        os.close(descriptor)
    width, height = decoded.size
    return PhotoFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        format=decoded.format,
        width=width,
        height=height,
        size_bytes=len(data),
        taken_at=decoded.taken_at,
    )


def limit_memory(limits: Limits) -> None:
    """Given the limits of photos, bound this process: address space enough for the largest photo, no core dumps.

    A hard limit that is already lower stays as it is.
    """
    pixels = limits.megapixels * 1_000_000 * BYTES_PER_PIXEL
    wanted = BASE_BYTES + (os.cpu_count() or 1) * BYTES_PER_CPU + pixels + 4 * limits.file_mib * reading.MIB
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _open(path: Path, name: str) -> int:
    # NOFOLLOW and NONBLOCK: between lstat and open the file may have been replaced by a link or a pipe.
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _not_a_file(name, "a link to another file") from None
        if error.errno == errno.ENXIO:
            raise _not_a_file(name, "a socket") from None
        raise


def _refuse_unless_regular(mode: int, name: str) -> None:
    if not stat.S_ISREG(mode):
        raise _not_a_file(name, next((words for is_kind, words in KINDS if is_kind(mode)), "no file"))


def _not_a_file(name: str, words: str) -> NotAFileError:
    return NotAFileError(f"{name} is {words}, not a photo, and was not opened. Drop the photo itself.")


def _read(descriptor: int, size: int) -> bytes:
    """Given a descriptor, return its bytes up to one more than `size`: a file that grows is noticed, not followed."""
    parts = []
    missing = size + 1
    while missing > 0 and (part := os.read(descriptor, min(missing, reading.MIB))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _refuse_if_changed(path: Path, descriptor: int, before: os.stat_result, name: str) -> None:
    now, at_path = os.fstat(descriptor), os.lstat(path)
    same_file = (at_path.st_ino, at_path.st_dev) == (before.st_ino, before.st_dev)
    if not same_file or (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise TruncatedPhotoError(
            f"{name} changed while it was looked at: it is still being written. It is looked at again by itself."
        )
