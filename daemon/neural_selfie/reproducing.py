"""A record run again: the same photo, styles, recipe and seed, and how far the new picture is from the old one."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from neural_selfie import finding
from neural_selfie.config import Loaded
from neural_selfie.config.catalogue import sha256_of
from neural_selfie.errors import UsageError
from neural_selfie.model import Limits, Plan, Progress, Result, Task
from neural_selfie.record import Record
from neural_selfie.workers import batches, render

if TYPE_CHECKING:
    import numpy as np

_ANY = Limits(file_mib=4096, megapixels=2000, shortest_edge_px=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a repeat compares with the picture of the record; differences in levels of 255."""

    identical: bool
    mean: float
    largest: float
    same_engine: bool  # same engine version, weights, torch, device and dtype


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


def repeat(
    record: Record,
    loaded: Loaded,
    photo: Path | None,
    report: Callable[[Progress], None],
    *,
    mask: Path | None = None,
) -> Result:
    """Given a record, paint it again; raise UsageError when photo, mask or another image cannot be found by its hash.

    What was painted in a batch is painted in the same batch again; only the record's own picture is returned. Where the
    network's weights of the record are not here, those that the preset would take are used: `compare` says so. Raise
    WeightsUnavailableError if there are none at all.
    """
    path = photo or finding.photo(record, loaded)
    if sha256_of(path) != record.photo.sha256:
        raise UsageError(f"{path} is not the photo of this record: its content differs.")
    recipe = dict(record.recipe)
    together = _variants(record, recipe.pop("together", None))
    kept, regions = finding.mask(recipe.pop("mask", None), loaded, mask, len(record.styles))
    styles = tuple(
        replace(finding.image(part.name, part.sha256, "style", loaded), weight=part.weight, region=region)
        for part, region in zip(record.styles, regions, strict=True)
    )
    start = finding.start_image(recipe.pop("start_image", None), loaded)
    weights = finding.weights(record, loaded)
    own = together.index(dict(record.variant))
    tasks = [
        Task(
            job_id=number,
            attempt=record.attempts,
            photo_path=path,
            photo_name=record.photo.name,
            photo_sha256=record.photo.sha256,
            plan=Plan(
                preset=record.preset,
                engine=record.engine.name,
                variant=variant,
                recipe=recipe if number == own else recipe | {key: variant[key] for key in variant.keys() & recipe},
                styles=styles,
                seed=record.seed,
                mask=kept,
                start=start,
            ),
            queued_at=0.0,
            limits=_ANY,
            weights=weights,
        )
        for number, variant in enumerate(together)
    ]

    def report_own(progress: Progress) -> None:
        if progress.job_id == own:
            report(progress)

    return render.painted(batches.as_one(tasks), report_own).members[own]


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


def _variants(record: Record, said: object) -> list[dict[str, Any]]:
    """Given a record and what it says of its batch, return the variants of the batch; raise UsageError for nonsense."""
    own = dict(record.variant)
    if said is None:
        return [own]
    if not isinstance(said, list) or own not in said or any(not isinstance(one, dict) for one in said):
        raise UsageError("This record does not say which variants it was painted together with: recipe.together.")
    return said
