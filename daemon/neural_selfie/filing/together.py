"""Into the state folder, many at once: photos that came without company. `taking` does the same for any photo."""

from collections.abc import Sequence

from neural_selfie import waypoints
from neural_selfie.config import sidecars
from neural_selfie.errors import SelfieError
from neural_selfie.files.together import move_synced
from neural_selfie.filing import taking
from neural_selfie.filing.desk import Desk
from neural_selfie.model import Photo, Place


def take_in(desk: Desk, photos: Sequence[Photo], now: float) -> dict[int, SelfieError | OSError]:
    """Given admitted photos (place inbox) whose content is on the disk, take them in; not with `keep`.

    Return, by the ids of those that could not be taken in, what was in the way. Raise SelfieError if the ledger cannot
    be written; calling it again finishes what was begun.
    """
    moves = {photo.id: (photo.path, desk.work_path(photo)) for photo in photos}
    in_the_way = move_synced(list(moves.values()))
    troubles = {photo_id: in_the_way[move] for photo_id, move in moves.items() if move in in_the_way}
    for photo in photos:
        try:
            if photo.id not in troubles:
                taking.refuse_swapped(photo, moves[photo.id][1])
        except (SelfieError, OSError) as error:
            troubles[photo.id] = error
    taken = [photo for photo in photos if photo.id not in troubles]
    for _ in taken:
        waypoints.reached("photo.taken")
    late = [photo for photo in taken if sidecars.beside(photo.path) is not None]  # it came in the last moment
    alone = [photo for photo in taken if photo not in late]
    with desk.ledger.together():
        for photo in alone:
            desk.ledger.set_place(photo.id, Place.STATE, path=moves[photo.id][1], sidecar=None, now=now)
    for _ in alone:
        waypoints.reached("photo.ready")
    for photo in late:
        taking.take_in(desk, photo, now)
    return troubles
