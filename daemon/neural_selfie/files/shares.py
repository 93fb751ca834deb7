"""Is a folder still the one that it was? Tells a share that is not mounted from an empty folder, and gone from away.

While the daemon runs it makes none of the folders that people see anew: one that is gone, or whose disk or share is not
mounted any more, is waited for, because what is written into the empty mount point underneath is hidden as soon as the
share comes back. Told apart by the mount points that were there before (proc(5), mountinfo), so a share may come back
as another device. Known since the daemon's start only: for a share that is not mounted then, the unit has
RequiresMountsFor=. Whoever takes a share away for good restarts the daemon.
"""

import stat
from pathlib import Path

from neural_selfie.errors import StorageUnavailableError
from neural_selfie.files.names import shown
from neural_selfie.files.storage import mount_point, storage_errors


class Shares:
    """What folders were mounted at, as far as they were asked for."""

    def __init__(self) -> None:
        self._seen: dict[Path, Path] = {}

    def check(self, folder: Path) -> None:
        """Given a folder, return if it is there as it was; raise StorageUnavailableError or PermissionDeniedError."""
        with storage_errors(f"the folder {shown(folder)} cannot be used"):
            try:
                is_there = stat.S_ISDIR(folder.stat().st_mode)
            except (FileNotFoundError, NotADirectoryError):
                is_there = False
        if not is_there:
            raise StorageUnavailableError(
                f"The folder {shown(folder)} is gone. Make or mount it again; the daemon then goes on by itself."
            )
        now = mount_point(folder)
        if now is None:
            return
        before = self._seen.setdefault(folder, now)
        if now != before and before.is_relative_to(now):
            raise StorageUnavailableError(
                f"What was mounted at {shown(before)} is not mounted any more, so that {shown(folder)} is another "
                "folder. Mount it again; the daemon then goes on by itself. If it is gone for good, restart the daemon."
            )
        self._seen[folder] = now


def is_gone(path: Path) -> bool:
    """Given a path, return whether there is nothing at it; raise StorageUnavailableError or PermissionDeniedError.

    Unlike `os.path.lexists`, which says the same of what cannot be looked at.
    """
    with storage_errors(f"{shown(path)} cannot be looked for"):
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        return False
