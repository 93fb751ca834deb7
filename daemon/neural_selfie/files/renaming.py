"""Rename without ever overwriting, on file systems of every kind. Within one file system; nothing is synced here.

`renameat2(RENAME_NOREPLACE)` where it exists, else a hard link, else an empty file that reserves the name. A crash
leaves the file under its old name, or under both (link), or an empty file beside it (reserve), never under none.
"""

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NO_SUCH_CALL = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})  # EPERM: vfat, exfat


def rename_new(source: Path, target: Path) -> None:
    """Given a file, link or pipe, give it a name that is free; raise FileExistsError if it is not, else OSError."""
    rename = _renameat2()
    if rename is not None:
        if rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NO_SUCH_CALL:
            raise OSError(code, os.strerror(code), str(source), None, str(target))
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _reserve_and_rename(source, target)
        return
    try:
        source.unlink()
    except BaseException:
        undo(target, source)
        raise


def undo(target: Path, source: Path) -> None:
    """Given a move that failed, remove what it left at the target, unless the source is gone: then it is all we have.

    A signal, or a share that answers too late, can raise after the source was removed.
    """
    if os.path.lexists(source):
        discard(target)


def discard(path: Path) -> None:
    """Given a path of ours that is not needed any more, remove the file if that is possible."""
    with suppress(OSError):
        path.unlink()


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # glibc has it since 2.28
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function


def _reserve_and_rename(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    try:
        source.rename(target)
    except BaseException:
        undo(target, source)
        raise
