"""A complete run in a folder of its own: sample photos are dropped, the real daemon paints them, the page is built."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from neural_selfie import styles
from neural_selfie.errors import UsageError
from neural_selfie.files import names
from neural_selfie.gallery import read_entries

SIZE_PX = 512
# Which sample gets which presets: a portrait, fur and a still life, every style that ships once or twice.
SAMPLES = {
    "astronaut": ("starry-night", "stained-glass"),
    "cat": ("scream", "woodcut"),
    "coffee": ("pointillist", "spider-web"),
}


@dataclass(frozen=True, slots=True)
class Demo:
    """The folders of a demo and its configuration file."""

    folder: Path

    @property
    def inbox(self) -> Path:
        """Where the photos are dropped."""
        return self.folder / "inbox"

    @property
    def config(self) -> Path:
        """The configuration that `neural-selfie --config` commands can use on this demo."""
        return self.folder / "config.yaml"

    @property
    def page(self) -> Path:
        """The gallery."""
        return self.folder / "outbox" / "index.html"

    def pictures(self) -> list[Path]:
        """Return the pictures in the outbox, newest first."""
        return [self.folder / "outbox" / entry.folder / entry.picture for entry in read_entries(self.folder / "outbox")]


def set_up(folder: Path, photo: Path | None) -> Demo:
    """Given a folder and a visitor's photo or None for samples, write the configuration and drop the photos.

    Raise UsageError when scikit-image, which carries the samples, is not installed.
    """
    demo = Demo(folder.absolute())
    demo.inbox.mkdir(parents=True, exist_ok=True)
    presets = {name: {"style": f"styles/{name}.jpg", "size": SIZE_PX} for name in styles.PROGRAMS}
    settings = {
        "inbox": str(demo.inbox),
        "state": str(demo.folder / "state"),
        "default_presets": list(presets) if photo else ["starry-night"],
        "presets": presets,
        "watch": {"quiet_seconds": 0.5},
        "log": {"format": "console"},
    }
    demo.config.write_text(
        f"# Made by `neural-selfie demo`.\n{yaml.safe_dump(settings, sort_keys=False)}", encoding="utf-8"
    )
    if photo is not None:
        _drop(photo, demo.inbox / photo.name)
    else:
        _drop_samples(demo.inbox)
    return demo


def _drop(photo: Path, target: Path) -> None:
    partial = target.with_name(f".{names.shown(target.name)[:100]}.part")
    shutil.copyfile(photo, partial)
    partial.rename(target)


def _drop_samples(inbox: Path) -> None:
    try:
        from skimage import data  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise UsageError(
            "The sample photos come with scikit-image: install neural-selfie[demo], or give a photo of your own: "
            "neural-selfie demo PHOTO"
        ) from None
    from PIL import Image  # noqa: PLC0415

    for name, wanted in SAMPLES.items():
        sidecar = inbox / f"{name}.png.yaml"
        sidecar.write_text(yaml.safe_dump({"presets": list(wanted)}), encoding="utf-8")
        Image.fromarray(getattr(data, name)()).save(inbox / f".{name}.part", format="PNG")
        (inbox / f".{name}.part").rename(inbox / f"{name}.png")
