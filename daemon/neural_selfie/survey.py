"""`run --dry-run`: what the daemon would make of the inbox as it is now. Changes nothing anywhere.

It decodes nothing itself: as in the daemon, photos are inspected in a process of its own that may die of them.
"""

import queue
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from neural_selfie import inspection, intake
from neural_selfie.config import Loaded, masks, sidecars
from neural_selfie.config.catalogue import open_catalogue
from neural_selfie.config.layout import refuse_overlaps
from neural_selfie.errors import ConfigError, DamagedPhotoError, PhotoRefusedError
from neural_selfie.files import names
from neural_selfie.inbox import walk
from neural_selfie.inbox.settle import FileFacts
from neural_selfie.model import Limits, Plan
from neural_selfie.workers.seat import CallEnded, Reported, Seat


@dataclass(frozen=True, slots=True)
class Finding:
    """One file of the inbox: the pictures it would get, or why it would be refused."""

    dropped: Path
    plans: tuple[Plan, ...] = ()
    refusal: str | None = None


def of(loaded: Loaded) -> list[Finding]:
    """Given the configuration, look at every file of the inbox; raise ConfigError as a run would."""
    settings = loaded.settings
    refuse_overlaps(settings)
    catalogue = open_catalogue(loaded)
    if not settings.inbox.is_dir():
        raise ConfigError(f"inbox: {settings.inbox} is not a folder.")
    findings = []
    with _inspector(Limits(**settings.limits.model_dump())) as inspected:
        for path in sorted(walk(settings.inbox, settings.watch.ignore)):
            dropped = path.relative_to(settings.inbox)
            try:
                facts = path.lstat()
                if stat.S_ISREG(facts.st_mode) and (names.is_sidecar(path) or names.is_mask(path)):
                    continue
                mask = inspected(path, FileFacts.of(facts)).mask
                findings.append(Finding(dropped, catalogue.plans_for(dropped, sidecars.text_of(path), mask)))
            except (PhotoRefusedError, OSError) as error:
                findings.append(Finding(dropped, refusal=str(error)))
    return findings


@contextmanager
def _inspector(limits: Limits) -> Iterator[Callable[[Path, FileFacts], intake.Inspected]]:
    """Yield a function that inspects a file and its mask as the daemon does, and raises what is found to be wrong."""
    posted: queue.SimpleQueue[CallEnded | Reported] = queue.SimpleQueue()
    seat = Seat("survey", prepare=inspection.limit_memory, arguments=(limits,), post=posted.put)

    def inspected(path: Path, seen: FileFacts) -> intake.Inspected:
        seat.submit(intake.Inspection(path, limits, seen, masks.named(path)), intake.inspect)
        ended = _ended(posted, seat)
        seat.release(ended)
        if ended.died:
            raise DamagedPhotoError(inspection.UNDECODABLE)
        if ended.error is not None:
            raise ended.error
        found: intake.Inspected = ended.value
        return found

    try:
        yield inspected
    finally:
        seat.close()


def _ended(posted: "queue.SimpleQueue[CallEnded | Reported]", seat: Seat) -> CallEnded:
    """Return the end of the call, which comes when it is killed at the latest."""
    while True:
        try:
            message = posted.get(timeout=inspection.DEADLINE_SECONDS)
        except queue.Empty:
            seat.kill()
            continue
        if isinstance(message, CallEnded):
            return message
