"""The record: what its schema promises, and that a record as it is written keeps the promise."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import engines
import neural_selfie
from config_samples import style_image
from neural_selfie import record
from neural_selfie.config.catalogue import sha256_of
from neural_selfie.model import Plan, StyleUse, Task

SCHEMA = Path(neural_selfie.__file__).with_name("record.schema.json")
WRITE = "json.dumps(record.schema(), indent=1) and a line break"
KEYS = "schema_version photo preset variant recipe styles engine seed attempts timings trace output warnings"
PARTS = {
    "photo": "name sha256 width height taken_at",
    "styles": "name sha256 weight",
    "engine": "name version weights_sha256 torch device dtype",
    "timings": "queued_at started_at finished_at seconds",
    "trace": "scale iteration content style tv total seconds",
    "output": "file sha256 width height",
}
STEP = record.TracePart(scale=2, iteration=9, content=0.25, style=0.5, tv=0.0, total=0.75, seconds=1.5)


def painted(folder: Path) -> record.Record:
    """Return the record of a picture that a painter of the tests made of a real file."""
    photo, style = style_image(folder / "me.png"), style_image(folder / "style.png", "red")
    use = StyleUse(name="style.png", path=style, sha256=sha256_of(style), weight=0.7)
    recipe = {"size": 64, "content_weight": 0.6, "format": "png", "quality": 95}
    plan = Plan(preset="night", engine="patch", variant={"content_weight": 0.6}, recipe=recipe, styles=(use,), seed=7)
    task = Task(
        job_id=1,
        attempt=2,
        photo_path=photo,
        photo_name="me.png",
        photo_sha256=sha256_of(photo),
        plan=plan,
        queued_at=1e9,
    )
    return engines.instant(task).record.model_copy(update={"trace": (STEP,), "warnings": ("a warning",)})


TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": float | int, "null": None.__class__}
KNOWN = {"$ref", "$defs", "title", "description", "default", "type", "properties", "required", "items", "anyOf"}
KNOWN |= {"additionalProperties", "pattern", "const", "minimum", "exclusiveMinimum"}


def faults(value: Any, schema: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Yield where a value breaks a JSON Schema, for the words that this schema uses; fail on any other word."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        schema = DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in schema and all(list(faults(value, choice, where)) for choice in schema["anyOf"]):
        yield f"{where}: none of the choices"
    if "type" in schema and not isinstance(value, TYPES[schema["type"]]):
        yield f"{where}: no {schema['type']}"
        return
    right: dict[str, Callable[[Any], object]] = {
        "const": lambda limit: value == limit,
        "pattern": lambda limit: re.search(limit, value),
        "minimum": lambda limit: value >= limit,
        "exclusiveMinimum": lambda limit: value > limit,
    }
    yield from (f"{where}: {word}" for word, test in right.items() if word in schema and not test(schema[word]))
    if isinstance(value, dict):
        yield from faults_inside(value, schema, where)
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from faults(part, schema.get("items", {}), f"{where}[{index}]")


def faults_inside(value: dict[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield what is missing in an object, unknown in it, or wrong."""
    yield from (f"{where}.{key}: missing" for key in schema.get("required", ()) if key not in value)
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, part in value.items():
        if key not in properties and others is False:
            yield f"{where}.{key}: unknown"
        elif isinstance(rule := properties.get(key, others), dict):
            yield from faults(part, rule, f"{where}.{key}")


SHIPPED: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
DEFINITIONS: dict[str, Any] = SHIPPED.get("$defs", {})


def test_the_schema_that_ships_is_the_model_s() -> None:
    """Whoever changes the record writes record.schema.json anew, byte for byte."""
    assert record.schema() == record.Record.model_json_schema()
    assert json.dumps(record.schema(), indent=1) + "\n" == SCHEMA.read_text(encoding="utf-8"), WRITE


def test_a_record_has_exactly_the_promised_keys(tmp_path: Path) -> None:
    """The keys that other programs rely on: no more, no fewer."""
    written = json.loads(painted(tmp_path).model_dump_json())
    for key, words in PARTS.items():
        part = written[key][0] if isinstance(written[key], list) else written[key]
        assert list(part) == words.split()
    assert list(written) == KEYS.split()
    assert list(SHIPPED["properties"]) == [*KEYS.split(), "review"]  # said of a picture later, by people


def test_a_record_keeps_to_the_schema(tmp_path: Path) -> None:
    """A record as it is written validates against the schema as it ships, and reads back the same."""
    made = painted(tmp_path)
    assert not list(faults(json.loads(made.model_dump_json()), SHIPPED))
    assert record.Record.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 2),
        ("photo.sha256", "ABC"),
        ("photo.width", 0),
        ("photo.nickname", "x"),
        ("styles.0.weight", 0),
        ("engine.torch", None),
        ("attempts", 0),
        ("seed", "x"),
        ("trace.0.total", "much"),
        ("output.sha256", "0" * 63),
        ("timings.seconds", {"paint": "long"}),
        ("warnings", "a warning"),
        ("nonsense", 1),
    ],
)
def test_schema_and_model_refuse_the_same(tmp_path: Path, path: str, value: object) -> None:
    """What is wrong in a record is wrong by the schema and by the model."""
    written = json.loads(painted(tmp_path).model_dump_json())
    at = written
    *sections, last = path.split(".")
    for part in sections:
        at = at[int(part)] if part.isdecimal() else at[part]
    at[last] = value
    assert next(faults(written, SHIPPED)).startswith(f".{path.split('.', maxsplit=1)[0]}")
    with pytest.raises(ValidationError):
        record.Record.model_validate(written)


def test_the_copy_in_the_picture_has_no_hash_of_itself(tmp_path: Path) -> None:
    """The embedded record, whose output.sha256 is null, keeps to the schema as well."""
    made = painted(tmp_path)
    embedded = made.model_copy(update={"output": made.output.model_copy(update={"sha256": None})})
    assert not list(faults(json.loads(embedded.model_dump_json()), SHIPPED))
