"""Single photos, jobs and lines of history. What writes here expects to be inside `Database.writing`.

Decides nothing: what may happen to a job is in `lifecycle`, what a drop means is in `admission`.
"""

from dataclasses import asdict

from neural_selfie.errors import UsageError
from neural_selfie.ledger.database import Database
from neural_selfie.ledger.rows import canonical_json, job_from, photo_from, plan_json, plan_key, speakable
from neural_selfie.lifecycle import Command, Event, PhotoLost, RetryPolicy, kind_of, step
from neural_selfie.model import Job, JobState, Photo, Place, Plan

GONE = frozenset({Place.DELETED, Place.LOST})
PHOTO_GONE = "The photo is gone. Drop it again to have it painted."


def write_down(database: Database, photo_id: int, job_id: int | None, kind: str, at: float, **detail: object) -> None:
    """Given what happened to a photo or a job and when, append it to the history."""
    database.run("event_add", photo_id=photo_id, job_id=job_id, at=at, kind=kind, detail=canonical_json(detail))


def photo_by_id(database: Database, photo_id: int) -> Photo:
    """Given a photo's number, return the photo; raise UsageError if there is none."""
    row = database.row("photo_by_id", id=photo_id)
    if row is None:
        raise UsageError(f"There is no photo {photo_id}.")
    return photo_from(row)


def job_by_id(database: Database, job_id: int) -> Job:
    """Given a job's number, return the job; raise UsageError if there is none."""
    row = database.row("job_by_id", id=job_id)
    if row is None:
        raise UsageError(f"There is no job {job_id}. `neural-selfie status` lists them.")
    return job_from(row)


def job_of_plan(database: Database, photo_id: int, plan: Plan) -> Job | None:
    """Given a photo and a plan, return the photo's job for it, or None."""
    row = database.row("job_by_plan", photo_id=photo_id, plan_key=plan_key(plan))
    return None if row is None else job_from(row)


def add_job(database: Database, photo_id: int, plan: Plan, now: float) -> Job:
    """Given a photo and a plan that it has no job for, return the new job, queued."""
    key = plan_key(plan)
    job_id = database.run("job_add", photo_id=photo_id, plan=plan_json(plan), plan_key=key, queued_at=now)
    write_down(database, photo_id, job_id, "job.queued", now, to=JobState.QUEUED)
    return job_by_id(database, job_id)


def advance(
    database: Database, job: Job, event: Event, *, place: Place, policy: RetryPolicy
) -> tuple[Job, tuple[Command, ...]]:
    """Given a job, what happened to it and where its photo is, write what `lifecycle.step` says and return that.

    A job that would go back into the line although its photo is gone is cancelled in the same breath. Raise as `step`.
    """
    after, commands = step(job, event, policy=policy)
    _write(database, job, after, event)
    if place in GONE and after.state in (JobState.QUEUED, JobState.WAITING):
        lost = PhotoLost(reason=PHOTO_GONE, now=event.now)
        queued = after
        after, _ = step(queued, lost, policy=policy)
        _write(database, queued, after, lost)
    return after, commands


def _write(database: Database, before: Job, after: Job, event: Event) -> None:
    database.run(
        "job_write",
        id=after.id,
        state=after.state,
        attempts=after.attempts,
        failures=after.failures,
        queued_at=after.queued_at,
        started_at=after.started_at,
        finished_at=after.finished_at,
        next_try_at=after.next_try_at,
        cause=after.cause,
        reason=speakable(after.reason),
        cancel_requested=after.cancel_requested,
        output=after.output,
    )
    detail = {key: value for key, value in asdict(event).items() if key != "now" and value is not None}
    kind = f"job.{kind_of(type(event))}"
    moved = {"from": before.state, "to": after.state}
    write_down(database, after.photo_id, after.id, kind, event.now, **detail, **moved)
