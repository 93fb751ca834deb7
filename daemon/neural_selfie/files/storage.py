"""What lies under a folder and what its errors mean: one sentence for people, one error class for the daemon.

`storage_errors` translates; the rest tells where a folder lies: on this machine, in another folder. Nothing
here opens or changes a file. Bind mounts and overlays are reported as what they show, not as what is under them.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neural_selfie.errors import PermissionDeniedError, StorageUnavailableError
from neural_selfie.files.names import shown

_SHARE = ("the network share is not connected", "Connect or mount it again")
_GONE = ("the disk or share is gone", "Plug it in or mount it again")
_TROUBLE: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free some space there"),
    errno.EDQUOT: ("the disk quota is used up", "Free some space there or raise the quota"),
    errno.EROFS: ("it is mounted read-only", "Mount it writable; after an error a disk turns read-only by itself"),
    errno.EIO: ("the disk or share reports an error", "Check the disk, its cable and the system log"),
    errno.EBUSY: ("somebody else holds it", "Close the program that uses it"),
    errno.EMFILE: ("the daemon has too many open files", "Raise LimitNOFILE in its unit"),
    errno.ENFILE: ("this machine has too many open files", "End some programs"),
    errno.ESTALE: ("the network share was replaced under the same name", "Mount it again"),
    **dict.fromkeys((errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH), _SHARE),
    **dict.fromkeys((errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED), _SHARE),
    **dict.fromkeys((errno.EREMOTEIO, errno.ENOLINK, errno.ECOMM, errno.EPIPE, errno.ESHUTDOWN), _SHARE),
    **dict.fromkeys((errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM), _GONE),
}
_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda", "davfs"),
        *("ceph", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2"),  # cluster file systems
        *("virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fakeowner", "grpcfuse", "osxfs"),  # a host's folder in a guest
        *("fuse.sshfs", "fuse.rclone", "fuse.smbnetfs", "fuse.davfs2", "fuse.curlftpfs", "fuse.gvfsd-fuse"),
        *("fuse.s3fs", "fuse.goofys", "fuse.mount-s3", "fuse.gcsfuse", "fuse.juicefs", "fuse.seaweedfs"),
        *("fuse.glusterfs", "fuse.ceph", "fuse.moosefs", "fuse.mfsmount", "fuse.vmhgfs-fuse", "fuse.grpcfuse"),
    },
)
_FREE_MIB, _FREE_PART = 1024, 20
_OCTAL = re.compile(rb"\\([0-7]{3})")


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Given how a sentence begins ("the outbox /srv/outbox"), let it end with the cause and what to do.

    Raise StorageUnavailableError for a disk or share that is full, read-only or away, PermissionDeniedError where
    the system says no; every other exception passes as it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise PermissionDeniedError(
                f"{_capital(what)}: the system does not permit it. Let the user with id {os.geteuid()} read, write and "
                "enter that folder (chown, chmod or an ACL), and look for immutable files.",
            ) from error
        if error.errno in _TROUBLE:
            cause, mend = _TROUBLE[error.errno]
            raise StorageUnavailableError(
                f"{_capital(what)}: {cause}. {mend}; the daemon then goes on by itself.",
            ) from error
        raise


@contextmanager
def folder_errors(folder: Path, what: str) -> Iterator[None]:
    """Do as `storage_errors` does, and raise StorageUnavailableError also where `folder` is missing altogether."""
    try:
        with storage_errors(what):
            yield
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder.is_dir():
            raise
        raise StorageUnavailableError(
            f"{_capital(what)}: the folder {shown(folder)} is gone. Make or mount it again; the daemon then goes "
            "on by itself.",
        ) from error


def is_within(inner: Path, outer: Path) -> bool:
    """Given two paths that need not exist, return whether `inner` is or lies in `outer`, links and binds resolved."""
    inner, outer = inner.resolve(), outer.resolve()
    if inner.is_relative_to(outer):
        return True
    with suppress(OSError):
        there = outer.stat()
        return any(os.path.samestat(there, part.stat()) for part in (inner, *inner.parents) if part.exists())
    return False


def is_network(path: Path) -> bool:
    """Given a path, return whether another machine keeps it: no place for SQLite's WAL, and events may not arrive."""
    return file_system_type(path) in _NETWORK


def may_miss_events(path: Path) -> bool:
    """Given a folder, return whether files may appear in it without the kernel telling: network and FUSE mounts."""
    kind = file_system_type(path)
    return kind in _NETWORK or kind.partition(".")[0] == "fuse"  # bindfs gives no subtype; fuseblk is a local disk


def file_system_type(path: Path) -> str:
    """Given a path that need not exist, return the type of its file system ("ext4", "nfs4"), or "unknown"."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return "unknown"
    return mounted_type(os.path.realpath(os.fsencode(path)), mountinfo)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def mounted_type(path: bytes, mountinfo: bytes) -> str:
    """Given an absolute path and the text of /proc/self/mountinfo, return the type of the mount that holds it."""
    return _mount_of(path, mountinfo)[1].decode("ascii", "backslashreplace")


def mount_point(path: Path) -> Path | None:
    """Given a path that need not exist, return where the file system that holds it is mounted, or None if unknown."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return None
    point = _mount_of(os.path.realpath(os.fsencode(path)), mountinfo)[0]
    return Path(os.fsdecode(point)) if point else None


def too_full(folders: Iterable[Path], free_mib: int | None) -> list[str]:
    """Given folders, return a sentence for each file system of theirs with less free space than so many MiB.

    None is 1 GiB, or a twentieth of a file system of less than 20. A folder that is away is left out: that is another
    trouble.
    """
    found = {}
    for folder in folders:
        with suppress(OSError):
            facts, device = os.statvfs(folder), folder.stat().st_dev
            free = facts.f_bavail * facts.f_frsize >> 20
            whole = facts.f_blocks * facts.f_frsize >> 20
            wanted = min(_FREE_MIB, whole // _FREE_PART) if free_mib is None else free_mib
            if free < wanted:
                found[device] = (
                    f"The disk of {shown(folder)} has only {free} MiB left, less than disks.free_mib: {wanted}. "
                    "Photos stay in the inbox, and nothing new is painted. Free some space there; the daemon then goes "
                    "on by itself."
                )
    return list(found.values())


def _mount_of(path: bytes, mountinfo: bytes) -> tuple[bytes, bytes]:
    """Return mount point and type of the mount that holds a path; empty and "unknown" without one.

    The longest mount point wins, of equal ones the last, which hides the others (proc(5)).
    """
    found, kind = b"", b"unknown"
    for line in mountinfo.split(b"\n"):  # a name may hold the other characters that end lines
        mount, _, file_system = line.partition(b" - ")
        fields = mount.split(b" ")
        if len(fields) <= 4:  # noqa: PLR2004 - the fifth field is the mount point
            continue
        point = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
        inside = path == point or path.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= len(found):
            found, kind = point, file_system.split(b" ", 1)[0]
    return found, kind
