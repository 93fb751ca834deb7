"""The presets ready for use: their images found, proven to decode, hashed and kept; and the plans a photo asks for."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from neural_selfie import files, inspection, styles
from neural_selfie.config import Loaded, Settings, faults, masks, matching, presets, sidecars
from neural_selfie.engine.recipe import NETWORKED
from neural_selfie.errors import ConfigError, PhotoRefusedError, SidecarError
from neural_selfie.model import Limits, MaskUse, Plan, StyleUse

STYLE_LIMITS = Limits(file_mib=256, megapixels=200, shortest_edge_px=16)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The presets of a configuration with their style images; weights files and start images of those that name one."""

    settings: Settings
    styles: Mapping[str, tuple[StyleUse, ...]]
    weights: Mapping[str, str] = field(default_factory=dict)
    starts: Mapping[str, StyleUse] = field(default_factory=dict)

    def plans_for(self, dropped: PurePath, sidecar: str | None = None, mask: MaskUse | None = None) -> tuple[Plan, ...]:
        """Given a path below the inbox, the text of its sidecar and its mask, return every picture to make, in order.

        Raise SidecarError when the sidecar cannot be understood, or the mask is of no use.
        """
        wishes = sidecars.read(sidecar) if sidecar is not None else None
        names = matching.matching(
            dropped,
            sidecar=wishes,
            rules=self.settings.rules,
            presets=self.settings.presets,
            default_presets=self.settings.default_names,
        )
        plans = tuple(plan for name in names for plan in self.plans(name, wishes.overrides if wishes else {}))
        return plans if mask is None else masks.with_mask(plans, mask)

    def plans(self, name: str, overrides: Mapping[str, Any]) -> list[Plan]:
        """Given the name of a preset and numbers that replace its own, return its plans; raise SidecarError."""
        preset: presets.AnyPreset = self.settings.presets[name]
        if overrides:
            try:
                preset = presets.overridden(preset, overrides)
            except ValidationError as error:
                lines = faults.Lines(f"overrides of the preset {name}", {}, {})
                raise SidecarError(faults.explained(error, lines, {}, type(preset))) from None
        return presets.plans(name, preset, self.styles[name], self.weights.get(name), self.starts.get(name))

    def kept_in(self, folder: Path) -> "Catalogue":
        """Given the state folder's room for styles, return a catalogue whose images lie there under their hash.

        A queued job can then be painted as it was admitted, whatever becomes of the file that its owner sees.
        """
        return replace(
            self,
            styles={name: tuple(kept(style, folder) for style in uses) for name, uses in self.styles.items()},
            starts={name: kept(start, folder) for name, start in self.starts.items()},
        )


def kept(image: StyleUse, folder: Path) -> StyleUse:
    """Given a style or start image and the state folder's room for them, return it as it lies there under its hash."""
    path = folder / f"{image.sha256}{image.path.suffix.lower()}"
    if not path.exists():
        data = image.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != image.sha256:
            raise ConfigError(f"The image {image.path} changed while it was read: wait until it is finished.")
        files.write_atomic(path, data)
    return replace(image, path=path)


def open_catalogue(loaded: Loaded, names: tuple[str, ...] | None = None) -> Catalogue:
    """Given the configuration, return its presets (or only the named ones) with their images decoded and hashed.

    Raise ConfigError naming preset and file when a style or start image is missing or does not decode.
    """
    wanted: dict[str, presets.AnyPreset] = {
        name: preset for name, preset in loaded.settings.presets.items() if names is None or name in names
    }
    styled = {
        name: [(share, find_style(share.image, loaded.folder, preset=name)) for share in preset.style]
        for name, preset in wanted.items()
    }
    started = {
        name: find_start(preset.start_image, loaded.folder, preset=name)
        for name, preset in wanted.items()
        if preset.engine == "gatys" and preset.start_image is not None
    }
    named_by: dict[Path, str] = {}
    for name, parts in styled.items():
        for _, path in parts:
            named_by.setdefault(path, f"presets.{name}.style")
    for name, path in started.items():
        named_by.setdefault(path, f"presets.{name}.start_image")
    found = _read(named_by)
    uses = {
        name: tuple(replace(found[path], weight=share.weight, region=share.region) for share, path in parts)
        for name, parts in styled.items()
    }
    return Catalogue(loaded.settings, uses, weights_of(loaded), {name: found[path] for name, path in started.items()})


def weights_of(loaded: Loaded) -> dict[str, str]:
    """Given the configuration, return the absolute path of each weights file that a preset with a network names.

    Whether it is there does not matter: a job waits for it. Raise ConfigError for the home of a user who is not.
    """
    folder = loaded.folder or Path.cwd()
    found = {}
    for name, preset in loaded.settings.presets.items():
        if preset.engine in NETWORKED and preset.weights is not None:
            try:
                found[name] = str((folder / Path(preset.weights).expanduser()).absolute())
            except RuntimeError:
                raise ConfigError(
                    f"presets.{name}.weights: {preset.weights!r}: there is no user with such a home; write the path in "
                    "full."
                ) from None
    return found


def find_style(image: str, folder: Path | None, *, preset: str) -> Path:
    """Given a style as the config names it, return its file: beside the config file, else among those that ship."""
    candidates = [folder / image] if folder else []
    if image.startswith("~"):
        with suppress(RuntimeError):  # no such user: looked for as it stands
            candidates = [Path(image).expanduser()]
    if not Path(image).is_absolute():
        candidates.append(styles.folder().parent / image)
    for candidate in candidates or [Path(image)]:
        with suppress(OSError):  # a name too long for any file
            if candidate.is_file():
                return candidate
    looked = " and ".join(str(candidate.parent) for candidate in candidates or [Path(image)])
    raise ConfigError(f"presets.{preset}.style: {image!r} is not there; looked in {looked}.")


def find_start(image: str, folder: Path | None, *, preset: str) -> Path:
    """Given a start image as the config names it, return its file, relative to the config file; none of them ships."""
    path = (folder or Path.cwd()) / image
    with suppress(RuntimeError):  # no such user: looked for as it stands
        path = (folder or Path.cwd()) / Path(image).expanduser()
    with suppress(OSError):  # a name too long for any file
        if path.is_file():
            return path
    raise ConfigError(f"presets.{preset}.start_image: {image!r} is not there; looked in {path.parent}.")


def _read(named_by: Mapping[Path, str]) -> dict[Path, StyleUse]:
    """Given image files, each with a key that names it, return them decoded and hashed: in a process of their own."""
    resolved = [path.resolve() for path in named_by]
    found = {}
    for path, facts in zip(named_by, inspection.inspect_apart(resolved, STYLE_LIMITS), strict=True):
        if isinstance(facts, PhotoRefusedError | OSError):
            raise ConfigError(f"{named_by[path]}: {path} cannot be used: {facts}") from facts
        if isinstance(facts, Exception):
            raise facts
        found[path] = StyleUse(name=path.name, path=path, sha256=facts.sha256)
    return found


def sha256_of(path: Path) -> str:
    """Given a file, return the SHA-256 of its bytes as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
