"""The workers: one seat for each device; one that is dead or silent too long is replaced, and nobody else is hurt."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from neural_selfie.config import DaskWorkers, GpuWorkers, Settings
from neural_selfie.errors import (
    ConfigError,
    EngineFailedError,
    PhotoChangedError,
    WorkerDiedError,
    WorkerHungError,
)
from neural_selfie.model import Progress, Result, Task
from neural_selfie.workers import render
from neural_selfie.workers.seat import CallEnded, Reported, Seat

_GROWTH = 0.001  # of the work: less is no progress
_ENDING_SECONDS = 60.0  # a process that was killed is gone after this, or hangs in the kernel


@dataclass(frozen=True, slots=True)
class Painter:
    """What a worker's process runs: `prepare(device)` once, then `paint(task)` for each task. Both picklable.

    `paint` gives a result for every member of the task, in their order.
    """

    prepare: Callable[[str], None] = render.prepare
    paint: Callable[[Task], Result] = render.paint


@dataclass(frozen=True, slots=True)
class Painted:
    """A worker has ended with a task: `result`, or `error`; either is about all members of its batch."""

    task: Task
    result: Result | None = None
    error: BaseException | None = None


@dataclass(slots=True)
class _Pace:
    """How fast a worker gets on: the farthest that it was, when that was, and how long the whole was to take then."""

    fraction: float
    at: float
    predicted_seconds: float


class Workers:
    """All workers of this machine. `post` receives `CallEnded` and `Reported` values from other threads.

    A worker is ended that says nothing for `silence_seconds`, and one that speaks but gets no further for as long as
    that, or as long as the whole picture was to take by its own account, whichever is longer.
    """

    def __init__(
        self,
        devices: Sequence[str],
        *,
        silence_seconds: float,
        post: Callable[[CallEnded | Reported], None],
        painter: Painter,
    ) -> None:
        self._paint = painter.paint
        self._silence_seconds = silence_seconds
        self._hung: dict[str, float] = {}  # for how many seconds they made no progress
        self._paces: dict[str, _Pace] = {}
        self._seats = {
            name: Seat(name, prepare=painter.prepare, arguments=(name,), post=post) for name in dict.fromkeys(devices)
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The devices, such as "cpu" or "cuda:0"."""
        return tuple(self._seats)

    def owns(self, seat: str) -> bool:
        """Whether a message comes from one of these workers."""
        return seat in self._seats

    def free(self) -> int:
        """Return how many more tasks can be taken now."""
        return sum(seat.free for seat in self._seats.values())

    def running(self) -> dict[str, Task]:
        """Return what each busy worker paints."""
        return {name: seat.call for name, seat in self._seats.items() if not seat.free}

    def paints(self, progress: Progress) -> bool:
        """Whether a worker is busy with that attempt of that job; what is reported about any other comes too late."""
        return self.task_of(progress.job_id, progress.attempt) is not None

    def heard(self, progress: Progress) -> None:
        """Take note of how far a worker says it is."""
        seat = self._seat_of(progress.job_id, progress.attempt)
        if seat is None or seat.started_at is None:
            return
        before = self._paces.get(seat.name)
        if before is None or progress.fraction >= before.fraction + _GROWTH:
            now = time.monotonic()
            predicted = (now - seat.started_at) / progress.fraction if progress.fraction >= _GROWTH else 0.0
            self._paces[seat.name] = _Pace(progress.fraction, now, predicted)

    def task_of(self, job_id: int, attempt: int) -> Task | None:
        """Return the task in which a worker paints an attempt of a job, alone or in a batch, or None."""
        seat = self._seat_of(job_id, attempt)
        return None if seat is None else seat.call

    def submit(self, task: Task) -> str:
        """Give a task to a free worker and return its name."""
        seat = next(seat for seat in self._seats.values() if seat.free)
        self._paces.pop(seat.name, None)
        seat.submit(replace(task, device=seat.name.partition(":")[0]), partial(_paint_unchanged, self._paint))
        return seat.name

    def ended(self, message: CallEnded) -> Painted:
        """Given the end of a call, free its worker and return what came of the task."""
        seat = self._seats[message.seat]
        seat.release(message)
        hung = self._hung.pop(message.seat, None)
        if message.error is None and (fault := _fault_of(message.value, message.call)) is not None:
            return Painted(message.call, error=EngineFailedError(f"The engine returned {fault}."))
        if not message.died:
            return Painted(message.call, message.value, message.error)
        if hung is not None:
            return Painted(
                message.call,
                error=WorkerHungError(f"The worker made no progress for {hung:.0f} s and was ended."),
            )
        return Painted(
            message.call,
            error=WorkerDiedError("The worker process ended while it painted (killed, out of memory, or crashed)."),
        )

    def end_silent(self) -> dict[str, float]:
        """Kill every busy worker that has made no progress for too long; return for how long, in seconds."""
        now = time.monotonic()
        silent = {
            name: stuck
            for name, seat in self._seats.items()
            if not seat.free and name not in self._hung and (stuck := self._stuck_seconds(seat, now)) > 0
        }
        for name in silent:
            self._seats[name].kill()
        self._hung |= silent
        return silent

    def _stuck_seconds(self, seat: Seat, now: float) -> float:
        """Return for how long a busy worker has been stuck, or 0.0 as long as there is hope."""
        if now - seat.heard_at > self._silence_seconds:
            return now - seat.heard_at
        pace = self._paces.get(seat.name)
        if pace is None or now - pace.at <= max(self._silence_seconds, pace.predicted_seconds):
            return 0.0
        return now - pace.at

    def end_job(self, job_id: int, attempt: int) -> None:
        """Kill the worker that paints an attempt of a job and all that it paints with it; it is replaced afterwards."""
        if (seat := self._seat_of(job_id, attempt)) is not None:
            seat.kill()

    @property
    def warm(self) -> bool:
        """Whether every worker has loaded what it paints with, or found that it cannot."""
        return all(seat.warm for seat in self._seats.values())

    def stuck(self) -> str | None:
        """Return a busy worker that not even killing has ended, or None."""
        patience = self._silence_seconds + _ENDING_SECONDS
        late = (name for name in self._hung if time.monotonic() - self._seats[name].heard_at > patience)
        return next(late, None)

    def close(self) -> None:
        """End all workers and wait until they are gone."""
        for seat in self._seats.values():
            seat.close()

    def _seat_of(self, job_id: int, attempt: int) -> Seat | None:
        # The attempt counts: a cancelled member of a batch may be tried again elsewhere while the batch goes on.
        wanted = (job_id, attempt)
        busy = (seat for seat in self._seats.values() if not seat.free)
        return next((seat for seat in busy if wanted in [(one.job_id, one.attempt) for one in seat.call.members]), None)


def _paint_unchanged(paint: Callable[[Task], Result], task: Task) -> Result:
    """In a worker's process: paint, and prove that what was painted is the photo that was taken in.

    Whoever still has a file open when it is taken in can write to it afterwards: it would be painted with the new
    content under the old hash.
    """
    result = paint(task)
    with suppress(FileNotFoundError), task.photo_path.open("rb") as file:  # gone: that is noticed when it is filed
        if hashlib.file_digest(file, "sha256").hexdigest() != task.photo_sha256:
            raise PhotoChangedError("Somebody wrote to the photo after it was taken in.")
    return result


def _fault_of(value: object, task: Task) -> str | None:
    """Given what a call returned and its task, return what is wrong with it, or None for a result of each member."""
    if not isinstance(value, Result):
        return f"{type(value).__name__}, which is no result"
    if [one.job_id for one in value.members] != [one.job_id for one in task.members]:
        return "the pictures of other jobs"
    return None


def devices(settings: Settings) -> tuple[str, ...]:
    """Given the settings, return a device name for each worker; raise ConfigError for what this version cannot do.

    GPUs are counted without CUDA, because the daemon itself never loads torch: CUDA_VISIBLE_DEVICES, else the device
    nodes of the driver.
    """
    wanted = settings.workers
    if isinstance(wanted, DaskWorkers):
        raise ConfigError("workers.dask: workers on other machines are not in this version; use auto, cpu or gpus.")
    if isinstance(wanted, GpuWorkers):
        return tuple(f"cuda:{number}" for number in wanted.gpus)
    if wanted == "cpu" or not (gpus := visible_gpus()):
        return ("cpu",)
    return tuple(f"cuda:{number}" for number in gpus)


def visible_gpus() -> tuple[str, ...]:
    """Return the names by which CUDA knows the GPUs that this process may use: numbers or UUIDs."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return tuple(part.strip() for part in chosen.split(",") if part.strip() and part.strip() != "-1")
    return tuple(str(index) for index, _ in enumerate(sorted(Path("/dev").glob("nvidia[0-9]*"))))
