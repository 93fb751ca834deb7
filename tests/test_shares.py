"""An inbox on a network mount: nobody tells what others write, and now and then it is away. Polling outlives it.

The mount is real: sshfs, whose other end is an sftp-server on this machine that no ssh stands before.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from house import House, photo, wait_until
from neural_selfie import inbox as inboxes
from neural_selfie.inbox.walking import Walk
from promised import lacking
from told import HOUR, Told, eventually, watched

SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/lib/sftp-server", "/usr/libexec/openssh/sftp-server")


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of another machine, mounted at the inbox."""

    behind: Path
    inbox: Path
    ssh: Path

    def mount(self) -> bool:
        """Mount it; False where that is not permitted."""
        options = f"ssh_command={self.ssh},dcache_timeout=1"
        done = subprocess.run(["sshfs", "-o", options, f"there:{self.behind}", self.inbox], check=False)
        return done.returncode == 0

    def cut(self) -> None:
        """The other machine is gone: the mount is an error, or goes with it."""
        os.kill(int(self.ssh.with_suffix(".pid").read_text()), signal.SIGKILL)

    def gone(self) -> bool:
        """Whether nothing of the other machine is to be seen any more."""
        try:
            return not self.inbox.is_mount()
        except OSError:
            return True

    def unmount(self) -> None:
        """Take the mount away, whatever state it is in."""
        subprocess.run(["umount", "--lazy", self.inbox], check=False, capture_output=True)


@pytest.fixture
def share(house: House) -> Iterator[Share]:
    """An inbox that is a network mount."""
    server = next((path for path in SERVERS if Path(path).exists()), None)
    if shutil.which("sshfs") is None or server is None:
        lacking("needs sshfs and an sftp-server")
    made = Share(house.root / "behind", house.inbox, house.root / "ssh")
    made.behind.mkdir()
    made.ssh.write_text(f'#!/bin/sh\necho $$ > "{made.ssh}.pid"\nexec {server}\n')
    made.ssh.chmod(0o755)
    if not made.mount():
        lacking("FUSE is not permitted here")
    yield made
    house.close()
    made.unmount()


def test_photos_of_other_machines_are_painted_also_after_an_outage(house: House, share: Share) -> None:
    """Written past the mount: polling is chosen by itself, and said; after an outage it goes on by itself."""
    house.settings["watch"]["rescan_seconds"] = 1
    house.write_config()
    house.start()
    wait_until(lambda: house.status()["watch"].get("mode") == "polling")
    assert "fuse.sshfs does not tell" in house.status()["watch"]["why"]
    photo(share.behind / "before.png", seed=1)
    wait_until(lambda: len(house.records()) == 1)
    share.cut()
    wait_until(share.gone)
    photo(share.behind / "after.png", seed=2)
    looked_at = house.status()["watch"]["last_scan_at"]
    wait_until(lambda: house.status()["watch"]["last_scan_at"] > looked_at)  # at what lies under the mount
    share.unmount()
    assert share.mount()
    wait_until(lambda: len(house.records()) == 2)
    wait_until(lambda: sorted(path.name for path in house.originals.iterdir()) == ["after.png", "before.png"])
    assert list(share.behind.iterdir()) == []
    assert house.status()["watch"]["trouble"] is None


def test_polling_outlives_an_inbox_that_is_away(tmp_path: Path) -> None:
    """The folder is gone for a while: the health says so, and once it is there again everything in it is told."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    told = Told()
    with watched(folder, told, polling="always", rescan_seconds=0.1) as inbox:
        folder.rmdir()
        eventually(lambda: "cannot be read" in str(inbox.health().trouble))
        folder.mkdir()
        (folder / "me.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "me.jpg")))
        eventually(lambda: inbox.health().trouble is None)


def test_polling_leaves_a_slow_disk_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that takes a while to list is listed for at most a tenth of the time."""
    monkeypatch.setattr(inboxes, "_POLL_SECONDS", 0.01)
    told = Told()
    slow = 0.2

    class SlowWalk(Walk):
        def entries(self, start: Path | None = None) -> Iterator[Path]:
            time.sleep(slow)
            yield from super().entries(start)

    monkeypatch.setattr(inboxes, "Walk", SlowWalk)
    with watched(tmp_path, told, polling="always", rescan_seconds=HOUR):
        told.until(lambda: len(told.scans) >= 3)
    starts = [scan.started_at for scan in told.scans]
    assert min(later - earlier for earlier, later in pairwise(starts)) >= 10 * slow
