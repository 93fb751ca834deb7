"""Writes what can be made again at any time: readers see the old file or the new one, but nothing is synced.

A power cut may leave such a file empty or lose it; whoever makes them looks for that at the start. Pictures and records
are not written here: they are in `files`.
"""

import os
import zlib
from contextlib import suppress
from pathlib import Path

from neural_selfie.files.names import shown
from neural_selfie.files.storage import folder_errors
from neural_selfie.gallery.entries import ASSETS

HALF_MADE = ".hanging-*.part"  # in ASSETS; the daemon writes there, too, under other names
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(outbox: Path, name: str, data: bytes, *, stamp_ns: int | None = None) -> None:
    """Given a path relative to the outbox, give that file this content; with `stamp_ns`, also this time.

    Half-made files lie in one folder, where the next start removes them. Raise StorageUnavailableError or
    PermissionDeniedError if the outbox cannot be written now.
    """
    target = outbox / name
    mark = zlib.crc32(os.fsencode(name))
    temp = outbox / ASSETS / f".hanging-{mark:08x}-{os.getpid()}.part"
    with folder_errors(target.parent, f"{shown(target)} cannot be written"):
        try:
            with os.fdopen(_created(temp), "wb") as file:
                file.write(data)
            if stamp_ns is not None:
                os.utime(temp, ns=(stamp_ns, stamp_ns))
            temp.replace(target)
        except BaseException:
            with suppress(OSError):
                temp.unlink()
            raise


def replace_if_other(outbox: Path, name: str, data: bytes) -> None:
    """Given a path relative to the outbox, do as `replace_file` unless the file has this content already."""
    target = outbox / name
    with suppress(OSError):
        if not target.is_symlink() and target.stat().st_size == len(data) and target.read_bytes() == data:
            return
    replace_file(outbox, name, data)


def _created(temp: Path) -> int:
    with suppress(FileNotFoundError):
        temp.unlink()
    return os.open(temp, _CREATE, 0o666)
