"""Every painting of one outbox, kept in memory, and which of them is new: from the records on disk alone.

Guarantees that no foreign, damaged or hostile file in the outbox stops it. Reads records, never pictures. Does not
write the page: that is `hanging`.
"""

import bisect
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from neural_selfie.files.names import shown
from neural_selfie.files.storage import folder_errors
from neural_selfie.gallery.entries import ASSETS, LONG_AGO, Entry, Skipped, entry_of, moment, preview_of, record_of
from neural_selfie.gallery.shards import Key
from neural_selfie.record import Record

RECORD_LIMIT_BYTES = 16 * 2**20  # a record with a trace of 10,000 steps has 2 MiB

Stamp = tuple[int, int]  # mtime in ns, size in bytes
NEVER: Stamp = (-1, -1)  # no file has it: what could not be read is tried again next time


@dataclass(frozen=True, slots=True)
class Hung:
    """A painting of the outbox: its entry, the times of its picture and record (ns), and its place in the order."""

    entry: Entry
    picture_ns: int
    record_ns: int
    key: Key


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: Stamp
    entry: Entry | None
    reason: str = ""
    hung: Hung | None = None


@dataclass(slots=True)
class _Folder:
    seen_ns: int
    known: dict[str, _Known] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look at a folder found: paintings that are new or other than before, with their records, and gone ones."""

    new: tuple[tuple[Hung, Record], ...] = ()
    gone: tuple[Hung, ...] = ()


class GalleryIndex:
    """The paintings of an outbox. `keys` are all of them, oldest first. Not for use by several threads at once."""

    def __init__(self, outbox: Path) -> None:
        self.outbox = outbox
        self.keys: list[Key] = []
        self.hung: dict[Key, Hung] = {}
        self._folders: dict[str, _Folder] = {}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries, newest first; within one moment by folder and file name."""
        newest = sorted(self.keys, key=lambda key: (-key[0], key[1], key[2]))
        return tuple(self.hung[key].entry for key in newest)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What the page leaves out, and why."""
        found = []
        for name, folder in self._folders.items():
            if folder.reason:
                found.append(Skipped(path=name, reason=folder.reason))
            found += [
                Skipped(path=f"{name}/{record}", reason=known.reason)
                for record, known in folder.known.items()
                if known.reason
            ]
        return tuple(found)

    def read(self) -> tuple[Entry, ...]:
        """Look at every folder, and return the entries, newest first.

        Raise StorageUnavailableError or PermissionDeniedError if the outbox itself cannot be listed.
        """
        names = self.folders()
        for name in [*(known for known in self._folders if known not in names), *names]:
            self.look(name)
        return self.entries

    def folders(self) -> dict[str, int]:
        """Return the folders directly below the outbox that can hold paintings, with their times (ns); no links.

        Raise as `read` does.
        """
        found = {}
        with (
            folder_errors(self.outbox, f"The gallery in {shown(self.outbox)} cannot be brought up to date"),
            os.scandir(self.outbox) as items,
        ):
            for item in items:
                if item.name != ASSETS and not item.name.startswith(".") and item.is_dir(follow_symlinks=False):
                    found[item.name] = _time_of(item)
        return found

    def outdated(self, folders: dict[str, int]) -> list[str]:
        """Given what `folders` returned, return those that are gone or have other files than when last looked at."""
        gone = [name for name in self._folders if name not in folders]
        return gone + [name for name, seen_ns in folders.items() if self._seen_ns(name) != seen_ns]

    def look(self, name: str) -> Changes:
        """Given a folder's name, read the records in it whose time or size changed since last time."""
        before = self._folders.get(name) or _Folder(seen_ns=0)
        after = _Folder(seen_ns=-1)
        new: list[tuple[Hung, Record]] = []
        try:
            after.seen_ns = (self.outbox / name).lstat().st_mtime_ns  # before it is listed: what comes later counts
            beside = files_in(self.outbox / name)
        except FileNotFoundError:
            self._folders.pop(name, None)
            return Changes(gone=self._exchange(before, None, ()))
        except OSError as error:
            after.reason, beside = f"it cannot be read: {error.strerror}", {}
        preview = preview_of(name)
        has_preview = (self.outbox / preview).is_file()
        for record_name in sorted(each for each in beside if each.endswith(".json")):
            found, record = self._read(name, beside[record_name], before.known.get(record_name))
            if found is None:
                continue
            found = self._with_picture(found, beside, preview if has_preview else None)
            after.known[record_name] = found
            if found.hung is None:
                continue
            if record is None and found.hung != _hung_of(before, record_name):  # its picture is another
                record = self._read(name, beside[record_name], None)[1]
            if record is not None:
                new.append((found.hung, record))
        self._folders[name] = after
        gone = self._exchange(before, after, [hung for hung, _ in new])
        return Changes(tuple(new), gone)

    def in_folder(self, name: str) -> tuple[Hung, ...]:
        """Given a folder's name, return the paintings in it."""
        folder = self._folders.get(name)
        return () if folder is None else tuple(known.hung for known in folder.known.values() if known.hung)

    def _exchange(self, before: _Folder, after: _Folder | None, new: Iterable[Hung]) -> tuple[Hung, ...]:
        """Take out what is not there any more, put in what is new; return the former."""
        old = {known.hung.key: known.hung for known in before.known.values() if known.hung}
        now = {known.hung.key for known in after.known.values() if known.hung} if after else set()
        gone = tuple(hung for key, hung in old.items() if key not in now)
        for hung in gone:
            del self.hung[hung.key]
            del self.keys[bisect.bisect_left(self.keys, hung.key)]
        for hung in new:
            if hung.key not in self.hung:
                bisect.insort(self.keys, hung.key)
            self.hung[hung.key] = hung
        return gone

    def _read(
        self, folder: str, item: "os.DirEntry[str]", before: _Known | None
    ) -> tuple[_Known | None, Record | None]:
        """Return what is known of a record, None if it is gone meanwhile; and the record if it was read now."""
        try:
            facts = item.stat(follow_symlinks=False)
            stamp = facts.st_mtime_ns, facts.st_size
            if before and before.stamp == stamp:
                return before, None
            if facts.st_size > RECORD_LIMIT_BYTES:
                return _Known(stamp, None, "it is too large for a record"), None
            data = Path(item.path).read_bytes()
        except FileNotFoundError:
            return None, None
        except OSError as error:
            return _Known(NEVER, None, f"it cannot be read: {error.strerror}"), None
        try:
            record = record_of(data)
            return _Known(stamp, entry_of(record, folder=folder, name=item.name)), record
        except ValueError as error:
            return _Known(stamp, None, str(error)), None

    @staticmethod
    def _with_picture(known: _Known, beside: "dict[str, os.DirEntry[str]]", preview: str | None) -> _Known:
        if known.entry is None:
            return known
        picture = beside.get(known.entry.picture)
        if picture is None:
            return replace(known, reason="its picture is gone", hung=None)
        entry = known.entry if known.entry.preview == preview else replace(known.entry, preview=preview)
        since = (moment(entry.finished_at) - LONG_AGO).total_seconds()
        hung = Hung(entry, _time_of(picture), known.stamp[0], (since, entry.folder, entry.record))
        return replace(known, entry=entry, reason="", hung=hung)

    def _seen_ns(self, name: str) -> int | None:
        known = self._folders.get(name)
        return None if known is None else known.seen_ns


def read_entries(outbox: Path) -> tuple[Entry, ...]:
    """Given an outbox, return its paintings, newest first; raise as `GalleryIndex.read` does.

    What is left out, and why, is in `GalleryIndex.skipped`.
    """
    return GalleryIndex(outbox).read()


def files_in(folder: Path) -> "dict[str, os.DirEntry[str]]":
    """Return the plain files of a folder by name, without hidden ones; raise OSError if it cannot be listed."""
    with os.scandir(folder) as found:
        return {item.name: item for item in found if item.is_file(follow_symlinks=False) and item.name[0] != "."}


def _time_of(item: "os.DirEntry[str]") -> int:
    try:
        return item.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return -1


def _hung_of(folder: _Folder, record: str) -> Hung | None:
    known = folder.known.get(record)
    return None if known is None else known.hung
