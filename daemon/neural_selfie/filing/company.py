"""What travels with a photo: its sidecar and its mask. Both are found again after a crash that parted them from it.

A mask keeps the name that its sidecar calls it by and is known by its content; a sidecar is called after its photo. All
of this may be begun again at any point; what has arrived is left where it is.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from neural_selfie import files, waypoints
from neural_selfie.config import masks, sidecars
from neural_selfie.config.catalogue import sha256_of
from neural_selfie.errors import SelfieError
from neural_selfie.files import names
from neural_selfie.filing.desk import Desk
from neural_selfie.model import MaskUse, Photo

_SUFFIXES = (".yaml", ".yml")

log = structlog.get_logger()


def bring(desk: Desk, photo: Photo, target: Path) -> Path | None:
    """Given a photo that has come to the state folder from `photo.path` and lies at `target`, let its company follow.

    Return where its sidecar is now, or None. The mask first: which one it is, the sidecar beside it says.
    """
    if not os.path.lexists(photo.path):  # else another photo has the name by now, and what lies beside it is that one's
        _bring_mask(desk, photo, target)
        _bring_sidecar(photo.path, target)
    return next((path for path in _sidecars_at_work(target) if path.is_file()), None)


def put_beside(desk: Desk, photo: Photo, target: Path) -> None:
    """Put mask and sidecar of a photo, if it has them, beside it where it lies now, at `target`."""
    work, dropped_in = desk.work_path(photo), (desk.settings.inbox / photo.dropped).parent
    for mask in masks_of(desk, photo):
        places = (masks.at_work(work), masks.spelled(dropped_in, mask.name))  # it may not have been possible to take it
        if (source := next((path for path in places if is_mask(mask, path)), None)) is not None:
            called = masks.named(work)  # the same mask may have had another name when it was dropped first
            lay_mask(source, target.parent, mask.name if called is None else called.name)
            break
    if photo.sidecar is not None:
        lay_sidecar(photo.sidecar, target)


def remove(desk: Desk, photo: Photo) -> None:
    """Given a photo of the state folder that was deleted, remove its mask and sidecar."""
    work = desk.work_path(photo)
    for path in (masks.at_work(work), *_sidecars_at_work(work)):
        files.remove_if_there(path)


def masks_of(desk: Desk, photo: Photo) -> list[MaskUse]:
    """Return the masks that a photo was ever dropped with, the newest first."""
    plans = [job.plan for job in reversed(desk.ledger.jobs(photo_id=photo.id))]
    return list(dict.fromkeys(plan.mask for plan in plans if plan.mask is not None))


def beside(desk: Desk, photo: Photo) -> tuple[Path | None, Path | None]:
    """Given a photo in originals or failed, return where its sidecar and its mask are, or None."""
    places = _places_of_masks(desk, photo)
    return sidecars.beside(photo.path), next((path for mask, path in places if is_mask(mask, path)), None)


def lay_sidecar(sidecar: Path, target: Path) -> None:
    """Put a sidecar, if it is still there, beside its photo that lies at `target`."""
    if not os.path.lexists(sidecar):
        return
    name = f"{target.name}{sidecar.suffix}"
    if len(os.fsencode(name)) > names.NAME_BYTES:
        name = names.numbered(name, 2)  # cuts the stem
    try:
        files.move_exact(sidecar, target.with_name(name))
    except FileExistsError:  # somebody else's
        files.move_new(sidecar, target.parent, name)
    waypoints.reached("sidecar.moved")


def lay_mask(source: Path, folder: Path, name: str) -> None:
    """Move a mask, if it is still there, into a folder under its name, or `me (2).mask.png` ... if another has it.

    One that is there already, with the same name and content, serves both photos.
    """
    if not source.is_file() or source.is_symlink():
        return
    for number in range(1, 10_000):
        target = folder / (name if number == 1 else masks.numbered(name, number))
        with suppress(FileExistsError):
            files.move_exact(source, target)
            waypoints.reached("mask.moved")
            return
    raise FileExistsError(name)


def is_mask(mask: MaskUse, path: Path) -> bool:
    """Whether there is a file at a path, and it is this mask."""
    try:
        return path.is_file() and not path.is_symlink() and sha256_of(path) == mask.sha256
    except OSError:
        return False


def _bring_mask(desk: Desk, photo: Photo, target: Path) -> None:
    """Move the mask of a photo to the state folder; what fails for a disk or a permission is to be begun again."""
    lies = (lie for lie in _places_of_masks(desk, photo) if is_mask(*lie))
    mask, source = next(lies, (None, None))
    if mask is None or source is None:
        return
    at_work = masks.at_work(target)
    try:
        if not is_mask(mask, at_work):  # that of an older drop, which was lost
            files.remove_if_there(at_work)
        files.move_exact(source, at_work)
    except (SelfieError, OSError) as error:
        if isinstance(error, SelfieError) and error.environmental:
            raise
        log.warning("mask.not_moved", photo=photo.name, reason=str(error))
    else:
        waypoints.reached("mask.moved")


def _bring_sidecar(path: Path, target: Path) -> None:
    source = sidecars.beside(path)
    if source is None:
        return
    at_work = target.with_name(f"{target.name}{source.suffix}")
    try:
        files.move_exact(source, at_work)
    except FileExistsError:  # that of an older drop, which was lost
        files.remove_if_there(at_work)
        files.move_exact(source, at_work)
    waypoints.reached("sidecar.moved")


def _sidecars_at_work(target: Path) -> list[Path]:
    return [target.with_name(f"{target.name}{suffix}") for suffix in _SUFFIXES]


def _places_of_masks(desk: Desk, photo: Photo) -> Iterator[tuple[MaskUse, Path]]:
    """Yield each mask that a photo ever had with each place beside the photo where it may lie."""
    called = masks.named(photo.path)
    for mask in masks_of(desk, photo):
        if called is not None:
            yield mask, called
        yield from ((mask, path) for path in _numbered(photo.path.parent, mask.name))


def _numbered(folder: Path, name: str) -> Iterator[Path]:
    """Yield where in a folder the mask of a photo may be: others of its name may have come there before it."""
    path = masks.spelled(folder, name)
    number = 1
    while os.path.lexists(path):
        yield path
        number += 1
        path = folder / masks.numbered(name, number)
