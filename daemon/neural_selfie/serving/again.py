"""A picture painted again with other values: from its record and what somebody typed to one more job in the ledger.

The job is that of a variant: what was changed stands in its name and its record. Nothing is painted here.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from neural_selfie import finding, outbox
from neural_selfie.config import Loaded, layout
from neural_selfie.config.catalogue import kept, weights_of
from neural_selfie.engine.recipe import type_of
from neural_selfie.errors import UsageError
from neural_selfie.ledger import open_ledger
from neural_selfie.model import Job, Photo, Place, Plan
from neural_selfie.record import Record

_FIRST = ("content_weight", "style_scale", "style_weight", "size")  # what people turn; the rest is for those who know
_NOT_HERE = frozenset({"engine", "recipe"})
_APART = frozenset({"together", "mask", "start_image"})  # in a record's recipe, but no numbers of the engine
_OF_THE_FILE = ("format", "quality", "bits")
_SEED_MOST = 2**31 - 1  # more than anybody types; a browser's numbers end at 2**53


def knobs() -> dict[str, list[dict[str, Any]]]:
    """Return for each engine the numbers that can be changed, those first that people turn: kind, bounds, meaning."""
    return {name: [*_knobs_of(kind.model_fields), _SEED] for name, kind in type_of.items()}


_SEED = {
    "name": "seed",
    "kind": "whole",
    "least": 0,
    "most": _SEED_MOST,
    "first": True,
    "help": "another seed, another picture",
}


def _knobs_of(fields: Mapping[str, FieldInfo]) -> list[dict[str, Any]]:
    first = [name for name in _FIRST if name in fields]
    others = [name for name in fields if name not in _NOT_HERE and name not in first]
    found = []
    for name in [*first, *others]:
        described = fields[name]
        told: dict[str, Any] = {"name": name, "first": name in first, "help": described.description or ""}
        if get_origin(described.annotation) is Literal:
            told |= {"kind": "choice", "choices": list(get_args(described.annotation))}
        elif described.annotation in (int, float):
            told |= {"kind": "whole" if described.annotation is int else "number"} | _bounds(described)
        elif described.annotation is bool:
            told["kind"] = "switch"
        else:
            continue  # layers and their weights: a matter for the configuration
        found.append(told)
    return found


def _bounds(described: FieldInfo) -> dict[str, Any]:
    found = {}
    for limit in described.metadata:
        for key, name in (("ge", "least"), ("gt", "least"), ("le", "most"), ("lt", "most")):
            if (value := getattr(limit, key, None)) is not None:
                found[name] = value
    return found


def ask(record: Record, values: Mapping[str, Any], loaded: Loaded) -> Job:
    """Given the record of a picture and the numbers to change, write one more job into the ledger and return it.

    Raise UsageError, saying what to do, if a value is none, nothing differs, the picture is there, or the photo or
    anything else that it was painted from is not kept.
    """
    plan = _plan(record, values, loaded)
    settings = loaded.settings
    with open_ledger(settings.state) as ledger:
        photo = ledger.photo_by_sha256(record.photo.sha256)
        if photo is None or not _is_kept(photo):
            raise UsageError(f"The photo {record.photo.name} was not kept. Drop it again to have more painted of it.")
        return ledger.wishes.paint(
            photo.id, plan, is_there=lambda output: outbox.is_there(settings.outbox_folder, output), now=time.time()
        )


def _is_kept(photo: Photo) -> bool:
    places = (photo.path, photo.destination) if photo.destination else (photo.path,)
    return photo.place is Place.INBOX or any(map(os.path.lexists, places))


def _plan(record: Record, values: Mapping[str, Any], loaded: Loaded) -> Plan:
    kind = type_of.get(record.engine.name)
    if kind is None:
        raise UsageError(f"There is no engine {record.engine.name} in this version, so it cannot be painted again.")
    recipe = {key: value for key, value in record.recipe.items() if key not in _APART}
    numbers = {key: value for key, value in recipe.items() if key not in _OF_THE_FILE}
    changed = _changed(numbers | {"seed": record.seed}, values)
    seed = changed.get("seed", record.seed)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= _SEED_MOST:
        raise UsageError(f"seed: expected a whole number from 0 to {_SEED_MOST}.")
    try:
        proven = kind.model_validate(numbers | {key: value for key, value in changed.items() if key != "seed"})
    except ValidationError as error:
        raise UsageError(_explained(error)) from None
    mask, regions = finding.mask(record.recipe.get("mask"), loaded, None, len(record.styles))
    start = finding.start_image(record.recipe.get("start_image"), loaded)
    wanted = proven.model_dump(mode="json", exclude={"engine"})
    if wanted.get("start") == "file" and start is None:
        raise UsageError("start: this picture had no image to begin with; choose another start.")
    styles_folder = layout.StateFolder(loaded.settings.state).styles
    styles = (finding.image(style.name, style.sha256, "style", loaded) for style in record.styles)
    return Plan(
        preset=record.preset,
        engine=record.engine.name,
        variant={**record.variant, **{key: wanted.get(key, seed) for key in changed}},
        recipe=wanted | {key: recipe[key] for key in _OF_THE_FILE if key in recipe},
        styles=tuple(
            replace(kept(style, styles_folder), weight=told.weight, region=region)
            for style, told, region in zip(styles, record.styles, regions, strict=True)
        ),
        seed=seed,
        weights=weights_of(loaded).get(record.preset),
        mask=mask,
        start=start if wanted.get("start") == "file" else None,
    )


def _changed(before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are others than before; raise UsageError if there is none, or one that has no meaning."""
    for key in values:
        if key not in before or key in _NOT_HERE:
            raise UsageError(f"{key}: this engine has no such number.")
    changed = {key: value for key, value in values.items() if value != before[key]}
    if not changed:
        raise UsageError("These are the values that it was painted with: change one.")
    return changed


def _explained(error: ValidationError) -> str:
    faults = error.errors(include_url=False)
    return " ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}." for fault in faults)
