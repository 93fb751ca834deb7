"""Folders and shares that go away while photos are queued and painted, and come back: nobody restarts the daemon.

Nothing is written into the empty mount point underneath, no folder is made anew by the daemon, no picture is painted
twice, and no photo counts as lost because its folder is away.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crashes import Inbox, Launcher, furnish
from disks import disks_at, names_in
from house import House, wait_until
from neural_selfie.errors import StorageUnavailableError
from neural_selfie.files.shares import Shares
from neural_selfie.ledger import open_ledger
from promised import lacking
from sickbed import Patient, Sickbed

FOLDERS = ["inbox", "outbox", "originals", "failed"]
Change = Callable[[Path], Callable[[], None]]


def unmounted(folder: Path) -> Callable[[], None]:
    """Unmount a share: the empty mount point underneath can be written to. Return what mounts it again."""
    aside = folder.with_name(f"{folder.name} elsewhere")
    aside.mkdir()
    subprocess.run(["mount", "--bind", folder, aside], check=True)  # keeps what is on it
    subprocess.run(["umount", "--lazy", folder], check=True)

    def mount() -> None:
        assert names_in(folder) == set(), "written under the mount point"
        subprocess.run(["mount", "--bind", aside, folder], check=True)
        subprocess.run(["umount", "--lazy", aside], check=True)
        aside.rmdir()

    return mount


def deleted(folder: Path) -> Callable[[], None]:
    """Delete a folder with what is in it; return what makes it anew."""
    shutil.rmtree(folder)
    return lambda: _made(folder)


def _made(folder: Path) -> None:
    assert not folder.exists(), "made anew by the daemon"
    folder.mkdir()


def renamed(folder: Path) -> Callable[[], None]:
    """Rename a folder away; return what renames it back."""
    away = folder.rename(folder.with_name("away"))

    def back() -> None:
        assert not folder.exists(), "made anew by the daemon"
        away.rename(folder)

    return back


def forbidden(folder: Path) -> Callable[[], None]:
    """Take the permission to write; return what gives it back."""
    if subprocess.run(["chattr", "+i", folder], check=False, capture_output=True).returncode:
        lacking("folders cannot be made immutable here")

    def allow() -> None:
        subprocess.run(["chattr", "-i", folder], check=True)

    return allow


@contextmanager
def working(house: House, launcher: Launcher, sickbed: Sickbed) -> Iterator[Patient]:
    """Yield a daemon that has painted and refused a photo, and knows all its folders in use."""
    furnish(house, "move")
    house.settings["watch"] |= {"rescan_seconds": 1}
    house.settings["retry"] |= {"waiting_seconds": 0.2, "backoff_ceiling_seconds": 0.4}
    house.write_config()
    inbox = Inbox(house, launcher)
    with sickbed.daemon(inbox, painter="slow_for_poison") as patient:
        yield patient


@pytest.mark.parametrize(
    ("change", "folder"),
    # Where nothing can be dropped any more, there is nothing to try: see test_faults.py for a forbidden inbox.
    [(change, folder) for change in (unmounted, deleted, renamed) for folder in FOLDERS]
    + [(forbidden, folder) for folder in FOLDERS[1:]],
)
def test_a_folder_goes_away_and_comes_back(
    folder: str, change: Change, tmp_path: Path, launcher: Launcher, sickbed: Sickbed
) -> None:
    """Away while one photo is painted, one is queued, one fails and one is refused: all is done when it is back."""
    root = tmp_path / "house"
    root.mkdir()
    with disks_at(*([root / folder] if change is unmounted else [])):
        house = House(root)
        with working(house, launcher, sickbed) as patient:
            inbox = patient.inbox
            if change is deleted and folder != "inbox":  # with nothing in it
                wait_until((house.outbox / "index.html").exists)
                comes_back = change(root / folder)
            for number in range(3):
                inbox.drop(house.inbox / f"{number}.png", pictures=1, seed=number)
            inbox.drop(house.inbox / "poison.png", pictures=0, seed=7)
            wait_until(lambda: admitted(house) == 4)
            if change is not deleted or folder == "inbox":
                comes_back = change(root / folder)
            if folder != "inbox":
                inbox.drop(house.inbox / "notes.png", pictures=0, seed=8)
            wait_until(lambda: str(root / folder) in str(trouble(house)))
            comes_back()
            inbox.drop(house.inbox / "late.png", pictures=1, seed=9)
            patient.until_all_is_well()
        assert inbox.faults() == [], inbox.log()
        with open_ledger(house.state) as ledger:
            assert not [event for event in ledger.events() if "lost" in str(event)]


def admitted(house: House) -> int:
    """Return how many photos the ledger has."""
    with open_ledger(house.state) as ledger:
        return len(ledger.photos())


def trouble(house: House) -> object:
    """Return what `status` says to be in the way."""
    view = house.status()
    return view["troubles"], view["watch"].get("trouble"), [job["reason"] for job in view["waiting"]]


def test_a_photo_is_not_lost_because_its_share_is_away(tmp_path: Path) -> None:
    """What is not mounted any more is said to be so, what comes back as another file system is welcome."""
    share = tmp_path / "share"
    share.mkdir()
    shares = Shares()
    with disks_at(share):
        shares.check(share)
    with pytest.raises(StorageUnavailableError, match=r"share is not mounted any more.*Mount it again"):
        shares.check(share)
    with disks_at(share):
        shares.check(share)
    share.rmdir()
    with pytest.raises(StorageUnavailableError, match=r"share is gone\. Make or mount it again"):
        shares.check(share)
