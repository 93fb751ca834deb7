"""The ledger's own disk fails: the kernel refuses SQLite's system calls on its three files, one by one or all of them.

The real daemon waits and goes on by itself. Afterwards the ledger is whole, every photo in one place and every picture
painted once.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import disks
from crashes import Inbox, Launcher, furnish
from house import House, wait_until
from neural_selfie.ledger import open_ledger
from sickbed import Patient, Sickbed
from test_faults_shares import unmounted

# The third commit of a photo is that of its start, which nobody can put off: the daemon opens the ledger anew.
_ANEW = "fdatasync:error=EIO:when=3"
ONCE = [
    ["fdatasync:error=EIO:when=1"],
    ["fdatasync:error=ENOSPC:when=4"],
    ["pwrite64:error=ENOSPC:when=3"],
    ["pwrite64:error=EIO:when=20"],
    ["fcntl:error=EIO:when=3"],
    [_ANEW, "openat:error=EIO:when=1"],
    [_ANEW, "openat:error=EMFILE:when=2"],
    [_ANEW, "ftruncate:error=EIO:when=1"],
    [_ANEW, "mmap:error=ENOMEM:when=1"],
    [_ANEW, "/^unlink:error=EIO:when=1"],
    [_ANEW, "pread64:error=EIO:when=1"],
    [_ANEW, "pread64:error=EIO:when=2"],
]
ON_AND_ON = [
    ["fdatasync:error=EIO:when=3+"],
    ["pwrite64:error=ENOSPC:when=1+"],
    [_ANEW, "openat:error=EIO:when=1+"],
    [_ANEW, "openat:error=ENOSPC:when=3+"],
    [_ANEW, "pread64:error=EIO:when=1+"],
    [_ANEW, "%%stat:error=EIO:when=1+"],
]


@pytest.fixture
def patient(tmp_path: Path, launcher: Launcher, sickbed: Sickbed) -> Iterator[Patient]:
    """A running daemon, which in the end has done everything."""
    house = House(tmp_path / "house")
    furnish(house, "move")
    house.settings["watch"] |= {"rescan_seconds": 1}
    house.settings["retry"] |= {"waiting_seconds": 0.1, "backoff_ceiling_seconds": 0.2}
    house.write_config()
    inbox = Inbox(house, launcher)
    with sickbed.daemon(inbox) as running:
        inbox.drop(house.inbox / "first.png", pictures=1, seed=100)
        wait_until((house.originals / "first.png").exists)
        yield running
        running.until_all_is_well()
    assert inbox.faults() == [], inbox.log()
    with open_ledger(house.state) as ledger:
        assert [job for job in ledger.jobs() if job.failures] == []


def ledger_files(house: House) -> list[Path]:
    """Return what SQLite calls the ledger."""
    return [house.state / f"ledger.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")]


def test_a_call_that_fails_once_is_survived(patient: Patient) -> None:
    """Write, sync, lock, open, map, read and remove fail once each, at different moments of a photo's way."""
    house = patient.inbox.house
    for number, injections in enumerate(ONCE):
        name = f"{number}.png"
        with disks.failing_calls(patient.process, ledger_files(house), *injections) as failed:
            patient.inbox.drop(house.inbox / name, pictures=1, seed=number)
            wait_until(lambda: (house.originals / name).exists() or patient.ended())  # noqa: B023 - at once
            assert failed() >= len(injections), f"{injections} did not happen"
        assert not patient.ended(), f"{injections}\n{patient.inbox.log()[-4000:]}"


def test_a_disk_that_fails_for_long_is_waited_for(patient: Patient) -> None:
    """Every call of one kind fails until the disk is healed: the log says why, and nobody is told to throw it away."""
    house = patient.inbox.house
    for number, injections in enumerate(ON_AND_ON):
        name = f"{number}.png"
        with disks.failing_calls(patient.process, ledger_files(house), *injections) as failed:
            patient.inbox.drop(house.inbox / name, pictures=1, seed=number)
            wait_until(lambda: failed() >= len(injections) + 3 or patient.ended())  # noqa: B023 - at once
        wait_until(lambda: (house.originals / name).exists() or patient.ended())  # noqa: B023 - at once
        assert not patient.ended(), f"{injections}\n{patient.inbox.log()[-4000:]}"
    assert "goes on by itself" in patient.inbox.log()
    assert "is damaged" not in patient.inbox.log()


def test_the_ledger_cannot_be_tidied_up(patient: Patient) -> None:
    """Nothing can be written to its main file: all goes to the log beside it, until the disk is healed."""
    house = patient.inbox.house
    injections = ["pwrite64:error=EIO:when=1+", "fdatasync:error=EIO:when=1+"]
    with disks.failing_calls(patient.process, ledger_files(house)[:1], *injections) as failed:
        for number in range(60):
            patient.inbox.drop(house.inbox / f"{number}.png", pictures=1, seed=number)
        wait_until(lambda: failed() > 3)
    patient.until_all_is_well()


def test_no_new_ledger_is_made_where_the_disk_was(tmp_path: Path, launcher: Launcher, sickbed: Sickbed) -> None:
    """The state folder's disk is unmounted while the daemon opens its ledger anew: it waits until it is back."""
    root = tmp_path / "house"
    root.mkdir()
    with disks.disks_at(root / "state"):
        house = House(root)
        furnish(house, "move")
        house.settings["retry"] |= {"waiting_seconds": 0.1, "backoff_ceiling_seconds": 0.2}
        house.settings["watch"] |= {"rescan_seconds": 1}
        house.write_config()
        inbox = Inbox(house, launcher)
        with sickbed.daemon(inbox, painter="slow") as patient:
            inbox.drop(house.inbox / "me.png", pictures=1, seed=1)
            wait_until(lambda: "job.started" in inbox.log())
            # Only SQLite calls fdatasync. By their paths its files cannot be told any more.
            with disks.failing_calls(patient.process, [], "fdatasync:error=EIO:when=1+"):
                comes_back = unmounted(house.state)
                wait_until(lambda: "is not mounted any more" in inbox.log())
            assert not (house.state / "ledger.sqlite3").exists()
            subprocess.run(["find", house.state, "-mindepth", "1", "-delete"], check=True)  # how things stood
            comes_back()
            patient.until_all_is_well()
        assert inbox.faults() == [], inbox.log()
