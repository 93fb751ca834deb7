"""A record run again: the same photo, styles, recipe and seed, and how far the new picture is from the old one."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from neural_selfie.config import Loaded, layout
from neural_selfie.config.catalogue import find_style, sha256_of
from neural_selfie.errors import ConfigError, UsageError
from neural_selfie.model import Limits, Plan, Progress, Result, StyleUse, Task
from neural_selfie.record import Record, StylePart
from neural_selfie.workers import render

if TYPE_CHECKING:
    import numpy as np

_ANY = Limits(file_mib=4096, megapixels=2000, shortest_edge_px=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a repeat compares with the picture of the record; differences in levels of 255."""

    identical: bool
    mean: float
    largest: float
    same_engine: bool  # same engine version, torch, device and dtype


def read(path: Path) -> Record:
    """Given a record's JSON file or a picture that carries one, return it; raise UsageError if there is none."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file.")
    if path.suffix.lower() == ".json":
        text = path.read_text(encoding="utf-8")
    else:
        from neural_selfie.engine import metadata  # noqa: PLC0415 - numpy and Pillow are needed for pictures only

        text = metadata.extract(path)
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise UsageError(
            f"{path} is no record of this version: {'.'.join(map(str, fault['loc']))}: {fault['msg']}."
        ) from None


def picture_of(path: Path, record: Record) -> Path | None:
    """Given where a record was read from, return its picture: the file itself, or the one beside the JSON."""
    if path.suffix.lower() != ".json":
        return path
    beside = path.with_name(record.output.file)
    return beside if beside.is_file() else None


def repeat(record: Record, loaded: Loaded, photo: Path | None, report: Callable[[Progress], None]) -> Result:
    """Given a record, paint it again; raise UsageError when the photo or a style with its hash cannot be found."""
    path = photo or _find_photo(record, loaded)
    if sha256_of(path) != record.photo.sha256:
        raise UsageError(f"{path} is not the photo of this record: its content differs.")
    styles = tuple(_find_style(part, loaded) for part in record.styles)
    plan = Plan(
        preset=record.preset,
        engine=record.engine.name,
        variant=dict(record.variant),
        recipe=dict(record.recipe),
        styles=styles,
        seed=record.seed,
    )
    task = Task(
        job_id=0,
        attempt=record.attempts,
        photo_path=path,
        photo_name=record.photo.name,
        photo_sha256=record.photo.sha256,
        plan=plan,
        queued_at=0.0,
        limits=_ANY,
    )
    return render.painted(task, report)


def compare(picture: Path, old: Record, result: Result) -> Comparison:
    """Given the old picture and the repeat, return how far they are apart, pixel by pixel."""
    import numpy as np  # noqa: PLC0415 - keeps other commands light

    before, after = _pixels(picture.read_bytes()), _pixels(result.picture)
    same_engine = old.engine == result.record.engine
    if before.shape != after.shape:
        return Comparison(identical=False, mean=255.0, largest=255.0, same_engine=same_engine)
    apart = np.abs(before - after)
    return Comparison(not apart.any(), float(apart.mean()), float(apart.max()), same_engine)


def _pixels(data: bytes) -> "np.ndarray":
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"), dtype=np.float32)


def _find_photo(record: Record, loaded: Loaded) -> Path:
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


def _find_style(part: StylePart, loaded: Loaded) -> StyleUse:
    for path in _style_files(loaded):
        if sha256_of(path) == part.sha256:
            return StyleUse(name=part.name, path=path, sha256=part.sha256, weight=part.weight)
    raise UsageError(
        f"The style image {part.name} of this record is neither in the configuration nor in the state folder."
    )


def _style_files(loaded: Loaded) -> Iterator[Path]:
    kept = layout.StateFolder(loaded.settings.state).styles
    if kept.is_dir():
        yield from kept.iterdir()
    for name, preset in loaded.settings.presets.items():
        for share in preset.style:
            try:
                yield find_style(share.image, loaded.folder, preset=name)
            except ConfigError:
                continue
