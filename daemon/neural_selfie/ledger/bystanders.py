"""What the ledger knows of files that no photo's row speaks for: those that stay in the inbox, leave it, or are masks.

Each changing method is one transaction. Looks at no file.
"""

from collections.abc import Sequence
from pathlib import Path

from neural_selfie.ledger.database import Database
from neural_selfie.ledger.rows import (
    LedgerEvent,
    canonical_json,
    departure_from,
    event_from,
    job_from,
    path_bytes,
    photo_from,
)
from neural_selfie.model import Departure, Job, Photo


class Kept:
    """Files that stay in the inbox, known by what `stat` says of them, so that they are not read at every scan."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, path: Path, size: int, mtime_ns: int, inode: int, photo_id: int) -> None:
        """Given a file that stays in the inbox and what `stat` says of it, remember whose photo it is."""
        key = {"path": path_bytes(path), "size": size, "mtime_ns": mtime_ns, "inode": str(inode)}
        with self._database.writing():
            self._database.run("kept_add", photo_id=photo_id, **key)

    def knows(self, path: Path, size: int, mtime_ns: int, inode: int) -> bool:
        """Given a file in the inbox and what `stat` says of it, say whether exactly this file is known already."""
        key = {"path": path_bytes(path), "size": size, "mtime_ns": mtime_ns, "inode": str(inode)}
        return self._database.row("kept_find", **key) is not None

    def forget(self, path: Path) -> None:
        """Given a path in the inbox, forget what was known about it."""
        with self._database.writing():
            self._database.run("kept_forget", path=path_bytes(path))

    def failed(self) -> list[Photo]:
        """Return the photos that stay in the inbox of which a job failed and none is unfinished."""
        return [photo_from(row) for row in self._database.rows("photos_kept_and_failed")]


class Drops:
    """What was dropped more than once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def again(self, limit: int) -> list[LedgerEvent]:
        """Return the latest drops of photos that were known already, newest first; what is long past is left out."""
        return [event_from(row) for row in self._database.rows("dropped_again", limit=limit)]


class Masks:
    """What masks are kept for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def jobs(self, masks: Sequence[str]) -> list[Job]:
        """Given masks by their SHA-256, return the jobs with one of them that are done, or can still be painted."""
        rows = self._database.rows("jobs_with_masks", masks=canonical_json(list(masks)))
        return [job_from(row) for row in rows]


class Departures:
    """Second copies and refused files on their way: written down before the move, ended after all of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, departure: Departure) -> None:
        """Write down that a file is about to leave; once more for the same file counts instead."""
        with self._database.writing():
            self._database.run(
                "departure_begin",
                path=path_bytes(departure.path),
                destination=path_bytes(departure.destination),
                sidecar=path_bytes(departure.sidecar),
                mask=path_bytes(departure.mask),
            )

    def end(self, path: Path) -> None:
        """Given the path that a file had, write down that it and its company are gone from there, or stay after all."""
        with self._database.writing():
            self._database.run("departure_end", path=path_bytes(path))

    def begun(self) -> list[Departure]:
        """Return the departures that were begun and not ended."""
        return [departure_from(row) for row in self._database.rows("departures")]
