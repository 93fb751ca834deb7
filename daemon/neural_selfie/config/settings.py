"""The settings: what can be configured, within which bounds, and what it means. Frozen; reads nothing itself.

Every default stands here once; `config.example.yaml` is written from it (`example.py`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from neural_selfie import styles
from neural_selfie.config.presets import AnyPreset, PatchPreset, Preset, PresetName, Rule, StyleShare


class Section(BaseModel):
    """A part of the configuration: frozen, and it knows all its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _some_path(value: object) -> object:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("expected a path")
    return value


Folder = Annotated[Path, BeforeValidator(_some_path)]


class Originals(Section):
    """What becomes of a photo when all its pictures are published."""

    action: Literal["move", "keep", "delete"] = Field(
        default="move", description="move it to `folder`, keep it in the inbox, or delete it"
    )
    folder: Folder | None = Field(default=None, description="null: the folder `originals` beside the inbox")


class GpuWorkers(Section):
    """One worker process for each of these GPUs."""

    gpus: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, description="CUDA device numbers")


class DaskCluster(Section):
    """Where the scheduler of a Dask cluster listens."""

    scheduler: str = Field(pattern=r"^(tls|tcp)://", description="tls://host:port")
    tls: Mapping[str, Path] = Field(default_factory=dict, description="ca_file, client_cert, client_key")


class DaskWorkers(Section):
    """Workers on other machines."""

    dask: DaskCluster


def _workers_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "word"
    if isinstance(value, Mapping):
        return next((tag for tag in ("gpus", "dask") if tag in value), None)
    if isinstance(value, GpuWorkers):
        return "gpus"
    return "dask" if isinstance(value, DaskWorkers) else None


Workers = Annotated[
    Annotated[Literal["auto", "cpu"], Tag("word")]
    | Annotated[GpuWorkers, Tag("gpus")]
    | Annotated[DaskWorkers, Tag("dask")],
    Discriminator(
        _workers_tag,
        custom_error_type="workers",
        custom_error_message="expected auto, cpu, {gpus: [0, 1]} or {dask: {scheduler: ...}}",
    ),
]


class Watch(Section):
    """When a dropped file counts as finished, and how the inbox is watched."""

    quiet_seconds: float = Field(default=2.0, ge=0.1, le=3600, description="a file unchanged for this long is finished")
    ceiling_seconds: float = Field(
        default=120.0, ge=1, le=86400, description="a file that keeps changing is tried after this long"
    )
    truncated_seconds: float = Field(
        default=60.0, ge=0, le=86400, description="a picture that ends too early may still grow for this long"
    )
    rescan_seconds: float = Field(default=60.0, ge=1, le=86400, description="the whole inbox is looked over this often")
    polling: Literal["auto", "always", "never"] = Field(
        default="auto", description="auto: poll where the file system delivers no events (network shares)"
    )
    ignore: tuple[str, ...] = Field(default=(), description="globs of names to ignore beside the built-in ones")


class PhotoLimits(Section):
    """What a photo may be; more is refused before it is decoded."""

    file_mib: int = Field(default=256, ge=1, le=4096, description="size of the file, MiB")
    megapixels: int = Field(default=200, ge=1, le=2000, description="width x height, million pixels")
    shortest_edge_px: int = Field(default=32, ge=16, le=1024, description="the shorter edge, px")


class Disks(Section):
    """When the daemon pauses, so that the disks of state folder, outbox and originals do not run full."""

    free_mib: Annotated[int, Field(ge=0, le=1 << 30)] | None = Field(
        default=None,
        description="with less free space than this on one of them, MiB, photos stay in the inbox and none is painted; "
        "null: 1024, or a twentieth of a smaller disk",
    )


class Retry(Section):
    """How often a job is tried again, and when."""

    attempts: int = Field(default=3, ge=1, le=100, description="failures after which a job counts as failed")
    backoff_seconds: float = Field(default=10.0, ge=0, le=86400, description="pause after a failure; doubles each time")
    backoff_ceiling_seconds: float = Field(default=600.0, ge=0, le=86400, description="longest pause")
    waiting_seconds: float = Field(
        default=30.0, ge=0.1, le=86400, description="how often a job that waits (full disk, ...) looks again"
    )
    silence_seconds: float = Field(
        default=600.0, ge=1, le=86400, description="a worker that reports no progress for this long is replaced"
    )
    stop_seconds: float = Field(
        default=20.0,
        ge=0,
        le=86400,
        description="at a stop, a picture may take this long to finish; else it is put back",
    )


class Log(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="lowest level shown")
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: readable on a terminal, JSON lines otherwise"
    )


def shipped_presets() -> dict[str, AnyPreset]:
    """Return a preset for each style image that ships."""
    return {name: PatchPreset(style=(StyleShare(image=f"styles/{name}.jpg"),)) for name in styles.PROGRAMS}


class Settings(Section):
    """The whole configuration. Folders left null lie beside the inbox."""

    inbox: Folder = Field(default=Path("/srv/neural-selfie/inbox"), description="drop photos here")
    outbox: Folder | None = Field(default=None, description="pictures, records and the gallery; null: beside the inbox")
    originals: Originals = Originals()
    failed: Folder | None = Field(
        default=None, description="what could not be painted, and why; null: beside the inbox"
    )
    rejected: Folder | None = Field(
        default=None, description="pictures that were rejected on the page; null: beside the inbox"
    )
    workers: Workers = Field(default="auto", description="auto, cpu, {gpus: [0, 1]} or {dask: {scheduler: ...}}")
    state: Folder = Field(
        default=Path("/var/lib/neural-selfie"), description="ledger, work files and caches; on a local disk"
    )
    default_presets: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="when no folder, rule or sidecar speaks; null: the first preset"
    )
    rules: tuple[Rule, ...] = Field(default=(), description="first match wins")
    presets: Mapping[PresetName, Preset] = Field(
        default_factory=shipped_presets, min_length=1, description="named recipes"
    )
    watch: Watch = Watch()
    limits: PhotoLimits = PhotoLimits()
    disks: Disks = Disks()
    retry: Retry = Retry()
    keep_gps: bool = Field(default=False, description="carry the place where a photo was taken over to the picture")
    log: Log = Log()

    @field_validator("presets")
    @classmethod
    def _shipped_ones_that_are_named(
        cls, presets: Mapping[str, AnyPreset], info: ValidationInfo
    ) -> Mapping[str, AnyPreset]:
        named = {name for _, name in _presets_named(info.data.get("default_presets"), info.data.get("rules", ()))}
        shipped = {name: preset for name, preset in shipped_presets().items() if name in named}
        return {**presets, **{name: preset for name, preset in shipped.items() if name not in presets}}

    @model_validator(mode="after")
    def _names_of_presets_exist(self) -> "Settings":
        unknown = PydanticCustomError("preset", "expected one of {names}", {"names": ", ".join(self.presets)})
        faults = [
            InitErrorDetails(type=unknown, loc=loc, input=name)
            for loc, name in _presets_named(self.default_presets, self.rules)
            if name not in self.presets
        ]
        if faults:
            raise ValidationError.from_exception_data("Settings", faults)
        return self

    @property
    def default_names(self) -> tuple[str, ...]:
        """The presets for photos that nothing else speaks for."""
        return self.default_presets or tuple(self.presets)[:1]

    @property
    def outbox_folder(self) -> Path:
        """The outbox."""
        return self.outbox or self.inbox.parent / "outbox"

    @property
    def failed_folder(self) -> Path:
        """The folder for what could not be painted."""
        return self.failed or self.inbox.parent / "failed"

    @property
    def rejected_folder(self) -> Path:
        """The folder for pictures that were rejected on the page; made when the first one is."""
        return self.rejected or self.inbox.parent / "rejected"

    @property
    def originals_folder(self) -> Path:
        """The folder for photos that are done."""
        return self.originals.folder or self.inbox.parent / "originals"

    @property
    def filling_folders(self) -> tuple[Path, ...]:
        """The folders whose disks fill while the daemon works."""
        originals = (self.originals_folder,) if self.originals.action == "move" else ()
        return self.state, self.outbox_folder, *originals


def _presets_named(
    default_presets: Sequence[str] | None, rules: Sequence[Rule]
) -> list[tuple[tuple[str | int, ...], str]]:
    """Return each name of a preset that stands outside `presets`, with its place."""
    named: list[tuple[tuple[str | int, ...], str]] = [
        (("default_presets", index), name) for index, name in enumerate(default_presets or ())
    ]
    return named + [
        (("rules", number, "presets", index), name)
        for number, rule in enumerate(rules)
        for index, name in enumerate(rule.presets)
    ]
