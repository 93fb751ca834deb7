"""The folders that the daemon needs: there, folders, mounted, writable; whose they are; their disk and its clock.

`look` runs in a process of its own, because a share that is away may never answer. It leaves nothing behind: its probe
is hidden, ignored by the daemon, and removed also when it is interrupted.
"""

import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neural_selfie import files
from neural_selfie.doctor.apart import in_order
from neural_selfie.doctor.finding import Finding, of_error, ok, warning, wrong
from neural_selfie.errors import PermissionDeniedError, StorageUnavailableError
from neural_selfie.files import storage
from neural_selfie.files.names import shown
from neural_selfie.ledger.database import FILE_NAME

PROBE = ".neural-selfie-probe-doctor-"
_LEFT_SECONDS = 3600.0  # a probe of this age was left by somebody who was killed
_SKEW_SECONDS = 10.0  # FAT keeps times to two seconds, NFS and SMB cache them for a few
_FEW_FILES = 1000
_GIB = 1 << 30
Absent = Literal[
    "lost", "unit", "new"
]  # a daemon has run here, systemd makes it, or the daemon does at its first start


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of a folder. Of one that is there: its device, owner, group and permission bits."""

    findings: tuple[Finding, ...]
    device: int | None = None
    uid: int = -1
    gid: int = -1
    mode: int = 0


def owner(state: Path) -> tuple[int | None, bool]:
    """Given the state folder, return whose it is, or None if it is not there, and whether a daemon has run with it."""
    try:
        whose = state.stat().st_uid
    except OSError:
        return None, False
    return whose, (state / FILE_NAME).exists()


def look(name: str, folder: Path, free_mib: int | None, *, fills: bool, absent: Absent) -> Looked:
    """Given what a folder is to the daemon ("inbox") and where it is, return what is well and wrong with it.

    `free_mib` as in the configuration, `fills`: whether its disk has to have that much; `absent`: what it means
    if it is not there.
    """
    fstab = Path("/etc/fstab")
    mounts = Path("/proc/self/mounts").read_text(errors="surrogateescape")
    lines = fstab.read_text(errors="surrogateescape") if fstab.exists() else ""
    if (point := unmounted(folder, lines, mounts)) is not None:
        mend = f"Mount it: `sudo mount {shown(point)}`."
        return Looked((wrong(name, f"What /etc/fstab mounts at {shown(point)} is not mounted.", mend),))
    try:
        with storage.storage_errors(f"the {name} folder {shown(folder)} cannot be used"):
            return _look(name, folder, free_mib, fills=fills, absent=absent)
    except (StorageUnavailableError, PermissionDeniedError) as error:
        return Looked((of_error(name, error),))
    except OSError as error:
        says = f"The {name} folder {shown(folder)} cannot be used: {error.strerror}."
        return Looked((wrong(name, says, "Look into the system's log (`journalctl -k`), or set another folder."),))


def _look(name: str, folder: Path, free_mib: int | None, *, fills: bool, absent: Absent) -> Looked:
    try:
        facts = folder.stat()
    except FileNotFoundError:
        return Looked((missing(name, folder, absent),))
    except NotADirectoryError:
        return Looked((_no_folder(name, folder),))
    if not stat.S_ISDIR(facts.st_mode):
        return Looked((_no_folder(name, folder),))
    skew_seconds, odd_names = probe(folder)
    space = os.statvfs(folder)
    free = f"{space.f_bavail * space.f_frsize / _GIB:.1f} GiB free"
    kind = storage.file_system_type(folder)
    found = [ok(name, f"{shown(folder)} ({kind}, {free}) can be written, renamed, synced and deleted in.")]
    if not odd_names:
        mend = "Mount it with UTF-8 names (vfat: `utf8`, cifs: `iocharset=utf8`), or set another folder."
        found.append(warning(f"{name}.names", f"{shown(folder)} takes no names with such letters as ☀ or é.", mend))
    found += clock(name, skew_seconds)
    if fills and (full := storage.too_full([folder], free_mib)):
        found.append(wrong(f"{name}.space", full[0], "Free some space there, or lower `disks.free_mib`."))
    if space.f_files and space.f_favail < _FEW_FILES:
        mend = "Delete small files there, or make the file system anew with more inodes."
        found.append(wrong(f"{name}.space", f"Only {space.f_favail} more files fit on its disk (inodes).", mend))
    return Looked(tuple(found), facts.st_dev, facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode))


def _no_folder(name: str, folder: Path) -> Finding:
    mend = f"Move that file away, or set `{name}` to a folder."
    return wrong(name, f"{shown(folder)} is not a folder, or lies below a file.", mend)


def readable(path: Path | None) -> list[Finding]:
    """Given the configuration file, return a finding if the user who looks may not read it."""
    if path is None or os.access(path, os.R_OK):
        return []
    says = f"{shown(path)} may not be read by the user with id {os.geteuid()}."
    return [
        wrong("config.readable", says, f"`sudo chgrp neural-selfie {shown(path)} && sudo chmod 640 {shown(path)}`.")
    ]


def missing(name: str, folder: Path, absent: Absent) -> Finding:
    """Given a folder that is not there, return what that means, and whether this user may make it."""
    make = f"sudo install -d -o neural-selfie -g neural-selfie -m 2775 {shown(folder)}"
    if absent == "lost":
        return wrong(name, f"{shown(folder)} is gone.", f"Mount it again, or make it: `{make}`.")
    if absent == "unit":
        return ok(name, f"{shown(folder)} is not there yet; systemd makes it when the daemon is started.")
    above = next((parent for parent in folder.parents if parent.exists()), Path("/"))
    if not os.access(above, os.W_OK | os.X_OK):
        says = f"{shown(folder)} is not there, and this user (id {os.geteuid()}) may not make it in {shown(above)}."
        return wrong(name, says, f"Make it: `{make}`.")
    return ok(name, f"{shown(folder)} is not there yet; the daemon makes it when it starts.")


def probe(folder: Path) -> tuple[float, bool]:
    """Given a folder, write, rename, sync and delete in it; return how far its clock is ahead, and if it takes a "☀é".

    The first is in seconds. What the system refuses is raised as OSError; nothing is left behind, also of those who
    were killed long ago.
    """
    token = uuid.uuid4().hex
    first, second, odd = (folder / f"{PROBE}{token}{end}" for end in ("", "-renamed", "-☀é"))
    with in_order():
        try:
            before = time.time()
            with first.open("xb") as file:
                file.write(b"probe")
                file.flush()
                os.fsync(file.fileno())
            written = first.stat().st_mtime
            after = time.time()
            first.rename(second)
            files.sync_folder(folder)
            odd_names = _renamed(second, odd)
            (odd if odd_names else second).unlink()
        finally:
            for path in (first, second, odd):
                with suppress(OSError, UnicodeError):
                    path.unlink(missing_ok=True)
    for left in folder.glob(f"{PROBE}*"):
        with suppress(OSError):
            if time.time() - left.lstat().st_mtime > _LEFT_SECONDS:
                left.unlink()
    return max(0.0, written - after) or min(0.0, written - before), odd_names


def _renamed(path: Path, odd: Path) -> bool:
    try:
        path.rename(odd)
    except UnicodeError:
        return False
    except OSError as error:
        if error.errno not in {errno.EILSEQ, errno.EINVAL, errno.ENOENT}:
            raise
        return False
    return True


def clock(name: str, skew_seconds: float) -> Iterator[Finding]:
    """Given by how many seconds a folder's clock is ahead of this machine's, yield a warning if that is too many."""
    if abs(skew_seconds) > _SKEW_SECONDS:
        way = "ahead of" if skew_seconds > 0 else "behind"
        says = f"The clock of the machine that keeps it is {abs(skew_seconds):.0f} s {way} this one's."
        yield warning(
            f"{name}.clock", says, "Let both set their clocks by the network: `sudo timedatectl set-ntp true`."
        )


def unmounted(folder: Path, fstab: str, mounts: str) -> Path | None:
    """Given a folder and the texts of /etc/fstab and /proc/mounts, return what should be mounted above it and is not.

    Compares names only, and so asks no share.
    """
    mounted = {_point(line) for line in mounts.splitlines()}
    for line in fstab.splitlines():
        point = None if line.lstrip().startswith("#") else _point(line)
        if point is not None and point != Path("/") and point not in mounted:
            absolute = Path(os.path.normpath(folder))
            if absolute.is_relative_to(point):
                return point
    return None


def _point(line: str) -> Path | None:
    """Given a line of fstab(5), return the second field: where something is mounted, or None."""
    fields = line.split()
    if len(fields) < 2 or not fields[1].startswith("/"):  # noqa: PLR2004 - the second field; swap has none
        return None
    return Path(fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
