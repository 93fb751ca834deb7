"""The style images that ship, each painted by a program of its own that ships too: no museum, no licence, no download.

Importing this package is cheap: numpy and Pillow load with the program of a picture, not with the list of names.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

PROGRAMS = MappingProxyType(
    {
        "starry-night": "neural_selfie.styles.starry_night",
        "scream": "neural_selfie.styles.scream",
        "pointillist": "neural_selfie.styles.pointillist",
        "spider-web": "neural_selfie.styles.spider_web",
        "woodcut": "neural_selfie.styles.woodcut",
        "stained-glass": "neural_selfie.styles.stained_glass",
    }
)


def folder() -> Path:
    """Return the folder of the shipped style images."""
    return Path(__file__).parent


def image_path(name: str) -> Path:
    """Given the name of a shipped style, return its image; raise KeyError if there is none of that name."""
    if name not in PROGRAMS:
        raise KeyError(name)
    return folder() / f"{name}.jpg"


def program(name: str) -> Callable[..., "Image"]:
    """Given the name of a shipped style, return its `paint(seed, width)`; raise KeyError if there is none."""
    paint: Callable[..., Image] = import_module(PROGRAMS[name]).paint
    return paint
