"""The life of a job: its states, the events that move it, and the one table that says which event leads where.

Pure: no clock (every event carries `now`), no file system, no ledger. `step` answers with the job as it is afterwards
and with commands; the service performs them. A command is a reminder, not a promise: after a crash every one of them
can be found again in the ledger (`due_rendered`, `to_file`, `to_take_back`). Guaranteed: what is not in TRANSITIONS
does not happen, and the result of an older attempt never touches a newer one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias

from neural_selfie.errors import SelfieError
from neural_selfie.model import Job, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a failing job is tried, and how long it rests in between (doubling, up to the ceiling).

    `deaths`: how often in a row the daemon itself may die while it paints a job.
    """

    attempts: int = 3
    deaths: int = 5
    backoff_seconds: float = 10.0
    backoff_ceiling_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker was given the job; this begins a new attempt."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The picture lies, fsynced, in the state folder; `output` is where it goes, relative to the outbox."""

    attempt: int
    output: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Picture and record are in the outbox."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishDelayed:
    """The outbox cannot be written to at the moment; the picture stays in the state folder."""

    cause: str
    reason: str
    next_try_at: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLost:
    """The rendered picture is missing in the state folder, so it has to be painted again."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Something outside photo and program is missing. `attempt`: whose result says so, or None if nobody tried."""

    cause: str
    reason: str
    next_try_at: float
    now: float
    attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """What the job waited for may be there again."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderFailed:
    """The attempt ended without a picture."""

    attempt: int
    cause: str
    reason: str
    retryable: bool
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The daemon stopped or died while the job ran; nothing is held against the job.

    `deaths`: how often in a row it has died of whatever it was, this time included; 0 if it stopped as it should. Once
    may be a power cut; a photo that takes the daemon along each time is given up in the end.
    """

    now: float
    deaths: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoLost:
    """The photo's file is gone, so the job can never run."""

    reason: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """A person does not want the picture any more."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A person wants the job tried anew, with a clean slate."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedAgain:
    """The photo was dropped again after its picture had been removed from the outbox."""

    now: float


Event: TypeAlias = (
    Started
    | Rendered
    | Published
    | PublishDelayed
    | SpoolLost
    | Waits
    | Woken
    | RenderFailed
    | Interrupted
    | PhotoLost
    | CancelRequested
    | Retried
    | DroppedAgain
)


@dataclass(frozen=True, slots=True)
class Publish:
    """Bring the rendered picture and its record into the outbox."""

    job_id: int


@dataclass(frozen=True, slots=True)
class FilePhoto:
    """If no job of the photo is unfinished, move its file to where it now belongs."""

    photo_id: int


@dataclass(frozen=True, slots=True)
class EndWorker:
    """End the worker process that paints this job."""

    job_id: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Bring the photo's file back from originals or failed into the state folder."""

    photo_id: int


Command: TypeAlias = Publish | FilePhoto | EndWorker | TakeBack

_S = JobState
TRANSITIONS: Mapping[JobState, Mapping[type[Event], JobState | tuple[JobState, ...]]] = MappingProxyType(
    {
        _S.QUEUED: {
            Started: _S.RUNNING,
            Waits: _S.WAITING,
            PhotoLost: _S.CANCELLED,
            CancelRequested: _S.CANCELLED,
        },
        _S.RUNNING: {
            Rendered: _S.RENDERED,
            RenderFailed: (_S.QUEUED, _S.FAILED),
            Waits: _S.WAITING,
            Interrupted: (_S.QUEUED, _S.FAILED),
            CancelRequested: _S.CANCELLED,
        },
        _S.RENDERED: {
            Published: _S.DONE,
            PublishDelayed: _S.RENDERED,
            SpoolLost: _S.QUEUED,
            CancelRequested: _S.CANCELLED,
        },
        _S.WAITING: {
            Woken: _S.QUEUED,
            Retried: _S.QUEUED,
            PhotoLost: _S.CANCELLED,
            CancelRequested: _S.CANCELLED,
        },
        _S.DONE: {DroppedAgain: _S.QUEUED},
        _S.FAILED: {Retried: _S.QUEUED},
        _S.CANCELLED: {Retried: _S.QUEUED},
    }
)

FINISHED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})
_DEADLY = (
    "The daemon itself ended {} times in a row while it painted this photo: killed, out of memory, or without power. "
    "Try it again when that has been looked into."
)
_WITH_PICTURE = frozenset({JobState.RENDERED, JobState.DONE})


class IllegalTransitionError(SelfieError):
    """This cannot happen to a job in this state; nothing was changed. `args` are the state and the event."""

    code = "illegal_transition"

    def __init__(self, state: JobState, event: Event) -> None:
        super().__init__(state, event)
        self.state = state
        self.event = event

    def __str__(self) -> str:
        return f"A job that is {self.state} cannot take the event {kind_of(type(self.event))}."


class StaleAttemptError(IllegalTransitionError):
    """The event comes from an older attempt than the one under way; nothing was changed."""

    code = "stale_attempt"

    def __str__(self) -> str:
        return f"The event {kind_of(type(self.event))} comes from an older attempt and was dropped."


def kind_of(event_type: type[Event]) -> str:
    """Given a class of events, return its name as log and ledger write it: `RenderFailed` -> `render_failed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event_type.__name__).lower()


def step(job: Job, event: Event, *, policy: RetryPolicy) -> tuple[Job, tuple[Command, ...]]:
    """Given a job and what happened to it, return the job as it is now and what is to be done about it.

    Raise IllegalTransitionError if the table has no such transition, StaleAttemptError (one of those, too) if the
    event belongs to another attempt than the job's present one.
    """
    targets = TRANSITIONS[job.state].get(type(event))
    if targets is None:
        raise IllegalTransitionError(job.state, event)
    attempt = getattr(event, "attempt", None)
    if attempt is not None and attempt != job.attempts:
        raise StaleAttemptError(job.state, event)
    target = targets if isinstance(targets, JobState) else _fork(job, event, policy)
    finished = target in FINISHED
    changed: dict[str, Any] = {
        "state": target,
        "next_try_at": 0.0,
        "cause": None,
        "reason": None,
        "finished_at": event.now if finished else None,
        "cancel_requested": job.cancel_requested and not finished,
        "output": job.output if target in _WITH_PICTURE else None,
    }
    return replace(job, **(changed | _details(job, event, target, policy))), _commands(job, event, target)


def _fork(job: Job, event: Event, policy: RetryPolicy) -> JobState:
    """Given an event with two ways out, return the one taken."""
    if isinstance(event, Interrupted):
        again = event.deaths < policy.deaths
    else:
        again = isinstance(event, RenderFailed) and event.retryable and job.failures + 1 < policy.attempts
    return JobState.QUEUED if again else JobState.FAILED


def _details(job: Job, event: Event, target: JobState, policy: RetryPolicy) -> dict[str, Any]:
    """Given a legal event, return what it changes beyond what every transition changes."""
    details: dict[str, Any] = {}
    match event:
        case Started():
            details = {"attempts": job.attempts + 1, "started_at": event.now}
        case Rendered():
            details = {"output": event.output}
        case Waits() | PublishDelayed():
            details = {"cause": event.cause, "reason": event.reason, "next_try_at": event.next_try_at}
        case RenderFailed():
            details = {"cause": event.cause, "reason": event.reason, "failures": job.failures + 1}
            if target is JobState.QUEUED:
                details["next_try_at"] = event.now + _backoff(job.failures, policy)
        case Interrupted():
            details = _after_death(event.deaths, event.now, target, policy)
        case PhotoLost():
            details = {"cause": "photo_lost", "reason": event.reason}
        case CancelRequested():
            details = {"cause": "cancelled"}
        case Retried() | DroppedAgain():
            # A finished job joins the end of the line; a waiting one keeps its place in it.
            queued_at = event.now if job.state in FINISHED else job.queued_at
            details = {"failures": 0, "queued_at": queued_at, "cancel_requested": False}
    return details


def _after_death(deaths: int, now: float, target: JobState, policy: RetryPolicy) -> dict[str, Any]:
    """Given how often in a row the daemon died of a job, return what that changes; once counts for nothing."""
    if target is JobState.FAILED:
        return {"cause": "daemon_died", "reason": _DEADLY.format(deaths)}
    return {"next_try_at": now + _backoff(deaths - 2, policy)} if deaths > 1 else {}  # the others are painted first


def _backoff(failures: int, policy: RetryPolicy) -> float:
    """Given how many failures came before this one, return the seconds of rest that follow it."""
    doubled = policy.backoff_seconds * 2.0 ** min(failures, 60)  # beyond 60 only the ceiling counts
    return min(doubled, policy.backoff_ceiling_seconds)


def _commands(job: Job, event: Event, target: JobState) -> tuple[Command, ...]:
    """Given a job before the event and its state after it, return what the service has to do."""
    match event, target:
        case Rendered(), _:
            return (Publish(job.id),)
        case CancelRequested(), _ if job.state is JobState.RUNNING:
            return (EndWorker(job.id), FilePhoto(job.photo_id))
        case (Published() | CancelRequested(), _) | (
            RenderFailed() | Interrupted(),
            JobState.FAILED,
        ):
            return (FilePhoto(job.photo_id),)
        case Retried(), _ if job.state in FINISHED:
            return (TakeBack(job.photo_id),)
        case _:
            return ()


def diagram() -> str:
    """Return TRANSITIONS as the text of a Mermaid state diagram, one arrow per pair of states."""
    arrows: dict[tuple[JobState, JobState], list[str]] = {}
    for source, row in TRANSITIONS.items():
        for event_type, targets in row.items():
            for target in (targets,) if isinstance(targets, JobState) else targets:
                arrows.setdefault((source, target), []).append(kind_of(event_type).replace("_", " "))
    lines = ["stateDiagram-v2", "    [*] --> queued"]
    lines += [f"    {source} --> {target}: {', '.join(labels)}" for (source, target), labels in arrows.items()]
    return "\n".join(lines) + "\n"
