"""The table of transitions, from its two ends: every pair of state and event, and every long story of a job."""

import pickle
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_selfie import ledger, lifecycle
from neural_selfie.lifecycle import (
    FINISHED,
    TRANSITIONS,
    CancelRequested,
    DroppedAgain,
    EndWorker,
    Event,
    FilePhoto,
    IllegalTransitionError,
    Interrupted,
    PhotoLost,
    Publish,
    PublishDelayed,
    Published,
    Rendered,
    RenderFailed,
    Retried,
    RetryPolicy,
    SpoolLost,
    StaleAttemptError,
    Started,
    TakeBack,
    Waits,
    Woken,
    step,
)
from neural_selfie.model import Job, JobState, Plan

POLICY = RetryPolicy(attempts=3, backoff_seconds=10, backoff_ceiling_seconds=600)
EVENTS: dict[type[Event], Event] = {
    type(event): event
    for event in (
        Started(now=50.0),
        Rendered(attempt=1, output="me-abc/scream.jpg", now=50.0),
        Published(now=50.0),
        PublishDelayed(cause="storage_unavailable", reason="The outbox is full.", next_try_at=80.0, now=50.0),
        SpoolLost(now=50.0),
        Waits(cause="out_of_memory", reason="The GPU is busy.", next_try_at=90.0, now=50.0, attempt=1),
        Woken(now=50.0),
        RenderFailed(attempt=1, cause="worker_died", reason="The worker died.", retryable=True, now=50.0),
        Interrupted(now=50.0),
        PhotoLost(reason="The photo is gone.", now=50.0),
        CancelRequested(now=50.0),
        Retried(now=50.0),
        DroppedAgain(now=50.0),
    )
}
PAIRS = [(state, event_type) for state, event_type in product(JobState, EVENTS)]
# Written out once more, by hand, from the design: the test's own opinion on what may happen.
LEGAL = {
    ("queued", Started): "running",
    ("queued", Waits): "waiting",
    ("queued", PhotoLost): "cancelled",
    ("queued", CancelRequested): "cancelled",
    ("running", Rendered): "rendered",
    ("running", RenderFailed): "queued",
    ("running", Waits): "waiting",
    ("running", Interrupted): "queued",
    ("running", CancelRequested): "cancelled",
    ("rendered", Published): "done",
    ("rendered", PublishDelayed): "rendered",
    ("rendered", SpoolLost): "queued",
    ("rendered", CancelRequested): "cancelled",
    ("waiting", Woken): "queued",
    ("waiting", Retried): "queued",
    ("waiting", PhotoLost): "cancelled",
    ("waiting", CancelRequested): "cancelled",
    ("done", DroppedAgain): "queued",
    ("failed", Retried): "queued",
    ("cancelled", Retried): "queued",
}


def job_in(state: JobState) -> Job:
    """Return a job of attempt 1 with all that the state calls for."""
    return Job(
        id=17,
        photo_id=4,
        plan=Plan(preset="scream", engine="patch", recipe={}, styles=()),
        state=state,
        attempts=1,
        queued_at=10.0,
        started_at=20.0,
        finished_at=30.0 if state in FINISHED else None,
        output="me-abc/scream.jpg" if state in {JobState.RENDERED, JobState.DONE} else None,
    )


def test_every_event_is_tried_below() -> None:
    """The events of these tests are all events there are."""
    assert set(EVENTS) == set(get_args(Event))


@pytest.mark.parametrize(("state", "event_type"), PAIRS, ids=lambda value: getattr(value, "__name__", value))
def test_each_pair_of_state_and_event(state: JobState, event_type: type[Event]) -> None:
    """A legal event leads where the design says; any other raises with both names and changes nothing."""
    job = job_in(state)
    event = EVENTS[event_type]
    if (state.value, event_type) in LEGAL:
        assert step(job, event, policy=POLICY)[0].state == LEGAL[state.value, event_type]
        return
    with pytest.raises(IllegalTransitionError) as caught:
        step(job, event, policy=POLICY)
    assert (caught.value.state, caught.value.event) == (state, event)
    assert str(state) in str(caught.value)
    assert job == job_in(state)


@pytest.mark.parametrize(
    ("state", "event_type", "commands"),
    [
        (JobState.RUNNING, Rendered, (Publish(17),)),
        (JobState.RENDERED, Published, (FilePhoto(4),)),
        (JobState.QUEUED, CancelRequested, (FilePhoto(4),)),
        (JobState.WAITING, CancelRequested, (FilePhoto(4),)),
        (JobState.RENDERED, CancelRequested, (FilePhoto(4),)),
        (JobState.RUNNING, CancelRequested, (EndWorker(17), FilePhoto(4))),
        (JobState.FAILED, Retried, (TakeBack(4),)),
        (JobState.CANCELLED, Retried, (TakeBack(4),)),
    ],
)
def test_commands(state: JobState, event_type: type[Event], commands: tuple[lifecycle.Command, ...]) -> None:
    """These transitions tell the service what to do, and (below) no others do."""
    assert step(job_in(state), EVENTS[event_type], policy=POLICY)[1] == commands


@pytest.mark.parametrize(
    ("state", "event_type"),
    [
        (JobState.QUEUED, Started),
        (JobState.QUEUED, Waits),
        (JobState.QUEUED, PhotoLost),
        (JobState.RUNNING, RenderFailed),
        (JobState.RUNNING, Waits),
        (JobState.RUNNING, Interrupted),
        (JobState.RENDERED, PublishDelayed),
        (JobState.RENDERED, SpoolLost),
        (JobState.WAITING, Woken),
        (JobState.WAITING, Retried),
        (JobState.WAITING, PhotoLost),
        (JobState.DONE, DroppedAgain),
    ],
)
def test_no_commands(state: JobState, event_type: type[Event]) -> None:
    """These transitions need nothing done."""
    assert step(job_in(state), EVENTS[event_type], policy=POLICY)[1] == ()


@pytest.mark.parametrize("event_type", [Rendered, RenderFailed, Waits])
def test_results_of_an_older_attempt_are_refused(event_type: type[Event]) -> None:
    """What a worker of attempt 1 reports does not touch attempt 2."""
    job = replace(job_in(JobState.RUNNING), attempts=2)
    with pytest.raises(StaleAttemptError):
        step(job, EVENTS[event_type], policy=POLICY)


def test_failures_rest_ever_longer_and_then_end_the_job() -> None:
    """Retryable failures rest 10 s, then 20 s; the third of three ends the job and files the photo."""
    job = job_in(JobState.QUEUED)
    rests = []
    for now in (100.0, 200.0, 300.0):
        job, _ = step(job, Started(now=now), policy=POLICY)
        failed = RenderFailed(attempt=job.attempts, cause="worker_died", reason="It died.", retryable=True, now=now)
        job, commands = step(job, failed, policy=POLICY)
        rests.append(job.next_try_at - now if job.state is JobState.QUEUED else None)
    assert rests == [10.0, 20.0, None]
    assert (job.state, job.failures, job.finished_at, job.reason) == (JobState.FAILED, 3, 300.0, "It died.")
    assert commands == (FilePhoto(4),)


def test_the_rest_has_a_ceiling() -> None:
    """After very many failures the rest is the ceiling, and no number overflows."""
    patient = replace(POLICY, attempts=10**6)
    job = replace(job_in(JobState.RUNNING), attempts=5000, failures=4999)
    failed = RenderFailed(attempt=5000, cause="worker_died", reason="It died.", retryable=True, now=1000.0)
    assert step(job, failed, policy=patient)[0].next_try_at == 1600.0


def test_a_permanent_failure_ends_the_job_at_once() -> None:
    """What no other attempt can change is not tried again."""
    failed = RenderFailed(attempt=1, cause="engine_failed", reason="No.", retryable=False, now=60.0)
    job, commands = step(job_in(JobState.RUNNING), failed, policy=POLICY)
    assert (job.state, job.cause, job.next_try_at, commands) == (JobState.FAILED, "engine_failed", 0.0, (FilePhoto(4),))


@pytest.mark.parametrize("event_type", [Interrupted, Waits])
def test_neither_interruption_nor_environment_counts(event_type: type[Event]) -> None:
    """A stopped daemon and a full disk are not held against the job."""
    assert step(job_in(JobState.RUNNING), EVENTS[event_type], policy=POLICY)[0].failures == 0


def test_a_job_of_which_the_daemon_dies_each_time_ends() -> None:
    """Once is forgiven, then it rests while others are painted, and after five times in a row it has failed."""
    job = job_in(JobState.RUNNING)
    ends = [step(job, Interrupted(now=100.0, deaths=deaths), policy=POLICY) for deaths in range(6)]
    assert [after.next_try_at for after, _ in ends] == [0.0, 0.0, 110.0, 120.0, 140.0, 0.0]
    assert [after.state for after, _ in ends] == [JobState.QUEUED] * 5 + [JobState.FAILED]
    assert (ends[5][0].cause, ends[5][0].failures, ends[5][1]) == ("daemon_died", 0, (FilePhoto(4),))


def test_a_waiting_job_says_why_and_until_when() -> None:
    """Cause, sentence and time of the next look are on the job while it waits, and gone when it wakes."""
    job, _ = step(job_in(JobState.RUNNING), EVENTS[Waits], policy=POLICY)
    assert (job.cause, job.reason, job.next_try_at) == ("out_of_memory", "The GPU is busy.", 90.0)
    job, _ = step(job, Woken(now=95.0), policy=POLICY)
    assert (job.cause, job.reason, job.next_try_at) == (None, None, 0.0)


def test_a_retry_wipes_the_slate_but_never_the_attempt_number() -> None:
    """A retried job starts without failures at the end of the line; late results of before stay recognisable."""
    failed = replace(job_in(JobState.FAILED), attempts=3, failures=3, cancel_requested=True)
    job, _ = step(failed, Retried(now=70.0), policy=POLICY)
    assert (job.attempts, job.failures, job.queued_at, job.finished_at) == (3, 0, 70.0, None)
    assert not job.cancel_requested


def test_a_waiting_job_that_is_retried_keeps_its_place_in_the_line() -> None:
    """Who waits through no fault of its own is not sent to the end of the line."""
    assert step(job_in(JobState.WAITING), Retried(now=70.0), policy=POLICY)[0].queued_at == 10.0


def test_errors_travel_between_processes() -> None:
    """Both errors survive pickling with state and event."""
    error = StaleAttemptError(JobState.RUNNING, EVENTS[Rendered])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - pickled on the line itself
    assert (type(copy), copy.state, copy.event) == (StaleAttemptError, JobState.RUNNING, EVENTS[Rendered])


def test_the_diagram_shows_the_table_and_nothing_else() -> None:
    """Every arrow of the diagram is a pair of states of the table with all its events, and the other way round."""
    drawn = set()
    for line in lifecycle.diagram().splitlines()[2:]:
        arrow, _, labels = line.strip().partition(": ")
        source, target = arrow.split(" --> ")
        drawn |= {(source, label.replace(" ", "_"), target) for label in labels.split(", ")}
    table = set()
    for source, row in TRANSITIONS.items():
        for event_type, targets in row.items():
            names = (targets,) if isinstance(targets, JobState) else targets
            table |= {(source.value, lifecycle.kind_of(event_type), target.value) for target in names}
    assert drawn == table
    assert lifecycle.diagram().startswith("stateDiagram-v2\n    [*] --> queued\n")


def test_the_schema_notes_the_same_transitions() -> None:
    """The comment beside the ledger's list of states agrees with the table."""
    schema = Path(ledger.__file__).with_name("schema.sql").read_text()
    comments = schema.partition("plan_key ")[2].partition("CHECK (state IN")[0]
    noted: dict[str, set[str]] = {}
    for part in comments.replace("\n", " ; ").replace("--", "").split(";"):
        sources, arrow, targets = part.partition("->")
        for source in sources.split(",") if arrow else ():
            noted[source.strip()] = {target.split("(")[0].strip() for target in targets.split(",")}
    table = {
        source.value: {
            state.value
            for targets in row.values()
            for state in ((targets,) if isinstance(targets, JobState) else targets)
        }
        for source, row in TRANSITIONS.items()
    }
    assert noted == table


@given(st.lists(st.sampled_from(list(EVENTS.values())), max_size=40))
def test_no_story_breaks_a_job(story: list[Event]) -> None:
    """Whatever happens in whatever order, a job stays consistent and its attempt number never falls."""
    job = Job(id=17, photo_id=4, plan=job_in(JobState.QUEUED).plan, queued_at=10.0)
    for told in story:
        event = replace(told, attempt=job.attempts) if isinstance(told, Rendered | RenderFailed | Waits) else told
        before = job
        try:
            job, _ = step(job, event, policy=POLICY)
        except IllegalTransitionError:
            assert type(event) not in TRANSITIONS[job.state]
        assert (job.id, job.photo_id, job.plan) == (before.id, before.photo_id, before.plan)
        assert before.attempts <= job.attempts <= before.attempts + 1
        assert 0 <= job.failures <= min(job.attempts, POLICY.attempts)
        assert (job.finished_at is not None) == (job.state in FINISHED)
        assert (job.output is not None) == (job.state in {JobState.RENDERED, JobState.DONE})
        assert job.state is not JobState.RUNNING or job.started_at is not None
