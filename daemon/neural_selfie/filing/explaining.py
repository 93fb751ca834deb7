"""`<photo>.error.json` in failed/: why a file was not painted, in words for the person who dropped it.

It lies beside the file it speaks of, or, where photos stay in the inbox, alone. It decides nothing and moves nothing.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from neural_selfie import files, waypoints
from neural_selfie.files import names
from neural_selfie.model import Job, Photo

_CANCELLED = "Not every picture of this photo was painted: some were cancelled. `neural-selfie retry JOB` paints them."


def explain(path: Path, dropped: Path, cause: str, reason: str, now: float, *, jobs: Iterable[Job] = ()) -> None:
    """Given the path of a file in failed/ and why it lies there, write its explanation."""
    content = {
        "photo": names.shown(dropped.name),
        "dropped_as": names.shown(dropped),
        "cause": cause,
        "reason": reason,
        "when": dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "jobs": [
            {"job": job.id, "preset": job.plan.preset, "variant": dict(job.plan.variant), "reason": job.reason}
            for job in jobs
        ],
    }
    files.write_atomic(path_for(path), json.dumps(content, ensure_ascii=False, indent=1).encode())
    waypoints.reached("explanation.written")


def explain_jobs(path: Path, photo: Photo, failed: list[Job], now: float) -> None:
    """Given a photo in failed/ and those of its jobs that failed, explain them; without any, some were cancelled."""
    cause, reason = (failed[0].cause or "error", _sentence(failed)) if failed else ("cancelled", _CANCELLED)
    explain(path, photo.dropped, cause, reason, now, jobs=failed)


def withdraw(path: Path) -> None:
    """Given the path of a file in failed/, remove its explanation, if there is one: it holds no more."""
    if files.remove_if_there(path_for(path)):
        waypoints.reached("explanation.withdrawn")


def path_for(path: Path) -> Path:
    """Given the path of a file in failed/, return that of its explanation."""
    return path.with_name(names.error_name(path.name))


def free_names(name: str) -> Iterator[str]:
    """Yield the names that a file may get beside others of its name; none is that of somebody's explanation."""
    if not name.endswith(".error.json"):
        yield name
    for number in range(2, 10_000):
        yield names.numbered(name, number)


def _sentence(failed: list[Job]) -> str:
    presets = ", ".join(dict.fromkeys(job.plan.preset for job in failed))
    return f"{failed[0].reason} (preset {presets}; `neural-selfie retry --failed` tries again.)"
