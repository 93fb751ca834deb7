"""Where the file of a photo goes: taken in from the inbox, filed with the originals, or laid in failed/ with a reason.

Guarantees: each move is written down in the ledger before it happens and is finished after a crash; nothing is ever
overwritten; a file leaves a place only when it is safely in the next.
Does not guarantee: anything about a file that a person moves out of the state folder by hand.
"""

import datetime as dt
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neural_selfie import files
from neural_selfie.config import Settings
from neural_selfie.config.layout import StateFolder
from neural_selfie.errors import SelfieError
from neural_selfie.files import names
from neural_selfie.ledger import Ledger
from neural_selfie.model import Job, JobState, Photo, Place


@dataclass(frozen=True, slots=True)
class Filing:
    """Moves files between the folders that people see and the state folder, and tells the ledger."""

    settings: Settings
    state: StateFolder
    ledger: Ledger

    def work_path(self, photo: Photo) -> Path:
        """Return where a photo lies in the state folder while it is painted."""
        return self.state.work / f"{photo.sha256}{photo.dropped.suffix.lower()}"

    @property
    def keeps(self) -> bool:
        """Whether photos stay in the inbox: they are painted from there, and nothing of the inbox is moved."""
        return self.settings.originals.action == "keep"

    def take_in(self, photo: Photo, now: float) -> None:
        """Move an admitted photo (place inbox) and its sidecar into the state folder; with `keep` it stays.

        Raise StorageUnavailableError or PermissionDeniedError; calling it again finishes what was begun.
        """
        if self.keeps:
            self.remember_kept(photo, photo.path)
            self.ledger.set_place(photo.id, Place.KEPT, path=photo.path, now=now)
            return
        target = self.work_path(photo)
        files.move_exact(photo.path, target)
        sidecar = photo.sidecar
        beside = target.with_name(f"{target.name}.yaml")
        if sidecar is not None and (sidecar.exists() or beside.exists()):
            files.move_exact(sidecar, beside)
            sidecar = beside
        self.ledger.set_place(photo.id, Place.STATE, path=target, sidecar=sidecar, now=now)

    def is_unchanged(self, photo: Photo) -> bool:
        """Whether the file that a worker will read is still the photo that was admitted."""
        try:
            facts = photo.path.stat()
        except OSError:
            return False
        known = self.ledger.is_kept(photo.path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        return known or photo.place is not Place.KEPT

    def remember_kept(self, photo: Photo, path: Path) -> None:
        """Write down that a file of the inbox is this photo and stays there, so that it is not read at every scan."""
        facts = path.stat()
        self.ledger.remember_kept(path, facts.st_size, facts.st_mtime_ns, facts.st_ino, photo.id)

    def take_back(self, photo: Photo, now: float) -> bool:
        """Bring the file of a photo that is to be painted again back from originals or failed; False if it is gone."""
        target = self.work_path(photo)
        if not (photo.path.exists() or target.exists()):
            return False
        self.ledger.moving(photo.id, target, now=now)
        files.move_exact(photo.path, target)
        if photo.place is Place.FAILED:
            files.remove_if_there(photo.path.with_name(names.error_name(photo.path.name)))
        self.ledger.set_place(photo.id, Place.STATE, path=target, now=now)
        return True

    def file(self, photo: Photo, jobs: Iterable[Job], now: float) -> Place:
        """Given a photo whose jobs have all ended, put its file where it belongs and return that place."""
        failed = [job for job in jobs if job.state is JobState.FAILED]
        if failed:
            stays = photo.place is Place.KEPT
            failed_folder = self.settings.failed_folder
            path = failed_folder / photo.dropped.name if stays else self._move(photo, failed_folder, now)
            self.explain(path, photo.dropped, failed[0].cause or "error", _sentence(failed), now, jobs=failed)
            return Place.KEPT if stays else self._placed(photo, Place.FAILED, path, now)
        if photo.place is Place.KEPT:
            return Place.KEPT
        if self.settings.originals.action != "delete":
            return self._placed(photo, Place.ORIGINALS, self._move(photo, self.settings.originals_folder, now), now)
        files.remove_if_there(photo.path)
        if photo.sidecar is not None:
            files.remove_if_there(photo.sidecar)
        return self._placed(photo, Place.DELETED, photo.path, now)

    def file_copy(self, path: Path, sidecar: Path | None) -> Path | None:
        """File a second copy of a photo that is known already, as the original was; return where it is, or None."""
        if self.keeps:
            return path
        target = None
        for file in filter(None, (path, sidecar)):
            if self.settings.originals.action == "move":
                moved = files.move_new(file, self.settings.originals_folder, file.name)
                target = target or moved
            else:
                files.remove_if_there(file)
        return target

    def refuse(self, path: Path, error: SelfieError, now: float, sidecar: Path | None = None) -> Path:
        """Move what cannot be painted from the inbox to failed/ and say why; return where it lies now.

        A pipe, link or device is moved without being opened; where it cannot be moved it stays and only the
        explanation is written.
        """
        failed = self.settings.failed_folder
        dropped = path.relative_to(self.settings.inbox)
        if self.keeps:
            moved = failed / path.name
        else:
            try:
                moved = files.move_new(path, failed, path.name)
            except SelfieError:
                if path.is_file() and not path.is_symlink():
                    raise
                moved = failed / path.name
            if sidecar is not None and sidecar.exists():
                files.move_new(sidecar, failed, f"{moved.name}{sidecar.suffix}")
        self.explain(moved, dropped, error.code, str(error), now)
        return moved

    def undo_moves(self, now: float) -> None:
        """After a crash: settle every move that was begun. What did not get away yet is still where it was."""
        for photo in self.ledger.in_transit():
            target = photo.destination
            if target is None or os.path.lexists(photo.path):
                self.ledger.moving(photo.id, None, now=now)
                continue
            failed = self.settings.failed_folder
            place = {failed: Place.FAILED, self.state.work: Place.STATE}.get(target.parent, Place.ORIGINALS)
            self.ledger.set_place(photo.id, place, path=target, now=now)
            if place is Place.FAILED:
                jobs = [job for job in self.ledger.jobs(photo_id=photo.id) if job.state is JobState.FAILED]
                cause = (jobs[0].cause if jobs else None) or "error"
                self.explain(target, photo.dropped, cause, _sentence(jobs) if jobs else "", now, jobs=jobs)

    def explain(
        self, path: Path, dropped: Path, cause: str, reason: str, now: float, *, jobs: Iterable[Job] = ()
    ) -> None:
        """Write `<photo>.error.json` beside the file in failed/, in words for the person who dropped it."""
        content = {
            "photo": names.shown(dropped.name),
            "dropped_as": names.shown(dropped),
            "cause": cause,
            "reason": reason,
            "when": dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "jobs": [
                {"job": job.id, "preset": job.plan.preset, "variant": dict(job.plan.variant), "reason": job.reason}
                for job in jobs
            ],
        }
        data = json.dumps(content, ensure_ascii=False, indent=1).encode()
        files.write_atomic(path.with_name(names.error_name(path.name)), data)

    def _move(self, photo: Photo, folder: Path, now: float) -> Path:
        """Move a photo's file into a folder under a name that is free there, written down first."""
        number = 1
        while True:
            name = photo.dropped.name if number == 1 else names.numbered(photo.dropped.name, number)
            target = folder / name
            number += 1
            if os.path.lexists(target):
                continue
            self.ledger.moving(photo.id, target, now=now)
            try:
                files.move_exact(photo.path, target)
            except FileExistsError:
                continue
            if photo.sidecar is not None and photo.sidecar.exists():
                files.move_new(photo.sidecar, folder, f"{target.name}{photo.sidecar.suffix}")
            return target

    def _placed(self, photo: Photo, place: Place, path: Path, now: float) -> Place:
        self.ledger.set_place(photo.id, place, path=path, sidecar=None, now=now)
        return place


def _sentence(failed: list[Job]) -> str:
    presets = ", ".join(dict.fromkeys(job.plan.preset for job in failed))
    return f"{failed[0].reason} (preset {presets}; `neural-selfie retry --failed` tries again.)"
