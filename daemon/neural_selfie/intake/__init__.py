"""From "something at this path" to an admitted photo: settle, inspect in a process of its own, admit, take in.

Runs in the daemon's one loop and decodes nothing itself: a hostile file can at worst end the inspector's process.
"""

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from neural_selfie import outbox, picking, waypoints
from neural_selfie.config import masks, sidecars
from neural_selfie.config.catalogue import Catalogue
from neural_selfie.errors import PhotoRefusedError, PicksError, SelfieError, SidecarError, TruncatedPhotoError
from neural_selfie.files import names
from neural_selfie.filing import Desk, departing, taking
from neural_selfie.inbox.settle import FileFacts, Settler
from neural_selfie.intake import reasons
from neural_selfie.intake.inspector import INSPECTOR, Inspected, Inspection, Inspector, inspect
from neural_selfie.model import Limits, MaskUse, Photo, Place, Plan
from neural_selfie.workers.seat import CallEnded, Reported

__all__ = ["INSPECTOR", "Inspected", "Inspection", "Intake", "inspect"]

_LOOK_AGAIN_SECONDS = 3.0
_CRASHES_MAX = 2

log = structlog.get_logger()


@dataclass(slots=True)
class Intake:
    """What is known of files that are not photos yet. `refused` counts what ended in failed/ in this run."""

    catalogue: Catalogue
    desk: Desk
    limits: Limits
    post: Callable[[CallEnded | Reported], None]
    settler: Settler = field(init=False)
    inspector: Inspector = field(init=False)
    refused: int = 0
    picked: set[str] = field(default_factory=set)  # folders of the outbox that picks changed
    _ready: dict[Path, None] = field(default_factory=dict)  # in order, and found quickly among 50,000
    _left_alone: dict[Path, FileFacts] = field(default_factory=dict)  # refused, but they could not be moved
    _crashes: dict[Path, int] = field(default_factory=dict)
    _admitted: dict[Path, int] = field(default_factory=dict)  # photos in the ledger that are not taken in yet
    _delayed: set[Path] = field(default_factory=set)  # a folder or a permission is in the way, not the photo

    def __post_init__(self) -> None:
        watch = self.catalogue.settings.watch
        self.settler = Settler(watch.quiet_seconds, watch.ceiling_seconds)
        self.inspector = Inspector(self.limits, self.post)

    def expect(self, photos: Iterable[Photo]) -> None:
        """Given the photos that were admitted before and could not be taken in yet, take note of them."""
        self._admitted.update({photo.path: photo.id for photo in photos})

    @property
    def idle(self) -> bool:
        """Whether no file is settling or being inspected, but for those that wait for something to be put right."""
        return len(self.settler) <= len(self._delayed) and not self._ready and self.inspector.free

    @property
    def admitted(self) -> set[int]:
        """The photos that are in the ledger and could not be taken in yet."""
        return set(self._admitted.values())

    @property
    def delayed(self) -> int:
        """Return how many files could not be taken in or refused yet, because a folder or a permission is missing."""
        return len(self._delayed)

    def sighted(self, path: Path, now: float, *, at_hand: bool = False) -> None:
        """Given a path where something is, was or may be, take note of it; `at_hand`: inspect it if it is finished."""
        try:
            facts = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._forget(path)
            self._lose_admitted(path, now)
            return
        except OSError as error:
            log.warning("photo.unreadable", path=names.shown(path), error=error.strerror)
            self._forget(path)  # the next scan tells it again
            return
        dropped = path.relative_to(self.catalogue.settings.inbox)
        if stat.S_ISDIR(facts.st_mode) or names.is_ignored(dropped, self.catalogue.settings.watch.ignore):
            return
        seen = FileFacts.of(facts)
        if self._left_alone.get(path) == seen:
            return
        if not stat.S_ISREG(facts.st_mode):
            self._refuse_special(path, facts.st_mode, seen, now)
        elif names.is_sidecar(path) or names.is_mask(path):
            return
        elif path in self._ready or self.inspector.has(path):
            return  # what is found out about it will be compared with the file as it is then
        elif self.desk.ledger.kept.knows(path, seen.size, seen.mtime_ns, seen.inode):
            self._forget(path)
        else:
            waypoints.reached("photo.sighted")
            if self.settler.observe(path, seen, now) and at_hand:
                self._finished(path, seen, now)

    def tick(self, now: float) -> None:
        """Send the next finished file to the inspector, and end an inspector that takes too long."""
        self._ready.update(dict.fromkeys(self.settler.due(now)))
        while self.inspector.free and self._ready:
            path = next(iter(self._ready))
            del self._ready[path]
            self.sighted(path, now, at_hand=True)
        self.inspector.end_if_too_long()

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds a file may be due, or None."""
        return self.settler.next_due(now)

    def inspected(self, message: CallEnded, now: float) -> int | None:
        """Given the end of an inspection, admit the photo, look at it again later, or refuse it.

        Return the id of a photo that is taken in and needs no picture any more, so that it can be filed.
        """
        waypoints.reached("photo.inspected")
        self.inspector.release(message)
        path: Path = message.call.path
        self._delayed.discard(path)
        try:
            if message.died:
                self._crashed(path, now)
            elif message.error is not None:
                self._not_whole(path, message.error, now)
            elif FileFacts.of(os.lstat(path)) != message.call.seen or masks.named(path) != message.call.mask:
                self.settler.postpone(path, now, 0.0)  # somebody rewrote it meanwhile: what was found out is void
            else:
                return self._admit(path, message.value, now)
        except (FileNotFoundError, TruncatedPhotoError) as error:  # taken away or written to at the last moment
            log.info("photo.changed", photo=names.shown(path.name), reason=str(error))
            self._lose_admitted(path, now)
            self._forget(path)
            self.sighted(path, now)
        except (SelfieError, OSError) as error:  # a folder is full or gone, a permission is missing: the file stays
            log.warning("photo.delayed", photo=names.shown(path.name), reason=str(error))
            self._delay(path, now)
        return None

    def close(self) -> None:
        """End the inspector."""
        self.inspector.close()

    def _forget(self, path: Path) -> None:
        self.settler.forget(path)
        self._delayed.discard(path)

    def _delay(self, path: Path, now: float) -> float:
        """Look at a file again after the waiting time; return for how long it has been found so."""
        try:
            facts = os.lstat(path)
        except OSError:
            self._forget(path)
            return 0.0
        self.settler.observe(path, FileFacts.of(facts), now)
        self._delayed.add(path)
        return self.settler.postpone(path, now, self.catalogue.settings.retry.waiting_seconds)

    def _lose_admitted(self, path: Path, now: float) -> None:
        """The file at a path is not, or no more, the photo that was admitted there: its jobs are cancelled."""
        photo_id = self._admitted.pop(path, None)
        if photo_id is not None:
            taking.lose(self.desk, self.desk.ledger.photo(photo_id), now)

    def _not_whole(self, path: Path, error: BaseException, now: float) -> None:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            self._forget(path)
            self._lose_admitted(path, now)
        elif isinstance(error, TruncatedPhotoError):
            truncated_for = self.settler.postpone(path, now, _LOOK_AGAIN_SECONDS)
            if truncated_for >= self.catalogue.settings.watch.truncated_seconds:
                self._refuse(path, error, now)
        elif isinstance(error, PhotoRefusedError):
            self._refuse(path, error, now)
        elif isinstance(error, OSError):
            log.warning("photo.unreadable", photo=names.shown(path.name), error=str(error))
            unreadable_for = self._delay(path, now)
            if isinstance(error, PermissionError):  # of the photo itself; whoever copies it may set its mode last
                self._delayed.discard(path)
                if unreadable_for >= self.catalogue.settings.watch.truncated_seconds:
                    self._refuse(path, reasons.unreadable(), now)
        else:  # the inspector is to turn everything else into a refusal; looked at again, it would end the same
            log.error("inspection.failed", photo=names.shown(path.name), error=repr(error))
            self._refuse(path, reasons.undecodable(), now)

    def _crashed(self, path: Path, now: float) -> None:
        """The inspector died of this file: once may be chance, twice is the file."""
        self._crashes[path] = self._crashes.get(path, 0) + 1
        if self._crashes[path] < _CRASHES_MAX:
            self.settler.postpone(path, now, 0.0)
            return
        del self._crashes[path]
        self._refuse(path, reasons.undecodable(), now)

    def _refuse_special(self, path: Path, mode: int, seen: FileFacts, now: float) -> None:
        try:
            self._refuse(path, reasons.not_a_file(mode), now)
        except (SelfieError, OSError) as error:  # failed/ cannot be written: told again by the next scan
            log.warning("photo.delayed", photo=names.shown(path.name), reason=str(error))
            return
        if os.path.lexists(path):
            self._left_alone[path] = seen

    def _finished(self, path: Path, seen: FileFacts, now: float) -> None:
        if picking.is_picks(path):
            return self._pick(path, seen, now)
        return self.inspector.submit(Inspection(path, self.limits, seen, masks.named(path)))

    def _pick(self, path: Path, seen: FileFacts, now: float) -> None:
        """Do what was picked on the page, and file the picks as an original; with `keep` they stay where they are."""
        try:
            applied = picking.apply(self.catalogue.settings, path)
            departing.file_copy(self.desk, path, None)
        except PicksError as error:
            self._refuse(path, error, now)
        except (SelfieError, OSError) as error:
            log.warning("picks.delayed", reason=str(error))
            self._delay(path, now)
        else:
            self._forget(path)
            self._left_alone[path], self.picked = seen, self.picked | applied.folders
            log.info("picks.applied", rejected=applied.rejected, marked=applied.marked, unknown=applied.unknown)

    def _refuse(self, path: Path, error: SelfieError, now: float) -> None:
        facts = os.lstat(path)
        moved = departing.refuse(self.desk, path, error, now, sidecars.beside(path))
        self._forget(path)  # not before: a file that could not be moved is looked at again
        self._lose_admitted(path, now)
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

    def _admit(self, path: Path, inspected: Inspected, now: float) -> int | None:
        facts, mask = inspected.photo, inspected.mask
        settings = self.catalogue.settings
        sidecar = sidecars.beside(path)
        dropped = path.relative_to(settings.inbox)
        try:
            plans = self._plans_for(path, mask)
        except SidecarError as error:
            self._refuse(path, error, now)
            return None
        name = names.shown(path.name)
        before = self.desk.ledger.photo_by_sha256(facts.sha256)
        if before is not None and before.place is Place.FAILED and before.destination is None:
            departing.file_failed_copy(self.desk, before)  # first: afterwards nobody knows where it is
        admission = self.desk.ledger.admit(
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
        waypoints.reached("photo.admitted")
        if self._admitted.get(path, photo.id) != photo.id:
            self._lose_admitted(path, now)
        fields = {"photo": name, "sha256": facts.sha256[:6], "new_jobs": len(admission.new_jobs)}
        if admission.duplicate:
            departing.file_copy(self.desk, path, sidecar, mask)
            if self.desk.keeps:
                taking.remember_kept(self.desk, photo, path)
            self._forget(path)
            log.info("photo.dropped_again", **fields)
            return None
        self._admitted[path] = photo.id
        taking.take_in(self.desk, photo, now)
        del self._admitted[path]
        self._forget(path)
        presets = list(dict.fromkeys(plan.preset for plan in plans))
        log.info("photo.admitted", **fields, presets=presets, width=facts.width, height=facts.height)
        return photo.id if self.desk.ledger.unfinished(photo.id) == 0 else None  # every picture is there already

    def _plans_for(self, path: Path, mask: MaskUse | None) -> tuple[Plan, ...]:
        dropped = path.relative_to(self.catalogue.settings.inbox)
        plans = self.catalogue.plans_for(dropped, sidecars.text_of(path), mask)
        if mask is None:
            return plans
        kept = masks.kept(mask, self.desk.state.styles)
        waypoints.reached("mask.kept")
        return tuple(plan if plan.mask is None else replace(plan, mask=kept) for plan in plans)
