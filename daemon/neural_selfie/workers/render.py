"""The one function that runs in a worker: a task goes in, an encoded picture with its record comes out.

A task that holds a batch gives a picture and a record for each of its members; photo and styles are read once. It
writes no file and asks the daemon for nothing, so it can be killed at any time and run again anywhere. torch is
imported when the first task arrives, never in the daemon's own process.
"""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neural_selfie import __version__
from neural_selfie.engine.recipe import Recipe, type_of
from neural_selfie.errors import (
    EngineFailedError,
    EngineUnavailableError,
    SelfieError,
    StorageUnavailableError,
    StyleUnavailableError,
)
from neural_selfie.files import names
from neural_selfie.model import Limits, MaskUse, Progress, Result, StyleUse, Task
from neural_selfie.workers import describing, seat

if TYPE_CHECKING:
    import torch

    from neural_selfie.engine.entry import Step, Stylized
    from neural_selfie.engine.images import Picture
    from neural_selfie.record import Record

PREVIEW_PX = 1600  # of the photo: the page lays it beside its paintings
_STYLE_LIMITS = Limits(file_mib=256, megapixels=200, shortest_edge_px=16)
_MASK_MIB = 64
_REPORT_SECONDS = 0.2


def prepare(device: str) -> None:
    """Make this process the worker of one device: it sees no other GPU, and torch and the GPU are ready before a task.

    Raise EngineUnavailableError where torch cannot be loaded or the GPU does not answer.
    """
    if device.startswith("cuda:"):
        os.environ["CUDA_VISIBLE_DEVICES"] = device.removeprefix("cuda:")
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        from neural_selfie.engine import entry  # noqa: F401, PLC0415 - torch loads in the worker only
    except (ImportError, OSError) as error:  # OSError: a library that torch needs
        raise EngineUnavailableError(
            f"PyTorch cannot be loaded: {error}. Install it anew; the daemon then goes on by itself."
        ) from error
    if device.startswith("cuda:"):
        import torch  # noqa: PLC0415

        try:
            torch.zeros(1, device="cuda")  # what a driver needs to begin is spent now, not within the first picture
        except RuntimeError as error:
            raise EngineUnavailableError(f"The GPU does not answer: {error}. Look at it with nvidia-smi.") from error


def paint(task: Task) -> Result:
    """Given a task, return its pictures; raise a SelfieError that says why not. Progress goes to the daemon."""
    return painted(task, seat.report)


def painted(task: Task, report: Callable[[Progress], None]) -> Result:
    """Given a task and where progress goes, return its picture and those of its batch; raise SelfieError.

    Progress is told for every member of the batch.
    """
    try:
        return _Painting(task, report).result()
    except SelfieError:
        raise
    except OSError as error:
        raise StorageUnavailableError(f"The photo or a style cannot be read: {error.strerror or error}.") from error
    except Exception as error:
        raise EngineFailedError(f"The engine failed: {type(error).__name__}: {error}") from error


class _Painting:
    """One run of `painted`: its clock and the seconds of each stage."""

    def __init__(self, task: Task, report: Callable[[Progress], None]) -> None:
        self._task = task
        self._report = report
        self._reported_at = 0.0
        self._started_at = time.time()
        self._seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def result(self) -> Result:
        from neural_selfie.engine import images  # noqa: PLC0415 - numpy and Pillow load in the worker only

        task = self._task
        self._tell("decode", 0.0)
        picture = images.decode(task.photo_path, task.limits, name=task.photo_name)
        styles = [(_image(use, "style"), use.weight) for use in task.plan.styles]
        start = None if task.plan.start is None else _image(task.plan.start, "start")
        self._lap("decode")
        paintings = self._stylize(picture, styles, self._masks(picture), start)
        self._lap("paint")
        preview = images.preview(picture.pixels, PREVIEW_PX, alpha=picture.alpha)
        results = []
        for member, painting in zip(task.members, paintings, strict=True):
            self._tell("encode", 1.0)  # also a sign of life: large pictures take seconds each
            results.append(self._encoded(member, picture, painting, preview))
        return replace(results[0], together=tuple(results[1:]))

    def _masks(self, picture: "Picture") -> "torch.Tensor | None":
        """Given the photo, return where each style is used (styles, H, W) at the picture's size, if it has a mask."""
        import torch  # noqa: PLC0415

        from neural_selfie.engine.pyramid import fit_long_edge  # noqa: PLC0415
        from neural_selfie.engine.regions import region_shares  # noqa: PLC0415

        plan = self._task.plan
        if plan.mask is None:
            return None
        mask = _mask(plan.mask, self._task.limits)
        pixels = torch.from_numpy(mask.pixels).permute(2, 0, 1)
        alpha = None if mask.alpha is None else torch.from_numpy(mask.alpha)
        size = fit_long_edge(picture.pixels.shape[0], picture.pixels.shape[1], plan.recipe["size"])
        return region_shares(pixels, [use.region for use in plan.styles], *size, alpha=alpha)

    def _stylize(
        self,
        picture: "Picture",
        styles: "list[tuple[torch.Tensor, float]]",
        masks: "torch.Tensor | None",
        start: "torch.Tensor | None",
    ) -> "list[Stylized]":
        import torch  # noqa: PLC0415 - see the module docstring

        from neural_selfie.engine import entry  # noqa: PLC0415

        task = self._task
        photo = torch.from_numpy(picture.pixels).permute(2, 0, 1)
        return entry.stylize_batch(
            photo,
            styles,
            [recipe_of(member) for member in task.members],
            seed=task.plan.seed,
            device=task.device,
            weights=task.weights,
            cache=task.cache,
            on_step=self._on_step,
            masks=masks,
            start=start,
        )

    def _on_step(self, step: "Step") -> None:
        now = time.monotonic()
        if now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            self._tell("paint", step.fraction, step.scale, step.iteration)

    def _tell(self, stage: str, fraction: float, scale: int = 0, iteration: int = 0) -> None:
        for member in self._task.members:
            self._report(
                Progress(
                    job_id=member.job_id,
                    attempt=member.attempt,
                    stage=stage,
                    scale=scale,
                    iteration=iteration,
                    fraction=fraction,
                )
            )

    def _lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = round(now - self._since, 3)
        self._since = now

    def _encoded(self, member: Task, picture: "Picture", painting: "Stylized", preview: bytes) -> Result:
        from neural_selfie.engine import images  # noqa: PLC0415

        recipe = member.plan.recipe
        pixels = painting.image.permute(1, 2, 0).contiguous().numpy()
        file = names.picture_name(member.plan.preset, member.plan.variant, f".{recipe['format']}")
        embedded = self._record(member, picture, painting, file)
        encoded = images.encode(
            pixels,
            format=recipe["format"],
            quality=recipe["quality"],
            bits=recipe.get("bits", 8),
            alpha=images.fitted(picture.alpha, pixels.shape[:2]),
            exif=images.carried_exif(
                picture,
                keep_gps=self._task.keep_gps,
                software=f"neural-selfie {__version__}",
                description=f"{self._task.photo_name} painted with the preset {member.plan.preset}",
                size=(pixels.shape[1], pixels.shape[0]),
            ),
            embedded=embedded.model_dump_json(),
        )
        self._lap("encode")
        complete = self._record(member, picture, painting, file, hashlib.sha256(encoded).hexdigest())
        return Result(job_id=member.job_id, attempt=member.attempt, picture=encoded, preview=preview, record=complete)

    def _record(
        self, member: Task, picture: "Picture", painting: "Stylized", file: str, sha256: str | None = None
    ) -> "Record":
        return describing.record_of(
            self._task,
            member,
            picture,
            painting,
            started_at=self._started_at,
            seconds=self._seconds,
            file=file,
            sha256=sha256,
        )


def recipe_of(task: Task) -> Recipe:
    """Given a task, return its engine's recipe; raise ValidationError if the task is of another version."""
    kind = type_of[task.plan.engine]
    recipe: Recipe = kind.model_validate({key: task.plan.recipe[key] for key in kind.model_fields if key != "engine"})
    return recipe


def _image(use: StyleUse, kind: str) -> "torch.Tensor":
    import torch  # noqa: PLC0415

    from neural_selfie.engine import images  # noqa: PLC0415

    path = Path(use.path)
    try:
        picture = images.decode(path, _STYLE_LIMITS)
    except (SelfieError, OSError) as error:
        raise StyleUnavailableError(f"The {kind} image {use.name} cannot be read: {error}") from error
    return torch.from_numpy(picture.pixels).permute(2, 0, 1)


def _mask(use: MaskUse, limits: Limits) -> "Picture":
    from neural_selfie.engine import images  # noqa: PLC0415

    try:
        return images.decode(Path(use.path), replace(limits, file_mib=_MASK_MIB, shortest_edge_px=1), name=use.name)
    except (SelfieError, OSError) as error:
        raise StyleUnavailableError(f"The mask {use.name} cannot be read: {error}") from error
