"""The daemon is killed with -9 at every waypoint, and at every step of what the next start does about it.

Each time the same full inbox (`crashes.full`) and the same question: is every photo in exactly one place, unharmed, and
every picture painted exactly once (`invariants.faults`)?
"""

from collections import Counter
from pathlib import Path

import pytest

from crashes import ELSEWHERE, KILLED, Ended, Inbox, Launcher, Prepared, full, furnish, prepared
from house import House
from neural_selfie.waypoints import WAYPOINTS

# Which crash leads to which step of the recovery; the second waypoint, if any, comes before it.
RECOVERIES = {
    "recovery.begun": ("photo.sighted", None),
    "recovery.move_settled": ("photo.moved", None),
    "recovery.departure_settled": ("departure.left", None),
    "recovery.taken_in": ("photo.taken", None),
    "recovery.put_back": ("job.came_back", None),
    "recovery.spool_swept": ("job.done", None),
    "recovery.part_removed": ("write.synced", "outbox.folder_made"),
    "recovery.ended": ("photo.returned", None),
}
HERE = [name for name in WAYPOINTS if name not in RECOVERIES and name not in set().union(*ELSEWHERE.values())]


@pytest.fixture(scope="module")
def morning(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A full inbox before the daemon starts."""
    return prepared(full(House(tmp_path_factory.mktemp("full") / "house"), launcher))


@pytest.fixture(scope="module")
def undisturbed(morning: Prepared) -> Ended:
    """How a daemon fares that nobody kills."""
    inbox = morning.again()
    ended = inbox.run()
    assert inbox.faults() == []
    return ended


@pytest.fixture
def inbox(morning: Prepared) -> Inbox:
    """The full inbox once more."""
    return morning.again()


def test_no_waypoint_is_forgotten(undisturbed: Ended) -> None:
    """A daemon that is left alone passes all waypoints but those of the next start and of other configurations."""
    assert set(undisturbed.passed) - {"recovery.begun", "recovery.ended"} == set(HERE)


@pytest.mark.parametrize("waypoint", HERE)
def test_killed_twice_at_the_same_waypoint(waypoint: str, inbox: Inbox, undisturbed: Ended) -> None:
    """Killed in the middle of all that passes there, and again at the first that does so after the next start."""
    middle = (Counter(undisturbed.passed)[waypoint] + 1) // 2
    assert inbox.run(at=waypoint, passing=middle).code == KILLED
    if inbox.run(at=waypoint).code == KILLED:
        inbox.run()
    assert inbox.faults() == [], inbox.log()


@pytest.mark.long
@pytest.mark.parametrize("waypoint", HERE)
@pytest.mark.parametrize("end", ["first", "last"])
def test_killed_at_either_end(waypoint: str, end: str, inbox: Inbox, undisturbed: Ended) -> None:
    """Killed when the first of all photos passes there, or the last."""
    assert inbox.run(at=waypoint, passing=1 if end == "first" else Counter(undisturbed.passed)[waypoint]).code == KILLED
    inbox.run()
    assert inbox.faults() == [], inbox.log()


@pytest.mark.parametrize("step", RECOVERIES)
def test_killed_at_a_step_of_the_recovery(step: str, inbox: Inbox) -> None:
    """Killed on its way, and again at one step of what the next start does about it."""
    waypoint, after = RECOVERIES[step]
    assert inbox.run(at=waypoint, after=after).code == KILLED
    assert inbox.run(at=step).code == KILLED
    inbox.run()
    assert inbox.faults() == [], inbox.log()


@pytest.mark.parametrize("waypoint", sorted({waypoint for waypoint, _ in RECOVERIES.values()}))
def test_killed_at_every_step_of_the_recovery(waypoint: str, inbox: Inbox) -> None:
    """Killed on its way, and then each start at the first step of its recovery that none reached before."""
    assert inbox.run(at=waypoint).code == KILLED
    assert len(inbox.killed_while_recovering()) > 1
    assert inbox.faults() == [], inbox.log()


def test_taken_away_while_it_is_refused(launcher: Launcher, tmp_path: Path) -> None:
    """Killed before a broken file moves, and somebody takes it away: nothing is explained that is not there."""
    inbox = Inbox(House(tmp_path / "house"), launcher)
    furnish(inbox.house, "move")
    broken = inbox.drop(inbox.house.inbox / "notes.png", pictures=0, seed=1)
    assert inbox.run(at="explanation.written").code == KILLED
    broken.unlink()
    inbox.run()
    assert list(inbox.house.failed.iterdir()) == []
