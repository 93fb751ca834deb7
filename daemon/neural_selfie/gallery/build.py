"""Keeps `index.html` in step with the outbox, from the records on disk alone: whoever deletes a picture, deletes it.

Guarantees that the page is whole at any moment (atomic replace) and that no foreign, damaged or hostile file in the
outbox stops it. Does not guarantee that a picture still decodes: it looks at names, never into pictures.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from neural_selfie.errors import StorageUnavailableError
from neural_selfie.gallery.entries import ASSETS, Entry, Skipped, Trouble, entry_of, newest_first, preview_of
from neural_selfie.gallery.page import render

PAGE = "index.html"
RECORD_LIMIT_BYTES = 16 * 2**20  # a record with a trace of 10,000 steps has 2 MiB

Stamp = tuple[int, int]  # mtime in ns, size in bytes
Known = tuple[Stamp, Entry | str]  # the entry, or why there is none


class GalleryIndex:
    """Every painting of one outbox, kept in memory, so that one more picture costs one more record to read.

    `entries` (newest first) and `skipped` are as of the last `update`. Not for use by several threads at once.
    """

    def __init__(self, outbox: Path) -> None:
        self.outbox = outbox
        self.entries: tuple[Entry, ...] = ()
        self.skipped: tuple[Skipped, ...] = ()
        self._known: dict[str, Known] = {}

    def update(self) -> tuple[Entry, ...]:
        """Return the entries, newest first, after reading the records whose time or size changed since last time.

        Raise StorageUnavailableError if the outbox itself cannot be listed.
        """
        known: dict[str, Known] = {}
        entries: list[Entry] = []
        skipped: list[Skipped] = []
        previews = {name for name, _ in _files(self.outbox / ASSETS, skipped)}
        for folder in _folders(self.outbox):
            files = dict(_files(self.outbox / folder, skipped))
            for name in sorted(files):
                if not name.endswith(".json"):
                    continue
                path = f"{folder}/{name}"
                found = self._look(path, files[name])
                if found is None:
                    continue
                known[path] = found
                _, entry = found
                if isinstance(entry, str):
                    skipped.append(Skipped(path=path, reason=entry))
                elif entry.picture not in files:
                    skipped.append(Skipped(path=path, reason="its picture is gone"))
                else:
                    preview = preview_of(folder)
                    entries.append(replace(entry, preview=preview) if f"{folder}.jpg" in previews else entry)
        self._known = known
        self.entries = tuple(sorted(entries, key=newest_first))
        self.skipped = tuple(skipped)
        return self.entries

    def build(self, *, troubles: Sequence[Trouble] = (), waiting: Sequence[Trouble] = ()) -> int:
        """Bring `index.html` up to date with the outbox and return the number of pictures it shows.

        Raise StorageUnavailableError if the outbox cannot be read or written.
        """
        from neural_selfie.files import write_atomic  # noqa: PLC0415 - reading the records needs no writer

        entries = self.update()
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        page = render(entries, troubles=troubles, waiting=waiting, made_at=made_at, zone=None)
        try:
            write_atomic(self.outbox / PAGE, page.encode())
        except OSError as error:
            raise StorageUnavailableError(f"The gallery page in {self.outbox} cannot be written: {error}.") from error
        return len(entries)

    def _look(self, path: str, facts: os.stat_result) -> Known | None:
        """Given a record's path relative to the outbox and its facts, return what is known of it; None if it is gone."""
        stamp = facts.st_mtime_ns, facts.st_size
        before = self._known.get(path)
        if before and before[0] == stamp:
            return before
        if facts.st_size > RECORD_LIMIT_BYTES:
            return stamp, "it is too large for a record"
        try:
            data = (self.outbox / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            return (-1, -1), f"it cannot be read: {error.strerror}"  # a stamp that no file has: tried again next time
        folder, name = path.split("/")
        try:
            return stamp, entry_of(data, folder=folder, name=name)
        except ValueError as error:
            return stamp, f"it is not a record of a painting ({str(error).splitlines()[0]})"


def read_entries(outbox: Path) -> tuple[Entry, ...]:
    """Given an outbox, return its paintings, newest first; raise StorageUnavailableError if it cannot be listed.

    What is left out, and why, is in `GalleryIndex.skipped`.
    """
    return GalleryIndex(outbox).update()


def build(outbox: Path, *, troubles: Sequence[Trouble] = (), waiting: Sequence[Trouble] = ()) -> int:
    """Given an outbox, write its `index.html` and return the number of pictures on it.

    `troubles` are photos that failed, `waiting` those that wait for something to be put right. Raise
    StorageUnavailableError if the outbox cannot be read or written.
    """
    return GalleryIndex(outbox).build(troubles=troubles, waiting=waiting)


def _folders(outbox: Path) -> list[str]:
    """Return the names of the folders directly below the outbox that can hold paintings; links are not followed."""
    try:
        with os.scandir(outbox) as found:
            names = [item.name for item in found if item.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise StorageUnavailableError(f"The outbox {outbox} cannot be read: {error.strerror}.") from error
    return sorted(name for name in names if name != ASSETS and not name.startswith("."))


def _files(folder: Path, skipped: list[Skipped]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield name and facts of each plain file in a folder; one that cannot be listed is added to `skipped`."""
    try:
        with os.scandir(folder) as found:
            for item in found:
                facts = item.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode) and not item.name.startswith("."):
                    yield item.name, facts
    except FileNotFoundError:
        return  # deleted meanwhile, or no preview yet
    except OSError as error:
        skipped.append(Skipped(path=folder.name, reason=f"it cannot be read: {error.strerror}"))
