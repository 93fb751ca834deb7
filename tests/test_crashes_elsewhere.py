"""Killed where photos stay in the inbox, are deleted, or go to another file system; and the power fails.

The same question as in test_crashes.py, of the same inbox.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

import disks
from crashes import ELSEWHERE, KILLED, Ended, Inbox, Launcher, Prepared, full, furnish, parts, prepared
from house import House, photo

KEEPING = [
    *("photo.admitted", "photo.remembered", "photo.ready", "job.started", "job.done", "photo.finished"),
    *("explanation.written", "explanation.withdrawn"),
]
DELETING = ["photo.finished", "photo.deleted", "removal.done", "photo.filed", "departure.left", "departure.ended"]
CHAINS = 5


# ---------------------------------------------------------------- other things to do with originals


@pytest.mark.parametrize("waypoint", KEEPING)
def test_killed_where_photos_stay(waypoint: str, tmp_path: Path, launcher: Launcher) -> None:
    """With `keep`, killed twice at the same waypoint: the inbox is as it was, and every picture is there once."""
    inbox = full(House(tmp_path / "house"), launcher, "keep")
    assert inbox.run(at=waypoint, passing=2).code == KILLED
    if inbox.run(at=waypoint).code == KILLED:
        inbox.run()
    assert inbox.faults() == [], inbox.log()


def test_killed_before_a_failure_is_explained(tmp_path: Path, launcher: Launcher) -> None:
    """With `keep` a failed photo does not move, so nothing but the next start can tell that nobody was told of it."""
    inbox = Inbox(House(tmp_path / "house"), launcher, "keep")
    furnish(inbox.house, "keep")
    inbox.drop(inbox.house.inbox / "poison.png", pictures=0, seed=1)
    assert inbox.run(at="photo.finished").code == KILLED
    assert inbox.run(at="recovery.explained").code == KILLED
    inbox.run()
    assert inbox.faults() == [], inbox.log()


@pytest.fixture(scope="module")
def to_delete(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A full inbox whose photos are deleted when they are painted."""
    return prepared(full(House(tmp_path_factory.mktemp("delete") / "house"), launcher, "delete"))


@pytest.mark.parametrize("waypoint", DELETING)
def test_killed_where_photos_are_deleted(waypoint: str, to_delete: Prepared) -> None:
    """With `delete`, killed twice at the same waypoint: nothing is deleted but photos whose every picture is there."""
    inbox = to_delete.again()
    assert inbox.run(at=waypoint, passing=2).code == KILLED
    if inbox.run(at=waypoint).code == KILLED:
        inbox.run()
    assert inbox.faults() == [], inbox.log()


# ---------------------------------------------------------------- inbox, state and outbox on different file systems


@pytest.fixture(scope="module")
def far(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """A full inbox on a file system of its own, like the state folder and the outbox."""
    root = tmp_path_factory.mktemp("far") / "house"
    root.mkdir()
    with disks.disks_at(root / "inbox", root / "state", root / "outbox"):
        yield prepared(full(House(root), launcher))


@pytest.fixture(scope="module")
def undisturbed(far: Prepared) -> Ended:
    """How a daemon fares that nobody kills."""
    inbox = far.again()
    ended = inbox.run()
    assert inbox.faults() == []
    assert set(ended.passed) >= ELSEWHERE["between file systems"] - {"move.twin_found"}
    return ended


@pytest.mark.parametrize("number", range(CHAINS))
def test_killed_at_every_waypoint_between_file_systems(number: int, far: Prepared, undisturbed: Ended) -> None:
    """Killed at one waypoint after the other, each time by the next start, until everything has been done."""
    inbox = far.again()
    for waypoint in list(dict.fromkeys(undisturbed.passed))[number::CHAINS]:
        if inbox.run(at=waypoint).code != KILLED:  # all is done already
            assert inbox.faults() == [], inbox.log()
            inbox = far.again()
            assert inbox.run(at=waypoint).code == KILLED
    inbox.run()
    assert inbox.faults() == [], inbox.log()


def test_a_name_that_is_taken_while_the_daemon_is_dead(far: Prepared) -> None:
    """Killed in the middle of a copy, and somebody takes the name: the photo gets another one, and no piece stays."""
    inbox = far.again()
    assert inbox.run(at="move.copied", after="photo.finished").code == KILLED
    [half] = inbox.house.originals.glob(".*.part")
    name = half.name[1:].rpartition(".part")[0].rpartition(".")[0]  # .me.png.0123456789abcdef.part
    inbox.count(photo(inbox.house.originals / name, seed=70))
    inbox.run()
    assert inbox.faults() == [], inbox.log()


@pytest.mark.parametrize(
    ("waypoint", "after"),
    [
        ("move.copied", "photo.admitted"),  # on its way into the state folder
        ("move.doubled", "photo.admitted"),
        ("move.doubled", "photo.finished"),  # to the originals
        ("move.doubled", "photo.moved"),  # its mask
        ("move.doubled", "mask.moved"),  # its sidecar
        ("move.doubled", "departure.written"),  # a second copy, or what is refused
    ],
)
def test_killed_in_the_middle_of_a_copy(waypoint: str, after: str, far: Prepared) -> None:
    """Killed when a file was copied but not moved, or is in both places, and again while that is put right."""
    inbox = far.again()
    assert inbox.run(at=waypoint, after=after).code == KILLED
    killed_at = inbox.killed_while_recovering()
    assert "recovery.ended" in killed_at
    assert "move.twin_found" in killed_at or waypoint != "move.doubled"
    assert inbox.faults() == [], inbox.log()


def test_killed_while_a_file_is_refused(launcher: Launcher, tmp_path: Path) -> None:
    """Killed when a broken file is in the inbox and in failed/: there is one of it afterwards, with its explanation."""
    root = tmp_path / "house"
    root.mkdir()
    with disks.disks_at(root / "inbox"):
        inbox = Inbox(House(root), launcher)
        furnish(inbox.house, "move")
        inbox.drop(inbox.house.inbox / "notes.png", pictures=0, seed=1, wish=parts("notes"))
        assert inbox.run(at="move.doubled").code == KILLED
        inbox.run()
        assert inbox.faults() == [], inbox.log()
