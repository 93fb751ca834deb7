"""The steps of a move to another file system: a copy under a temporary name, and the end of what was copied.

The order of the steps, and what becomes of a move that was cut short, is decided in `files` itself.
"""

import os
import shutil
import stat
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from neural_selfie import waypoints
from neural_selfie.errors import TruncatedPhotoError
from neural_selfie.files.names import NAME_BYTES, shown
from neural_selfie.files.renaming import discard, rename_new

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # never waits for the other end of a pipe
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20


def copy(source: Path, facts: os.stat_result, temp: Path) -> None:
    """Given a file, link or pipe and what `lstat` says of it, make a copy of it with its times, synced, at `temp`."""
    discard(temp)  # left by a crash
    if stat.S_ISLNK(facts.st_mode):
        temp.symlink_to(source.readlink())
    elif not stat.S_ISREG(facts.st_mode):
        os.mknod(temp, facts.st_mode, facts.st_rdev)
    else:
        with os.fdopen(os.open(source, READ), "rb") as reader, os.fdopen(create(temp), "wb") as writer:
            shutil.copyfileobj(reader, writer, _COPY_BYTES)
            writer.flush()
            os.utime(writer.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))
            os.fsync(writer.fileno())


def refuse_changed(source: Path, facts: os.stat_result) -> None:
    """Given what `lstat` said of a file, raise TruncatedPhotoError if it is another one or was written to since."""
    now = source.lstat()
    if not os.path.samestat(now, facts) or (now.st_size, now.st_mtime_ns) != (facts.st_size, facts.st_mtime_ns):
        raise TruncatedPhotoError(
            f"{shown(source)} changed while it was copied. It is looked at again when it is quiet."
        )


def claim_and_remove(source: Path, target: Path) -> None:
    """Given a file and its whole copy, remove the file; raise FileNotFoundError if somebody else did.

    A share may remove a file and, asked twice, answer that there is none. Renamed first, it shows who has it.
    """
    claim = temp_path(source, target)
    try:
        source.rename(claim)
    except FileNotFoundError:
        if not os.path.lexists(claim):
            raise
    waypoints.reached("move.claimed")
    try:
        claim.unlink(missing_ok=True)
    except OSError:
        with suppress(OSError):
            rename_new(claim, source)
        raise


def create(temp: Path) -> int:
    """Given a path, open a new file for writing; what a crash left there is removed, and a link never followed."""
    with suppress(FileExistsError):
        return os.open(temp, _CREATE, 0o666)
    temp.unlink()
    return os.open(temp, _CREATE, 0o666)


def temp_path(path: Path, source: Path | None = None) -> Path:
    """Given a file to come, and what it is copied from, return where it lies until it is whole.

    The same again after a crash, and another for another source of that name.
    """
    name = f".{path.name}.part"
    if source is not None:
        name = f".{path.name}.{sha256(os.fsencode(source.absolute())).hexdigest()[:16]}.part"
    if len(os.fsencode(name)) > NAME_BYTES:
        name = f".{sha256(os.fsencode(name)).hexdigest()}.part"
    return path.with_name(name)
