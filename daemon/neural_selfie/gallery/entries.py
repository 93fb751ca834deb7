"""What the page shows: a painting beside its photo, as its record tells it. Reads no file and no clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from neural_selfie.record import Record

ASSETS = "gallery"  # cannot be the folder of a photo: those end in -<hash6>
PICTURE_SUFFIXES = frozenset({"jpg", "jpeg", "png", "webp"})
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One painting. `picture` and `record` are file names inside `folder`; `preview` is relative to the outbox.

    Sizes are in pixels, `seconds` is wall clock over all stages, `finished_at` is ISO 8601.
    """

    photo: str
    photo_width: int
    photo_height: int
    folder: str
    picture: str
    record: str
    preset: str
    variant: Mapping[str, Any]
    width: int
    height: int
    finished_at: str
    seconds: float
    styles: tuple[str, ...] = ()
    style_sha256: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    preview: str | None = None
    mark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file or folder of the outbox that the page leaves out, its path relative to the outbox, and the reason."""

    path: str
    reason: str


def preview_of(folder: str) -> str:
    """Given the folder of a photo in the outbox, return where its preview lies, relative to the outbox."""
    return f"{ASSETS}/{folder}.jpg"


def moment(iso: str) -> datetime:
    """Given ISO 8601 (UTC where it names no zone), return that time in UTC; `LONG_AGO` where it cannot be read."""
    try:
        read = datetime.fromisoformat(iso)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return LONG_AGO


def newest_first(entry: Entry) -> tuple[float, str, str]:
    """Return the key that sorts entries newest first and, within one moment, by folder and file name."""
    return -(moment(entry.finished_at) - LONG_AGO).total_seconds(), entry.folder, entry.record


def record_of(data: bytes) -> Record:
    """Given the bytes of a file, return the record that it holds; raise ValueError if it holds none."""
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"it is not the record of a painting: {where} {first['msg']}") from error


def entry_of(record: Record, *, folder: str, name: str) -> Entry:
    """Given the record `folder`/`name`, return its entry, without a preview.

    Raise ValueError if it is that of a picture that does not lie beside it under its name.
    """
    picture = record.output.file
    stem, _, suffix = picture.rpartition(".")
    # The page links to what the record names: only a picture beside it, called like it, cannot lead out of the folder.
    if name != f"{stem}.json":
        raise ValueError("it belongs to a picture of another name")
    if suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError("it names something that is not a picture")
    return Entry(
        photo=record.photo.name,
        photo_width=record.photo.width,
        photo_height=record.photo.height,
        folder=folder,
        picture=picture,
        record=name,
        preset=record.preset,
        variant=record.variant,
        width=record.output.width,
        height=record.output.height,
        finished_at=record.timings.finished_at,
        seconds=sum(record.timings.seconds.values()),
        styles=tuple(style.name for style in record.styles),
        style_sha256=tuple(style.sha256 for style in record.styles),
        warnings=record.warnings,
        mark=None if record.review is None else record.review.mark,
    )
