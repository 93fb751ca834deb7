"""One photo painted without daemon, ledger or folders: the same worker function, called in this process."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neural_selfie import inspection
from neural_selfie.config import Loaded
from neural_selfie.config.catalogue import open_catalogue
from neural_selfie.errors import UsageError
from neural_selfie.files import names
from neural_selfie.model import Limits, Plan, Progress, Result, Task
from neural_selfie.workers import render

FORMATS = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}


def plans(loaded: Loaded, preset: str, numbers: Mapping[str, Any]) -> tuple[Plan, ...]:
    """Given a preset's name and numbers that replace its own, return its pictures; raise UsageError or SidecarError."""
    if preset not in loaded.settings.presets:
        raise UsageError(f"There is no preset {preset!r}; there are {', '.join(loaded.settings.presets)}.")
    return tuple(open_catalogue(loaded, (preset,)).plans(preset, numbers))


def targets(wanted: tuple[Plan, ...], out: Path) -> list[tuple[Plan, Path]]:
    """Given plans and `-o`, return each with its file: `out` itself, or names in the folder `out`.

    A file's suffix decides the format. Raise UsageError for an unknown suffix, or one file for many variants.
    """
    if out.is_dir() or len(wanted) > 1:
        if out.suffix.lower() in FORMATS:
            raise UsageError(f"The preset is a sweep of {len(wanted)} variants: give a folder instead of {out}.")
        return [
            (plan, out / names.picture_name(plan.preset, plan.variant, f".{plan.recipe['format']}")) for plan in wanted
        ]
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"{out}: end the name with .jpg, .png or .webp, or give a folder that exists.")
    recipe = dict(wanted[0].recipe) | {"format": FORMATS[out.suffix.lower()]}
    return [(replace(wanted[0], recipe=recipe), out)]


def paint(
    loaded: Loaded, photo: Path, wanted: tuple[Plan, ...], report: Callable[[Plan, Progress], None]
) -> Iterator[Result]:
    """Given a photo and plans, yield each picture; raise PhotoRefusedError, or what the engine raises."""
    limits = Limits(**loaded.settings.limits.model_dump())
    facts = inspection.inspect(photo.resolve(), limits)
    for number, plan in enumerate(wanted):
        task = Task(
            job_id=number,
            attempt=1,
            photo_path=photo,
            photo_name=names.shown(photo.name),
            photo_sha256=facts.sha256,
            plan=plan,
            queued_at=time.time(),
            limits=limits,
            keep_gps=loaded.settings.keep_gps,
        )
        yield render.painted(task, lambda progress, plan=plan: report(plan, progress))  # type: ignore[misc]  # mypy cannot infer a default argument of a lambda
