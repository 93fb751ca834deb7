"""Why a file is refused where no decoder says it: sentences for the person who dropped it."""

import stat
from collections.abc import Callable

from neural_selfie.errors import DamagedPhotoError, NotAFileError, NotAPictureError

_UNDECODABLE = (
    "Decoding this file, or its mask, takes too long, too much memory, or ends the decoder. Save it anew and drop it "
    "again."
)
_UNREADABLE = (
    "The daemon may not read this file. Make it readable for others (chmod a+r, or the permissions in its properties) "
    "and drop it again."
)
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a link to another file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def not_a_file(mode: int) -> NotAFileError:
    """Given the mode of something that is no regular file, return why it is not opened."""
    kind = next((word for test, word in _KINDS if test(mode)), "something that is not a file")
    return NotAFileError(
        f"This is {kind}, and only files are painted: it was not opened. Copy the photo itself into the inbox."
    )


def undecodable() -> DamagedPhotoError:
    """Return why a file is refused that the inspector did not survive, or could not judge."""
    return DamagedPhotoError(_UNDECODABLE)


def unreadable() -> NotAPictureError:
    """Return why a file is refused that may not be read."""
    return NotAPictureError(_UNREADABLE)
