"""What lies in the inbox: one walk over all of it. The scan is the truth; events only make it faster.

Every entry that is not ignored and no folder is told, also links, pipes and sockets: what they are worth is judged
elsewhere. Links are never followed. What cannot be read is reported as a trouble and the walk goes on.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from neural_selfie.files.names import is_ignored, shown

_TROUBLES_MAX = 20


class Walk:
    """Given the inbox and the configured globs, one walk: `entries` once, then `troubles` and `folders`.

    `troubles` holds a sentence for each folder that could not be read (the first 20), `folders` counts the others.
    """

    def __init__(self, inbox: Path, ignore: Sequence[str] = ()) -> None:
        self.troubles: list[str] = []
        self.folders = 0
        self._inbox = inbox
        self._ignore = ignore

    def entries(self, start: Path | None = None) -> Iterator[Path]:
        """Given a folder in the inbox, or None for all of it, yield the path of every entry in and below it."""
        waiting = [self._inbox if start is None else start]  # no recursion: people make deep trees
        while waiting:
            folder = waiting.pop()
            try:
                yield from self._folder(folder, waiting)
            except OSError as error:
                if folder == self._inbox or not isinstance(error, FileNotFoundError | NotADirectoryError):
                    self._report(folder, error)

    def _folder(self, folder: Path, waiting: list[Path]) -> Iterator[Path]:
        relative = folder.relative_to(self._inbox)
        no_links = 0 if folder == self._inbox else os.O_NOFOLLOW  # a link may have taken the place of a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | no_links)
        try:
            with os.scandir(descriptor) as found:
                self.folders += 1
                for entry in found:
                    if is_ignored(relative / entry.name, self._ignore):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(folder / entry.name)
                    else:
                        yield folder / entry.name
        finally:
            os.close(descriptor)

    def _report(self, folder: Path, error: OSError) -> None:
        if len(self.troubles) < _TROUBLES_MAX:
            place = "The inbox" if folder == self._inbox else "A folder of the inbox,"
            self.troubles.append(f"{place} {shown(folder)} cannot be read: {error.strerror}.")


def walk(inbox: Path, ignore: Sequence[str] = ()) -> Iterator[Path]:
    """Given the inbox and the configured globs, yield every entry that may be a photo; skip what cannot be read."""
    return Walk(inbox, ignore).entries()
