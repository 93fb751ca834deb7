"""Look at a dropped file before anything else happens to it: is it a regular file, whole, a picture, and which one?

Meant to run in a process of its own that may die of what it is given: `inspect` bounds the memory and the processor
time of that process to what such a photo may need, and who goes beyond ends with it. The decoders are loaded with the
first photo, so that a process which only imports this has none. It never loads torch or numpy. It guarantees that what
it hashed is what it decoded: the file is opened once and read once, and both work on those bytes. It does not guarantee
that nobody writes to the file afterwards.
"""

import errno
import hashlib
import io
import os
import pickle
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

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
MIB = 1 << 20
BASE_BYTES = 2 << 30  # interpreter, Pillow and its libraries take 0.2 GiB of address space
ROOM_BYTES = 1 << 30  # what is left of that for libraries that are loaded with a photo, and for small ones
BYTES_PER_CPU = 160 << 20  # decoders start a thread per processor: 8 MiB of stack, 128 MiB of malloc arena each
BYTES_PER_PIXEL = (
    24  # measured at 12 megapixels: JPEG 5, progressive 7, AVIF 10, HEIC 15, WebP 17 (it keeps two canvases)
)
# Processor time: 12 megapixels of noise take 0.1 (JPEG) to 0.9 s (HEIC) on a processor of 2023; others are slower.
SECONDS, SECONDS_PER_MEGAPIXEL, SECONDS_PER_MIB = 20.0, 0.5, 0.1
DEADLINE_SECONDS = 120.0  # by the clock, for one file
UNDECODABLE = "Decoding this file takes too long, too much memory, or ends the decoder. Save it anew and drop it again."


def inspect(path: Path, limits: Limits) -> PhotoFacts:
    """Given a path, return what a full decode of the file says about it; width and height are those once upright.

    Raise NotAFileError for anything but a regular file (which is never opened), TruncatedPhotoError if the file ends
    early or changed meanwhile, another PhotoRefusedError if it cannot be painted; an OSError of the file system
    comes through as it is. SIGPROF ends the process if the decoder takes far longer than such a photo should.
    """
    from neural_selfie.engine import profiles, reading  # noqa: PLC0415 - decoders are loaded where they are used

    name = names.shown(path.name)
    _refuse_unless_regular(os.lstat(path).st_mode, name)
    descriptor = _open(path, name)
    try:
        before = os.fstat(descriptor)
        _refuse_unless_regular(before.st_mode, name)
        reading.check_bytes(before.st_size, name, limits)
        data = _read(descriptor, before.st_size)
        try:
            with _bounded(len(data)) as allow:
                decoded = reading.read(data, name, limits, allow)
                with reading.failures_in_words(data, name, limits):
                    profiles.prove(decoded.image, decoded.icc)
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
    """Given the limits of photos, make this process one that may die: bounded, first in line, and quiet.

    It has address space for the largest photo and no core dumps; when the machine runs out of memory it goes before
    any other; what libtiff and others write to standard error goes nowhere. A lower hard limit stays as it is.
    """
    from neural_selfie.engine import reading  # noqa: F401, PLC0415 - loaded before the first photo comes

    pixels = limits.megapixels * 1_000_000 * BYTES_PER_PIXEL
    _limit(BASE_BYTES + _for_threads() + pixels + 4 * limits.file_mib * MIB)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def inspect_apart(paths: Sequence[Path], limits: Limits) -> list[PhotoFacts | Exception]:
    """Given paths, inspect each in a process of its own; return in order the facts, or what `inspect` raised.

    A file of which that process dies, or which takes too long, is a DamagedPhotoError, and another process goes on.
    """
    found: list[PhotoFacts | Exception] = []
    while len(found) < len(paths):
        found += _answers(paths[len(found) :], limits)
    return found


def answer() -> None:
    """In the process of `inspect_apart`: read paths and limits, and say of one file after the other what it is."""
    paths, limits = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our parent
    limit_memory(limits)
    for path in paths:
        found: PhotoFacts | Exception
        try:
            found = inspect(path, limits)
        except Exception as error:  # noqa: BLE001 - the parent judges it
            found = error
        pickle.dump(found, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _answers(paths: Sequence[Path], limits: Limits) -> list[PhotoFacts | Exception]:
    """Start the process and return what it says of the paths, up to the one that ends it."""
    command = [sys.executable, "-P", "-c", "from neural_selfie import inspection; inspection.answer()"]
    question = pickle.dumps((list(paths), limits))
    where = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    deadline = DEADLINE_SECONDS * len(paths)
    try:
        said = subprocess.run(
            command, input=question, stdout=subprocess.PIPE, env=where, timeout=deadline, check=False
        ).stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    found: list[PhotoFacts | Exception] = []
    stream = io.BytesIO(said)
    with suppress(EOFError, pickle.UnpicklingError):
        while len(found) < len(paths):
            found.append(pickle.load(stream))  # noqa: S301 - of our own process, as those of concurrent.futures are
    return found if len(found) == len(paths) else [*found, DamagedPhotoError(UNDECODABLE)]


@contextmanager
def _bounded(size: int) -> Iterator[Callable[[int], None]]:
    """Bound what decoding a file of so many bytes may take; the value widens the bounds to a number of pixels."""
    before, _ = resource.getrlimit(resource.RLIMIT_AS)
    start = _address_space()

    def allow(pixels: int) -> None:
        wanted = start + ROOM_BYTES + _for_threads() + BYTES_PER_PIXEL * pixels + 4 * size
        _limit(wanted if before == resource.RLIM_INFINITY else min(wanted, before))
        seconds = SECONDS + SECONDS_PER_MEGAPIXEL * pixels / 1e6 + SECONDS_PER_MIB * size / MIB
        signal.setitimer(signal.ITIMER_PROF, seconds)

    try:
        allow(0)
        yield allow
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _limit(before)


def _limit(wanted: int) -> None:
    """Bound the address space of this process, as far as its hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bounded = wanted if resource.RLIM_INFINITY in {hard, wanted} else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bounded, hard))


def _for_threads() -> int:
    return (os.cpu_count() or 1) * BYTES_PER_CPU


def _address_space() -> int:
    """Return how many bytes of address space this process has taken (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


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
    while missing > 0 and (part := os.read(descriptor, min(missing, MIB))):
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
