"""The workers: one seat for each device; one that is dead or silent too long is replaced, and nobody else is hurt."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neural_selfie.config import DaskWorkers, GpuWorkers, Settings
from neural_selfie.errors import ConfigError, EngineFailedError, WorkerDiedError, WorkerHungError
from neural_selfie.model import Progress, Result, Task
from neural_selfie.workers import render
from neural_selfie.workers.seat import CallEnded, Reported, Seat


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


class Workers:
    """All workers of this machine. `post` receives `CallEnded` and `Reported` values from other threads."""

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
        self._hung: set[str] = set()
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

    def task_of(self, job_id: int, attempt: int) -> Task | None:
        """Return the task in which a worker paints an attempt of a job, alone or in a batch, or None."""
        seat = self._seat_of(job_id, attempt)
        return None if seat is None else seat.call

    def submit(self, task: Task) -> str:
        """Give a task to a free worker and return its name."""
        seat = next(seat for seat in self._seats.values() if seat.free)
        seat.submit(replace(task, device=seat.name.partition(":")[0]), self._paint)
        return seat.name

    def ended(self, message: CallEnded) -> Painted:
        """Given the end of a call, free its worker and return what came of the task."""
        seat = self._seats[message.seat]
        seat.release(message)
        hung = message.seat in self._hung
        self._hung.discard(message.seat)
        if message.error is None and (fault := _fault_of(message.value, message.call)) is not None:
            return Painted(message.call, error=EngineFailedError(f"The engine returned {fault}."))
        if not message.died:
            return Painted(message.call, message.value, message.error)
        if hung:
            return Painted(
                message.call,
                error=WorkerHungError(f"The worker made no progress for {self._silence_seconds:.0f} s and was ended."),
            )
        return Painted(
            message.call,
            error=WorkerDiedError("The worker process ended while it painted (killed, out of memory, or crashed)."),
        )

    def end_silent(self) -> list[str]:
        """Kill every busy worker that has said nothing for too long; return their names."""
        now = time.monotonic()
        silent = [
            name
            for name, seat in self._seats.items()
            if not seat.free and name not in self._hung and now - seat.heard_at > self._silence_seconds
        ]
        for name in silent:
            self._hung.add(name)
            self._seats[name].kill()
        return silent

    def end_job(self, job_id: int, attempt: int) -> None:
        """Kill the worker that paints an attempt of a job and all that it paints with it; it is replaced afterwards."""
        if (seat := self._seat_of(job_id, attempt)) is not None:
            seat.kill()

    def close(self) -> None:
        """End all workers and wait until they are gone."""
        for seat in self._seats.values():
            seat.close()

    def _seat_of(self, job_id: int, attempt: int) -> Seat | None:
        # The attempt counts: a cancelled member of a batch may be tried again elsewhere while the batch goes on.
        wanted = (job_id, attempt)
        busy = (seat for seat in self._seats.values() if not seat.free)
        return next((seat for seat in busy if wanted in [(one.job_id, one.attempt) for one in seat.call.members]), None)


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
