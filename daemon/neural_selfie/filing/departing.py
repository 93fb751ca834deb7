"""Files that leave their place without being the one file of a photo: second copies, and what is refused.

Each is written down as a departure before it moves, and the departure is ended when its company has followed. After a
crash what has arrived is completed, and what had not left is seen again where it is.
"""

import os
from contextlib import suppress
from pathlib import Path

import structlog

from neural_selfie import files, waypoints
from neural_selfie.config import masks
from neural_selfie.config.catalogue import sha256_of
from neural_selfie.errors import SelfieError
from neural_selfie.files import names
from neural_selfie.filing import company, explaining
from neural_selfie.filing.desk import Desk
from neural_selfie.model import Departure, MaskUse, Photo

log = structlog.get_logger()


def file_copy(desk: Desk, path: Path, sidecar: Path | None, mask: MaskUse | None = None) -> None:
    """File a second copy of a photo that is known already, as the original was."""
    if not desk.keeps:
        own = mask is not None and company.is_mask(mask, mask.path)
        _file_copy(desk, path, sidecar, mask.path if mask is not None and own else None)


def file_failed_copy(desk: Desk, photo: Photo) -> None:
    """Given a photo in failed/ that was dropped again, file the older copy there: its reason is void."""
    try:
        if photo.path.is_file() and sha256_of(photo.path) == photo.sha256:
            if desk.keeps:
                explaining.withdraw(photo.path)
            else:
                _file_copy(desk, photo.path, *company.beside(desk, photo))
    except SelfieError as error:
        if error.environmental:  # the new drop waits for it: a reason that holds no more would stay for ever
            raise
        log.warning("photo.not_filed", photo=photo.name, reason=str(error))
    except OSError as error:
        log.warning("photo.not_filed", photo=photo.name, reason=str(error))


def refuse(desk: Desk, path: Path, error: SelfieError, now: float, sidecar: Path | None = None) -> Path:
    """Move what cannot be painted from the inbox to failed/ and say why; return where it lies now.

    A pipe, link or device is moved without being opened; where it cannot be moved it stays and only the
    explanation is written.
    """
    desk.shares.check(desk.settings.failed_folder)
    dropped = path.relative_to(desk.settings.inbox)
    if desk.keeps:
        target = desk.explained_path(dropped)
        explaining.explain(target, dropped, error.code, str(error), now)
        return target
    if (begun := _completed(desk, path)) is not None:
        return begun.destination or path
    mask = None if sidecar is None else masks.named(path)
    for name in explaining.free_names(path.name):
        target = desk.settings.failed_folder / name
        if os.path.lexists(target):
            continue
        departure = Departure(path=path, destination=target, sidecar=sidecar, mask=mask)
        _begin(desk, departure)
        # The explanation before the move: nothing lies in failed/ without one.
        explaining.explain(target, dropped, error.code, str(error), now)
        try:
            _leave(departure)
        except FileExistsError:
            continue
        except (SelfieError, OSError):
            if not _stays(desk, departure, target):
                raise
        else:
            _follow(desk, departure)
        return target
    raise FileExistsError(path.name)


def settle_departures(desk: Desk) -> None:
    """After a crash or a sick disk: complete every departure whose file has left; another has not been begun."""
    for departure in desk.ledger.departures.begun():
        try:
            _settle(desk, departure)
        except (SelfieError, OSError) as error:  # the others are not to wait for this one
            log.warning("photo.not_filed", photo=names.shown(departure.path.name), reason=str(error))
        else:
            waypoints.reached("recovery.departure_settled")


def _file_copy(desk: Desk, path: Path, sidecar: Path | None, mask: Path | None) -> None:
    if _completed(desk, path) is not None:
        return
    if desk.settings.originals.action == "delete":
        departure = Departure(path=path, destination=None, sidecar=sidecar, mask=mask)
        _begin(desk, departure)
        _leave(departure)
        _follow(desk, departure)
        return
    desk.shares.check(desk.settings.originals_folder)
    for name in explaining.free_names(path.name):
        target = desk.settings.originals_folder / name
        if os.path.lexists(target):
            continue
        departure = Departure(path=path, destination=target, sidecar=sidecar, mask=mask)
        _begin(desk, departure)
        try:
            _leave(departure)
        except FileExistsError:
            continue
        _follow(desk, departure)
        return
    raise FileExistsError(path.name)


def _stays(desk: Desk, departure: Departure, target: Path) -> bool:
    """Given a file that could not be moved to failed/, say whether it stays for good: a pipe, link or device.

    Of another nothing is said in failed/ until it can be moved; what is there already is to be completed.
    """
    if os.path.lexists(target):
        return False
    path = departure.path
    stays = os.path.lexists(path) and (path.is_symlink() or not path.is_file())
    if not stays:
        with suppress(SelfieError, OSError):
            explaining.withdraw(target)
    desk.ledger.departures.end(path)
    return stays


def _completed(desk: Desk, path: Path) -> Departure | None:
    """Given a file that is to leave, complete what a sick disk left half done of it: it may be in both places.

    Return the departure if the file has left by that.
    """
    begun = next((each for each in desk.ledger.departures.begun() if each.path == path), None)
    if begun is None:
        return None
    _settle(desk, begun)
    return None if os.path.lexists(path) else begun


def _begin(desk: Desk, departure: Departure) -> None:
    desk.ledger.departures.begin(departure)
    waypoints.reached("departure.written")


def _leave(departure: Departure) -> None:
    """Move or remove the file itself; raise FileExistsError if somebody else has its new name by now."""
    if departure.destination is None:
        files.remove_if_there(departure.path)
    else:
        files.move_exact(departure.path, departure.destination, contested=True)
    waypoints.reached("departure.left")


def _follow(desk: Desk, departure: Departure) -> None:
    """Given a departure whose file is gone from its old place, let its company follow, and end it."""
    target = departure.destination
    if departure.path.parent == desk.settings.failed_folder:
        explaining.withdraw(departure.path)  # of a copy that had failed
    if target is None:
        for path in filter(None, (departure.mask, departure.sidecar)):
            files.remove_if_there(path)
    else:
        if departure.mask is not None:
            company.lay_mask(departure.mask, target.parent, departure.mask.name)
        if departure.sidecar is not None:
            company.lay_sidecar(departure.sidecar, target)
    desk.ledger.departures.end(departure.path)
    waypoints.reached("departure.ended")


def _settle(desk: Desk, departure: Departure) -> None:
    path, target = departure.path, departure.destination
    if target is not None:
        desk.shares.check(target.parent)  # else what has arrived would seem to be gone
    arrived = target is None or os.path.lexists(target)
    if os.path.lexists(path) and target is not None and arrived:
        with suppress(FileExistsError):  # another file of that name: the move had not begun
            files.move_exact(path, target, contested=True)
    if arrived and not os.path.lexists(path):
        if target is not None:
            files.tidy_move(path, target)
        _follow(desk, departure)
        return
    if target is not None and not arrived:  # it had not left, or somebody took it away meanwhile
        files.tidy_move(path, target)
        if target.parent == desk.settings.failed_folder:
            explaining.withdraw(target)
    desk.ledger.departures.end(path)
