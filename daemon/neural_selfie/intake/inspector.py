"""The inspector: the process in which every dropped file is decoded before anything else happens to it.

Files are handed over several at a time, as many as it has lately managed in a fifth of a second: of thousands of small
ones hundreds are looked at in a second, and a large one is not kept waiting for its neighbours.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neural_selfie import inspection
from neural_selfie.config import masks
from neural_selfie.inbox.settle import FileFacts
from neural_selfie.model import Limits, MaskUse, PhotoFacts
from neural_selfie.workers.seat import CallEnded, Reported, Seat

INSPECTOR = "inspector"
_INSPECTION_SECONDS = 120.0
_TURN_SECONDS = 0.2  # after so long the inspector says what it has found out, and leaves the rest
_FILES_MAX = 64
_SYNCS_AT_ONCE = 16  # a journal writes what several wait for in one go


@dataclass(frozen=True, slots=True)
class Inspection:
    """One file for the inspector, what a photo may be, and what the file was when the call was made.

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


def inspect_in_turn(calls: Sequence[Inspection]) -> list[Inspected | Exception]:
    """Run in the inspector's process: say of each file what it is, or what `inspect` raised, for a fifth of a second.

    The answer is as long as it got, at least one. The content of each photo that is whole is on the disk then: who
    dropped it need not have synced it, and afterwards it is only renamed.
    """
    until = time.monotonic() + _TURN_SECONDS
    found: list[Inspected | Exception] = []
    for call in calls:
        try:
            found.append(inspect(call))
        except Exception as error:  # noqa: BLE001 - the daemon judges it
            found.append(error)
        if time.monotonic() > until:
            break
    whole = [number for number, one in enumerate(found) if isinstance(one, Inspected)]
    for number, unsynced in zip(whole, _synced([calls[number].path for number in whole]), strict=True):
        if unsynced is not None:
            found[number] = unsynced
    return found


def _synced(paths: Sequence[Path]) -> list[OSError | None]:
    if len(paths) <= 1:
        return [_sync(path) for path in paths]
    with ThreadPoolExecutor(min(len(paths), _SYNCS_AT_ONCE)) as pool:
        return list(pool.map(_sync, paths))


def _sync(path: Path) -> OSError | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error
    return None


class Inspector:
    """Given what photos may be and where its answers go, one process that looks at one file after the other."""

    def __init__(self, limits: Limits, post: Callable[[CallEnded | Reported], None]) -> None:
        self._seat = Seat(INSPECTOR, prepare=inspection.limit_memory, arguments=(limits,), post=post)
        self._paths: frozenset[Path] = frozenset()
        self._room = 1

    @property
    def room(self) -> int:
        """How many files can be submitted now."""
        return self._room if self._seat.free else 0

    @property
    def free(self) -> bool:
        """Whether no file is being looked at."""
        return self._seat.free

    def has(self, path: Path) -> bool:
        """Whether this file is being looked at, or about to be."""
        return path in self._paths

    def submit(self, calls: Sequence[Inspection]) -> None:
        """Look at files in turn; a `CallEnded` of the seat INSPECTOR will say what they are, or the first of them."""
        self._paths = frozenset(call.path for call in calls)
        self._seat.submit(tuple(calls), inspect_in_turn)

    def release(self, message: CallEnded) -> None:
        """Call this once the answer has arrived: the inspector is free again."""
        self._seat.release(message)
        self._paths = frozenset()
        answers = 0 if message.value is None else len(message.value)
        self._room = max(1, min(2 * answers, _FILES_MAX))

    def end_if_too_long(self) -> None:
        """End the process if it is busy with one file for two minutes: that call ends as died."""
        started_at = self._seat.started_at
        if started_at is not None and time.monotonic() - started_at > _INSPECTION_SECONDS:
            self._seat.kill()

    def close(self) -> None:
        """End the process."""
        self._seat.close()
