"""Inbox, state folder and outbox on file systems of their own, all of them sick: nothing that is copied is lost.

As in test_faults.py each place in the program that opens or changes a file is refused once with each error, here
everywhere at once; where files cannot be renamed, that is every step of the copying, too.
"""

from collections.abc import Iterator

import pytest

import disks
from crashes import Launcher, Prepared, full, prepared
from house import House
from sickbed import OPERATIONS, Sickbed, trace_of
from test_faults import nothing_counted

FOLDERS = ["inbox", "state/work", "originals", "failed"]
COPYING = {"create", "write", "fsync", "rename", "unlink"}  # of a copy, under its name until it is whole


@pytest.fixture(scope="module")
def far(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """A full inbox on a file system of its own, like the state folder and the outbox."""
    root = tmp_path_factory.mktemp("far") / "house"
    root.mkdir()
    with disks.disks_at(root / "inbox", root / "state", root / "outbox"):
        house = House(root)
        inbox = full(house, launcher)
        house.settings["retry"] |= {"waiting_seconds": 0.1, "backoff_ceiling_seconds": 0.2}
        house.settings["watch"] |= {"rescan_seconds": 1}
        house.write_config()
        yield prepared(inbox)


def test_every_step_of_a_copy_is_waited_for(far: Prepared, sickbed: Sickbed) -> None:
    """Every call below the folders of photos fails once, cleaning up, too: photos, masks and sidecars arrive, once."""
    inbox = far.again()
    root = inbox.house.root
    sick = [root / folder for folder in FOLDERS]
    with sickbed.daemon(inbox, *sick, errnos=["EIO"], operations=["open", *OPERATIONS]) as patient:
        patient.until_all_is_well()
    assert inbox.faults() == [], inbox.log()
    nothing_counted(inbox)
    refused = [line.split(" ", 2) for line in trace_of(inbox.house).read_text().splitlines()]
    assert {"open", "unlink"} <= {operation for operation, _, path in refused if f"{root / 'inbox'}/" in path}
    for folder in sick[1:]:
        copying = {operation for operation, _, path in refused if f"{folder}/." in path and ".part" in path}
        assert copying == COPYING, folder
