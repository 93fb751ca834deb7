"""Where the file of a photo goes: taken in from the inbox, filed with the originals, or laid in failed/ with a reason.

Guarantees: each move is written down in the ledger before it happens and is finished after a crash; nothing is ever
overwritten; a file leaves a place only when it is safely in the next.
Does not guarantee: anything about a file that a person moves out of the state folder by hand.
"""

import datetime as dt
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from neural_selfie import files
from neural_selfie.config import Settings, masks
from neural_selfie.config.catalogue import sha256_of
from neural_selfie.config.layout import StateFolder
from neural_selfie.errors import SelfieError
from neural_selfie.files import names
from neural_selfie.ledger import Ledger
from neural_selfie.model import Job, JobState, MaskUse, Photo, Place

_SUFFIX_CHARACTERS_MAX = 10  # what follows the last dot of a name may be half a sentence
_CANCELLED = "Not every picture of this photo was painted: some were cancelled. `neural-selfie retry JOB` paints them."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Filing:
    """Moves files between the folders that people see and the state folder, and tells the ledger."""

    settings: Settings
    state: StateFolder
    ledger: Ledger

    def work_path(self, photo: Photo) -> Path:
        """Return where a photo lies in the state folder while it is painted."""
        suffix = photo.dropped.suffix.lower()
        plain = suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= _SUFFIX_CHARACTERS_MAX
        return self.state.work / f"{photo.sha256}{suffix if plain else ''}"

    @property
    def keeps(self) -> bool:
        """Whether photos stay in the inbox: they are painted from there, and nothing of the inbox is moved."""
        return self.settings.originals.action == "keep"

    def take_in(self, photo: Photo, now: float) -> None:
        """Move an admitted photo (place inbox), its mask and its sidecar into the state folder; with `keep` they stay.

        Raise StorageUnavailableError or PermissionDeniedError; calling it again finishes what was begun.
        """
        if self.keeps:
            self.remember_kept(photo, photo.path)
            self.ledger.set_place(photo.id, Place.KEPT, path=photo.path, now=now)
            return
        target = self.work_path(photo)
        files.move_exact(photo.path, target)
        self._take_mask(photo, photo.path.parent, target)
        sidecar = photo.sidecar
        beside = target.with_name(f"{target.name}.yaml")
        if sidecar is not None and (sidecar.exists() or beside.exists()):
            files.move_exact(sidecar, beside)
            sidecar = beside
        self.ledger.set_place(photo.id, Place.STATE, path=target, sidecar=sidecar, now=now)

    def is_unchanged(self, photo: Photo) -> bool:
        """Whether the file that a worker will read is still the photo that was admitted; raise OSError if unknown."""
        try:
            facts = photo.path.stat()
        except (FileNotFoundError, NotADirectoryError):
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
        self._taken_back(photo, target, now)
        return True

    def _taken_back(self, photo: Photo, target: Path, now: float) -> None:
        if photo.place is Place.FAILED:
            files.remove_if_there(photo.path.with_name(names.error_name(photo.path.name)))
        self._take_mask(photo, photo.path.parent, target)
        sidecar = None
        for suffix in (".yaml", ".yml"):
            name = f"{photo.path.name}{suffix}"
            if len(os.fsencode(name)) <= names.NAME_BYTES and photo.path.with_name(name).is_file():
                sidecar = target.with_name(f"{target.name}{suffix}")
                files.move_exact(photo.path.with_name(name), sidecar)
        self.ledger.set_place(photo.id, Place.STATE, path=target, sidecar=sidecar, now=now)

    def lose(self, photo: Photo, now: float) -> None:
        """The file is gone: somebody took it away. Its jobs are cancelled with that reason."""
        if photo.place is Place.KEPT:
            self.ledger.forget_kept(photo.path)  # should it come back, it is a new sighting
        self.ledger.set_place(photo.id, Place.LOST, sidecar=None, now=now)
        log.warning("photo.lost", photo=photo.name, path=names.shown(photo.path))

    def file(self, photo: Photo, jobs: Iterable[Job], now: float) -> Place:
        """Given a photo whose jobs have all ended, put its file where it belongs and return that place."""
        jobs = _since_the_drop(photo, list(jobs))
        failed = [job for job in jobs if job.state is JobState.FAILED]
        if photo.place is Place.KEPT:
            self._explain_kept(photo, failed, now)
            return Place.KEPT
        deletes = self.settings.originals.action == "delete"
        if failed or (deletes and any(job.state is not JobState.DONE for job in jobs)):
            path = self._move(photo, self.settings.failed_folder, now)
            self._explain_jobs(path, photo, failed, now)
            return self._placed(photo, Place.FAILED, path, now)
        if not deletes:
            return self._placed(photo, Place.ORIGINALS, self._move(photo, self.settings.originals_folder, now), now)
        files.remove_if_there(photo.path)
        if photo.sidecar is not None:
            files.remove_if_there(photo.sidecar)
        files.remove_if_there(masks.at_work(self.work_path(photo)))
        return self._placed(photo, Place.DELETED, photo.path, now)

    def _explain_jobs(self, path: Path, photo: Photo, failed: list[Job], now: float) -> None:
        cause, reason = (failed[0].cause or "error", _sentence(failed)) if failed else ("cancelled", _CANCELLED)
        self.explain(path, photo.dropped, cause, reason, now, jobs=failed)

    def _explain_kept(self, photo: Photo, failed: list[Job], now: float) -> None:
        """A photo that stays in the inbox has nothing in failed/ but the explanation, as long as it holds."""
        path = self._kept_explained(photo.dropped)
        if failed:
            self._explain_jobs(path, photo, failed, now)
        else:
            files.remove_if_there(path.with_name(names.error_name(path.name)))

    def _kept_explained(self, dropped: Path) -> Path:
        """Return where in failed/ a file that stays in the inbox would lie: photos of two folders may share a name."""
        name = "-".join(dropped.parts)
        fits = len(os.fsencode(name)) <= names.NAME_BYTES
        return self.settings.failed_folder / (name if fits else names.numbered(name, 2))

    def file_copy(self, path: Path, sidecar: Path | None, mask: MaskUse | None = None) -> Path | None:
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
        if mask is not None and _is(mask, mask.path):
            if target is not None:
                _lay_mask(mask.path, target.parent, mask.name)
            else:
                files.remove_if_there(mask.path)
        return target

    def file_failed_copy(self, photo: Photo) -> None:
        """Given a photo as it lay in failed/ before it was dropped again, file that older copy: its reason is void."""
        try:
            if photo.path.is_file() and sha256_of(photo.path) == photo.sha256:
                files.remove_if_there(photo.path.with_name(names.error_name(photo.path.name)))
                self.file_copy(photo.path, None)
        except (SelfieError, OSError) as error:
            log.warning("photo.not_filed", photo=photo.name, reason=str(error))

    def refuse(self, path: Path, error: SelfieError, now: float, sidecar: Path | None = None) -> Path:
        """Move what cannot be painted from the inbox to failed/ and say why; return where it lies now.

        A pipe, link or device is moved without being opened; where it cannot be moved it stays and only the
        explanation is written.
        """
        dropped = path.relative_to(self.settings.inbox)
        mask = None if sidecar is None else masks.named(path)
        if self.keeps:
            target = self._kept_explained(dropped)
            self.explain(target, dropped, error.code, str(error), now)
            return target
        for name in _names(path.name):
            target = self.settings.failed_folder / name
            if os.path.lexists(target):
                continue
            # The explanation first: after a crash the file is refused again, and nothing lies in failed/ without one.
            self.explain(target, dropped, error.code, str(error), now)
            try:
                files.move_exact(path, target)
            except FileExistsError:
                continue
            except (SelfieError, OSError):
                if not os.path.lexists(path) or (path.is_file() and not path.is_symlink()):
                    with suppress(SelfieError, OSError):
                        files.remove_if_there(target.with_name(names.error_name(name)))
                    raise
            else:
                if mask is not None and mask.is_file() and not mask.is_symlink():
                    _lay_mask(mask, target.parent, mask.name)
                self._move_sidecar(sidecar, target)
            return target
        raise FileExistsError(path.name)

    def undo_moves(self, now: float) -> None:
        """After a crash: settle every move that was begun. What did not get away yet is still where it was."""
        for photo in self.ledger.in_transit():
            try:
                self._undo_move(photo, now)
            except (SelfieError, OSError) as error:  # the others are not to wait for this one
                log.warning("photo.not_moved", photo=photo.name, reason=str(error))

    def _undo_move(self, photo: Photo, now: float) -> None:
        target = photo.destination
        if target is not None and os.path.lexists(photo.path) and os.path.lexists(target):
            with suppress(FileExistsError):  # another file of that name: the move had not begun
                files.move_exact(photo.path, target)
        if target is None or os.path.lexists(photo.path):
            self.ledger.moving(photo.id, None, now=now)
        elif target.parent == self.state.work:
            self._taken_back(photo, target, now)
        elif target.parent == self.settings.failed_folder:
            self._move_company(photo, target)
            if self.ledger.unfinished(photo.id) == 0:  # else it is retried, and taken back
                jobs = _since_the_drop(photo, self.ledger.jobs(photo_id=photo.id))
                failed = [job for job in jobs if job.state is JobState.FAILED]
                self._explain_jobs(target, photo, failed, now)
            self._placed(photo, Place.FAILED, target, now)
        else:
            self._move_company(photo, target)
            self._placed(photo, Place.ORIGINALS, target, now)

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
        begun = photo.destination  # moved before, but what was to follow failed: the disk was full, say
        if begun is not None and begun.parent == folder and not os.path.lexists(photo.path) and os.path.lexists(begun):
            self._move_company(photo, begun)
            return begun
        for name in _names(photo.dropped.name):
            target = folder / name
            if os.path.lexists(target):
                continue
            self.ledger.moving(photo.id, target, now=now)
            try:
                files.move_exact(photo.path, target)
            except FileExistsError:
                continue
            self._move_company(photo, target)
            return target
        raise FileExistsError(photo.dropped.name)

    def _move_company(self, photo: Photo, target: Path) -> None:
        """Put mask and sidecar of a photo, if it has them, beside it where it lies now, at `target`."""
        dropped_in = (self.settings.inbox / photo.dropped).parent  # a crash may have left it there
        for mask in self._masks(photo):
            places = (masks.at_work(self.work_path(photo)), masks.spelled(dropped_in, mask.name))
            if (source := next((path for path in places if _is(mask, path)), None)) is not None:
                _lay_mask(source, target.parent, mask.name)
                break
        self._move_sidecar(photo.sidecar, target)

    def _masks(self, photo: Photo) -> list[MaskUse]:
        """Return the masks that a photo was ever dropped with, the newest first."""
        plans = [job.plan for job in reversed(self.ledger.jobs(photo_id=photo.id))]
        return list(dict.fromkeys(plan.mask for plan in plans if plan.mask is not None))

    def _take_mask(self, photo: Photo, folder: Path, target: Path) -> None:
        """Move the mask of a photo from a folder to the state folder; the photo is painted all the same if it stays."""
        lies = ((mask, at) for mask in self._masks(photo) for at in _mask_places(folder, mask.name) if _is(mask, at))
        mask, source = next(lies, (None, None))
        if mask is None or source is None:
            return
        beside = masks.at_work(target)
        try:
            if not _is(mask, beside):  # that of an older drop, which was lost
                files.remove_if_there(beside)
            files.move_exact(source, beside)
        except (SelfieError, OSError) as error:
            log.warning("mask.not_moved", photo=photo.name, reason=str(error))

    def _move_sidecar(self, sidecar: Path | None, target: Path) -> None:
        """Put a sidecar, if there is one, beside its photo that lies at `target`."""
        if sidecar is not None and sidecar.exists():
            name = f"{target.name}{sidecar.suffix}"
            if len(os.fsencode(name)) > names.NAME_BYTES:
                name = names.numbered(name, 2)  # cuts the stem
            files.move_new(sidecar, target.parent, name)

    def _placed(self, photo: Photo, place: Place, path: Path, now: float) -> Place:
        self.ledger.set_place(photo.id, place, path=path, sidecar=None, now=now)
        return place


def _names(name: str) -> Iterator[str]:
    """Yield the names that a file may get beside others of its name; none is that of somebody's explanation."""
    if not name.endswith(".error.json"):
        yield name
    for number in range(2, 10_000):
        yield names.numbered(name, number)


def _mask_places(folder: Path, name: str) -> Iterator[Path]:
    """Yield where in a folder the mask of a photo may be: others of its name may have come there before it."""
    path = masks.spelled(folder, name)
    number = 1
    while os.path.lexists(path):
        yield path
        number += 1
        path = folder / masks.numbered(name, number)


def _lay_mask(source: Path, folder: Path, name: str) -> None:
    """Move a mask into a folder under its name, or `me (2).mask.png` ... if another has it."""
    for number in range(1, 10_000):
        try:
            files.move_exact(source, folder / (name if number == 1 else masks.numbered(name, number)))
        except FileExistsError:
            continue
        return
    raise FileExistsError(name)


def _is(mask: MaskUse, path: Path) -> bool:
    """Whether there is a file at a path, and it is this mask."""
    try:
        return path.is_file() and not path.is_symlink() and sha256_of(path) == mask.sha256
    except OSError:
        return False


def _since_the_drop(photo: Photo, jobs: list[Job]) -> list[Job]:
    """Leave out what a preset that is no more made of an earlier drop, if there is anything newer."""
    return [job for job in jobs if (job.finished_at or 0.0) >= photo.dropped_at] or jobs


def _sentence(failed: list[Job]) -> str:
    presets = ", ".join(dict.fromkeys(job.plan.preset for job in failed))
    return f"{failed[0].reason} (preset {presets}; `neural-selfie retry --failed` tries again.)"
