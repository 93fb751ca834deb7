"""The few operations on files that must survive a power cut: write, move, remove, each synced in the right order.

After each of them returned, its effect is on the disk; when it is cut short at any point, the file is whole under its
old name, its new name or both, and calling it again (`move_exact` for moves) finishes the work. Nothing is ever
overwritten except by `write_atomic`. Not guaranteed: disks and shares that lie about fsync.
"""

import errno
import filecmp
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from neural_selfie import waypoints
from neural_selfie.errors import StorageUnavailableError, TruncatedPhotoError
from neural_selfie.files.names import NAME_BYTES, numbered, shown
from neural_selfie.files.renaming import discard, rename_new, undo
from neural_selfie.files.shares import is_gone
from neural_selfie.files.storage import file_system_type, folder_errors, is_network, is_within, storage_errors

__all__ = [
    "abandon_move",
    "file_system_type",
    "is_gone",
    "is_network",
    "is_within",
    "make_folder",
    "move_exact",
    "move_new",
    "remove_if_there",
    "storage_errors",
    "sync_folder",
    "write_atomic",
]

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # never waits for the other end of a pipe
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_COPY_BYTES = 1 << 20


def write_atomic(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Given a path and its whole content, replace the file so that everybody sees the old one or the new one.

    `mode`: permission bits instead of those of the umask. Raise StorageUnavailableError or PermissionDeniedError;
    the old file is then as it was.
    """
    temp = _temp_path(path)
    with folder_errors(path.parent, f"{shown(path)} cannot be written"):
        try:
            with os.fdopen(_create(temp), "wb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            waypoints.reached("write.synced")
            temp.replace(path)
        except BaseException:
            discard(temp)
            raise
        waypoints.reached("write.named")
        sync_folder(path.parent)


def move_new(source: Path, target_folder: Path, name: str) -> Path:
    """Given a file, link or pipe, move it into a folder as `name`, or `name (2)` ... if taken; return where it is.

    Only regular files are ever opened. To another file system a copy is made, synced and compared before the source
    is removed; its times are kept, its owner and permissions become those of the daemon. Raise FileNotFoundError if
    the source is gone, TruncatedPhotoError if somebody wrote to it meanwhile, and as `storage_errors` does.
    """
    with folder_errors(target_folder, f"{shown(source)} cannot be moved to {shown(target_folder)}"):
        return _move(source, target_folder, lambda: _names(name))


def move_exact(source: Path, target: Path) -> None:
    """Given a move that may have been cut short, finish it; if it is done already, do nothing.

    Where both are there and are the same file or have the same content, the source goes. Raise FileExistsError if
    they differ, FileNotFoundError if neither is there, and as `move_new` does.
    """
    with folder_errors(target.parent, f"{shown(source)} cannot be moved to {shown(target)}"):
        if os.path.lexists(source) and os.path.lexists(target) and not _is_placeholder(target, source):
            _unlink_twin(source, target)
        elif os.path.lexists(source):
            if os.path.lexists(target):
                target.unlink()
            _move(source, target.parent, lambda: iter([target.name]))
        elif not os.path.lexists(target):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
        else:
            sync_folder(target.parent)


def abandon_move(source: Path, target: Path) -> None:
    """Given a move that was cut short before the target was there, remove the piece of a copy that it may have left."""
    discard(_temp_path(target, source))


def make_folder(path: Path) -> None:
    """Given a path, make the folder in the one above it, synced; that one is not made.

    Raise StorageUnavailableError if the folder above is gone, or a link or a file is in the way: neither is followed.
    """
    with folder_errors(path.parent, f"the folder {shown(path)} cannot be made"):
        with suppress(FileExistsError):
            path.mkdir()
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise StorageUnavailableError(
                f"{shown(path)} is a link or a file, and a folder has to be there. Move it away; the daemon then goes "
                "on by itself."
            )
        sync_folder(path.parent)


def remove_if_there(path: Path) -> bool:
    """Given a path, remove the file or link for good; return whether there was one."""
    with storage_errors(f"{shown(path)} cannot be removed"):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        waypoints.reached("removal.done")
        sync_folder(path.parent)
        return True


def sync_folder(path: Path) -> None:
    """Given a folder, return when its entries are on the disk. File systems that cannot sync folders are believed."""
    with storage_errors(f"the folder {shown(path)} cannot be synced"):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _CANNOT_SYNC:
                raise
        finally:
            os.close(descriptor)


def _names(name: str) -> Iterator[str]:
    return itertools.chain([name], (numbered(name, n) for n in range(2, 10_000)))


def _move(source: Path, folder: Path, names: Callable[[], Iterator[str]]) -> Path:
    facts = source.lstat()
    _sync_content(source, facts)  # whoever dropped it need not have; a ledger row must not outlive its photo
    waypoints.reached("move.begun")
    try:
        target = _place(source, folder, names())
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _move_across(source, facts, folder, names)
    sync_folder(folder)
    if source.parent != folder:
        sync_folder(source.parent)
    return target


def _place(source: Path, folder: Path, names: Iterator[str]) -> Path:
    """Rename within one file system to the first name that is free."""
    for name in names:
        try:
            rename_new(source, folder / name)
        except FileExistsError:
            continue
        waypoints.reached("move.named")
        return folder / name
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def _move_across(source: Path, facts: os.stat_result, folder: Path, names: Callable[[], Iterator[str]]) -> Path:
    temp = _temp_path(folder / next(names()), source)
    try:
        _copy(source, facts, temp)
        waypoints.reached("move.copied")
        _refuse_changed(source, facts)
        target = _place(temp, folder, names())
    except BaseException:
        discard(temp)
        raise
    try:
        sync_folder(folder)
        _refuse_changed(source, facts)  # syncing takes time: the last moment to notice a writer
        waypoints.reached("move.doubled")
        source.unlink()
    except BaseException:
        undo(target, source)
        raise
    waypoints.reached("move.left")
    sync_folder(source.parent)
    return target


def _copy(source: Path, facts: os.stat_result, temp: Path) -> None:
    discard(temp)  # left by a crash
    if stat.S_ISLNK(facts.st_mode):
        temp.symlink_to(source.readlink())
    elif not stat.S_ISREG(facts.st_mode):
        os.mknod(temp, facts.st_mode, facts.st_rdev)
    else:
        with os.fdopen(os.open(source, _READ), "rb") as reader, os.fdopen(_create(temp), "wb") as writer:
            shutil.copyfileobj(reader, writer, _COPY_BYTES)
            writer.flush()
            os.utime(writer.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))
            os.fsync(writer.fileno())


def _refuse_changed(source: Path, facts: os.stat_result) -> None:
    now = source.lstat()
    if not os.path.samestat(now, facts) or (now.st_size, now.st_mtime_ns) != (facts.st_size, facts.st_mtime_ns):
        raise TruncatedPhotoError(
            f"{shown(source)} changed while it was copied. It is looked at again when it is quiet."
        )


def _unlink_twin(source: Path, target: Path) -> None:
    """Remove the source of a move that is complete but for that."""
    here, there = source.lstat(), target.lstat()
    if os.path.samestat(here, there):
        if here.st_nlink == 1:  # one entry under two spellings (vfat, SMB, a bind mount): removing it loses the photo
            return
    elif not _is_same_content(source, here, target, there):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    _sync_content(target, there)
    sync_folder(target.parent)
    waypoints.reached("move.twin_found")
    source.unlink()
    sync_folder(source.parent)


def _is_same_content(source: Path, here: os.stat_result, target: Path, there: os.stat_result) -> bool:
    if stat.S_IFMT(here.st_mode) != stat.S_IFMT(there.st_mode):
        return False
    if stat.S_ISLNK(here.st_mode):
        return source.readlink() == target.readlink()
    return not stat.S_ISREG(here.st_mode) or filecmp.cmp(source, target, shallow=False)


def _is_placeholder(target: Path, source: Path) -> bool:
    """Say whether the target is the empty file that reserves a name and was left in a crash (see renaming.py)."""
    here, there = source.lstat(), target.lstat()
    return stat.S_ISREG(there.st_mode) and there.st_size == 0 and not (stat.S_ISREG(here.st_mode) and here.st_size == 0)


def _sync_content(path: Path, facts: os.stat_result) -> None:
    if stat.S_ISREG(facts.st_mode):
        with suppress(PermissionError):  # a file that cannot be read can still be moved to failed
            descriptor = os.open(path, _READ)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _create(temp: Path) -> int:
    """Open a new file for writing, also where a crash left one; what lies there is removed, never followed."""
    with suppress(FileExistsError):
        return os.open(temp, _CREATE, 0o666)
    temp.unlink()
    return os.open(temp, _CREATE, 0o666)


def _temp_path(path: Path, source: Path | None = None) -> Path:
    """Give the unfinished file of one writer: the same again after a crash, another for another source of that name."""
    name = f".{path.name}.part"
    if source is not None:
        name = f".{path.name}.{sha256(os.fsencode(source.absolute())).hexdigest()[:16]}.part"
    if len(os.fsencode(name)) > NAME_BYTES:
        name = f".{sha256(os.fsencode(name)).hexdigest()}.part"
    return path.with_name(name)
