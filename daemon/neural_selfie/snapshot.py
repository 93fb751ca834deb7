"""How things stand at one moment: what `status`, the progress bars and the gallery show. Light: it loads no torch."""

import datetime as dt
import json
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neural_selfie.files import names
from neural_selfie.ledger import Ledger, LedgerEvent
from neural_selfie.model import Job, JobState, Photo, Progress

ERROR_SUFFIX = ".error.json"
_TROUBLES_MAX = 50
_KNOWN_MAX = 10
_TROUBLE_BYTES_MAX = 1 << 20  # anybody may put a file into failed/
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
_FRACTION_FOR_ETA = 0.02  # before this share of the work is done, an estimate is worth nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A picture being painted. `eta_seconds` is None until there is something to go by."""

    job: int
    photo: str
    preset: str
    variant: Mapping[str, Any]
    stage: str = "start"
    scale: int = 0
    iteration: int = 0
    fraction: float = 0.0
    seconds: float = 0.0
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A photo of which there is something to say: why, as its dropper reads it, and when (ISO 8601, UTC)."""

    photo: str
    cause: str
    reason: str
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The daemon at `at` (seconds since the epoch)."""

    at: float
    counts: Mapping[str, int]
    arriving: int = 0  # files in the inbox that are not photos of the ledger yet
    running: tuple[Running, ...] = ()
    watch: Mapping[str, Any] = field(default_factory=dict)
    orphans: tuple[str, ...] = ()  # sidecars and masks whose photo does not come
    troubles: tuple[str, ...] = ()  # what is in the way at the moment, a sentence each

    def as_json(self) -> dict[str, Any]:
        """Return the snapshot as JSON knows it."""
        return asdict(self)


def of(
    ledger: Ledger,
    progress: Mapping[int, Progress],
    watch: Mapping[str, Any],
    arriving: int,
    now: float,
    *,
    orphans: Iterable[Path] = (),
    troubles: tuple[str, ...] = (),
) -> Snapshot:
    """Given the parts of a running daemon, return how it stands."""
    running = tuple(_running(ledger, job, progress.get(job.id), now) for job in ledger.jobs(state=JobState.RUNNING))
    return Snapshot(
        at=now,
        counts=all_counts(ledger),
        arriving=arriving,
        running=running,
        watch=watch,
        orphans=tuple(map(names.shown, orphans)),
        troubles=troubles,
    )


def all_counts(ledger: Ledger) -> dict[str, int]:
    """Return how many jobs are in each state, also 0."""
    counts = ledger.counts()
    return {str(state): counts.get(state, 0) for state in JobState}


def _running(ledger: Ledger, job: Job, progress: Progress | None, now: float) -> Running:
    seconds = max(now - (job.started_at or now), 0.0)
    eta = None
    if progress is not None and progress.attempt != job.attempts:
        progress = None  # of a worker that died: the picture was begun anew
    if progress is not None and progress.fraction >= _FRACTION_FOR_ETA:
        eta = seconds / progress.fraction - seconds
    return Running(
        job=job.id,
        photo=ledger.photo(job.photo_id).name,
        preset=job.plan.preset,
        variant=dict(job.plan.variant),
        stage=progress.stage if progress else "start",
        scale=progress.scale if progress else 0,
        iteration=progress.iteration if progress else 0,
        fraction=progress.fraction if progress else 0.0,
        seconds=seconds,
        eta_seconds=eta,
    )


def sentence(current: Snapshot) -> str:
    """Given how things stand, return it as one line: what is painted and how long that takes, or what is in the way."""
    counts = current.counts
    parts = []
    if current.running:
        first, more = current.running[0], len(current.running) - 1
        left = "" if first.eta_seconds is None else f", about {dt.timedelta(seconds=round(first.eta_seconds))} left"
        others = f" and {more} more" if more else ""
        parts.append(f"Painting {names.shown(first.photo)} -> {first.preset}{others}: {first.fraction:.0%}{left}")
    else:
        parts.append("Nothing to paint" if not counts["queued"] else "Beginning to paint")
    told = (("queued", "waiting for their turn"), ("waiting", "waiting for something"), ("failed", "failed"))
    parts += [f"{counts[state]} {words}" for state, words in told if counts[state]]
    if current.arriving:
        parts.append(f"{current.arriving} arriving")
    line = ", ".join(parts) + "."
    return f"{line} {current.troubles[0]}" if current.troubles else line


def for_page(current: Snapshot, troubles: Iterable[Trouble], waiting: Iterable[Trouble]) -> dict[str, Any]:
    """Given how things stand, what failed and what waits, return it as the page shows it."""
    return with_troubles(_told(current.as_json()), troubles, waiting)


def with_troubles(told: Mapping[str, Any], troubles: Iterable[Trouble], waiting: Iterable[Trouble]) -> dict[str, Any]:
    """Given what goes on, what failed and what waits, return it as the page shows it."""
    return {**told, "failed": [asdict(each) for each in troubles], "waiting": [asdict(each) for each in waiting]}


def read_for_page(path: Path) -> dict[str, Any]:
    """Given the progress file of the state folder, return what goes on; {} without a readable one."""
    try:
        return _told(json.loads(path.read_bytes()))
    except _UNREADABLE:
        return {}


def _told(everything: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in everything.items() if key != "watch"}


def read_running(path: Path) -> tuple[Running, ...]:
    """Given the progress file of the state folder, return what the daemon paints; () without a readable one."""
    try:
        return tuple(Running(**entry) for entry in json.loads(path.read_bytes())["running"])
    except _UNREADABLE:
        return ()


def read_watch(path: Path) -> dict[str, Any]:
    """Given the progress file of the state folder, return how the inbox is watched; {} without a readable one."""
    try:
        return dict(json.loads(path.read_bytes())["watch"])
    except _UNREADABLE:
        return {}


def read_orphans(path: Path) -> list[str]:
    """Given the progress file of the state folder, return the sidecars and masks whose photo does not come."""
    try:
        return [names.shown(str(name)) for name in json.loads(path.read_bytes())["orphans"]]
    except _UNREADABLE:
        return []


def read_troubles(path: Path) -> list[str]:
    """Given the progress file of the state folder, return what is in the daemon's way; [] without a readable one."""
    try:
        return [str(trouble) for trouble in json.loads(path.read_bytes())["troubles"]]
    except _UNREADABLE:
        return []


def dropped_again(ledger: Ledger) -> tuple[Trouble, ...]:
    """Given the ledger, return the photos that were dropped lately and are known by their content, newest first."""
    return tuple(_known(event, ledger.photo(event.photo_id)) for event in ledger.drops.again(_KNOWN_MAX))


def _known(event: LedgerEvent, photo: Photo) -> Trouble:
    worked_on = "It is being worked on, and this copy is filed beside it."
    before = (
        f"What was painted of it before is in {photo.folder}; only what is new in its wishes or presets is painted."
    )
    return Trouble(
        photo=names.shown(str(event.detail.get("dropped", photo.name))),
        cause="dropped_again",
        reason=f"This photo is known already. {worked_on if event.detail.get('duplicate') else before}",
        when=dt.datetime.fromtimestamp(event.at, dt.UTC).isoformat(timespec="seconds"),
    )


def troubles(failed: Path) -> tuple[Trouble, ...]:
    """Given the folder failed/, return the newest explanations in it, newest first; unreadable ones are left out."""
    found = []
    for path in _newest(failed.glob(f"*{ERROR_SUFFIX}")):
        try:
            content = json.loads(path.read_bytes())
            found.append(
                Trouble(
                    photo=names.shown(str(content["photo"])),
                    cause=names.shown(str(content["cause"])),
                    reason="\n".join(map(names.shown, str(content["reason"]).splitlines())),
                    when=names.shown(str(content["when"])),
                )
            )
        except _UNREADABLE:
            continue
    return tuple(sorted(found, key=lambda trouble: trouble.when, reverse=True))


def trouble(sentence: str) -> Trouble:
    """Given what is in the daemon's own way, return it as it stands among the troubles on the page."""
    when = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return Trouble(photo="every photo", cause="storage_unavailable", reason=sentence, when=when)


def waiting(ledger: Ledger) -> tuple[Trouble, ...]:
    """Given the ledger, return the photos whose pictures wait for something outside, and for what."""
    found = []
    for job in ledger.jobs(state=JobState.WAITING, limit=_TROUBLES_MAX):
        when = dt.datetime.fromtimestamp(job.queued_at, dt.UTC).isoformat(timespec="seconds")
        photo = ledger.photo(job.photo_id).name
        found.append(Trouble(photo=photo, cause=job.cause or "", reason=job.reason or "", when=when))
    return tuple(found)


def _newest(paths: Iterable[Path]) -> list[Path]:
    dated = []
    for path in paths:
        with suppress(OSError):
            facts = path.lstat()
            if stat.S_ISREG(facts.st_mode) and facts.st_size <= _TROUBLE_BYTES_MAX:  # reading a pipe waits for ever
                dated.append((facts.st_mtime_ns, path))
    return [path for _, path in sorted(dated, key=lambda pair: pair[0], reverse=True)[:_TROUBLES_MAX]]
