"""The few operations on files that must survive a power cut: write, move, remove, each synced in the right order.

After each of them returned, its effect is on the disk; when it is cut short at any point, the file is whole under its
old name, its new name or both, and calling it again (`move_exact` for moves) finishes the work. Nothing is ever
overwritten except by `write_atomic`. Not guaranteed: disks and shares that lie about fsync.
"""

import errno
import filecmp
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from neural_selfie import waypoints
from neural_selfie.errors import StorageUnavailableError
from neural_selfie.files.copying import READ, claim_and_remove, copy, create, refuse_changed, temp_path
from neural_selfie.files.names import numbered, shown
from neural_selfie.files.renaming import discard, rename_new, undo
from neural_selfie.files.shares import is_gone
from neural_selfie.files.storage import file_system_type, folder_errors, is_network, is_within, storage_errors

__all__ = [
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
    "tidy_move",
    "write_atomic",
]

_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def write_atomic(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Given a path and its whole content, replace the file so that everybody sees the old one or the new one.

    `mode`: permission bits instead of those of the umask. Raise StorageUnavailableError or PermissionDeniedError;
    the old file is then as it was.
    """
    temp = temp_path(path)
    with folder_errors(path.parent, f"{shown(path)} cannot be written"):
        try:
            with os.fdopen(create(temp), "wb") as file:
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


def move_exact(source: Path, target: Path, *, contested: bool = False) -> None:
    """Given a move that may have been cut short, finish it; if it is done already, do nothing.

    Where both are there and are the same file or have the same content, the source goes. `contested`: another daemon
    may take the source at the same time, and one of the two is to have it. Raise FileExistsError if they differ,
    FileNotFoundError if neither is there or the other daemon was quicker, and as `move_new` does.
    """
    with folder_errors(target.parent, f"{shown(source)} cannot be moved to {shown(target)}"):
        if os.path.lexists(source) and os.path.lexists(target) and not _is_placeholder(target, source):
            _unlink_twin(source, target, contested=contested)
        elif os.path.lexists(source):
            if os.path.lexists(target):
                target.unlink()
            _move(source, target.parent, lambda: iter([target.name]), contested=contested)
        elif not os.path.lexists(target):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
        else:
            sync_folder(target.parent)
            tidy_move(source, target)


def tidy_move(source: Path, target: Path) -> None:
    """Given a move that was cut short, remove what it may have left under hidden names: a piece of a copy, and, where
    the target is there, the source of a whole one. Raise as `storage_errors` does.
    """
    discard(temp_path(target, source))
    if os.path.lexists(target):
        with storage_errors(f"what is left of {shown(source)} cannot be removed"):
            temp_path(source, target).unlink(missing_ok=True)


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


def _move(source: Path, folder: Path, names: Callable[[], Iterator[str]], *, contested: bool = False) -> Path:
    facts = source.lstat()
    _sync_content(source, facts)  # whoever dropped it need not have; a ledger row must not outlive its photo
    waypoints.reached("move.begun")
    try:
        target = _place(source, folder, names())
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _move_across(source, facts, folder, names, contested=contested)
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


def _move_across(
    source: Path, facts: os.stat_result, folder: Path, names: Callable[[], Iterator[str]], *, contested: bool
) -> Path:
    temp = temp_path(folder / next(names()), source)
    try:
        copy(source, facts, temp)
        waypoints.reached("move.copied")
        refuse_changed(source, facts)
        target = _place(temp, folder, names())
    except BaseException:
        discard(temp)
        raise
    try:
        sync_folder(folder)
        refuse_changed(source, facts)  # syncing takes time: the last moment to notice a writer
        waypoints.reached("move.doubled")
        _take_away(source, target, contested=contested)
    except BaseException as error:
        if contested and isinstance(error, FileNotFoundError):  # the other daemon has it
            discard(target)
        undo(target, source)
        raise
    waypoints.reached("move.left")
    sync_folder(source.parent)
    return target


def _take_away(source: Path, target: Path, *, contested: bool) -> None:
    if not contested:
        source.unlink()
        return
    try:
        claim_and_remove(source, target)
    except FileNotFoundError:  # as above
        discard(target)
        raise


def _unlink_twin(source: Path, target: Path, *, contested: bool) -> None:
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
    _take_away(source, target, contested=contested)
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
            descriptor = os.open(path, READ)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
