"""Disks that are full, broken, read-only, busy, stale or forbidden: everything waits and goes on by itself.

Each time the full inbox of the crash matrix (`crashes.full`), and below one folder every place in the program that
changes a file is refused, once with each error, before it is served. Afterwards every photo is in exactly one place
and every picture painted exactly once (`invariants.faults`), and no failure counts against a job.
"""

from collections.abc import Sequence

import pytest

from crashes import Inbox, Launcher, Prepared, full, prepared
from house import House, wait_until
from neural_selfie.ledger import open_ledger
from neural_selfie.model import JobState
from sickbed import ERRNOS, Sickbed, refused

# What the daemon does in each folder; inbox, outbox and the others on one disk.
SICK = {
    "inbox": {"fsync", "rename", "unlink"},
    "state/work": {"fsync", "rename", "unlink"},
    "state/rendered": {"create", "write", "fsync", "rename", "unlink", "mkdir"},
    "state/styles": {"create", "write", "fsync", "rename", "unlink"},
    "outbox": {"create", "write", "fsync", "rename", "unlink", "mkdir"},
    "originals": {"fsync", "rename", "unlink"},
    "failed": {"create", "write", "fsync", "rename", "unlink"},
}


@pytest.fixture(scope="module")
def morning(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A full inbox before the daemon starts."""
    inbox = full(House(tmp_path_factory.mktemp("full") / "house"), launcher)
    inbox.house.settings["retry"] |= {"waiting_seconds": 0.1, "backoff_ceiling_seconds": 0.2}
    inbox.house.settings["watch"] |= {"rescan_seconds": 1}
    inbox.house.write_config()
    return prepared(inbox)


@pytest.fixture
def inbox(morning: Prepared) -> Inbox:
    """The full inbox once more."""
    return morning.again()


PLAIN_WORDS = {  # by the operation that fails, in which folder and with what: what `status` says
    ("inbox", "rename", "EBUSY"): "somebody else holds it",
    ("state/work", "fsync", "EIO"): "reports an error",
    ("state/rendered", "write", "ENOSPC"): "the disk is full",
    ("outbox", "mkdir", "ESTALE"): "the network share was replaced",
    ("outbox", "create", "EACCES"): "the system does not permit it",
    ("originals", "rename", "EROFS"): "it is mounted read-only",
    ("failed", "fsync", "EDQUOT"): "the disk quota is used up",
}


@pytest.mark.parametrize("case", PLAIN_WORDS)
def test_what_is_in_the_way_is_said(case: tuple[str, str, str], inbox: Inbox, sickbed: Sickbed) -> None:
    """As long as a folder is sick, log and `status` say in plain words why; then all goes on by itself."""
    folder, operation, error = case
    house, healed = inbox.house, inbox.house.root.with_name("healed")
    healed.unlink(missing_ok=True)
    sick = sickbed.daemon(inbox, house.root / folder, errnos=[error], operations=[operation], until=healed)
    with sick as patient:
        wait_until(lambda: PLAIN_WORDS[case] in house.command("status").stdout)
        assert PLAIN_WORDS[case] in inbox.log()
        healed.touch()
        patient.until_all_is_well()
        wait_until(lambda: house.status()["troubles"] == [])
    assert inbox.faults() == [], inbox.log()
    nothing_counted(inbox)


def nothing_counted(inbox: Inbox) -> None:
    """Fail if a failure was counted against a job whose picture is there now."""
    with open_ledger(inbox.house.state) as ledger:
        assert [job for job in ledger.jobs(state=JobState.DONE) if job.failures] == []


def waited_for(folder: str, errnos: Sequence[str], inbox: Inbox, sickbed: Sickbed) -> None:
    """Run a daemon to whom a folder is sick, and fail unless it comes to the same end."""
    with sickbed.daemon(inbox, inbox.house.root / folder, errnos=errnos) as patient:
        patient.until_all_is_well()
    assert inbox.faults() == [], inbox.log()
    assert {operation for operation, _ in refused(inbox.house)} == SICK[folder]
    assert {error for _, error in refused(inbox.house)} == set(errnos)
    nothing_counted(inbox)


@pytest.mark.parametrize("folder", SICK)
def test_a_sick_folder_is_waited_for(folder: str, inbox: Inbox, sickbed: Sickbed) -> None:
    """Every call of the daemon below a folder fails once for the disk and once for a permission."""
    waited_for(folder, ["EIO", "EACCES"], inbox, sickbed)


@pytest.mark.long
@pytest.mark.parametrize("folder", SICK)
def test_every_error_is_waited_for(folder: str, inbox: Inbox, sickbed: Sickbed) -> None:
    """Every call of the daemon below a folder fails with each error before it succeeds."""
    waited_for(folder, ERRNOS, inbox, sickbed)
