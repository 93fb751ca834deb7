"""From "something at this path" to an admitted photo: settle, inspect in a process of its own, admit, take in.

Runs in the daemon's one loop and decodes nothing itself: a hostile file can at worst end the inspector's process.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from neural_selfie import picking, waypoints
from neural_selfie.config import masks
from neural_selfie.config.catalogue import Catalogue
from neural_selfie.errors import PhotoRefusedError, PicksError, SelfieError, SidecarError, TruncatedPhotoError
from neural_selfie.files import names
from neural_selfie.filing import Desk
from neural_selfie.inbox.settle import FileFacts, Settler
from neural_selfie.intake import picks, reasons
from neural_selfie.intake.admitting import Admitting, Arrival
from neural_selfie.intake.inspector import INSPECTOR, Inspected, Inspection, Inspector, inspect
from neural_selfie.intake.lineup import Lineup
from neural_selfie.intake.orphans import Orphans
from neural_selfie.intake.refusals import Refusals
from neural_selfie.intake.unsure import Unsure
from neural_selfie.model import Limits, Photo
from neural_selfie.workers.seat import CallEnded, Reported

__all__ = ["INSPECTOR", "Inspected", "Inspection", "Intake", "inspect"]

_LOOK_AGAIN_SECONDS = 3.0

log = structlog.get_logger()


@dataclass(slots=True)
class Intake:
    """What is known of files that are not photos yet."""

    catalogue: Catalogue
    desk: Desk
    limits: Limits
    post: Callable[[CallEnded | Reported], None]
    settler: Settler = field(init=False)
    inspector: Inspector = field(init=False)
    orphans: Orphans = field(init=False)
    unsure: Unsure = field(init=False)
    refusals: Refusals = field(init=False)
    picked: set[str] = field(default_factory=set)  # folders of the outbox that picks changed
    _admitting: Admitting = field(init=False)
    _lineup: Lineup = field(default_factory=Lineup)
    _admitted: dict[Path, int] = field(default_factory=dict)  # photos in the ledger that are not taken in yet
    _delayed: set[Path] = field(default_factory=set)  # a folder or a permission is in the way, not the photo
    paused: bool = False  # too little space: nothing is admitted
    _reason: str | None = None  # why the last file was delayed

    def __post_init__(self) -> None:
        watch = self.catalogue.settings.watch
        self.settler = Settler(watch.quiet_seconds, watch.ceiling_seconds)
        self.inspector = Inspector(self.limits, self.post)
        self.orphans = Orphans(self.catalogue.settings.inbox, watch.truncated_seconds)
        self._admitting = Admitting(self.catalogue, self.desk, self._admitted, self._lose_admitted)
        self.unsure = Unsure(self.desk)
        self.refusals = Refusals(self.desk)

    def expect(self, photos: Iterable[Photo]) -> None:
        """Given the photos that were admitted before and could not be taken in yet, take note of them."""
        self._admitted.update({photo.path: photo.id for photo in photos})

    @property
    def idle(self) -> bool:
        """Whether no file is settling or being inspected, but for those that wait for something to be put right."""
        waits = self.paused or (len(self.settler) <= len(self._delayed) and not self._lineup)
        return waits and self.inspector.free

    @property
    def admitted(self) -> set[int]:
        """The photos that are in the ledger and could not be taken in yet."""
        return {*self._admitted.values(), *self.unsure.photos}

    @property
    def delayed(self) -> int:
        """Return how many files wait in the inbox, because a folder, space or a permission is missing."""
        paused = len(self.settler) + len(self._lineup) if self.paused else 0
        return len(self._delayed) + len(self.unsure.photos) + paused

    @property
    def troubles(self) -> list[str]:
        """Why files are delayed: the newest reason, as long as one is."""
        reasons = (self._reason if self._delayed else None, self.unsure.reason if self.unsure.photos else None)
        return list(filter(None, reasons))

    def sighted(self, path: Path, now: float) -> Inspection | None:
        """Given a path where something is, was or may be, take note of it.

        If it is finished and its turn has come, return how to inspect it.
        """
        try:
            facts = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._forget(path)
            self._lose_admitted(path, now)
            return None
        except OSError as error:
            log.warning("photo.unreadable", path=names.shown(path), error=error.strerror)
            self._forget(path)  # the next scan tells it again
            return None
        dropped = path.relative_to(self.catalogue.settings.inbox)
        if stat.S_ISDIR(facts.st_mode) or names.is_ignored(dropped, self.catalogue.settings.watch.ignore):
            return None
        seen = FileFacts.of(facts)
        if self.refusals.leaves_alone(path, seen):
            return None
        if stat.S_ISREG(facts.st_mode):
            return self._file_sighted(path, seen, now)
        try:
            self._refuse(path, reasons.not_a_file(facts.st_mode), now)
        except (SelfieError, OSError) as error:  # failed/ cannot be written: told again by the next scan
            log.warning("photo.delayed", photo=names.shown(path.name), reason=str(error))
        return None

    def _file_sighted(self, path: Path, seen: FileFacts, now: float) -> Inspection | None:
        if names.is_sidecar(path) or names.is_mask(path):
            self.orphans.noted(path, now)
            return None
        if path in self._lineup or self.inspector.has(path):
            return None  # what is found out about it will be compared with the file as it is then
        if self.desk.ledger.kept.knows(path, seen.size, seen.mtime_ns, seen.inode):
            self._forget(path)
            return None
        waypoints.reached("photo.sighted")
        finished = self.settler.observe(path, seen, now)
        return Inspection(path, self.limits, seen, masks.named(path)) if finished else None

    def tick(self, now: float) -> None:
        """Send the next finished files to the inspector, and end an inspector that takes too long."""
        self._lineup.add(self.settler.due(now))
        self._send(now)
        self.inspector.end_if_too_long()

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds a file may be due, or None."""
        return self.settler.next_due(now)

    def inspected(self, message: CallEnded, now: float) -> list[int]:
        """Given the end of a call of the inspector, admit photos, look at files again later, or refuse them.

        Return the ids of photos that are taken in and need no picture any more, so that they can be filed.
        """
        calls: tuple[Inspection, ...] = message.call
        found: list[Inspected | Exception] = message.value or [message.error] * (len(calls) == 1 and not message.died)
        self.inspector.release(message)
        self._again([call.path for call in calls[len(found) :]], now, died=message.died)
        self._send(now)  # the next ones are looked at while these are admitted
        arrivals = []
        for call, one in zip(calls, found, strict=False):
            waypoints.reached("photo.inspected")
            self._lineup.answered(call.path)
            self._delayed.discard(call.path)
            with self._excused(call.path, now):
                if isinstance(one, Exception):
                    self._not_whole(call.path, one, now)
                elif (arrival := self._arrived(call, one, now)) is not None:
                    arrivals.append(arrival)
        troubles, finished = self._admitting.admit(arrivals, now)
        for arrival in arrivals:
            with self._excused(arrival.path, now):
                if arrival.path in troubles:
                    raise troubles[arrival.path]
                self._forget(arrival.path)
        return finished

    def close(self) -> None:
        """End the inspector."""
        self.inspector.close()

    def _send(self, now: float) -> None:
        """Give the inspector as many files as it has room for."""
        calls: list[Inspection] = []
        while not self.paused and len(calls) < self.inspector.room:
            path = self._lineup.next(after=len(calls))
            if path is None:
                break
            if (call := self.sighted(path, now)) is None:
                continue
            if picking.is_picks(path):
                self._pick(path, call.seen, now)
            else:
                calls.append(call)
                if self._lineup.alone(path):
                    break
        if calls:
            self.inspector.submit(calls)

    def _again(self, paths: Sequence[Path], now: float, *, died: bool) -> None:
        """Look again, and next, at files for which there was no time, or of one of which the inspector died."""
        if not died or len(paths) != 1:
            self._lineup.again(paths, died=died)
            return
        with self._excused(paths[0], now):
            if self._lineup.deadly(paths[0]):
                self._refuse(paths[0], reasons.undecodable(), now)
            else:
                self.settler.postpone(paths[0], now, 0.0)

    @contextmanager
    def _excused(self, path: Path, now: float) -> Iterator[None]:
        """What is in the way of one file does not stop the others: it is looked at again."""
        try:
            yield
        except (FileNotFoundError, TruncatedPhotoError) as error:  # taken away or written to at the last moment
            log.info("photo.changed", photo=names.shown(path.name), reason=str(error))
            self._lose_admitted(path, now)
            self._forget(path)
            self.sighted(path, now)
        except (SelfieError, OSError) as error:  # a folder is full or gone, a permission is missing: the file stays
            log.warning("photo.delayed", photo=names.shown(path.name), reason=str(error))
            self._reason = str(error)
            self._delay(path, now)

    def _arrived(self, call: Inspection, inspected: Inspected, now: float) -> Arrival | None:
        path = call.path
        if FileFacts.of(os.lstat(path)) != call.seen or masks.named(path) != call.mask:
            self.settler.postpone(path, now, 0.0)  # somebody rewrote it meanwhile: what was found out is void
            return None
        try:
            return self._admitting.arrival(path, inspected)
        except SidecarError as error:
            self._refuse(path, error, now)
            return None

    def _forget(self, path: Path) -> None:
        self.settler.forget(path)
        self._delayed.discard(path)

    def _delay(self, path: Path, now: float) -> float:
        """Look at a file again after the waiting time; return for how long it has been found so."""
        try:
            facts = os.lstat(path)
        except OSError:
            self._forget(path)
            self._lose_admitted(path, now)
            return 0.0
        self.settler.observe(path, FileFacts.of(facts), now)
        self._delayed.add(path)
        return self.settler.postpone(path, now, self.catalogue.settings.retry.waiting_seconds)

    def _lose_admitted(self, path: Path, now: float) -> None:
        """The file at a path is not, or no more, the photo that was admitted there: `unsure` finds out."""
        photo_id = self._admitted.pop(path, None)
        if photo_id is not None:
            self.unsure.photos[photo_id] = now

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

    def _pick(self, path: Path, seen: FileFacts, now: float) -> None:
        with self._excused(path, now):
            try:
                self.picked |= picks.take(self.desk, path, seen)
            except PicksError as error:
                self._refuse(path, error, now)
            else:
                self._forget(path)
                self.refusals.leave_alone(path, seen)

    def _refuse(self, path: Path, error: SelfieError, now: float) -> None:
        self.refusals.refuse(path, error, now)
        self._forget(path)  # not before: a file that could not be moved is looked at again
        self._lose_admitted(path, now)
