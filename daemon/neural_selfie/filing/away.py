"""Out of the state folder: a photo whose jobs have all ended goes to the originals, to failed/, or is deleted.

And, after a crash, the end of every move that was written down and not finished, in whatever direction.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from neural_selfie import files, waypoints
from neural_selfie.errors import SelfieError
from neural_selfie.filing import company, explaining, taking
from neural_selfie.filing.desk import Desk
from neural_selfie.model import Job, JobState, Photo, Place

log = structlog.get_logger()


def file(desk: Desk, photo: Photo, jobs: Iterable[Job], now: float) -> Place:
    """Given a photo whose jobs have all ended, put its file where it belongs and return that place."""
    jobs = _since_the_drop(photo, list(jobs))
    failed = [job for job in jobs if job.state is JobState.FAILED]
    if photo.place is Place.KEPT:
        _explain_kept(desk, photo, failed, now)
        return Place.KEPT
    settings = desk.settings
    deletes = settings.originals.action == "delete"
    if failed or (deletes and any(job.state is not JobState.DONE for job in jobs)):
        path = _move(desk, photo, settings.failed_folder, now)
        desk.shares.check(settings.failed_folder)  # it may have gone since; what is begun is completed then
        explaining.explain_jobs(path, photo, failed, now)
        return _placed(desk, photo, Place.FAILED, path, now)
    if not deletes:
        return _placed(desk, photo, Place.ORIGINALS, _move(desk, photo, settings.originals_folder, now), now)
    files.remove_if_there(photo.path)
    waypoints.reached("photo.deleted")
    company.remove(desk, photo)
    return _placed(desk, photo, Place.DELETED, photo.path, now)


def settle_moves(desk: Desk, now: float) -> None:
    """After a crash: settle every move that was begun. What did not get away yet is still where it was."""
    for photo in desk.ledger.in_transit():
        try:
            _settle_move(desk, photo, now)
        except (SelfieError, OSError) as error:  # the others are not to wait for this one
            log.warning("photo.not_moved", photo=photo.name, reason=str(error))
        else:
            waypoints.reached("recovery.move_settled")


def _settle_move(desk: Desk, photo: Photo, now: float) -> None:
    target = photo.destination
    if target is not None and os.path.lexists(photo.path) and os.path.lexists(target):
        with suppress(FileExistsError):  # another file of that name: the move had not begun
            files.move_exact(photo.path, target)
    if target is None or os.path.lexists(photo.path):
        if target is not None:
            files.tidy_move(photo.path, target)
        desk.ledger.moving(photo.id, None, now=now)
    elif target.parent == desk.state.work:
        taking.returned(desk, photo, target, now)
    elif target.parent == desk.settings.failed_folder:
        company.put_beside(desk, photo, target)
        if desk.ledger.unfinished(photo.id) == 0:  # else it is retried, and taken back
            jobs = _since_the_drop(photo, desk.ledger.jobs(photo_id=photo.id))
            failed = [job for job in jobs if job.state is JobState.FAILED]
            explaining.explain_jobs(target, photo, failed, now)
        _placed(desk, photo, Place.FAILED, target, now)
    else:
        company.put_beside(desk, photo, target)
        _placed(desk, photo, Place.ORIGINALS, target, now)


def withdraw_kept(desk: Desk, photo: Photo) -> None:
    """Given a photo that is about to be painted, take back what failed/ says of it, if it stays in the inbox.

    Now and not when it is painted: a crash just then would leave an explanation that nobody takes back any more.
    """
    if photo.place is Place.KEPT:
        with suppress(SelfieError, OSError):
            explaining.withdraw(desk.explained_path(photo.dropped))


def explain_again(desk: Desk, now: float) -> None:
    """After a crash: explain the photos that stay in the inbox and failed without anybody having been told."""
    for photo in desk.ledger.kept.failed():
        path = desk.explained_path(photo.dropped)
        if not explaining.path_for(path).exists():
            file(desk, photo, desk.ledger.jobs(photo_id=photo.id), now)
            waypoints.reached("recovery.explained")


def _explain_kept(desk: Desk, photo: Photo, failed: list[Job], now: float) -> None:
    """A photo that stays in the inbox has nothing in failed/ but the explanation, as long as it holds."""
    desk.shares.check(desk.settings.failed_folder)
    path = desk.explained_path(photo.dropped)
    if failed:
        explaining.explain_jobs(path, photo, failed, now)
    else:
        explaining.withdraw(path)


def _move(desk: Desk, photo: Photo, folder: Path, now: float) -> Path:
    """Move a photo's file into a folder under a name that is free there, written down first."""
    desk.shares.check(folder)
    begun = photo.destination  # moved before, but what was to follow failed: the disk was full, say
    if begun is not None and begun.parent == folder and os.path.lexists(begun):
        try:
            files.move_exact(photo.path, begun)  # of what is there already only the folder is synced
        except FileExistsError:  # another file of that name
            pass
        else:
            company.put_beside(desk, photo, begun)
            return begun
    for name in explaining.free_names(photo.dropped.name):
        target = folder / name
        if os.path.lexists(target):
            continue
        desk.ledger.moving(photo.id, target, now=now)
        waypoints.reached("destination.written")
        try:
            files.move_exact(photo.path, target)
        except FileExistsError:
            continue
        waypoints.reached("photo.moved")
        company.put_beside(desk, photo, target)
        return target
    raise FileExistsError(photo.dropped.name)


def _placed(desk: Desk, photo: Photo, place: Place, path: Path, now: float) -> Place:
    desk.ledger.set_place(photo.id, place, path=path, sidecar=None, now=now)
    waypoints.reached("photo.filed")
    return place


def _since_the_drop(photo: Photo, jobs: list[Job]) -> list[Job]:
    """Leave out what a preset that is no more made of an earlier drop, if there is anything newer."""
    return [job for job in jobs if (job.finished_at or 0.0) >= photo.dropped_at] or jobs
