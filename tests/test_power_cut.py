"""The power fails at the steps that promise durability, on one disk and on four, twice in a row; see power_cut.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crashes import KILLED, Inbox, Launcher, Prepared, full, prepared
from house import House
from neural_selfie import files
from power_cut import Disk, disks_at

# After each of these something is said to be safe that the next step builds upon.
CUTS = [
    *("photo.admitted", "photo.ready", "result.spooled", "record.published", "job.done", "destination.written"),
    *("photo.moved", "photo.filed", "explanation.withdrawn", "departure.left", "departure.ended", "write.named"),
]
CUTS_BETWEEN_DISKS = ["photo.taken", "photo.ready", "move.named", "move.doubled", "move.left", "departure.left"]


@pytest.fixture(scope="module")
def one_disk(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prepared, list[Disk]]]:
    """A full inbox with all other folders on one disk, and that disk."""
    root = tmp_path_factory.mktemp("one") / "house"
    with disks_at(root) as found:
        yield prepared(full(House(root), launcher)), found


@pytest.fixture(scope="module")
def four_disks(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prepared, list[Disk]]]:
    """A full inbox on one disk, state folder and outbox on another each, originals and failed on a fourth."""
    root = tmp_path_factory.mktemp("four") / "house"
    with disks_at(root, root / "inbox", root / "state", root / "outbox") as found:
        yield prepared(full(House(root), launcher)), found


def test_what_is_not_synced_is_lost(tmp_path: Path) -> None:
    """The proof that the power really fails: a plain write is gone afterwards, a durable one is there."""
    with disks_at(tmp_path / "disk") as [disk]:
        disk.sync()
        files.write_atomic(disk.folder / "safe", b"safe")
        (disk.folder / "late").write_bytes(b"late")
        disk.cut()
        disk.unmount()
        disk.mount()
        assert (disk.folder / "safe").read_bytes() == b"safe"
        assert not (disk.folder / "late").exists()


def cut_twice(inbox: Inbox, disks: list[Disk], waypoint: str) -> None:
    """Cut the power of all disks at a waypoint, and once more when it is passed after the next start; then go on."""
    for disk in disks:
        disk.sync()  # whoever dropped the photos did not pull the plug at once
    for passing in (2, 1):
        ended = inbox.run(at=waypoint, passing=passing, disks=[str(disk.folder) for disk in disks])
        if ended.code != KILLED:
            assert passing == 1
            return
        for disk in reversed(disks):
            disk.unmount()
        for disk in disks:
            disk.mount()
    inbox.run()


@pytest.mark.parametrize("waypoint", CUTS)
def test_the_power_fails(waypoint: str, one_disk: tuple[Prepared, list[Disk]]) -> None:
    """All folders on one disk: after two power cuts every photo is in one place and every picture there once."""
    morning, disks = one_disk
    inbox = morning.again()
    cut_twice(inbox, disks, waypoint)
    assert inbox.faults() == [], inbox.log()


@pytest.mark.parametrize("waypoint", CUTS_BETWEEN_DISKS)
def test_the_power_fails_between_disks(waypoint: str, four_disks: tuple[Prepared, list[Disk]]) -> None:
    """Each folder on a disk of its own, so that one may have written more than the other: the same holds."""
    morning, disks = four_disks
    inbox = morning.again()
    cut_twice(inbox, disks, waypoint)
    assert inbox.faults() == [], inbox.log()
