"""The configuration: a YAML file, overridden by the environment, validated into frozen `Settings`.

The only reader of either. It looks at no folder and no style image: `layout.py` and `catalogue.py` do that at start.
Every default stands here once; `config.example.yaml` is written from it (`example.py`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
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
from neural_selfie.config import faults
from neural_selfie.config.presets import AnyPreset, PatchPreset, Preset, PresetName, Rule, StyleShare
from neural_selfie.errors import ConfigError, PermissionDeniedError

DEFAULT_PATH = Path("/etc/neural-selfie/config.yaml")
PATH_VARIABLE = "NEURAL_SELFIE_CONFIG"
PREFIX = "NEURAL_SELFIE__"


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
    def originals_folder(self) -> Path:
        """The folder for photos that are done."""
        return self.originals.folder or self.inbox.parent / "originals"


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


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where they come from: `path` is None when only defaults and the environment speak."""

    settings: Settings
    path: Path | None

    @property
    def folder(self) -> Path | None:
        """The folder that relative style names are looked up in first."""
        return self.path.parent if self.path else None


def find(option: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Given `--config` or None, return the file to read; raise ConfigError if one is named that does not exist."""
    named = option or (Path(environ[PATH_VARIABLE]) if environ.get(PATH_VARIABLE) else None)
    if named is None:
        return DEFAULT_PATH if DEFAULT_PATH.exists() else None
    if not named.is_file():
        raise ConfigError(f"{named}: there is no such configuration file.")
    return named.absolute()


def load(option: Path | None = None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Given `--config` or None and the environment, return the settings; raise ConfigError listing every fault.

    Raise PermissionDeniedError if the file may not be read.
    """
    path = find(option, environ)
    text = _text_of(path) if path else ""
    folder = path.parent if path else Path.cwd()
    return Loaded(parse(text, source=str(path or "defaults"), environ=environ, folder=folder), path)


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8.") from None
    except PermissionError as error:
        raise PermissionDeniedError(f"{path}: this user (id {os.geteuid()}) may not read it.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error


def parse(text: str, *, source: str, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Given YAML text, return the settings; raise ConfigError with file, line, key, bad value and what would be right.

    Relative folders are taken from `folder`, the folder of the file; `~` is the home of the user who runs this.
    """
    lines = faults.Lines.of(text, source)
    data = lines.data
    variables = _override(data, environ or {})
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(faults.explained(error, lines, variables, Settings)) from None
    return _absolute(settings, folder) if folder else settings


def _absolute(settings: Settings, folder: Path) -> Settings:
    """Return the settings with folders made absolute from the folder of the file."""
    originals = settings.originals
    if originals.folder:
        originals = originals.model_copy(update={"folder": _at(folder, originals.folder)})
    keys = ("inbox", "outbox", "failed", "state")
    folders = {key: _at(folder, path) for key in keys if (path := getattr(settings, key))}
    return settings.model_copy(update=folders | {"originals": originals})


def _at(folder: Path, path: Path) -> Path:
    try:
        return folder / path.expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: there is no user with such a home; write the folder in full.") from None


def _override(data: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Write NEURAL_SELFIE__SECTION__KEY values into data; return which key path came from which variable.

    A value is YAML, as it would stand in the file. `_` in a name also finds a key with `-`, because a shell allows no
    other.
    """
    variables: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX):
            continue
        path: list[str] = []
        at: Any = data
        parts = name[len(PREFIX) :].lower().split("__")
        for index, part in enumerate(parts):
            if not isinstance(at, dict):
                raise ConfigError(f"environment variable {name}: {'.'.join(path)} is not a section.")
            key = _existing(part, at)
            if path == ["presets"] and key not in at:
                key = _existing(part, styles.PROGRAMS)
            path.append(key)
            if index < len(parts) - 1:
                if at.get(key) is None or (path == ["workers"] and not isinstance(at[key], dict)):  # auto, cpu
                    at[key] = _default_section(path)
                at = at[key]
            else:
                at[key] = faults.yaml_value(environ[name], f"environment variable {name}")
        variables[tuple(path)] = name
    return variables


def _existing(part: str, section: Mapping[str, Any]) -> str:
    return next((key for key in section if str(key).lower().replace("-", "_") == part.replace("-", "_")), part)


def _default_section(path: Sequence[str]) -> dict[str, Any]:
    """Return what an override below a section that the file leaves out starts from: what ships, else nothing."""
    presets = {name: preset.model_dump(mode="json", exclude_unset=True) for name, preset in shipped_presets().items()}
    match list(path):
        case ["presets"]:
            return presets
        case ["presets", name]:
            return presets.get(name, {})
        case _:
            return {}


def as_yaml(settings: Settings) -> str:
    """Return the settings, defaults included, as YAML that `load` reads back to the same."""
    return str(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file."""
    return Settings.model_json_schema()
