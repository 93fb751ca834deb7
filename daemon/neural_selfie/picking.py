"""Does what people picked on the page: `picks.json`, dropped into the inbox, says what to keep and what not.

The live page hands the same file to the daemon by way of the state folder (`hand_over`, `Handed`).

Rejected pictures move with their records to the folder `rejected`; what is kept or starred says so in its record.
Nothing is ever deleted or overwritten, and doing the same picks again changes nothing more. What names no painting of
the outbox is counted and left out: nothing outside the outbox is touched.
"""

import errno
import hashlib
import os
import re
import stat
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Literal
from urllib.parse import unquote_to_bytes

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neural_selfie import files
from neural_selfie.config import Settings
from neural_selfie.errors import PicksError, SelfieError
from neural_selfie.filing import Desk
from neural_selfie.gallery import ASSETS
from neural_selfie.gallery.entries import entry_of, record_of
from neural_selfie.gallery.index import RECORD_LIMIT_BYTES
from neural_selfie.record import Record, Review

_NAME = re.compile(r"picks ?(\(\d+\)|\d+)?\.json", re.IGNORECASE | re.ASCII)  # browsers number what they save again
_MOST_BYTES = 64 * 2**20

log = structlog.get_logger()

Mark = Literal["keep", "star", "reject", "none"]


class _Pick(BaseModel):
    model_config = ConfigDict(extra="forbid")

    painting: str = Field(min_length=3, max_length=4096)
    mark: Mark


class _Picks(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["picks"] = Field(alias="neural-selfie")
    version: Literal[1]
    picks: tuple[_Pick, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of picks: how many paintings moved away, how many records changed, how many were not found.

    `folders` are those of the outbox in which something changed.
    """

    rejected: int
    marked: int
    unknown: int
    folders: frozenset[str] = frozenset()


def hand_over(folder: Path, data: bytes) -> int:
    """Given the state folder's room for picks and the content of a `picks.json`, lay it there for the daemon.

    Return how many picks it holds. Raise PicksError if it cannot be understood, and as writes do.
    """
    count = len(_parsed(data).picks)
    files.write_atomic(folder / f"{time.time_ns():020d}.json", data)  # in the order in which they were picked
    return count


def done_mark(folder: Path, path: Path, *facts: int) -> Path:
    """Given the state folder's room for picks, and picks that stay in the inbox with what `stat` says of them (size,
    time, inode), return the file that is there once they are done: done again, they would undo what was picked since.
    """
    key = repr((os.fsencode(path), *facts)).encode()
    return folder / f"{hashlib.sha256(key).hexdigest()[:32]}.done"


@dataclass(slots=True)
class Handed:
    """What was picked on the live page and is not done yet. `trouble`: why it cannot be done now."""

    desk: Desk
    trouble: str | None = None
    _next_at: float = 0.0

    def work(self, now: float) -> frozenset[str]:
        """Do what was picked, and return the folders of the outbox in which something changed."""
        if now < self._next_at:
            return frozenset()
        settings = self.desk.settings
        done: set[str] = set()
        try:
            for path in sorted(self.desk.state.picks.glob("[0-9]*.json")):
                self.desk.shares.check(settings.outbox_folder)  # while it is away no painting would be found
                done |= _applied(settings, path).folders
                files.remove_if_there(path)
        except (SelfieError, OSError) as error:
            if self.trouble != str(error):
                log.warning("picks.delayed", reason=str(error))
            self.trouble, self._next_at = str(error), now + settings.retry.waiting_seconds
        else:
            self.trouble = None
        return frozenset(done)


def _applied(settings: Settings, path: Path) -> Applied:
    try:
        applied = apply(settings, path)
    except PicksError as error:  # nobody's but ours: never the reason why those after it are not done
        log.warning("picks.refused", reason=str(error))
        return Applied(0, 0, 0)
    log.info("picks.applied", rejected=applied.rejected, marked=applied.marked, unknown=applied.unknown)
    return applied


def is_picks(path: PurePath) -> bool:
    """Given a path, return whether it is called like picks that the page saved: `picks.json`, `picks (1).json`."""
    return _NAME.fullmatch(path.name) is not None


def apply(settings: Settings, path: Path) -> Applied:
    """Given a file of picks, do what it says, and return what came of it; the file stays where it is.

    Raise PicksError if it cannot be understood, and as moves and writes do; it can then be tried again.
    """
    counts: Counter[str] = Counter()
    folders: set[str] = set()
    with path.open("rb") as file:
        wanted = _parsed(file.read(_MOST_BYTES + 1)).picks
    for pick in wanted:
        found = find(settings.outbox_folder, pick.painting)
        if found is None:
            counts["unknown"] += 1
        elif pick.mark == "reject":
            _reject(settings, *found)
            counts["rejected"] += 1
            folders.add(found[0].parent.name)
        elif _mark(*found, pick.mark):
            counts["marked"] += 1
            folders.add(found[0].parent.name)
    return Applied(counts["rejected"], counts["marked"], counts["unknown"], frozenset(folders))


def _parsed(data: bytes) -> _Picks:
    try:
        if len(data) > _MOST_BYTES:
            raise ValueError("it is too large")  # noqa: TRY301 - said like every other fault of it
        return _Picks.model_validate_json(data)
    except (ValidationError, ValueError) as error:
        fault = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, fault['loc']))} {fault['msg']}".strip() if fault else str(error)
        raise PicksError(
            f"This is called like picks that the gallery page saved, but it cannot be understood: {said}. "
            "Save the picks again on the page, and drop that file."
        ) from error


def find(outbox: Path, painting: str) -> tuple[Path, Record] | None:
    """Given an outbox and the address of a painting, return its record's path and the record; None if there is none.

    No address leads out of the outbox, and no link is followed. Raise OSError if the outbox cannot be read.
    """
    path = _record_path(outbox, painting)
    try:
        if path is None or not stat.S_ISDIR(path.parent.lstat().st_mode):
            return None
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > RECORD_LIMIT_BYTES:
            return None
        record = record_of(path.read_bytes())
        entry_of(record, folder=path.parent.name, name=path.name)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise
    return path, record


def _record_path(outbox: Path, painting: str) -> Path | None:
    parts = [os.fsdecode(unquote_to_bytes(part)) for part in painting.split("/")]
    if any(not part or part[0] == "." or set(part) & {"/", "\0"} for part in parts) or parts[0] == ASSETS:
        return None
    return outbox / parts[0] / f"{parts[1]}.json" if len(parts) == 2 else None  # noqa: PLR2004 - folder and name


def _reject(settings: Settings, path: Path, record: Record) -> None:
    """Move a painting away: the record last, so that a move that was cut short is found and finished the next time."""
    target = settings.rejected_folder / path.parent.name
    files.make_folder(settings.rejected_folder)
    files.make_folder(target)
    picture = path.with_name(record.output.file)
    with suppress(FileNotFoundError):  # it moved before a crash, or somebody took it
        files.move_new(picture, target, picture.name)
    files.move_new(path, target, path.name)


def _mark(path: Path, record: Record, mark: Literal["keep", "star", "none"]) -> bool:
    """Write what was picked into a record; return whether it said something else before."""
    before = record.review.mark if record.review else "none"
    if before == mark:
        return False
    at = datetime.now(UTC).isoformat(timespec="seconds")
    review = None if mark == "none" else Review(mark=mark, at=at)
    files.write_atomic(path, record.model_copy(update={"review": review}).model_dump_json(indent=1).encode())
    return True
