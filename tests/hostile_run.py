"""Give hostile files to the inspection and the decoding of the daemon, in processes as it has them."""

import os
import queue
import re
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hostile_images import LIMITS, Hostile
from neural_selfie import inspection
from neural_selfie.engine import images
from neural_selfie.errors import SelfieError
from neural_selfie.model import PhotoFacts
from neural_selfie.workers.seat import CallEnded, Seat

PATIENCE_SECONDS = 100.0  # for one file, on a machine that is busy; the daemon's own is 120


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one file: `error` is the class of the refusal, or what is wrong with how it was dealt with."""

    of: Hostile
    error: str | None = None
    sentence: str = ""
    fault: str | None = None
    seconds: float = 0.0  # of the processor
    peak_mib: float = 0.0  # beyond what the process had before

    @property
    def outcome(self) -> str:
        """Accepted or refused."""
        return "accepted" if self.error is None else "refused"


@dataclass(frozen=True, slots=True)
class Call:
    """One file for a process."""

    number: int
    path: Path


def tried(call: Call) -> tuple[str | None, str, str | None, float, float]:
    """In the process: prove a file as the inspector does, decode it as a worker does, return the parts of `Came`."""
    began = _spent()
    before = _peak_mib(anew=True)
    error, sentence, fault = None, "", None
    try:
        facts = inspection.inspect(call.path, LIMITS)
    except SelfieError as refusal:
        error, sentence = type(refusal).__name__, str(refusal)
    except Exception as other:  # noqa: BLE001 - to be told by the test
        error, fault = type(other).__name__, f"inspected: {other!r}"
    else:
        fault = _fault_of_decoding(call.path, facts)
    return error, sentence, fault, _spent() - began, _peak_mib() - before


def _fault_of_decoding(path: Path, facts: PhotoFacts) -> str | None:
    """Given a file that was accepted, return what is wrong with the picture that a worker gets of it, or None."""
    try:
        pixels = images.decode(path, LIMITS).pixels
    except Exception as other:  # noqa: BLE001 - to be told by the test
        return f"accepted, and then: {other!r}"
    if pixels.shape != (facts.height, facts.width, 3):
        return f"inspected as {facts.width} × {facts.height}, decoded as {pixels.shape}"
    sane = np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1
    return None if sane else "pixels outside 0..1"


def run(files: Sequence[Hostile], folder: Path, processes: int = 2) -> list[Came]:
    """Given files and a folder to put them into, return what came of each, in order."""
    paths = [folder / f"{number}-{file.name}" for number, file in enumerate(files)]
    posted: queue.SimpleQueue[CallEnded] = queue.SimpleQueue()
    seats = {
        f"seat {number}": Seat(f"seat {number}", prepare=inspection.limit_memory, arguments=(LIMITS,), post=posted.put)  # type: ignore[arg-type]  # nothing reports here
        for number in range(processes)
    }
    waiting = iter(range(len(files)))
    found: dict[int, Came] = {}
    try:
        for seat in seats.values():
            _submit(seat, waiting, files, paths)
        while len(found) < len(files):
            try:
                ended = posted.get(timeout=5)
            except queue.Empty:
                for seat in seats.values():
                    if seat.started_at is not None and time.monotonic() - seat.started_at > PATIENCE_SECONDS:
                        seat.kill()
                continue
            seat, number = seats[ended.seat], ended.call.number
            if ended.died or ended.error is not None:
                found[number] = Came(files[number], "died", fault=f"the process died or hung: {ended.error!r}")
            else:
                found[number] = Came(files[number], *ended.value)
            seat.release(ended)
            paths[number].unlink()
            _submit(seat, waiting, files, paths)
    finally:
        for seat in seats.values():
            seat.close()
    return [found[number] for number in range(len(files))]


def _submit(seat: Seat, waiting: Iterable[int], files: Sequence[Hostile], paths: Sequence[Path]) -> None:
    number = next(iter(waiting), None)
    if number is not None:
        paths[number].write_bytes(files[number].data)
        seat.submit(Call(number, paths[number]), tried)


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mib(*, anew: bool = False) -> float:
    """Return the most memory that this process had since the last time that it was asked anew, MiB (proc(5))."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float(os.SEEK_SET)
