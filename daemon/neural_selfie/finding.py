"""Finds by its content what a record names: the photo, style images, the mask, the image it began with, weights.

Looks in the folders of the configuration and in the state folder. Files are only read to be hashed; nothing is painted.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from neural_selfie import models
from neural_selfie.config import Loaded, layout, masks
from neural_selfie.config.catalogue import find_start, find_style, sha256_of, weights_of
from neural_selfie.engine.recipe import NETWORKED
from neural_selfie.errors import ConfigError, UsageError
from neural_selfie.model import MaskUse, StyleUse
from neural_selfie.record import Record


def photo(record: Record, loaded: Loaded) -> Path:
    """Given a record, return the file of its photo, wherever a photo may lie; raise UsageError if it is nowhere."""
    settings = loaded.settings
    state = layout.StateFolder(settings.state)
    folders = [settings.originals_folder, state.work, settings.failed_folder, settings.inbox]
    files = [path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()]
    files.sort(key=lambda path: path.name != record.photo.name)  # the same name is the likeliest
    for path in files:
        if sha256_of(path) == record.photo.sha256:
            return path
    looked = ", ".join(map(str, folders))
    raise UsageError(f"The photo {record.photo.name} is not in {looked}; name it with --photo FILE.")


def weights(record: Record, loaded: Loaded) -> Path | None:
    """Given a record, return the weights that it names, else those its preset would take; None where none are needed.

    Raise WeightsUnavailableError if there are none at all.
    """
    if record.engine.name not in NETWORKED:
        return None
    folder = layout.StateFolder(loaded.settings.state).models
    named = weights_of(loaded)
    own = models.choose(named.get(record.preset), folder)
    for path in dict.fromkeys([own, *map(Path, named.values()), *models.candidates(folder)]):
        if path.is_file() and sha256_of(path) == record.engine.weights_sha256:
            return path
    return models.found(named.get(record.preset), folder)


def mask(
    said: Mapping[str, Any] | None, loaded: Loaded, given: Path | None, count: int
) -> tuple[MaskUse | None, Sequence[str | None]]:
    """Given what a record says of its mask and of `count` styles, return the mask and the region of each style.

    `given`: the file to use; by default the one that the state folder keeps. Raise UsageError if it is another or gone.
    """
    if said is None:
        return None, [None] * count
    path = given or masks.kept_path(layout.StateFolder(loaded.settings.state).styles, said["sha256"])
    if not path.is_file():
        raise UsageError(
            f"The mask {said['name']} of this record is not in the state folder; name it with --mask FILE."
        )
    if sha256_of(path) != said["sha256"]:
        raise UsageError(f"{path} is not the mask of this record: its content differs.")
    return MaskUse(name=said["name"], path=path, sha256=said["sha256"]), said["regions"]


def start_image(said: object, loaded: Loaded) -> StyleUse | None:
    """Given what a record says of the image that it began with, return it; raise UsageError if it cannot be found."""
    if said is None:
        return None
    if not isinstance(said, Mapping) or not {"name", "sha256"} <= said.keys():
        raise UsageError("This record does not say which image it began with: recipe.start_image.")
    return image(str(said["name"]), str(said["sha256"]), "start", loaded)


def image(name: str, sha256: str, kind: str, loaded: Loaded) -> StyleUse:
    """Given a style or start image by its name and hash, return it; raise UsageError if it cannot be found."""
    for path in _image_files(loaded):
        if sha256_of(path) == sha256:
            return StyleUse(name=name, path=path, sha256=sha256)
    raise UsageError(f"The {kind} image {name} of this record is neither in the configuration nor in the state folder.")


def _image_files(loaded: Loaded) -> Iterator[Path]:
    kept = layout.StateFolder(loaded.settings.state).styles
    if kept.is_dir():
        yield from kept.iterdir()
    for name, preset in loaded.settings.presets.items():
        for share in preset.style:
            with suppress(ConfigError):
                yield find_style(share.image, loaded.folder, preset=name)
        if preset.engine == "gatys" and preset.start_image is not None:
            with suppress(ConfigError):
                yield find_start(preset.start_image, loaded.folder, preset=name)
