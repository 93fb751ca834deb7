"""Between rows of the ledger and the values of model.py; and the key that says when two plans are the same.

Reads and writes nothing itself. JSON is ASCII with sorted keys, so equal values are equal bytes, and a path that is
not UTF-8 (lone surrogates, PEP 383) comes back as it was.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Row
from typing import Any

from neural_selfie.model import Departure, Job, JobState, MaskUse, Photo, Place, Plan, StyleUse


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """One line of the ledger's history, such as `job.started`; `job_id` is None where it is about the photo."""

    id: int
    photo_id: int
    job_id: int | None
    at: float
    kind: str
    detail: Mapping[str, Any]


def canonical_json(value: object) -> str:
    """Given JSON-shaped values, return the one text for them; raise ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def path_bytes(path: Path | None) -> bytes | None:
    """Given a path, return the bytes that the file system knows it by."""
    return None if path is None else os.fsencode(path)


def speakable(text: str | None) -> str | None:
    """Given a text that may hold pieces of a file name, return one that SQLite and a terminal can hold."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")


def plan_json(plan: Plan) -> str:
    """Given a plan of JSON-shaped values, return the text from which `plan_from` makes an equal one."""
    styles = [
        {"name": s.name, "path": str(s.path), "sha256": s.sha256, "weight": s.weight}
        | ({} if s.region is None else {"region": s.region})
        for s in plan.styles
    ]
    mask = plan.mask
    kept = {} if mask is None else {"mask": {"name": mask.name, "path": str(mask.path), "sha256": mask.sha256}}
    parts = {"preset": plan.preset, "engine": plan.engine, "variant": dict(plan.variant), "recipe": dict(plan.recipe)}
    weights = {} if plan.weights is None else {"weights": plan.weights}
    begin = plan.start
    start = {} if begin is None else {"start": {"name": begin.name, "path": str(begin.path), "sha256": begin.sha256}}
    return canonical_json(parts | {"styles": styles, "seed": plan.seed} | weights | kept | start)


def plan_from(text: str) -> Plan:
    """Given the text of a plan, return the plan."""
    parts = json.loads(text)
    styles = tuple(StyleUse(**style | {"path": Path(style["path"])}) for style in parts.pop("styles"))
    mask = parts.pop("mask", None)
    kept = None if mask is None else MaskUse(**mask | {"path": Path(mask["path"])})
    begin = parts.pop("start", None)
    start = None if begin is None else StyleUse(**begin | {"path": Path(begin["path"])})
    return Plan(styles=styles, mask=kept, start=start, **parts)


def plan_key(plan: Plan) -> str:
    """Given a plan, return the SHA-256 of all that decides how its picture looks and what it is called.

    Where a style lies and what its file is called do not count, its bytes do; 1 and 1.0 are the same number. What came
    later (weights, regions, masks, start images) counts only where it is used, so that the keys of older ledgers stay
    right.
    """
    styles = [[style.sha256, style.weight, *([] if style.region is None else [style.region])] for style in plan.styles]
    parts = [plan.preset, plan.engine, dict(plan.variant), dict(plan.recipe), styles, plan.seed]
    if plan.weights is not None:
        parts.append({"weights": plan.weights})
    if plan.mask is not None:
        parts.append({"mask": plan.mask.sha256})
    if plan.start is not None:
        parts.append({"start": plan.start.sha256})
    return hashlib.sha256(canonical_json(_plain(parts)).encode("ascii")).hexdigest()


def _plain(value: object) -> object:
    """Given JSON-shaped values, return them with whole floats as integers: YAML and pydantic disagree on them."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def photo_from(row: Row) -> Photo:
    """Given a row of photo, return the photo."""
    return Photo(
        id=row["id"],
        sha256=row["sha256"],
        name=row["name"],
        dropped=Path(os.fsdecode(row["dropped"])),
        path=Path(os.fsdecode(row["path"])),
        place=Place(row["place"]),
        folder=row["folder"],
        width=row["width"],
        height=row["height"],
        taken_at=row["taken_at"],
        dropped_at=row["dropped_at"],
        sidecar=_optional_path(row["sidecar"]),
        destination=_optional_path(row["destination"]),
    )


def departure_from(row: Row) -> Departure:
    """Given a row of departure, return the departure."""
    return Departure(
        path=Path(os.fsdecode(row["path"])),
        destination=_optional_path(row["destination"]),
        sidecar=_optional_path(row["sidecar"]),
        mask=_optional_path(row["mask"]),
    )


def _optional_path(value: bytes | None) -> Path | None:
    return None if value is None else Path(os.fsdecode(value))


def job_from(row: Row) -> Job:
    """Given a row of job, return the job."""
    return Job(
        id=row["id"],
        photo_id=row["photo_id"],
        plan=plan_from(row["plan"]),
        state=JobState(row["state"]),
        attempts=row["attempts"],
        failures=row["failures"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        next_try_at=row["next_try_at"],
        cause=row["cause"],
        reason=row["reason"],
        cancel_requested=bool(row["cancel_requested"]),
        output=row["output"],
    )


def event_from(row: Row) -> LedgerEvent:
    """Given a row of event, return it as a value."""
    return LedgerEvent(
        id=row["id"],
        photo_id=row["photo_id"],
        job_id=row["job_id"],
        at=row["at"],
        kind=row["kind"],
        detail=json.loads(row["detail"]),
    )
