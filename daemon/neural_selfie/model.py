"""The values that pass between rooms: photo, job, task, progress, result. Nothing here reads a clock or a file.

Paths are pathlib paths whose bytes come from the file system: a name that is not UTF-8 carries surrogates
(PEP 383) and must go through `names.shown` before anybody sees it. Times are seconds since the epoch (UTC).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neural_selfie.record import Record


class Place(StrEnum):
    """Where the one file of a photo is. Exactly one of these holds at any time, also after a crash."""

    INBOX = "inbox"  # seen and written down, not yet taken in
    STATE = "state"  # taken in: in the work folder of the state folder
    ORIGINALS = "originals"
    FAILED = "failed"
    KEPT = "kept"  # originals.action keep: it stays in the inbox, and is known there
    DELETED = "deleted"  # originals.action delete, after every picture was published
    LOST = "lost"  # somebody removed it between drop and painting


class JobState(StrEnum):
    """What happens to a job. `lifecycle.TRANSITIONS` says which may follow which."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"  # the picture lies in the state folder and is not yet published
    DONE = "done"
    WAITING = "waiting"  # for something outside photo and program
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFacts:
    """What a full decode of a file says about it. `taken_at`: ISO 8601 as the camera wrote it, or None."""

    sha256: str
    format: str
    width: int
    height: int
    size_bytes: int
    taken_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleUse:
    """One image of a preset: its file and the SHA-256 of its bytes; of a style, its share (0 < weight) and its region.

    `region` is the colour that the mask of a photo has where this style is used; None: everywhere else.
    """

    name: str
    path: Path
    sha256: str
    weight: float = 1.0
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskUse:
    """The mask of one photo, which says where each style is used: its name, its file, the SHA-256 of its bytes."""

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One picture that a preset asks for: a point of its sweep, every number resolved.

    `variant` is {} without a sweep. `recipe` holds every number of the engine and `size`, `format`, `quality`.
    `weights` is the absolute path of the network's file, or None for the one in the models folder.
    `mask` is there when the photo has one and a style has a region, `start` when the recipe says `start: file`.
    """

    preset: str
    engine: str
    variant: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any]
    styles: tuple[StyleUse, ...]
    seed: int = 0
    weights: str | None = None
    mask: MaskUse | None = None
    start: StyleUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photo as the ledger knows it, found by the SHA-256 of its bytes.

    `name` is the name it was dropped under, without folder and fit to be shown; `dropped` is its path relative to
    the inbox as bytes allow it; `path` is where its file is (or was last, when `place` says it is gone); `folder`
    is its folder in the outbox; `destination` is set while the file is on its way to originals or failed.
    """

    id: int
    sha256: str
    name: str
    dropped: Path
    path: Path
    place: Place
    folder: str
    width: int
    height: int
    taken_at: str | None
    dropped_at: float
    sidecar: Path | None = None
    destination: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One picture to make: photo x preset x variant.

    `attempts` counts starts (the fencing number: a result of an older attempt is dropped); `failures` counts those
    that are held against the job. `reason` is the sentence people see, `cause` the stable code of errors.py.
    """

    id: int
    photo_id: int
    plan: Plan
    state: JobState = JobState.QUEUED
    attempts: int = 0
    failures: int = 0
    queued_at: float
    started_at: float | None = None
    finished_at: float | None = None
    next_try_at: float = 0.0
    cause: str | None = None
    reason: str | None = None
    cancel_requested: bool = False
    output: str | None = None  # the picture's path relative to the outbox, once it is known

    def log_fields(self) -> dict[str, object]:
        """Return what every log line about this job carries."""
        return {"job": self.id, "preset": self.plan.preset, "variant": dict(self.plan.variant)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A file that leaves its place without being the one file of a photo: a second copy, or what is refused.

    `destination` None: it is removed. `sidecar` and `mask` are where its company was before.
    """

    path: Path
    destination: Path | None
    sidecar: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a photo may be: bytes of the file, million pixels once decoded, and pixels of the shorter edge."""

    file_mib: int = 256
    megapixels: int = 200
    shortest_edge_px: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that a worker needs to paint one job, and nothing that it has to ask the daemon for.

    `together`: the other variants of the same photo that are painted in the same go. They differ from this task in
    job, attempt, plan and queued_at; nothing else of them is looked at.
    """

    job_id: int
    attempt: int
    photo_path: Path
    photo_name: str
    photo_sha256: str
    plan: Plan
    queued_at: float
    limits: Limits = field(default_factory=Limits)
    keep_gps: bool = False
    weights: Path | None = None  # for engines with a network
    cache: Path | None = None  # where such an engine keeps what it computed of style images
    device: str = "auto"  # "cuda" or "cpu" once a worker has it: nothing falls back to the CPU in silence
    together: tuple["Task", ...] = ()

    @property
    def members(self) -> tuple["Task", ...]:
        """The tasks of the batch in the order in which they are painted, this one first."""
        return (self, *self.together)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a worker is with a job. `fraction` is the share of the predicted work, 0..1, and never falls.

    The jobs of a batch are all as far as the batch is.
    """

    job_id: int
    attempt: int
    stage: str  # "decode", "paint", "encode"
    scale: int = 0
    iteration: int = 0
    fraction: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A painted picture on its way to the outbox: encoded bytes, its record, and a small JPEG of the photo.

    `together`: the results of the other tasks of the batch, in their order.
    """

    job_id: int
    attempt: int
    picture: bytes
    preview: bytes
    record: "Record"
    together: tuple["Result", ...] = ()

    @property
    def members(self) -> tuple["Result", ...]:
        """The results of the batch, this one first."""
        return (self, *self.together)
