"""The inspector: the process in which every dropped file is decoded before anything else happens to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neural_selfie import inspection
from neural_selfie.config import masks
from neural_selfie.inbox.settle import FileFacts
from neural_selfie.model import Limits, MaskUse, PhotoFacts
from neural_selfie.workers.seat import CallEnded, Reported, Seat

INSPECTOR = "inspector"
_INSPECTION_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """One call of the inspector: the file, what a photo may be, and what the file was when the call was made.

    `mask` is what the sidecar named at that time.
    """

    path: Path
    limits: Limits
    seen: FileFacts
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the inspector found out about a photo and its mask."""

    photo: PhotoFacts
    mask: MaskUse | None


def inspect(call: Inspection) -> Inspected:
    """Run in the inspector's process: prove that a file is a whole picture, and so is its mask."""
    photo = inspection.inspect(call.path, call.limits)
    if call.mask is None:
        return Inspected(photo, None)
    mask = masks.inspect(call.mask, photo, call.limits)
    return Inspected(photo, MaskUse(name=call.mask.name, path=call.mask, sha256=mask.sha256))


class Inspector:
    """Given what photos may be and where its answers go, one process that looks at one file at a time."""

    def __init__(self, limits: Limits, post: Callable[[CallEnded | Reported], None]) -> None:
        self._seat = Seat(INSPECTOR, prepare=inspection.limit_memory, arguments=(limits,), post=post)

    @property
    def free(self) -> bool:
        """Whether a file can be submitted."""
        return self._seat.free

    def has(self, path: Path) -> bool:
        """Whether this file is being looked at."""
        call: Inspection | None = self._seat.call
        return call is not None and call.path == path

    def submit(self, call: Inspection) -> None:
        """Look at a file; a `CallEnded` of the seat INSPECTOR will say what it is."""
        self._seat.submit(call, inspect)

    def release(self, message: CallEnded) -> None:
        """Call this once the answer has arrived: the inspector is free again."""
        self._seat.release(message)

    def end_if_too_long(self) -> None:
        """End the process if it is busy with one file for two minutes: that call ends as died."""
        started_at = self._seat.started_at
        if started_at is not None and time.monotonic() - started_at > _INSPECTION_SECONDS:
            self._seat.kill()

    def close(self) -> None:
        """End the process."""
        self._seat.close()
