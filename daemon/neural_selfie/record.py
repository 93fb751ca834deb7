"""The record of how a picture was made: a versioned pydantic model; its JSON Schema ships as `record.schema.json`.

The record lies beside the picture as JSON and is also embedded in it. The embedded copy cannot contain the hash of
the file it is part of: there `output.sha256` is null.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

SCHEMA_VERSION: Literal[1] = 1
Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PhotoPart(_Part):
    """The photo, as it was dropped (`name` without folder); size in pixels after EXIF rotation."""

    name: str
    sha256: str = Sha256
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    taken_at: str | None = Field(default=None, description="ISO 8601, local time as the camera wrote it")


class StylePart(_Part):
    """One style image and its share in the mix."""

    name: str
    sha256: str = Sha256
    weight: float = Field(gt=0)


class EnginePart(_Part):
    """What painted: the engine and the versions and device that a bit-identical repeat needs."""

    name: str
    version: str
    weights_sha256: str | None = None
    torch: str
    device: str
    dtype: str


class Timings(_Part):
    """When (ISO 8601, UTC) and how long (seconds by stage, wall clock)."""

    queued_at: str
    started_at: str
    finished_at: str
    seconds: Mapping[str, float]


class TracePart(_Part):
    """One step of the engine; `seconds` since the engine began."""

    scale: int
    iteration: int
    content: float
    style: float
    tv: float
    total: float
    seconds: float


class Output(_Part):
    """The picture: file name beside the record, size in pixels."""

    file: str
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Review(_Part):
    """What a person thought of the picture, and when that was written down (ISO 8601, UTC)."""

    mark: Literal["keep", "star"]
    at: str


class Record(_Part):
    """How one picture was made, complete enough to make it again. `review` is there once somebody has picked it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    photo: PhotoPart
    preset: str
    variant: Mapping[str, Any]
    recipe: Mapping[str, Any]
    styles: tuple[StylePart, ...]
    engine: EnginePart
    seed: int
    attempts: int = Field(ge=1)
    timings: Timings
    trace: tuple[TracePart, ...]
    output: Output
    warnings: tuple[str, ...] = ()
    review: Review | None = None

    @model_serializer(mode="wrap")
    def _without_what_nobody_said(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = written(self)
        if content.get("review", 0) is None:
            del content["review"]
        return content


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a record, as `record.schema.json` holds it."""
    return Record.model_json_schema()
