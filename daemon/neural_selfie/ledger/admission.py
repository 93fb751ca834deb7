"""What it means that a photo was dropped: a new photo, the same one seen twice, or an old one dropped again.

Looks at no file; the caller says where the dropped file is and which pictures are still there. Everything here
expects to be inside `Database.writing`, so a drop is in the ledger wholly or not at all. A crash before the file is
taken in leaves `place=inbox` and the path: the next scan admits the same path again and changes nothing.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from neural_selfie.ledger.database import Database
from neural_selfie.ledger.entries import add_job, advance, job_of_plan, photo_by_id, write_down
from neural_selfie.ledger.rows import path_bytes, speakable
from neural_selfie.lifecycle import DroppedAgain, Retried, RetryPolicy
from neural_selfie.model import Job, JobState, Photo, PhotoFacts, Place, Plan

FOLDER_DIGITS = (6, 8, 12, 64)  # of the hash in the outbox folder's name; more only where names clash


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A file in the inbox, as `Ledger.admit` was told of it."""

    name: str
    dropped: Path
    path: Path
    sidecar: Path | None
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a drop led to.

    `duplicate`: the photo is being worked on from another file, so the caller files the dropped one as an extra copy;
    otherwise the dropped file is now the photo's file and, where `photo.place` is inbox, waits to be taken in.
    `known`: the ledger had these bytes before. `already_done`: planned pictures that lie in the outbox already.
    """

    photo: Photo
    new_jobs: tuple[Job, ...]
    reopened: tuple[Job, ...]
    already_done: int
    known: bool
    duplicate: bool


def admit_new(
    database: Database, facts: PhotoFacts, drop: Drop, folder: Callable[[int], str], plans: Sequence[Plan]
) -> Admission:
    """Given bytes that the ledger has never seen, write down the photo and a queued job for each plan."""
    photo_id = database.run(
        "photo_add",
        sha256=facts.sha256,
        name=speakable(drop.name),
        dropped=path_bytes(drop.dropped),
        path=path_bytes(drop.path),
        folder=_free_folder(database, folder),
        format=facts.format,
        width=facts.width,
        height=facts.height,
        size_bytes=facts.size_bytes,
        taken_at=speakable(facts.taken_at),
        dropped_at=drop.now,
        sidecar=path_bytes(drop.sidecar),
    )
    write_down(database, photo_id, None, "photo.admitted", drop.now, dropped=str(drop.dropped))
    return _with_jobs(database, photo_id, plans, now=drop.now, known=False, duplicate=False, reopen=lambda _: False)


def admit_known(
    database: Database, photo: Photo, drop: Drop, plans: Sequence[Plan], pictures_gone: Collection[int]
) -> Admission:
    """Given bytes that the ledger knows, add what is new in the drop and try again what did not come out.

    `pictures_gone`: ids of done jobs whose picture is no longer in the outbox. Failed and cancelled jobs among the
    plans are queued anew, unless this is the same drop seen again because it is not taken in yet.
    """
    same_file = photo.path == drop.path
    same_drop = same_file and photo.place is Place.INBOX
    duplicate = not same_file and _at_work(database, photo)
    if not duplicate:
        database.run(
            "photo_drop_again",
            id=photo.id,
            name=speakable(drop.name),
            dropped=path_bytes(drop.dropped),
            path=path_bytes(drop.path),
            place=Place.KEPT if same_file and photo.place is Place.KEPT else Place.INBOX,
            sidecar=path_bytes(drop.sidecar),
            dropped_at=photo.dropped_at if same_drop else drop.now,
        )
    if not same_drop:
        detail = {"dropped": str(drop.dropped), "duplicate": duplicate}
        write_down(database, photo.id, None, "photo.dropped_again", drop.now, **detail)

    def reopen(job: Job) -> bool:
        if job.state is JobState.DONE:
            replaced = database.row("job_picture_replaced", id=job.id) is not None
            return job.id in pictures_gone or replaced
        return job.state in (JobState.FAILED, JobState.CANCELLED) and not same_drop

    return _with_jobs(database, photo.id, plans, now=drop.now, known=True, duplicate=duplicate, reopen=reopen)


def _with_jobs(
    database: Database,
    photo_id: int,
    plans: Sequence[Plan],
    *,
    now: float,
    known: bool,
    duplicate: bool,
    reopen: Callable[[Job], bool],
) -> Admission:
    """Given a photo and its plans, add the jobs it lacks, reopen those that `reopen` names, and sum up."""
    photo = photo_by_id(database, photo_id)
    new: list[Job] = []
    reopened: list[Job] = []
    already_done = 0
    for plan in plans:
        job = job_of_plan(database, photo_id, plan)
        if job is None:
            new.append(add_job(database, photo_id, plan, now))
        elif reopen(job):
            event = DroppedAgain(now=now) if job.state is JobState.DONE else Retried(now=now)
            reopened.append(advance(database, job, event, place=photo.place, policy=RetryPolicy())[0])
        elif job.state is JobState.DONE:
            already_done += 1
    return Admission(
        photo=photo,
        new_jobs=tuple(new),
        reopened=tuple(reopened),
        already_done=already_done,
        known=known,
        duplicate=duplicate,
    )


def _at_work(database: Database, photo: Photo) -> bool:
    """Given a photo, say whether its present file is needed: it waits to be taken in, is in the works, or moves."""
    if photo.place in (Place.INBOX, Place.STATE) or photo.destination is not None:
        return True
    unfinished = database.rows("unfinished", photo_id=photo.id)[0]["jobs"]
    return photo.place is Place.KEPT and unfinished > 0


def _free_folder(database: Database, folder: Callable[[int], str]) -> str:
    """Given the maker of outbox folder names, return the shortest that no other photo has."""
    names = [folder(digits) for digits in FOLDER_DIGITS]
    free = (name for name in names if database.row("photo_folder_taken", folder=name) is None)
    return next(free, names[-1])
