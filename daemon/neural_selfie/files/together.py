"""Many small moves at once: what `move_exact` guarantees for one file, at the price of one sync for each folder.

Only for files whose content is on the disk already. A crash in between leaves some of them under their old names and
some under their new ones, each whole.
"""

import errno
from collections.abc import Sequence
from pathlib import Path

from neural_selfie import files, waypoints
from neural_selfie.errors import SelfieError
from neural_selfie.files.names import shown
from neural_selfie.files.renaming import rename_new
from neural_selfie.files.storage import folder_errors

Move = tuple[Path, Path]


def move_synced(moves: Sequence[Move]) -> dict[Move, SelfieError | OSError]:
    """Given synced files and where each is to be, move them; return what was in the way of those that are not there.

    What cannot simply be renamed (another file system, something there already) is moved by `move_exact`, contested.
    """
    troubles: dict[Move, SelfieError | OSError] = {}
    renamed: list[Move] = []
    for source, target in moves:
        try:
            if not _renamed(source, target):
                files.move_exact(source, target, contested=True)
                continue
        except (SelfieError, OSError) as error:
            troubles[source, target] = error
        else:
            renamed.append((source, target))
    # The new names before the old ones' absence.
    for side in (1, 0):
        for folder in dict.fromkeys(move[side].parent for move in renamed):
            try:
                files.sync_folder(folder)
            except (SelfieError, OSError) as error:
                if side == 0 and not folder.exists():  # a folder that was dropped empty of all else may be gone by now
                    continue
                troubles |= {move: error for move in renamed if move[side].parent == folder}
    return troubles


def _renamed(source: Path, target: Path) -> bool:
    """Rename if nothing more is needed."""
    waypoints.reached("move.begun")
    with folder_errors(target.parent, f"{shown(source)} cannot be moved to {shown(target)}"):
        try:
            rename_new(source, target)
        except FileNotFoundError:
            return False  # which of the two it is, and whether it was done already, `move_exact` says
        except OSError as error:
            if isinstance(error, FileExistsError) or error.errno == errno.EXDEV:
                return False
            raise
    waypoints.reached("move.named")
    return True
