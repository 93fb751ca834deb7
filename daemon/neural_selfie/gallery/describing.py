"""What the page is told about a painting, as JSON: a line for the wall, and the record for who looks closer. Pure.

Guarantees that names are text fit to be shown, and addresses percent-encoded and relative, without a way out of the
outbox: entries with others never come so far (`entries.entry_of`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import yaml

from neural_selfie.files import names
from neural_selfie.gallery.entries import LONG_AGO, Entry, moment
from neural_selfie.record import Record, TracePart

TRACE_POINTS = 240
STYLE_DIGITS = 16  # of its SHA-256: the name of a style's small copy
_LARGEST_PX = 1_000_000
_NOT_OF_A_PRESET = frozenset({"mask", "start_image", "together"})


def address(*parts: str) -> str:
    """Given the names along a path (a name that is not UTF-8 as PEP 383 has it), return its relative URL."""
    return "/".join(quote(part.encode("utf-8", "surrogateescape"), safe="") for part in parts)


def shown(value: Any) -> Any:
    """Given any value of a record, return it with its texts fit for people; lines of a longer text stay lines."""
    if isinstance(value, str):
        return "\n".join(map(names.shown, value.split("\n")))
    if isinstance(value, Mapping):
        return {names.shown(str(key)): shown(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [shown(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def line(entry: Entry, small: Sequence[int]) -> str:
    """Given an entry and the long edges (px) of its small copies, return its JSON for the wall, on one line."""
    when = moment(entry.finished_at)
    stem = entry.record.removesuffix(".json")
    told: dict[str, Any] = {
        "id": address(entry.folder, stem),
        "folder": address(entry.folder),
        "picture": address(entry.folder, entry.picture),
        "photo": shown(entry.photo),
        "preset": shown(entry.preset),
        "variant": shown(entry.variant),
        "width": min(entry.width, _LARGEST_PX),
        "height": min(entry.height, _LARGEST_PX),
        "at": 0 if when == LONG_AGO else round(when.timestamp()),
        "styles": shown(entry.styles),
    }
    if small:
        told["small"] = list(small)
    if entry.preview is not None:
        told["preview"] = address(*entry.preview.split("/"))
    if entry.mark is not None:
        told["mark"] = entry.mark
    if entry.warnings:
        told["warned"] = len(entry.warnings)
    return json.dumps(told, separators=(",", ":"))


def detail(entry: Entry, record: Record) -> dict[str, Any]:
    """Given an entry and its record, return all that the page tells about it, with at most 240 points of the trace."""
    content: dict[str, Any] = shown(record.model_dump(mode="json", exclude={"trace"}))
    content["trace"] = [
        [step.scale, step.iteration, *(_number(value) for value in (step.content, step.style, step.tv, step.total))]
        for step in thinned(record.trace, TRACE_POINTS)
    ]
    stem = entry.record.removesuffix(".json")
    return {
        "id": address(entry.folder, stem),
        "record": content,
        "recordAddress": address(entry.folder, entry.record),
        "styleIds": [sha256[:STYLE_DIGITS] for sha256 in entry.style_sha256],
        "yaml": preset_yaml(record, record.preset),
    }


def preset_yaml(record: Record, name: str, images: Sequence[str] | None = None) -> str:
    """Given a record, return the preset that paints the same recipe again, as YAML for the configuration.

    `images`: how the configuration calls its style images; by default `styles/NAME`.
    """
    text = yaml.safe_dump({name: preset_of(record, images)}, sort_keys=False, allow_unicode=True, width=1000)
    return str(text)


def preset_of(record: Record, images: Sequence[str] | None = None) -> dict[str, Any]:
    """Given a record, return its recipe as a preset: engine, styles, every number and the seed; no sweep."""
    called = images or [f"styles/{style.name}" for style in record.styles]
    mask = record.recipe.get("mask")
    regions = mask.get("regions", []) if isinstance(mask, Mapping) else []
    shares: list[dict[str, Any]] = []
    for index, (image, style) in enumerate(zip(called, record.styles, strict=True)):
        share: dict[str, Any] = {"image": image}
        if len(record.styles) > 1:
            share["weight"] = style.weight
        if index < len(regions) and regions[index] is not None:
            share["region"] = regions[index]
        shares.append(share)
    numbers = {key: value for key, value in record.recipe.items() if key not in _NOT_OF_A_PRESET and value is not None}
    only = shares[0]["image"] if len(shares) == 1 and len(shares[0]) == 1 else shares
    preset = {"engine": record.engine.name, "style": only, **numbers}
    return preset | ({"seed": record.seed} if record.seed else {})


def thinned(items: Sequence[TracePart], most: int) -> list[TracePart]:
    """Given a sequence, return at most `most` of its items at equal distances, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def _number(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
