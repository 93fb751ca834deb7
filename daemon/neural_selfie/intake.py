"""From "something at this path" to an admitted photo: settle, inspect in a process of its own, admit, take in.

Runs in the daemon's one loop and decodes nothing itself: a hostile file can at worst end the inspector's process.
"""

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from neural_selfie import inspection, outbox
from neural_selfie.config.catalogue import Catalogue
from neural_selfie.errors import (
    DamagedPhotoError,
    NotAFileError,
    PhotoRefusedError,
    SelfieError,
    SidecarError,
    TruncatedPhotoError,
)
from neural_selfie.files import names
from neural_selfie.filing import Filing
from neural_selfie.inbox.settle import FileFacts, Settler
from neural_selfie.ledger import Ledger
from neural_selfie.model import Limits, PhotoFacts
from neural_selfie.workers.seat import CallEnded, Reported, Seat

INSPECTOR = "inspector"
_LOOK_AGAIN_SECONDS = 3.0
_INSPECTION_SECONDS = 120.0
_CRASHES_MAX = 2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Inspection:
    """One call of the inspector: the file, what a photo may be, and what the file was when the call was made."""

    path: Path
    limits: Limits
    seen: FileFacts


def inspect(call: Inspection) -> PhotoFacts:
    """Run in the inspector's process: prove that a file is a whole picture."""
    return inspection.inspect(call.path, call.limits)


@dataclass(slots=True)
class Intake:
    """What is known of files that are not photos yet. `refused` counts what ended in failed/ in this run."""

    catalogue: Catalogue
    ledger: Ledger
    filing: Filing
    limits: Limits
    post: Callable[[CallEnded | Reported], None]
    settler: Settler = field(init=False)
    inspector: Seat = field(init=False)
    refused: int = 0
    _ready: dict[Path, None] = field(default_factory=dict)  # in order, and found quickly among 50,000
    _left_alone: dict[Path, FileFacts] = field(default_factory=dict)  # refused, but they could not be moved
    _crashes: dict[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        watch = self.catalogue.settings.watch
        self.settler = Settler(watch.quiet_seconds, watch.ceiling_seconds)
        self.inspector = Seat(INSPECTOR, prepare=inspection.limit_memory, arguments=(self.limits,), post=self.post)

    @property
    def idle(self) -> bool:
        """Whether no file is settling or being inspected."""
        return len(self.settler) == 0 and not self._ready and self.inspector.free

    def sighted(self, path: Path, now: float, *, at_hand: bool = False) -> None:
        """Given a path where something is, was or may be, take note of it; `at_hand`: inspect it if it is finished."""
        try:
            facts = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self.settler.forget(path)
            return
        except OSError as error:
            log.warning("photo.unreadable", path=names.shown(path), error=error.strerror)
            return
        dropped = path.relative_to(self.catalogue.settings.inbox)
        if stat.S_ISDIR(facts.st_mode) or names.is_ignored(dropped, self.catalogue.settings.watch.ignore):
            return
        seen = FileFacts.of(facts)
        if self._left_alone.get(path) == seen:
            return
        if not stat.S_ISREG(facts.st_mode):
            self._refuse_special(path, facts.st_mode, seen, now)
        elif names.is_sidecar(path):
            return
        elif self._is_in_hand(path):
            return  # what is found out about it will be compared with the file as it is then
        elif self.ledger.is_kept(path, seen.size, seen.mtime_ns, seen.inode):
            self.settler.forget(path)
        elif self.settler.observe(path, seen, now) and at_hand:
            self.inspector.submit(Inspection(path, self.limits, seen), inspect)

    def tick(self, now: float) -> None:
        """Send the next finished file to the inspector, and end an inspector that takes too long."""
        self._ready.update(dict.fromkeys(self.settler.due(now)))
        while self.inspector.free and self._ready:
            path = next(iter(self._ready))
            del self._ready[path]
            self.sighted(path, now, at_hand=True)
        started_at = self.inspector.started_at
        if started_at is not None and time.monotonic() - started_at > _INSPECTION_SECONDS:
            self.inspector.kill()

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds a file may be due, or None."""
        return self.settler.next_due(now)

    def inspected(self, message: CallEnded, now: float) -> None:
        """Given the end of an inspection, admit the photo, look at it again later, or refuse it."""
        self.inspector.release(message)
        path: Path = message.call.path
        try:
            if message.died:
                self._crashed(path, now)
            elif message.error is not None:
                self._not_whole(path, message.error, now)
            elif FileFacts.of(os.lstat(path)) != message.call.seen:
                self.settler.postpone(path, now, 0.0)  # somebody rewrote it meanwhile: what was found out is void
            else:
                self._admit(path, message.value, now)
        except (SelfieError, OSError) as error:  # a folder is full or gone, a permission is missing: the file stays
            log.warning("photo.delayed", photo=names.shown(path.name), reason=str(error))
            self.settler.postpone(path, now, self.catalogue.settings.retry.waiting_seconds)

    def close(self) -> None:
        """End the inspector."""
        self.inspector.close()

    def _is_in_hand(self, path: Path) -> bool:
        call = self.inspector.call
        return path in self._ready or (call is not None and call.path == path)

    def _not_whole(self, path: Path, error: BaseException, now: float) -> None:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            self.settler.forget(path)
        elif isinstance(error, TruncatedPhotoError):
            truncated_for = self.settler.postpone(path, now, _LOOK_AGAIN_SECONDS)
            if truncated_for >= self.catalogue.settings.watch.truncated_seconds:
                self._refuse(path, error, now)
        elif isinstance(error, PhotoRefusedError):
            self._refuse(path, error, now)
        else:
            log.warning("photo.unreadable", photo=names.shown(path.name), error=str(error))
            self.settler.postpone(path, now, self.catalogue.settings.retry.waiting_seconds)

    def _crashed(self, path: Path, now: float) -> None:
        """The inspector died of this file: once may be chance, twice is the file."""
        self._crashes[path] = self._crashes.get(path, 0) + 1
        if self._crashes[path] < _CRASHES_MAX:
            self.settler.postpone(path, now, 0.0)
            return
        del self._crashes[path]
        reason = (
            "Decoding this file takes too long, too much memory, or ends the decoder. Save it anew and drop it again."
        )
        self._refuse(path, DamagedPhotoError(reason), now)

    def _refuse_special(self, path: Path, mode: int, seen: FileFacts, now: float) -> None:
        kind = next((word for test, word in _KINDS if test(mode)), "something that is not a file")
        reason = f"This is {kind}, and only files are painted: it was not opened. Copy the photo itself into the inbox."
        self._refuse(path, NotAFileError(reason), now)
        if os.path.lexists(path):
            self._left_alone[path] = seen

    def _refuse(self, path: Path, error: SelfieError, now: float) -> None:
        self.settler.forget(path)
        sidecar = sidecar_of(path)
        facts = os.lstat(path)
        moved = self.filing.refuse(path, error, now, sidecar)
        if os.path.lexists(path):
            self._left_alone[path] = FileFacts.of(facts)
        self.refused += 1
        log.warning(
            "photo.refused",
            photo=names.shown(path.name),
            cause=error.code,
            reason=str(error),
            moved_to=names.shown(moved),
        )

    def _admit(self, path: Path, facts: PhotoFacts, now: float) -> None:
        settings = self.catalogue.settings
        self.settler.forget(path)
        sidecar = sidecar_of(path)
        dropped = path.relative_to(settings.inbox)
        try:
            plans = self.catalogue.plans_for(dropped, sidecar_text(path))
        except SidecarError as error:
            self._refuse(path, error, now)
            return
        name = names.shown(path.name)
        admission = self.ledger.admit(
            facts,
            name=name,
            dropped=dropped,
            path=path,
            sidecar=sidecar,
            folder=lambda digits: names.outbox_folder(path.name, facts.sha256, digits),
            plans=plans,
            now=now,
            is_there=lambda output: outbox.is_there(settings.outbox_folder, output),
        )
        photo = admission.photo
        fields = {"photo": name, "sha256": facts.sha256[:6], "new_jobs": len(admission.new_jobs)}
        if admission.duplicate:
            self.filing.file_copy(path, sidecar)
            if self.filing.keeps:
                self.filing.remember_kept(photo, path)
            log.info("photo.dropped_again", **fields)
            return
        self.filing.take_in(photo, now)
        presets = list(dict.fromkeys(plan.preset for plan in plans))
        log.info("photo.admitted", **fields, presets=presets, width=facts.width, height=facts.height)
        if self.ledger.unfinished(photo.id) == 0:  # every picture it asks for is there already
            self.filing.file(self.ledger.photo(photo.id), (), now)


_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a link to another file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def sidecar_of(path: Path) -> Path | None:
    """Given a photo's path, return the path of its sidecar if it has one."""
    for suffix in (".yaml", ".yml"):
        candidate = path.with_name(path.name + suffix) if len(os.fsencode(path.name)) < 250 else None  # noqa: PLR2004 - NAME_MAX less the suffix
        if candidate is not None and candidate.is_file() and not candidate.is_symlink():
            return candidate
    return None


def sidecar_text(path: Path) -> str | None:
    """Given a photo's path, return the text of its sidecar, if it has one; raise SidecarError if it is no text."""
    sidecar = sidecar_of(path)
    try:
        return sidecar.read_text(encoding="utf-8") if sidecar else None
    except UnicodeDecodeError:
        raise SidecarError("the sidecar is not UTF-8 text.") from None
