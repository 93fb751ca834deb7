"""Pictures that somebody asks for without dropping the photo again: one more job of a photo that the ledger knows.

Each changing method is one transaction. Looks at no file. The daemon finds out by itself (`data_version`,
`to_take_back`), as with a retry.
"""

from collections.abc import Callable

from neural_selfie.errors import UsageError
from neural_selfie.ledger.database import Database
from neural_selfie.ledger.entries import GONE, add_job, advance, job_of_plan, photo_by_id
from neural_selfie.lifecycle import DroppedAgain, Retried, RetryPolicy
from neural_selfie.model import Job, JobState, Plan


class Wishes:
    """Jobs that no drop asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def paint(self, photo_id: int, plan: Plan, *, is_there: Callable[[str], bool], now: float) -> Job:
        """Given a photo and one picture to make of it, queue that and return the job; one that failed is tried again.

        `is_there(output)` says whether a published picture still lies in the outbox. Raise UsageError if the photo is
        gone, or the picture there or on its way.
        """
        with self._database.writing():
            photo = photo_by_id(self._database, photo_id)
            if photo.place in GONE:
                raise UsageError(f"The photo {photo.name} was not kept. Drop it again to have more painted of it.")
            job = job_of_plan(self._database, photo_id, plan)
            if job is None:
                return add_job(self._database, photo_id, plan, now)
            if job.state in (JobState.FAILED, JobState.CANCELLED):
                event: Retried | DroppedAgain = Retried(now=now)
            elif job.state is JobState.DONE and not is_there(job.output or ""):
                event = DroppedAgain(now=now)
            else:
                where = "hangs here already" if job.state is JobState.DONE else "is in the line already"
                raise UsageError(f"A picture with exactly these values {where}.")
            return advance(self._database, job, event, place=photo.place, policy=RetryPolicy())[0]
