"""The presets' images and the places of the folders, as the daemon proves them at its start; in a process apart."""

from neural_selfie.config import Loaded
from neural_selfie.config.catalogue import open_catalogue
from neural_selfie.config.layout import refuse_overlaps
from neural_selfie.doctor.finding import Finding, ok, wrong
from neural_selfie.errors import ConfigError


def images(loaded: Loaded) -> list[Finding]:
    """Given the configuration, return whether each style and start image is there and decodes."""
    try:
        open_catalogue(loaded)
    except ConfigError as error:
        return [wrong("presets", str(error), "Put a picture there, or name another one in that preset.")]
    return [ok("presets", f"The images of all {len(loaded.settings.presets)} presets can be read.")]


def overlaps(loaded: Loaded) -> list[Finding]:
    """Given the configuration, return whether a folder lies in another so that pictures are fed back or lost."""
    try:
        refuse_overlaps(loaded.settings)
    except ConfigError as error:
        return [wrong("layout", str(error), "Set one of them to another folder.")]
    return [ok("layout", "No folder lies in another.")]
