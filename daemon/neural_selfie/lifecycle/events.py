"""What can happen to a job, with what is known at that moment. No event decides anything; the table does."""

import re
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker was given the job; this begins a new attempt."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The picture lies, fsynced, in the state folder; `output` is where it goes, relative to the outbox."""

    attempt: int
    output: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Picture and record are in the outbox."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishDelayed:
    """The outbox cannot be written to at the moment; the picture stays in the state folder."""

    cause: str
    reason: str
    next_try_at: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLost:
    """The rendered picture is missing in the state folder, so it has to be painted again."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Something outside photo and program is missing. `attempt`: whose result says so, or None if nobody tried."""

    cause: str
    reason: str
    next_try_at: float
    now: float
    attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """What the job waited for may be there again."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderFailed:
    """The attempt ended without a picture."""

    attempt: int
    cause: str
    reason: str
    retryable: bool
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The daemon stopped or died while the job ran; nothing is held against the job.

    `deaths`: how often in a row it has died of whatever it was, this time included; 0 if it stopped as it should. Once
    may be a power cut; a photo that takes the daemon along each time is given up in the end.
    """

    now: float
    deaths: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoLost:
    """The photo's file is gone, so the job can never run."""

    reason: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """A person does not want the picture any more."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A person wants the job tried anew, with a clean slate."""

    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedAgain:
    """The photo was dropped again after its picture had been removed from the outbox."""

    now: float


Event: TypeAlias = (
    Started
    | Rendered
    | Published
    | PublishDelayed
    | SpoolLost
    | Waits
    | Woken
    | RenderFailed
    | Interrupted
    | PhotoLost
    | CancelRequested
    | Retried
    | DroppedAgain
)


def kind_of(event_type: type[Event]) -> str:
    """Given a class of events, return its name as log and ledger write it: `RenderFailed` -> `render_failed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event_type.__name__).lower()
