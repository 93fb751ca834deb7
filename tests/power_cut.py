"""A disk whose power can fail: an ext4 file system in a file, which forgets all that was not synced.

`kill -9` loses nothing that was written, because the kernel has it. Here the file system is shut down without its
journal being written (FS_IOC_GOINGDOWN, which Fate in mortal_daemon.py calls), and mounted anew, as after a power cut.
Not shown: disks that lie about having written, and blocks that were written in another order.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mortal_daemon import GOING_DOWN, WITHOUT_LOG
from promised import lacking

_MIB = 64
_PATIENCE_SECONDS = 60.0  # for processes that still have the disk open


@dataclass(frozen=True, slots=True)
class Disk:
    """An ext4 file system in the file `image`, mounted at `folder`."""

    image: Path
    folder: Path

    def sync(self) -> None:
        """Let everything that was written so far outlive a power cut."""
        subprocess.run(["sync", "--file-system", self.folder], check=True)

    def cut(self) -> None:
        """Cut the power: nothing can be read or written any more, and what was not synced is gone."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(descriptor, GOING_DOWN, struct.pack("I", WITHOUT_LOG))
        os.close(descriptor)

    def mount(self) -> None:
        """Switch the disk on; what it does not sync on demand, it would only write after five minutes."""
        subprocess.run(["mount", "-o", "loop,commit=300", self.image, self.folder], check=True)

    def unmount(self) -> None:
        """Take the disk away, as soon as no dying process uses it any more."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (done := subprocess.run(["umount", self.folder], check=False, capture_output=True)).returncode:
            assert time.monotonic() < deadline, done.stderr.decode()
            time.sleep(0.05)


@contextmanager
def disks_at(*folders: Path) -> Iterator[list[Disk]]:
    """Mount a disk whose power can fail at each folder, which may lie in the one before."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        lacking("only root can mount a disk whose power fails, and it takes mkfs.ext4")
    mounted: list[Disk] = []
    try:
        for folder in folders:
            image = folders[0].with_name(f"{len(mounted)}.img")
            with image.open("wb") as file:
                file.truncate(_MIB << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
            folder.mkdir(exist_ok=True)
            tried = subprocess.run(["mount", "-o", "loop,commit=300", image, folder], check=False, capture_output=True)
            if tried.returncode:
                lacking(f"loop devices are not permitted here: {tried.stderr.decode()}")
            (folder / "lost+found").rmdir()
            mounted.append(Disk(image, folder))
        yield mounted
    finally:
        for disk in reversed(mounted):
            disk.unmount()
            disk.image.unlink()
