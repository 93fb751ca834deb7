"""The outbox: pictures appear whole or not at all, and a picture with a record is complete.

Guarantees: picture and preview first, the record last, each by temporary name, fsync, rename and fsync of the folder;
publishing the same job again leaves the same files.
Does not guarantee: that somebody who deletes in the outbox at the same moment gets what they expect.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neural_selfie import files, waypoints
from neural_selfie.files.names import shown
from neural_selfie.model import Job, Photo, Result

PREVIEWS = "gallery"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A painted picture that waits in the state folder to be published."""

    file: str
    picture: bytes
    preview: bytes
    record: bytes


class Spool:
    """The room of the state folder where painted pictures wait: a full outbox makes no picture to be painted again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._undropped: set[int] = set()

    def put(self, result: Result) -> None:
        """Write a result durably; raise StorageUnavailableError when the disk is full."""
        folder = self._folder / str(result.job_id)
        self._undropped.discard(result.job_id)
        files.make_folder(folder)
        files.write_atomic(folder / "picture", result.picture)
        files.write_atomic(folder / "preview", result.preview)
        files.write_atomic(folder / "record", result.record.model_dump_json(indent=1).encode())

    def get(self, job: Job) -> Rendered | None:
        """Return what `put` wrote for this attempt of a job, or None if it is missing, of another attempt or torn.

        Raise StorageUnavailableError or PermissionDeniedError where the disk does not let it be read.
        """
        folder = self._folder / str(job.id)
        try:
            with files.storage_errors(f"the painted picture in {shown(folder)} cannot be read"):
                record = (folder / "record").read_bytes()
                picture = (folder / "picture").read_bytes()
                preview = (folder / "preview").read_bytes()
            facts = json.loads(record)
            whole = facts["output"]["sha256"] == hashlib.sha256(picture).hexdigest()
            if facts["attempts"] != job.attempts or not whole:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Rendered(facts["output"]["file"], picture, preview, record)

    def drop(self, job_id: int) -> None:
        """Remove what waits for a job, if anything; what cannot be removed now, `sweep` removes."""
        folder = self._folder / str(job_id)
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.lexists(folder):
            self._undropped.add(job_id)

    def sweep(self) -> None:
        """Remove what could not be removed before."""
        for job_id in tuple(self._undropped):
            self._undropped.discard(job_id)
            self.drop(job_id)

    def job_ids(self) -> list[int]:
        """Return the jobs that something waits for."""
        return [int(path.name) for path in self._folder.iterdir() if path.name.isdigit()]


def publish(outbox: Path, photo: Photo, rendered: Rendered) -> str:
    """Given a photo and a painted picture, make it appear; return the picture's path relative to the outbox.

    Raise StorageUnavailableError or PermissionDeniedError when the outbox cannot be written now. The outbox itself is
    not made, and links in it are not followed (but for whoever exchanges a folder for one at that very moment).
    """
    folder = outbox / photo.folder
    files.make_folder(outbox / PREVIEWS)
    files.make_folder(folder)
    waypoints.reached("outbox.folder_made")
    preview = outbox / PREVIEWS / f"{photo.folder}.jpg"
    if files.is_gone(preview):
        files.write_atomic(preview, rendered.preview)
        waypoints.reached("preview.published")
    picture = folder / rendered.file
    files.write_atomic(picture, rendered.picture)
    waypoints.reached("picture.published")
    files.write_atomic(picture.with_name(record_name(rendered.file)), rendered.record)
    waypoints.reached("record.published")
    return f"{photo.folder}/{rendered.file}"


def record_name(picture: str) -> str:
    """Given a picture's file name, return that of its record: only the last suffix is replaced."""
    return f"{picture.rpartition('.')[0]}.json"


def is_there(outbox: Path, output: str) -> bool:
    """Given a picture's path relative to the outbox, return whether it and its record still lie there."""
    picture = outbox / output
    return picture.is_file() and picture.with_name(record_name(picture.name)).is_file()


def temporaries(outbox: Path, photos: Iterable[Photo]) -> Iterator[Path]:
    """Given the photos whose pictures were being published, yield what a killed daemon may have left half-made."""
    for folder in (outbox, outbox / PREVIEWS, *(outbox / photo.folder for photo in photos)):
        yield from folder.glob(".*.part")
