"""A record made a preset: the recipe of a picture that somebody liked, for every photo to come."""

from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from neural_selfie import config, files
from neural_selfie.config import Loaded, layout
from neural_selfie.config.catalogue import find_style, sha256_of
from neural_selfie.config.presets import Preset, PresetName
from neural_selfie.errors import ConfigError, UsageError
from neural_selfie.gallery import describing
from neural_selfie.record import Record

_INDENT = "  "


def promoted(record: Record, name: str, loaded: Loaded) -> str:
    """Given a record and a name, return the preset as YAML, as it stands below `presets:`.

    Its style images are called as the configuration calls those with the same content. Raise UsageError if the name is
    taken or unfit, or the recipe is none of this version.
    """
    if name in loaded.settings.presets:
        raise UsageError(f"There is a preset called {name} already: choose another name.")
    preset = describing.preset_of(record, [_image(style.sha256, style.name, loaded) for style in record.styles])
    try:
        TypeAdapter[str](PresetName).validate_python(name)
        TypeAdapter(Preset).validate_python(preset)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise UsageError(
            f"The record cannot become the preset {name!r} of this version: "
            f"{'.'.join(map(str, fault['loc']))} {fault['msg']}.".replace(": .", ": ")
        ) from None
    text: str = yaml.safe_dump({name: preset}, sort_keys=False, allow_unicode=True, width=1000)
    return text


def write(text: str, loaded: Loaded) -> Path:
    """Given a preset as YAML, write it below `presets:` of the configuration file, and return that file.

    All that stands there stays as it is, comments included. Raise UsageError where that is not possible: the file is
    then as it was.
    """
    path = loaded.path
    by_hand = "Put what was printed into the configuration by hand."
    if path is None:
        raise UsageError(f"There is no configuration file to write to. {by_hand}")
    before = path.read_text(encoding="utf-8")
    lines = before.splitlines()
    places = [number for number, line in enumerate(lines) if line.partition("#")[0].rstrip() == "presets:"]
    if len(places) != 1:
        raise UsageError(f"{path} has no section `presets:` with a line for itself. {by_hand}")
    indent = _indent_below(lines, places[0])
    new = [f"{indent}{line}".rstrip() for line in text.splitlines()]
    after = "\n".join([*lines[: places[0] + 1], *new, *lines[places[0] + 1 :]]) + "\n"
    try:
        config.parse(after, source=str(path), environ={}, folder=path.parent)
    except ConfigError as error:
        raise UsageError(f"{path} would not be in order with it: {error} {by_hand}") from error
    files.write_atomic(path, after.encode(), mode=path.stat().st_mode & 0o7777)
    return path


def _indent_below(lines: list[str], place: int) -> str:
    """Return how far the presets that are there are indented, as deep as two spaces where there is none."""
    for line in lines[place + 1 :]:
        content = line.lstrip()
        if content and not content.startswith("#"):
            return line[: len(line) - len(content)] or _INDENT
    return _INDENT


def _image(sha256: str, name: str, loaded: Loaded) -> str:
    """Return how the configuration calls a style image of this content, else where the state folder keeps it."""
    for known, preset in loaded.settings.presets.items():
        for share in preset.style:
            try:
                if sha256_of(find_style(share.image, loaded.folder, preset=known)) == sha256:
                    return share.image
            except (ConfigError, OSError):
                continue
    kept = list(layout.StateFolder(loaded.settings.state).styles.glob(f"{sha256}.*"))
    return str(kept[0]) if kept else f"styles/{name}"
