"""The life of a job: `step` says what an event makes of it, by the one table of `transitions`.

Pure: no clock (every event carries `now`), no file system, no ledger. `step` answers with the job as it is afterwards
and with commands; the service performs them. Guaranteed: what is not in the table does not happen, and the result of an
older attempt never touches a newer one.
"""

from dataclasses import dataclass, replace
from typing import Any

from neural_selfie.lifecycle.commands import Command, EndWorker, FilePhoto, Publish, TakeBack
from neural_selfie.lifecycle.events import (
    CancelRequested,
    DroppedAgain,
    Event,
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
    kind_of,
)
from neural_selfie.lifecycle.transitions import (
    FINISHED,
    TRANSITIONS,
    IllegalTransitionError,
    StaleAttemptError,
    diagram,
)
from neural_selfie.model import Job, JobState

__all__ = [
    "FINISHED",
    "TRANSITIONS",
    "CancelRequested",
    "Command",
    "DroppedAgain",
    "EndWorker",
    "Event",
    "FilePhoto",
    "IllegalTransitionError",
    "Interrupted",
    "PhotoLost",
    "Publish",
    "PublishDelayed",
    "Published",
    "RenderFailed",
    "Rendered",
    "Retried",
    "RetryPolicy",
    "SpoolLost",
    "StaleAttemptError",
    "Started",
    "TakeBack",
    "Waits",
    "Woken",
    "diagram",
    "kind_of",
    "step",
]

_DEADLY = (
    "The daemon itself ended {} times in a row while it painted this photo: killed, out of memory, or without power. "
    "Try it again when that has been looked into."
)
_WITH_PICTURE = frozenset({JobState.RENDERED, JobState.DONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a failing job is tried, and how long it rests in between (doubling, up to the ceiling).

    `deaths`: how often in a row the daemon itself may die while it paints a job.
    """

    attempts: int = 3
    deaths: int = 5
    backoff_seconds: float = 10.0
    backoff_ceiling_seconds: float = 600.0


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
