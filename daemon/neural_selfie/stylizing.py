"""One photo painted without daemon, ledger or folders: the same worker function, called in this process."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neural_selfie import inspection, models
from neural_selfie.config import Loaded, masks
from neural_selfie.config.catalogue import open_catalogue
from neural_selfie.config.layout import StateFolder
from neural_selfie.engine.recipe import NETWORKED
from neural_selfie.errors import SidecarError, TruncatedPhotoError, UsageError
from neural_selfie.files import names
from neural_selfie.model import Limits, MaskUse, Plan, Progress, Result, Task
from neural_selfie.workers import batches, render

FORMATS = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}


def plans(loaded: Loaded, preset: str, numbers: Mapping[str, Any]) -> tuple[Plan, ...]:
    """Given a preset's name and numbers that replace its own, return its pictures; raise UsageError or SidecarError."""
    if preset not in loaded.settings.presets:
        raise UsageError(f"There is no preset {preset!r}; there are {', '.join(loaded.settings.presets)}.")
    return tuple(open_catalogue(loaded, (preset,)).plans(preset, numbers))


def with_mask(loaded: Loaded, photo: Path, wanted: tuple[Plan, ...], mask: Path) -> tuple[Plan, ...]:
    """Given a photo, plans and the file of a mask, return the plans with it.

    Raise UsageError if the mask is of no use to them, cannot be read or has another shape than the photo.
    """
    limits = Limits(**loaded.settings.limits.model_dump())
    facts = inspection.inspect(photo.resolve(), limits)
    try:
        found = masks.inspect(mask.resolve(), facts, limits)
        return masks.with_mask(wanted, MaskUse(name=names.shown(mask.name), path=mask, sha256=found.sha256))
    except (SidecarError, TruncatedPhotoError) as error:
        raise UsageError(f"--mask {names.shown(mask)}: {error}") from None


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
    """Given a photo and plans, yield each picture; raise PhotoRefusedError, or what the engine raises.

    Variants that the engine paints in one go come together, so the order may be another; `job_id` is the position in
    `wanted`. Raise WeightsUnavailableError where a network's weights are not there: nobody waits here.
    """
    limits = Limits(**loaded.settings.limits.model_dump())
    folder = StateFolder(loaded.settings.state).models
    facts = inspection.inspect(photo.resolve(), limits)
    for numbers in batches.batches(wanted):
        tasks = [
            Task(
                job_id=number,
                attempt=1,
                photo_path=photo,
                photo_name=names.shown(photo.name),
                photo_sha256=facts.sha256,
                plan=wanted[number],
                queued_at=time.time(),
                limits=limits,
                keep_gps=loaded.settings.keep_gps,
                weights=models.found(wanted[number].weights, folder) if wanted[number].engine in NETWORKED else None,
            )
            for number in numbers
        ]
        done = render.painted(batches.as_one(tasks), lambda progress: report(wanted[progress.job_id], progress))
        yield from done.members
