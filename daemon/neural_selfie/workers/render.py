"""The one function that runs in a worker: a task goes in, an encoded picture with its record comes out.

It writes no file and asks the daemon for nothing, so it can be killed at any time and run again anywhere. torch is
imported when the first task arrives, never in the daemon's own process.
"""

import datetime as dt
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from neural_selfie import __version__, record
from neural_selfie.engine.recipe import Recipe, type_of
from neural_selfie.errors import (
    EngineFailedError,
    EngineUnavailableError,
    SelfieError,
    StorageUnavailableError,
    StyleUnavailableError,
)
from neural_selfie.files import names
from neural_selfie.model import Limits, Progress, Result, StyleUse, Task
from neural_selfie.workers import seat

if TYPE_CHECKING:
    import torch

    from neural_selfie.engine.entry import Step, Stylized
    from neural_selfie.engine.images import Picture

PREVIEW_PX = 640
_STYLE_LIMITS = Limits(file_mib=256, megapixels=200, shortest_edge_px=16)
_REPORT_SECONDS = 0.2


def prepare(device: str) -> None:
    """Make this process the worker of one device: it sees no other GPU, and torch is loaded before the first task.

    Raise EngineUnavailableError where torch cannot be loaded.
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


def paint(task: Task) -> Result:
    """Given a task, return its picture; raise a SelfieError that says why not. Progress goes to the daemon."""
    return painted(task, seat.report)


def painted(task: Task, report: Callable[[Progress], None]) -> Result:
    """Given a task and where progress goes, return its picture; raise SelfieError."""
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
        styles = [(_style(use), use.weight) for use in task.plan.styles]
        self._lap("decode")
        done = self._stylize(picture, styles)
        self._lap("paint")
        self._tell("encode", 1.0)
        preview = images.preview(picture.pixels, PREVIEW_PX, alpha=picture.alpha)
        return self._encoded(picture, done, preview)

    def _stylize(self, picture: "Picture", styles: "list[tuple[torch.Tensor, float]]") -> "Stylized":
        import torch  # noqa: PLC0415 - see the module docstring

        from neural_selfie.engine import entry  # noqa: PLC0415

        task = self._task
        photo = torch.from_numpy(picture.pixels).permute(2, 0, 1)
        return entry.stylize(
            photo, styles, recipe_of(task), seed=task.plan.seed, device=task.device, on_step=self._on_step
        )

    def _on_step(self, step: "Step") -> None:
        now = time.monotonic()
        if now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            self._tell("paint", step.fraction, step.scale, step.iteration)

    def _tell(self, stage: str, fraction: float, scale: int = 0, iteration: int = 0) -> None:
        self._report(
            Progress(
                job_id=self._task.job_id,
                attempt=self._task.attempt,
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

    def _encoded(self, picture: "Picture", done: "Stylized", preview: bytes) -> Result:
        from neural_selfie.engine import images  # noqa: PLC0415

        task, recipe = self._task, self._task.plan.recipe
        pixels = done.image.permute(1, 2, 0).contiguous().numpy()
        file = names.picture_name(task.plan.preset, task.plan.variant, f".{recipe['format']}")
        embedded = self._record(picture, done, file)
        encoded = images.encode(
            pixels,
            format=recipe["format"],
            quality=recipe["quality"],
            alpha=images.fitted(picture.alpha, pixels.shape[:2]),
            exif=images.carried_exif(
                picture,
                keep_gps=task.keep_gps,
                software=f"neural-selfie {__version__}",
                description=f"{task.photo_name} painted with the preset {task.plan.preset}",
                size=(pixels.shape[1], pixels.shape[0]),
            ),
            embedded=embedded.model_dump_json(),
        )
        self._lap("encode")
        complete = self._record(picture, done, file, sha256=hashlib.sha256(encoded).hexdigest())
        return Result(job_id=task.job_id, attempt=task.attempt, picture=encoded, preview=preview, record=complete)

    def _record(self, picture: "Picture", done: "Stylized", file: str, sha256: str | None = None) -> record.Record:
        task, plan = self._task, self._task.plan
        height, width = done.image.shape[1:]
        return record.Record(
            photo=record.PhotoPart(
                name=task.photo_name,
                sha256=task.photo_sha256,
                width=picture.pixels.shape[1],
                height=picture.pixels.shape[0],
                taken_at=picture.taken_at,
            ),
            preset=plan.preset,
            variant=dict(plan.variant),
            recipe=dict(plan.recipe),
            styles=tuple(record.StylePart(name=use.name, sha256=use.sha256, weight=use.weight) for use in plan.styles),
            engine=engine_part(plan.engine, done),
            seed=plan.seed,
            attempts=task.attempt,
            timings=record.Timings(
                queued_at=utc(task.queued_at),
                started_at=utc(self._started_at),
                finished_at=utc(time.time()),
                seconds=dict(self._seconds),
            ),
            trace=tuple(
                record.TracePart(
                    scale=step.scale,
                    iteration=step.iteration,
                    content=step.content,
                    style=step.style,
                    tv=step.tv,
                    total=step.total,
                    seconds=round(step.seconds, 3),
                )
                for step in done.trace
            ),
            output=record.Output(file=file, sha256=sha256, width=width, height=height),
            warnings=(*picture.warnings, *done.warnings),
        )


def recipe_of(task: Task) -> Recipe:
    """Given a task, return its engine's recipe; raise ValidationError if the task is of another version."""
    kind = type_of[task.plan.engine]
    recipe: Recipe = kind.model_validate({key: task.plan.recipe[key] for key in kind.model_fields if key != "engine"})
    return recipe


def engine_part(name: str, done: "Stylized") -> record.EnginePart:
    """Given an engine's result, return what a bit-identical repeat needs to know of it."""
    import torch  # noqa: PLC0415

    from neural_selfie.engine import entry  # noqa: PLC0415

    return record.EnginePart(
        name=name, version=entry.ENGINE_VERSION, torch=torch.__version__, device=done.device, dtype=done.dtype
    )


def _style(use: StyleUse) -> "torch.Tensor":
    import torch  # noqa: PLC0415

    from neural_selfie.engine import images  # noqa: PLC0415

    path = Path(use.path)
    try:
        picture = images.decode(path, _STYLE_LIMITS)
    except (SelfieError, OSError) as error:
        raise StyleUnavailableError(f"The style image {use.name} cannot be read: {error}") from error
    return torch.from_numpy(picture.pixels).permute(2, 0, 1)


def utc(seconds: float) -> str:
    """Given seconds since the epoch, return ISO 8601 in UTC with milliseconds."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
