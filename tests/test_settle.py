"""Settling: when a file counts as finished, proven with a clock that the tests turn."""

import math
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from neural_selfie.inbox.settle import FileFacts, Settler

ME = Path("/inbox/me.jpg")
YOU = Path("/inbox/you.jpg")


def facts(size: int = 1000, mtime_ns: int = 1, inode: int = 7) -> FileFacts:
    """Return facts that differ only in what a test names."""
    return FileFacts(size, mtime_ns, inode, 1)


def test_facts_come_from_lstat(tmp_path: Path) -> None:
    """The facts of a real file are those of the file system."""
    path = tmp_path / "me.jpg"
    path.write_bytes(b"12345")
    status = path.lstat()
    assert FileFacts.of(status) == FileFacts(5, status.st_mtime_ns, status.st_ino, status.st_dev)


def test_a_quiet_file_is_offered_once() -> None:
    """Quiet for the quiet time: offered, not earlier, not twice."""
    settler = Settler(5, 60)
    assert not settler.observe(ME, facts(), 0)
    assert settler.due(4.9) == []
    assert settler.next_due(4.0) == 1.0
    assert settler.due(5) == [ME]
    assert settler.due(6) == []
    assert len(settler) == 1


def test_each_kind_of_change_starts_the_quiet_time_anew() -> None:
    """Size, mtime and inode each count as a change; looking again without one does not."""
    settler = Settler(5, 60)
    settler.observe(ME, facts(), 0)
    for now, changed in ((3, facts(size=2000)), (6, facts(2000, mtime_ns=2)), (9, facts(2000, 2, inode=8))):
        settler.observe(ME, changed, now)
    settler.observe(ME, facts(2000, 2, 8), 13)
    assert settler.due(13.9) == []
    assert settler.due(14) == [ME]


def test_a_file_that_never_rests_is_offered_at_the_ceiling() -> None:
    """A file that changes every second is read after the ceiling all the same, and again only a ceiling later."""
    settler = Settler(5, 20)
    offered = []
    for second in range(50):
        settler.observe(ME, facts(size=1000 + second), second)
        offered += [second for _ in settler.due(second)]
    assert offered == [20, 40]


def test_an_empty_file_waits_for_the_ceiling() -> None:
    """Being quiet says nothing about an empty file; the first byte starts the quiet time."""
    settler = Settler(5, 60)
    settler.observe(ME, facts(size=0), 0)
    settler.observe(YOU, facts(size=0), 0)
    assert settler.due(19) == []
    settler.observe(YOU, facts(size=1), 20)
    assert settler.due(25) == [YOU]
    assert settler.due(59) == []
    assert settler.due(60) == [ME]


def test_a_change_that_no_event_told_is_noticed_before_reading() -> None:
    """Where no events arrive, the look before reading decides; past the ceiling a change does not matter."""
    settler = Settler(5, 20)
    settler.observe(ME, facts(), 0)
    assert settler.due(5) == [ME]
    assert not settler.observe(ME, facts(size=2000), 5)
    assert settler.due(10) == [ME]
    assert settler.observe(ME, facts(size=2000), 10)
    other = Settler(5, 8)
    other.observe(ME, facts(), 0)
    other.observe(ME, facts(size=2000), 4)
    assert other.due(8) == [ME]
    assert other.observe(ME, facts(size=3000), 8)


def test_growth_without_events_reaches_the_ceiling() -> None:
    """A file that has grown at every look is still read once the ceiling has passed since it was first seen."""
    settler = Settler(5, 20)
    settler.observe(ME, facts(), 0)
    read_at = None
    for second in range(1, 40):
        if read_at is None and ME in settler.due(second) and settler.observe(ME, facts(size=1000 + second), second):
            read_at = second
    assert read_at == 20


def test_a_truncated_photo_comes_again_and_its_time_is_told() -> None:
    """Patience counts from the first truncated look, and begins anew when the file has changed since."""
    settler = Settler(5, 60)
    settler.observe(ME, facts(), 0)
    assert settler.due(5) == [ME]
    assert settler.postpone(ME, 5, 10) == 0
    assert settler.due(14) == []
    assert settler.due(15) == [ME]
    assert settler.postpone(ME, 16, 10) == 11
    settler.observe(ME, facts(size=2000), 17)
    assert settler.due(22) == [ME]
    assert settler.postpone(ME, 22, 10) == 0


def test_a_forgotten_path_is_gone_and_may_come_back() -> None:
    """Forgetting ends the wait, also of a path that is unknown; a new sighting begins a new one."""
    settler = Settler(5, 60)
    settler.observe(ME, facts(), 0)
    settler.forget(ME)
    settler.forget(YOU)
    assert len(settler) == 0
    assert settler.next_due(0) is None
    assert settler.due(100) == []
    assert settler.postpone(ME, 100, 1) == 0
    settler.observe(ME, facts(), 101)
    assert settler.due(106) == [ME]


def test_an_offered_path_that_nobody_took_comes_again() -> None:
    """A caller that loses an offered path does not lose the photo."""
    settler = Settler(5, 60)
    settler.observe(ME, facts(), 0)
    assert settler.due(5) == [ME]
    assert settler.due(64) == []
    assert settler.due(65) == [ME]


def test_longest_waiting_first() -> None:
    """Photos are offered in the order in which they became quiet, whatever their names."""
    settler = Settler(5, 60)
    paths = [Path(f"/inbox/{name}.jpg") for name in "zaqbx"]
    for now, path in enumerate(paths):
        settler.observe(path, facts(), now)
    assert settler.due(100) == paths


def test_a_ceiling_of_zero_does_not_spin() -> None:
    """Extreme settings only make it eager: every call offers the path once."""
    settler = Settler(0, 0)
    settler.observe(ME, facts(), 0)
    assert settler.due(0) == [ME]
    assert settler.due(0) == [ME]


def test_fifty_thousand_paths_cost_next_to_nothing_per_tick() -> None:
    """A thousand ticks over 50,000 waiting paths take milliseconds, because none looks at all of them."""
    settler = Settler(5, 60)
    paths = [Path(f"/inbox/{number}.jpg") for number in range(50_000)]
    for path in paths:
        settler.observe(path, facts(), 0)
    started = time.perf_counter()
    for _ in range(1000):
        settler.due(1)
        settler.next_due(1)
    assert time.perf_counter() - started < 1.0  # a look at each of them takes 5 s and more
    assert len(settler.due(5)) == 50_000


def test_endless_changes_do_not_fill_the_memory() -> None:
    """A file that flickers between empty and not, and paths that come and go, leave nothing behind."""
    settler = Settler(5, 1e9)
    for second in range(10_000):
        settler.observe(ME, facts(size=second % 2), second)
        path = Path(f"/inbox/{second}")
        settler.observe(path, facts(), second)
        settler.forget(path)
    assert len(settler._heap) < 200


class AgainstAPlainModel(RuleBasedStateMachine):
    """Any order of sightings, ticks, postponements and losses agrees with the rule written down plainly."""

    def __init__(self) -> None:
        super().__init__()
        self.settler = Settler(5, 30)
        self.now = 0.0
        self.size: dict[Path, int] = {}
        self.first: dict[Path, float] = {}
        self.changed: dict[Path, float] = {}

    @rule(path=st.sampled_from([ME, YOU]), size=st.integers(0, 2))
    def observe(self, path: Path, size: int) -> None:
        """Somebody wrote, or a scan looked again."""
        if self.size.get(path) != size:
            self.changed[path] = self.now
        self.size[path] = size
        self.first.setdefault(path, self.now)
        self.settler.observe(path, facts(size=size), self.now)

    @rule(seconds=st.floats(0.1, 20))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @precondition(lambda self: self.size)
    @rule()
    def tick(self) -> None:
        """What is offered is exactly what the rule says, and is then taken in."""
        expected = {
            path
            for path in self.size
            if self.now >= self.first[path] + 30 or (self.size[path] and self.now >= self.changed[path] + 5)
        }
        assert set(self.settler.due(self.now)) == expected
        for path in expected:
            self.forget(path)

    @rule(path=st.sampled_from([ME, YOU]))
    def forget(self, path: Path) -> None:
        """The file is taken in, or gone."""
        self.settler.forget(path)
        for known in (self.size, self.first, self.changed):
            known.pop(path, None)

    @invariant()
    def counts(self) -> None:
        """As many wait as were seen; the next time is known exactly when something waits."""
        assert len(self.settler) == len(self.size)
        times = [
            min(self.first[path] + 30, self.changed[path] + 5 if self.size[path] else math.inf) for path in self.size
        ]
        expected = max(0.0, min(times) - self.now) if times else None
        assert self.settler.next_due(self.now) == expected


TestAgainstAPlainModel = AgainstAPlainModel.TestCase
TestAgainstAPlainModel.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_next_due_is_when_something_is_due(times: list[float]) -> None:
    """Sleeping exactly `next_due` seconds always finds something to do."""
    settler = Settler(1, 10)
    for number, now in enumerate(sorted(times)):
        settler.observe(Path(f"/{number}"), facts(), now)
    now = max(times)
    seconds = settler.next_due(now)
    assert seconds is not None
    assert settler.due(now + seconds + 1e-9)
