"""Keeps `index.html` in step with the outbox, from the records on disk alone: whoever deletes a picture, deletes it.

Guarantees that the page is whole at any moment (atomic replace) and that no foreign, damaged or hostile file in the
outbox stops it. Does not guarantee that a picture still decodes: it looks at names, never into pictures.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from neural_selfie import files
from neural_selfie.files.names import shown
from neural_selfie.files.storage import folder_errors
from neural_selfie.gallery.entries import ASSETS, Entry, Skipped, Trouble, entry_of, newest_first, preview_of
from neural_selfie.gallery.page import render

PAGE = "index.html"
RECORD_LIMIT_BYTES = 16 * 2**20  # a record with a trace of 10,000 steps has 2 MiB

Stamp = tuple[int, int]  # mtime in ns, size in bytes
NEVER: Stamp = (-1, -1)  # no file has it: what could not be read is tried again next time
Known = tuple[Stamp, Entry | str]  # the entry, or why there is none


class GalleryIndex:
    """Every painting of one outbox, kept in memory, so that one more picture costs one more record to read.

    `entries` (newest first) and `skipped` are as of the last `read`. Not for use by several threads at once.
    """

    def __init__(self, outbox: Path) -> None:
        self.outbox = outbox
        self.entries: tuple[Entry, ...] = ()
        self.skipped: tuple[Skipped, ...] = ()
        self._known: dict[str, Known] = {}

    def update(self, *, troubles: Sequence[Trouble] = (), waiting: Sequence[Trouble] = ()) -> int:
        """Bring `index.html` up to date with the outbox and return the number of pictures it shows.

        `troubles` are photos that failed, `waiting` those that wait for something to be put right. Raise
        StorageUnavailableError or PermissionDeniedError if the outbox cannot be read or written now.
        """
        entries = self.read()
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        page = render(entries, troubles=troubles, waiting=waiting, made_at=made_at, zone=None)
        files.write_atomic(self.outbox / PAGE, page.encode())
        return len(entries)

    def read(self) -> tuple[Entry, ...]:
        """Return the entries, newest first, after reading the records whose time or size changed since last time.

        Raise StorageUnavailableError or PermissionDeniedError if the outbox itself cannot be listed.
        """
        known: dict[str, Known] = {}
        entries: list[Entry] = []
        skipped: list[Skipped] = []
        previews = _files(self.outbox / ASSETS, skipped)
        for folder in _folders(self.outbox):
            beside = _files(self.outbox / folder, skipped)
            for name in sorted(name for name in beside if name.endswith(".json")):
                path = f"{folder}/{name}"
                found = self._look(path, beside[name])
                if found is None:
                    continue
                known[path] = found
                _, entry = found
                if isinstance(entry, str):
                    skipped.append(Skipped(path=path, reason=entry))
                elif entry.picture not in beside:
                    skipped.append(Skipped(path=path, reason="its picture is gone"))
                else:
                    preview = preview_of(folder)
                    entries.append(replace(entry, preview=preview) if f"{folder}.jpg" in previews else entry)
        self._known = known
        self.entries = tuple(sorted(entries, key=newest_first))
        self.skipped = tuple(skipped)
        return self.entries

    def _look(self, path: str, item: os.DirEntry[str]) -> Known | None:
        """Given a record's path relative to the outbox, return what is known of it; None if it is gone meanwhile."""
        try:
            facts = item.stat(follow_symlinks=False)
            stamp = facts.st_mtime_ns, facts.st_size
            before = self._known.get(path)
            if before and before[0] == stamp:
                return before
            if facts.st_size > RECORD_LIMIT_BYTES:
                return stamp, "it is too large for a record"
            data = Path(item.path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            return NEVER, f"it cannot be read: {error.strerror}"
        try:
            return stamp, entry_of(data, folder=path.partition("/")[0], name=item.name)
        except ValueError as error:
            return stamp, str(error)


def read_entries(outbox: Path) -> tuple[Entry, ...]:
    """Given an outbox, return its paintings, newest first; raise as `GalleryIndex.read` does.

    What is left out, and why, is in `GalleryIndex.skipped`.
    """
    return GalleryIndex(outbox).read()


def build(outbox: Path, *, troubles: Sequence[Trouble] = (), waiting: Sequence[Trouble] = ()) -> int:
    """Given an outbox, write its `index.html` and return the number of pictures on it; as `GalleryIndex.update`."""
    return GalleryIndex(outbox).update(troubles=troubles, waiting=waiting)


def _folders(outbox: Path) -> list[str]:
    """Return the names of the folders directly below the outbox that can hold paintings; links are not followed."""
    with (
        folder_errors(outbox, f"The gallery in {shown(outbox)} cannot be brought up to date"),
        os.scandir(outbox) as found,
    ):
        names = [item.name for item in found if item.is_dir(follow_symlinks=False)]
    return sorted(name for name in names if name != ASSETS and not name.startswith("."))


def _files(folder: Path, skipped: list[Skipped]) -> dict[str, os.DirEntry[str]]:
    """Return the plain files of a folder by name; a folder that cannot be listed is added to `skipped`."""
    try:
        with os.scandir(folder) as found:
            return {item.name: item for item in found if item.is_file(follow_symlinks=False) and item.name[0] != "."}
    except FileNotFoundError:
        return {}  # deleted meanwhile, or no preview yet
    except OSError as error:
        skipped.append(Skipped(path=folder.name, reason=f"it cannot be read: {error.strerror}"))
        return {}
