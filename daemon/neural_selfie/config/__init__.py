"""The configuration: a YAML file, overridden by the environment, validated into frozen `Settings`.

The only reader of either. It looks at no folder and no style image: `layout` and `catalogue` do that at start.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from neural_selfie import styles
from neural_selfie.config import faults
from neural_selfie.config.settings import (
    DaskCluster,
    DaskWorkers,
    GpuWorkers,
    Log,
    Originals,
    Section,
    Settings,
    shipped_presets,
)
from neural_selfie.errors import ConfigError, PermissionDeniedError

__all__ = [
    "DEFAULT_PATH",
    "PATH_VARIABLE",
    "PREFIX",
    "DaskCluster",
    "DaskWorkers",
    "GpuWorkers",
    "Loaded",
    "Log",
    "Originals",
    "Section",
    "Settings",
    "as_yaml",
    "find",
    "load",
    "parse",
    "schema",
    "shipped_presets",
]

DEFAULT_PATH = Path("/etc/neural-selfie/config.yaml")
PATH_VARIABLE = "NEURAL_SELFIE_CONFIG"
PREFIX = "NEURAL_SELFIE__"
_BYTES_MAX = 256 * 1024  # a thousand presets; what is longer is some other file


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
        with path.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
        if len(data) > _BYTES_MAX:
            raise ConfigError(f"{path}: too long for a configuration: {_BYTES_MAX // 1024} KiB are the limit.")
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
