"""Random stories of drops, workers, people and crashes, told to a real ledger and to a plain dictionary beside it."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ledger_samples import POLICY, apply, drop, paint, plan
from neural_selfie.errors import UsageError
from neural_selfie.ledger import open_ledger
from neural_selfie.lifecycle import (
    CancelRequested,
    Event,
    IllegalTransitionError,
    Interrupted,
    PhotoLost,
    PublishDelayed,
    Published,
    Rendered,
    RenderFailed,
    Retried,
    SpoolLost,
    Started,
    Waits,
    Woken,
    step,
)
from neural_selfie.model import Job, JobState, Photo, Place

GONE = {Place.DELETED, Place.LOST}
FOREVER = 1e12
MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it; thousands of fsyncs cost nothing there
EVENTS: list[Event] = [
    Rendered(attempt=0, output="me/picture.jpg", now=0.0),
    Published(now=0.0),
    PublishDelayed(cause="storage_unavailable", reason="Full.", next_try_at=1e9, now=0.0),
    SpoolLost(now=0.0),
    Waits(cause="out_of_memory", reason="Busy.", next_try_at=1e9, now=0.0),
    Woken(now=0.0),
    RenderFailed(attempt=0, cause="worker_died", reason="It died.", retryable=True, now=0.0),
    RenderFailed(attempt=0, cause="engine_failed", reason="It broke.", retryable=False, now=0.0),
    Interrupted(now=0.0),
    CancelRequested(now=0.0),
    Retried(now=0.0),
]


class Stories(RuleBasedStateMachine):
    """What may happen around a ledger, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-stories-", dir=MEMORY if MEMORY.is_dir() else None))
        self.ledger = open_ledger(self.folder)
        self.jobs: dict[int, Job] = {}
        self.now = 1000.0

    def tick(self) -> float:
        """Return a time later than all before."""
        self.now += 1.0
        return self.now

    def photos(self, *places: Place) -> list[Photo]:
        """Return the photos at any of these places."""
        return [photo for photo in self.ledger.photos() if photo.place in places]

    @rule(
        seed=st.integers(0, 2),
        path=st.sampled_from(["/inbox/a.jpg", "/inbox/b.jpg"]),
        presets=st.sets(st.sampled_from("xyz"), min_size=1),
        pictures_there=st.booleans(),
    )
    def somebody_drops(self, *, seed: int, path: str, presets: set[str], pictures_there: bool) -> None:
        """A photo is dropped, perhaps again, with some presets; its pictures may have been removed."""
        plans = [plan(preset) for preset in sorted(presets)]
        before = self.ledger.photos()
        admission = drop(
            self.ledger, seed, plans, path=Path(path), now=self.tick(), is_there=lambda _output: pictures_there
        )
        assert admission.known == any(photo.id == admission.photo.id for photo in before)
        assert admission.duplicate == (admission.photo.path != Path(path))
        for job in admission.new_jobs:
            assert job.id not in self.jobs
            self.jobs[job.id] = job
        for job in admission.reopened:
            assert self.jobs[job.id].state in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}
            self.jobs[job.id] = job

    @precondition(lambda self: self.photos(Place.INBOX))
    @rule(data=st.data(), place=st.sampled_from([Place.STATE, Place.KEPT]))
    def daemon_takes_in(self, data: st.DataObject, place: Place) -> None:
        """A photo is taken in, or stays in the inbox as configured."""
        photo = data.draw(st.sampled_from(self.photos(Place.INBOX)))
        self.ledger.set_place(photo.id, place, path=None if place is Place.KEPT else Path("/state/x"), now=self.tick())

    @rule()
    def daemon_starts_the_next(self) -> None:
        """The next in line is always one that can really start."""
        job = self.ledger.next_queued(self.tick())
        if job is not None:
            self.jobs[job.id] = apply(self.ledger, job, Started(now=self.now))
            assert self.jobs[job.id].attempts == job.attempts + 1

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), told=st.sampled_from(EVENTS), late=st.booleans())
    def something_happens(self, *, data: st.DataObject, told: Event, late: bool) -> None:
        """Any event reaches any job, perhaps from an older attempt: ledger and `step` are of one opinion."""
        job = self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]
        event = replace(told, now=self.tick())
        if isinstance(event, Rendered | RenderFailed):
            event = replace(event, attempt=job.attempts - late)
        gone = self.ledger.photo(job.photo_id).place in GONE
        try:
            expected, commands = step(job, event, policy=POLICY)
        except IllegalTransitionError as error:
            with pytest.raises(UsageError if gone and isinstance(event, Retried) else type(error)):
                self.ledger.apply(job.id, event, policy=POLICY)
            return
        if gone and isinstance(event, Retried):
            with pytest.raises(UsageError):
                self.ledger.apply(job.id, event, policy=POLICY)
            return
        if gone and expected.state in {JobState.QUEUED, JobState.WAITING}:
            lost = PhotoLost(reason="The photo is gone. Drop it again to have it painted.", now=self.now)
            expected, _ = step(expected, lost, policy=POLICY)
        assert self.ledger.apply(job.id, event, policy=POLICY) == (expected, commands)
        self.jobs[job.id] = expected

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def somebody_cancels(self, data: st.DataObject) -> None:
        """A command asks for a job to be cancelled."""
        number = data.draw(st.sampled_from(sorted(self.jobs)))
        try:
            self.jobs[number] = self.ledger.request_cancel(number, now=self.tick())
        except UsageError:
            assert self.jobs[number].finished_at is not None

    @precondition(lambda self: self.ledger.to_file())
    @rule(place=st.sampled_from([Place.ORIGINALS, Place.FAILED, Place.DELETED, Place.KEPT]))
    def daemon_files(self, place: Place) -> None:
        """A photo that no job needs is moved to where it belongs."""
        self.ledger.set_place(self.ledger.to_file()[0].id, place, path=Path("/filed/x"), now=self.tick())

    @precondition(lambda self: self.ledger.to_take_back())
    @rule()
    def daemon_takes_back(self) -> None:
        """A filed photo that a job waits for again comes back."""
        photo = self.ledger.to_take_back()[0]
        self.ledger.moving(photo.id, Path("/state/x"), now=self.tick())
        self.ledger.set_place(photo.id, Place.STATE, path=Path("/state/x"), now=self.tick())

    @precondition(lambda self: self.ledger.photos())
    @rule(data=st.data())
    def somebody_removes_the_photo(self, data: st.DataObject) -> None:
        """A photo vanishes from where it was."""
        photo = data.draw(st.sampled_from(self.ledger.photos()))
        self.ledger.set_place(photo.id, Place.LOST, now=self.tick())
        for job in self.ledger.jobs(photo_id=photo.id):
            before = self.jobs[job.id]
            line = before.state in {JobState.QUEUED, JobState.WAITING}
            assert job.state is (JobState.CANCELLED if line else before.state)
            self.jobs[job.id] = job

    @rule()
    def crash_now(self) -> None:
        """The process is gone without closing anything; the next one opens the same file."""
        left_behind, self.ledger = self.ledger, open_ledger(self.folder)
        left_behind.close()

    @invariant()
    def ledger_is_well(self) -> None:
        """No rule is violated, and every job is exactly as the story left it."""
        assert self.ledger.check() == []
        assert {job.id: job for job in self.ledger.jobs()} == self.jobs

    def teardown(self) -> None:
        """From wherever the story ended, a new daemon brings every job to its end with what the ledger tells it."""
        with self.ledger as ledger:
            drain(ledger_now=self.now, machine=self)
            assert all(ledger.unfinished(photo.id) == 0 for photo in ledger.photos())
            assert self.photos(Place.INBOX, Place.STATE) == []
            assert ledger.check() == []
        shutil.rmtree(self.folder)


def drain(*, ledger_now: float, machine: Stories) -> None:
    """Given a ledger in any state, do as a starting daemon does, knowing nothing but the ledger."""
    ledger, now = machine.ledger, ledger_now + 1
    for job in ledger.jobs(JobState.RUNNING):
        apply(ledger, job, Interrupted(now=now))
    for job in ledger.cancel_requests():
        apply(ledger, job, CancelRequested(now=now))
    for photo in [*machine.photos(Place.INBOX), *ledger.to_take_back()]:
        ledger.set_place(photo.id, Place.STATE, path=Path("/state/x"), now=now)
    for job in ledger.due_rendered(FOREVER):
        apply(ledger, job, Published(now=now))
    for job in ledger.due_waiting(FOREVER):
        apply(ledger, job, Woken(now=now))
    while (job_next := ledger.next_queued(FOREVER)) is not None:
        paint(ledger, job_next, now=now)
    for photo in ledger.to_file():
        ledger.set_place(photo.id, Place.ORIGINALS, path=Path("/originals/x"), now=now)


Stories.TestCase.settings = settings(max_examples=25, stateful_step_count=30)
TestStories = Stories.TestCase
