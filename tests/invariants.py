"""What has to hold once a daemon has drained its inbox, whatever happened before: one function says what does not.

Compares the four things that a crash could bring out of step: the states in the ledger, the places it names, the files
that really lie there, and the pictures in the outbox.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from gallery_samples import hung
from house import House
from neural_selfie.files import names
from neural_selfie.gallery.describing import address
from neural_selfie.ledger import Ledger, open_ledger
from neural_selfie.lifecycle import FINISHED
from neural_selfie.model import Job, JobState, Photo, Place
from neural_selfie.record import Record

_STATE_ROOMS = {"work", "rendered", "styles", "models", "cache", "picks"}
_STATE_FILES = {"README", "daemon.lock", "ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a test put in and may hope for, by the SHA-256 of contents.

    `files`: how often each content is to lie in inbox, state folder, originals or failed, company included. `pictures`:
    how many pictures each photo gets. `failed`: what is to lie in failed/ (or, with `keep`, to be explained there).
    """

    files: Counter[str] = field(default_factory=Counter)
    pictures: Mapping[str, int] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()


def faults(house: House, expected: Expected) -> list[str]:
    """Given a drained daemon and what was dropped, return everything that is wrong, a sentence each."""
    action = house.settings.get("originals", {}).get("action", "move")
    with open_ledger(house.state) as ledger:
        jobs, photos = ledger.jobs(), ledger.photos()  # in this order: the daemon may be admitting more meanwhile
        return [
            *_of_the_ledger(house, ledger),
            *_of_states(ledger, photos, jobs, expected),
            *_of_places(house, ledger, photos),
            *_of_files(house, expected, inbox_is_empty=action != "keep"),
            *_of_failed(house, expected, alone=action == "keep"),
            *_of_outputs(house, photos, jobs),
            *_of_leftovers(house),
        ]


def sha256_of(path: Path) -> str:
    """Given a file, return the SHA-256 of its bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_the_ledger(house: House, ledger: Ledger) -> Iterator[str]:
    yield from ledger.check()
    connection = sqlite3.connect(house.state / "ledger.sqlite3")
    yield from (row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok")
    connection.close()
    yield from (f"{photo.name} is still on its way to {photo.destination}" for photo in ledger.in_transit())


def _of_states(ledger: Ledger, photos: list[Photo], jobs: list[Job], expected: Expected) -> Iterator[str]:
    """Every job has ended, and ended once; each photo has the pictures it was dropped for."""
    for job in jobs:
        if job.state not in FINISHED:
            yield f"job {job.id} is {job.state}"
        published = sum(event.kind == "job.published" for event in ledger.events(job_id=job.id))
        if published != (job.state is JobState.DONE):
            yield f"job {job.id} is {job.state} and was published {published} times"
    by_photo = {photo.id: photo.sha256 for photo in photos}
    done = Counter(by_photo[job.photo_id] for job in jobs if job.state is JobState.DONE)
    if done != Counter(expected.pictures):
        yield f"pictures by photo are {dict(done)}, not {dict(expected.pictures)}"
    for job in jobs:
        if job.state is not JobState.DONE and by_photo[job.photo_id] not in expected.failed:
            yield f"job {job.id} is {job.state}: {job.reason}"


def _of_places(house: House, ledger: Ledger, photos: list[Photo]) -> Iterator[str]:
    """Every photo's file is where the ledger says, and is that photo."""
    folders = {Place.ORIGINALS: house.originals, Place.FAILED: house.failed}
    for photo in photos:
        there = photo.path.is_file() and sha256_of(photo.path) == photo.sha256
        if photo.place in folders:
            if not there or photo.path.parent != folders[photo.place]:
                yield f"{photo.name} is not at {photo.path}, where {photo.place} should be"
        elif photo.place is Place.KEPT:
            facts = photo.path.stat() if there else None
            known = facts and ledger.kept.knows(photo.path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
            if not known or not photo.path.is_relative_to(house.inbox):
                yield f"{photo.name} is kept, but not remembered at {photo.path}"
        elif photo.place is not Place.DELETED or photo.path.exists():
            yield f"{photo.name} is {photo.place} at {photo.path}"
        if photo.sidecar is not None and not photo.sidecar.exists():
            yield f"{photo.name} has its sidecar at {photo.sidecar}, where nothing is"


def _of_files(house: House, expected: Expected, *, inbox_is_empty: bool) -> Iterator[str]:
    """Every byte that was dropped lies in exactly one place, as often as it was dropped, its company beside it."""
    folders = [house.inbox, house.state / "work", house.originals, house.failed]
    lie = [path for folder in folders for path in _files(folder) if not path.name.endswith(".error.json")]
    found = Counter(map(sha256_of, lie))
    for content in found | expected.files:
        if found[content] != expected.files[content]:
            where = [str(path.relative_to(house.root)) for path in lie if sha256_of(path) == content]
            yield f"{content[:8]} lies at {where}, and was dropped {expected.files[content]} times"
    emptied = [house.state / "work", *([house.inbox] if inbox_is_empty else [])]
    yield from (f"{path.relative_to(house.root)} is left behind" for folder in emptied for path in _files(folder))
    for path in lie:
        if names.is_sidecar(path) and not path.with_name(path.name.rpartition(".")[0]).exists():
            yield f"{path.relative_to(house.root)} lies there without its photo"


def _of_failed(house: House, expected: Expected, *, alone: bool) -> Iterator[str]:
    """What lies in failed/ has its explanation, and every explanation has something to explain."""
    explained = {path for path in _files(house.failed) if path.name.endswith(".error.json")}
    others = [path for path in _files(house.failed) if path not in explained]
    files = [path for path in others if not names.is_sidecar(path) and not names.is_mask(path)]
    needed = {path.with_name(names.error_name(path.name)) for path in files}
    if alone:
        dropped = {sha256_of(path): path for path in _files(house.inbox)}
        found = {json.loads(path.read_bytes())["dropped_as"] for path in explained}
        if others or found != {str(dropped[content].relative_to(house.inbox)) for content in expected.failed}:
            yield f"failed/ has {[path.name for path in others]} and explains {found}"
        return
    yield from (f"{path.name} is missing in failed/" for path in needed - explained)
    yield from (f"{path.name} in failed/ explains nothing" for path in explained - needed)
    if {sha256_of(path) for path in files} != expected.failed:
        yield f"in failed/ lie {[path.name for path in files]}"


def _of_outputs(house: House, photos: list[Photo], jobs: list[Job]) -> Iterator[str]:
    """Each job that is done has one whole picture and one true record, and nothing else lies in the outbox."""
    by_id = {photo.id: photo for photo in photos}
    lie = {str(path.relative_to(house.outbox)) for path in _files(house.outbox)}
    lie = {name for name in lie if not name.startswith(("gallery/data/", "gallery/small/", "gallery/styles/"))}
    due = {"index.html"}
    shown = {each["picture"] for each in hung(house.outbox)}
    for job in (job for job in jobs if job.state is JobState.DONE):
        photo = by_id[job.photo_id]
        assert job.output is not None
        record = f"{job.output.rpartition('.')[0]}.json"
        due |= {job.output, record, f"gallery/{photo.folder}.jpg", f"gallery/details/{record.removesuffix('.json')}.js"}
        if {job.output, record} <= lie:
            yield from _of_picture(house.outbox / job.output, house.outbox / record, photo, job)
        if address(*job.output.split("/")) not in shown:
            yield f"the page does not show {job.output}"
    swept = Counter(
        f"{by_id[job.photo_id].folder}/{job.plan.preset}.sheet.jpg"
        for job in jobs
        if job.state is JobState.DONE and job.plan.variant
    )
    due |= {sheet for sheet, variants in swept.items() if variants > 1}
    yield from (f"the outbox lacks {name}" for name in due - lie)
    yield from (f"the outbox has {name}, which nobody painted" for name in lie - due)


def _of_picture(picture: Path, record: Path, photo: Photo, job: Job) -> Iterator[str]:
    told = Record.model_validate_json(record.read_bytes())
    if told.output.file != picture.name or told.output.sha256 != sha256_of(picture):
        yield f"the record of {picture.name} is that of another picture"
    if (told.photo.sha256, told.preset) != (photo.sha256, job.plan.preset) or told.variant != dict(job.plan.variant):
        yield f"{picture.name} was made of another photo or preset"
    if told.attempts != job.attempts:
        yield f"{picture.name} is of attempt {told.attempts}, and the ledger says {job.attempts}"
    with Image.open(picture) as image:
        image.load()


def _of_leftovers(house: House) -> Iterator[str]:
    """No temporary file, probe or cookie is left anywhere, and in the state folder nothing that nobody waits for."""
    for path in house.root.rglob("*"):
        if path.name.startswith(".") or path.name.endswith(".part"):
            yield f"{path.relative_to(house.root)} was left"
    for path in house.state.iterdir():
        if path.name not in _STATE_ROOMS | _STATE_FILES:
            yield f"{path.relative_to(house.root)} was left"
    yield from (f"rendered/{path.name} was left" for path in (house.state / "rendered").iterdir())


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())
