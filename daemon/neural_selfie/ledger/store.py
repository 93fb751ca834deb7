"""`Ledger`: every question and every change that the daemon and the commands have for the ledger, typed.

Each changing method is one transaction. What may happen to a job is decided by `lifecycle.step`, what a drop means by
`admission`; here is neither a clock (`now` comes with the call or the event) nor a look at any photo file. Threads may
share a Ledger (one connection, one lock); another process opens its own and asks `data_version` for news.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import EllipsisType
from typing import Self

from neural_selfie.errors import UsageError
from neural_selfie.ledger.admission import Admission, Drop, admit_known, admit_new
from neural_selfie.ledger.bystanders import Departures, Drops, Kept, Masks
from neural_selfie.ledger.database import Database, open_database
from neural_selfie.ledger.entries import GONE, PHOTO_GONE, advance, job_by_id, photo_by_id, write_down
from neural_selfie.ledger.rows import LedgerEvent, canonical_json, event_from, job_from, path_bytes, photo_from
from neural_selfie.ledger.wishes import Wishes
from neural_selfie.lifecycle import (
    FINISHED,
    CancelRequested,
    Command,
    Event,
    IllegalTransitionError,
    PhotoLost,
    Retried,
    RetryPolicy,
    Started,
)
from neural_selfie.model import Job, JobState, Photo, PhotoFacts, Place, Plan

READABLE = frozenset({Place.STATE, Place.KEPT})  # where a worker finds the file of a photo


def open_ledger(state: Path, *, read_only: bool = False, untouched: bool = False) -> "Ledger":
    """Given the state folder, return its ledger, made or migrated where needed; use it in a `with`.

    Raise FileNotFoundError if it is to be read only and there is none yet; ConfigError if the file is damaged, newer
    than this program or no ledger; PermissionDeniedError or StorageUnavailableError if it cannot be used.
    """
    return Ledger(open_database(state, read_only=read_only, untouched=untouched))


class Ledger:
    """An open ledger; `open_ledger` makes one. Ids that do not exist raise UsageError.

    `kept`, `departures`, `drops`, `masks`, `wishes`: what no photo's row tells; `together()` is one transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.kept, self.departures = Kept(database), Departures(database)
        self.drops, self.masks, self.wishes = Drops(database), Masks(database), Wishes(database)
        self.together = database.writing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._database.close()

    # -- photos

    def admit(
        self,
        facts: PhotoFacts,
        *,
        name: str,
        dropped: Path,
        path: Path,
        sidecar: Path | None,
        folder: Callable[[int], str],
        plans: Sequence[Plan],
        now: float,
        is_there: Callable[[str], bool],
    ) -> Admission:
        """Given a whole photo at `path` and the pictures it asks for, write both down and return what is new in it.

        `folder(digits)` names its outbox folder with that many digits of the hash; `is_there(output)` says whether a
        published picture still lies in the outbox. May be repeated after a crash at any point: see `admission`.
        """
        drop = Drop(name=name, dropped=dropped, path=path, sidecar=sidecar, now=now)
        # Asked before the transaction: the outbox may be slow, and nobody else publishes.
        known = self.photo_by_sha256(facts.sha256)
        done = [] if known is None else self.jobs(photo_id=known.id, state=JobState.DONE)
        pictures_gone = {job.id for job in done if job.output is not None and not is_there(job.output)}
        with self._database.writing():
            photo = self.photo_by_sha256(facts.sha256)
            if photo is None:
                return admit_new(self._database, facts, drop, folder, plans)
            return admit_known(self._database, photo, drop, plans, pictures_gone)

    def photo(self, photo_id: int) -> Photo:
        """Given its number, return the photo."""
        return photo_by_id(self._database, photo_id)

    def photo_by_sha256(self, sha256: str) -> Photo | None:
        """Given the SHA-256 of a file's bytes in hexadecimal, return the photo, or None."""
        row = self._database.row("photo_by_sha256", sha256=sha256)
        return None if row is None else photo_from(row)

    def photos(self, place: Place | None = None) -> list[Photo]:
        """Return the photos at a place, or all, oldest first."""
        if place is None:
            return [photo_from(row) for row in self._database.rows("photos")]
        return [photo_from(row) for row in self._database.rows("photos_by_place", place=place)]

    def in_transit(self) -> list[Photo]:
        """Return the photos whose file was about to be moved: it is at `path` or at `destination`."""
        return [photo_from(row) for row in self._database.rows("photos_in_transit")]

    def to_file(self) -> list[Photo]:
        """Return the photos in the state folder that no unfinished job needs: every FilePhoto not yet carried out."""
        return [photo_from(row) for row in self._database.rows("photos_to_file")]

    def to_take_back(self) -> list[Photo]:
        """Return the photos in originals or failed that a job waits for: every TakeBack not yet carried out."""
        return [photo_from(row) for row in self._database.rows("photos_to_take_back")]

    def moving(self, photo_id: int, destination: Path | None, *, now: float) -> Photo:
        """Given where a photo's file is about to be moved, write that down (None: it is not moved after all)."""
        with self._database.writing():
            self.photo(photo_id)
            self._database.run("photo_moving", id=photo_id, destination=path_bytes(destination))
            shown = None if destination is None else str(destination)
            write_down(self._database, photo_id, None, "photo.moving", now, destination=shown)
            return self.photo(photo_id)

    def set_place(
        self,
        photo_id: int,
        place: Place,
        *,
        path: Path | None = None,
        destination: Path | None = None,
        sidecar: Path | EllipsisType | None = ...,
        now: float,
    ) -> Photo:
        """Given where a photo's file now is, write that down; `path` None and `sidecar` ... leave those as they are.

        For `lost` and `deleted`, jobs still in the line are cancelled with it; those already painting may finish.
        """
        with self._database.writing():
            before = self.photo(photo_id)
            self._database.run(
                "photo_place",
                id=photo_id,
                place=place,
                path=path_bytes(path or before.path),
                destination=path_bytes(destination),
                sidecar=path_bytes(before.sidecar if isinstance(sidecar, EllipsisType) else sidecar),
            )
            detail = {"from": before.place, "to": place, "path": str(path or before.path)}
            write_down(self._database, photo_id, None, "photo.moved", now, **detail)
            if place in GONE:
                self._cancel_line(photo_id, now)
            return self.photo(photo_id)

    def _cancel_line(self, photo_id: int, now: float) -> None:
        lost = PhotoLost(reason=PHOTO_GONE, now=now)
        for job in self.jobs(photo_id=photo_id):
            if job.state in (JobState.QUEUED, JobState.WAITING):
                advance(self._database, job, lost, place=Place.LOST, policy=RetryPolicy())

    # -- jobs

    def job(self, job_id: int) -> Job:
        """Given its number, return the job."""
        return job_by_id(self._database, job_id)

    def jobs(
        self,
        state: JobState | None = None,
        *,
        photo_id: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Job]:
        """Return the jobs in a state, of a photo, or all; in the order in which they were made, or the reverse."""
        # One statement each: an optional argument inside one statement would make SQLite read the whole table.
        by = "_by_photo" if photo_id is not None else "" if state is None else "_by_state"
        name = f"jobs{by}_newest_first" if newest_first else f"jobs{by}"
        rows = self._database.rows(name, state=state, photo_id=photo_id, limit=-1 if limit is None else limit)
        return [job_from(row) for row in rows]

    def next_queued(self, now: float, *, exclude: Collection[int] = ()) -> Job | None:
        """Return the longest waiting queued job that may start now, whose photo can be read and that is not excluded.

        Photos not yet taken in, on their way somewhere, or filed away do not count as readable.
        """
        row = self._database.row("job_next", now=now, exclude=canonical_json(sorted(exclude)))
        return None if row is None else job_from(row)

    def queued_beside(self, job_id: int, now: float) -> list[Job]:
        """Given a queued job, return the others of its photo that may start now and never failed, in their order."""
        return [job_from(row) for row in self._database.rows("jobs_beside", id=job_id, now=now)]

    def next_due_at(self, now: float) -> float | None:
        """Return when, after `now`, the next queued, waiting or rendered job is to be looked at again, or None."""
        at: float | None = self._database.rows("next_due_at", now=now)[0]["at"]
        return at

    def due_waiting(self, now: float) -> list[Job]:
        """Return the waiting jobs whose cause is to be looked at again."""
        return [job_from(row) for row in self._database.rows("jobs_due", state=JobState.WAITING, now=now)]

    def due_rendered(self, now: float) -> list[Job]:
        """Return the rendered jobs that are to be published now: every Publish not yet carried out."""
        return [job_from(row) for row in self._database.rows("jobs_due", state=JobState.RENDERED, now=now)]

    def apply(self, job_id: int, event: Event, *, policy: RetryPolicy) -> tuple[Job, tuple[Command, ...]]:
        """Given what happened to a job, write what follows from it and return the job and what is to be done.

        Raise IllegalTransitionError or StaleAttemptError as `lifecycle.step` does, the former also for a start while
        the photo cannot be read; UsageError for a retry whose photo is gone. Nothing is changed then.
        """
        with self._database.writing():
            job = self.job(job_id)
            place = self.photo(job.photo_id).place
            if isinstance(event, Started) and place not in READABLE:
                raise IllegalTransitionError(job.state, event)
            if isinstance(event, Retried) and place in GONE:
                raise UsageError(f"The photo of job {job_id} is gone. Drop it again to have it painted.")
            return advance(self._database, job, event, place=place, policy=policy)

    def start(self, job_ids: Sequence[int], *, now: float, policy: RetryPolicy) -> list[Job]:
        """Given queued jobs that a worker is to paint in one go, start them in one transaction and return them.

        Those that another process has taken out of the line meanwhile, or whose photo cannot be read, are left out.
        """
        with self._database.writing():
            found = [(job, self.photo(job.photo_id).place) for job in map(self.job, job_ids)]
            return [
                advance(self._database, job, Started(now=now), place=place, policy=policy)[0]
                for job, place in found
                if job.state is JobState.QUEUED and not job.cancel_requested and place in READABLE
            ]

    def retry(self, job_id: int, *, now: float) -> Job:
        """Given a failed, cancelled or waiting job, queue it anew; raise UsageError for any other.

        The daemon finds out by itself (`data_version`, `to_take_back`).
        """
        try:
            return self.apply(job_id, Retried(now=now), policy=RetryPolicy())[0]
        except IllegalTransitionError as error:
            raise UsageError(
                f"Job {job_id} is {error.state}; only failed, cancelled and waiting jobs can be retried."
            ) from error

    def request_cancel(self, job_id: int, *, now: float) -> Job:
        """Given a job that is not finished, cancel it, or ask the daemon to if a worker or the outbox has it.

        Raise UsageError for a finished job. Tell the two outcomes apart by the state of the returned job.
        """
        with self._database.writing():
            job = self.job(job_id)
            if job.state in FINISHED:
                raise UsageError(f"Job {job_id} is {job.state} already.")
            if job.state in (JobState.QUEUED, JobState.WAITING):
                place = self.photo(job.photo_id).place
                return advance(self._database, job, CancelRequested(now=now), place=place, policy=RetryPolicy())[0]
            if not job.cancel_requested:
                self._database.run("job_ask_cancel", id=job_id)
                write_down(self._database, job.photo_id, job_id, "job.cancel_asked", now)
            return self.job(job_id)

    def cancel_requests(self) -> list[Job]:
        """Return the unfinished jobs that somebody asked to cancel: the daemon applies CancelRequested to them."""
        return [job_from(row) for row in self._database.rows("jobs_asked_to_cancel")]

    def unfinished(self, photo_id: int) -> int:
        """Return how many jobs of a photo are queued, running, rendered or waiting."""
        return int(self._database.rows("unfinished", photo_id=photo_id)[0]["jobs"])

    def counts(self) -> dict[JobState, int]:
        """Return the number of jobs in each state, zeros included."""
        found = {row["state"]: row["jobs"] for row in self._database.rows("counts")}
        return {state: found.get(state, 0) for state in JobState}

    def events(self, *, job_id: int | None = None, photo_id: int | None = None) -> list[LedgerEvent]:
        """Return the history of a job, of a photo with all its jobs, or of everything, oldest first."""
        by = "_by_job" if job_id is not None else "" if photo_id is None else "_by_photo"
        return [event_from(row) for row in self._database.rows(f"events{by}", job_id=job_id, photo_id=photo_id)]

    def data_version(self) -> int:
        """Return a number that changes whenever another process has written; cheap enough to ask every second."""
        return int(self._database.rows("data_version")[0][0])

    def check(self) -> list[str]:
        """Return what is wrong with the ledger, a sentence each (rules, references, pages); [] if all is well."""
        found = [str(row["violation"]) for row in self._database.rows("violations")]
        found += [f"a row of {row[0]} points to a missing {row[2]}" for row in self._database.rows("broken_references")]
        return found + [str(row[0]) for row in self._database.rows("broken_pages") if row[0] != "ok"]
