"""Into the state folder: photos that were admitted, and photos that are to be painted again. Or they are lost."""

import os
import stat
from pathlib import Path

import structlog

from neural_selfie import files, waypoints
from neural_selfie.config.catalogue import sha256_of
from neural_selfie.errors import TruncatedPhotoError
from neural_selfie.files import names
from neural_selfie.filing import company, explaining
from neural_selfie.filing.desk import Desk
from neural_selfie.model import Photo, Place

log = structlog.get_logger()


def take_in(desk: Desk, photo: Photo, now: float) -> None:
    """Move an admitted photo (place inbox), its mask and its sidecar into the state folder; with `keep` they stay.

    Raise StorageUnavailableError or PermissionDeniedError; calling it again finishes what was begun.
    """
    if desk.keeps:
        remember_kept(desk, photo, photo.path)
        desk.ledger.set_place(photo.id, Place.KEPT, path=photo.path, now=now)
        waypoints.reached("photo.ready")
        return
    target = desk.work_path(photo)
    files.move_exact(photo.path, target, contested=True)
    waypoints.reached("photo.taken")
    refuse_swapped(photo, target)
    _ready(desk, photo, target, now)


def take_in_again(desk: Desk, photo: Photo, now: float) -> None:
    """A crash or a sick disk came between admission and taking in: finish it if the file is still the same."""
    target = desk.work_path(photo)
    if _is_file(photo.path) and sha256_of(photo.path) == photo.sha256:
        take_in(desk, photo, now)
    elif _is_file(target):  # taken in; what lies in the inbox under its name, if anything, is another photo
        files.sync_folder(target.parent)
        files.tidy_move(photo.path, target)
        _ready(desk, photo, target, now)
    else:
        desk.is_gone(photo.path)  # raises where the inbox is away: then nobody knows
        lose(desk, photo, now)


def is_unchanged(desk: Desk, photo: Photo) -> bool:
    """Whether the file that a worker will read is still the photo that was admitted.

    Raise OSError, or StorageUnavailableError if its folder is away: then nobody knows.
    """
    try:
        facts = photo.path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return not desk.is_gone(photo.path)
    if not stat.S_ISREG(facts.st_mode):
        return False
    known = desk.ledger.kept.knows(photo.path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return known or photo.place is not Place.KEPT


def remember_kept(desk: Desk, photo: Photo, path: Path) -> None:
    """Write down that a file of the inbox is this photo and stays there, so that it is not read at every scan."""
    facts = path.stat()
    desk.ledger.kept.remember(path, facts.st_size, facts.st_mtime_ns, facts.st_ino, photo.id)
    waypoints.reached("photo.remembered")


def take_back(desk: Desk, photo: Photo, now: float) -> bool:
    """Bring the file of a photo that is to be painted again back from originals or failed; False if it is gone."""
    target = desk.work_path(photo)
    if desk.is_gone(photo.path) and desk.is_gone(target):
        return False
    desk.ledger.moving(photo.id, target, now=now)
    waypoints.reached("destination.written")
    files.move_exact(photo.path, target)
    waypoints.reached("photo.returned")
    returned(desk, photo, target, now)
    return True


def returned(desk: Desk, photo: Photo, target: Path, now: float) -> None:
    """Given a photo that is back in the state folder at `target`, let its company follow and write it down."""
    if photo.place is Place.FAILED:
        explaining.withdraw(photo.path)
    _ready(desk, photo, target, now)


def give_back(desk: Desk, photo: Photo, now: float) -> None:
    """Given a photo in the state folder whose file somebody rewrote, put the file back into the inbox as a new drop.

    Its company goes first. The photo itself is lost: its pictures would be those of another one. With `keep` the file
    is in the inbox as it is.
    """
    if photo.place is Place.STATE:
        folder = (desk.settings.inbox / photo.dropped).parent
        name = photo.dropped.name
        target = (folder if folder.is_dir() else desk.settings.inbox) / name
        if not os.path.lexists(target):  # else somebody dropped another of that name meanwhile, and its company
            company.put_beside(desk, photo, target)
        files.move_new(photo.path, target.parent, name)
    lose(desk, photo, now)


def lose(desk: Desk, photo: Photo, now: float) -> None:
    """The file is gone: somebody took it away. Its jobs are cancelled with that reason."""
    if photo.place is Place.KEPT:
        desk.ledger.kept.forget(photo.path)  # should it come back, it is a new sighting
    desk.ledger.set_place(photo.id, Place.LOST, sidecar=None, now=now)
    log.warning("photo.lost", photo=photo.name, path=names.shown(photo.path))


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def refuse_swapped(photo: Photo, target: Path) -> None:
    """Given what was taken in a moment ago, put it back unless it is a file: a link may have been put in its place.

    Raise TruncatedPhotoError then: what the photo was is gone.
    """
    if not stat.S_ISREG(target.lstat().st_mode):
        files.move_new(target, photo.path.parent, photo.path.name)
        raise TruncatedPhotoError(f"{names.shown(photo.path.name)} was replaced by something that is no file.")


def _ready(desk: Desk, photo: Photo, target: Path, now: float) -> None:
    sidecar = company.bring(desk, photo, target)
    desk.ledger.set_place(photo.id, Place.STATE, path=target, sidecar=sidecar, now=now)
    waypoints.reached("photo.ready")
