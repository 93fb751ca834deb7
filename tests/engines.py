"""A zoo of painters that fail, each in its own way, to run in real worker processes. None of them loads torch."""

import hashlib
import io
import os
import time
from pathlib import Path

from PIL import Image

from neural_selfie import record
from neural_selfie.engine import metadata
from neural_selfie.errors import OutOfDeviceMemoryError
from neural_selfie.files import names
from neural_selfie.model import Progress, Result, Task
from neural_selfie.workers import Painter, seat
from neural_selfie.workers.render import utc


def no_preparation(_device: str) -> None:
    """Prepare nothing: these painters need no torch."""


def instant(task: Task) -> Result:
    """Paint at once: the photo in grey, with a true record in it."""
    with Image.open(task.photo_path) as photo:
        picture = photo.convert("L").convert("RGB")
        size = photo.size
    file = names.picture_name(task.plan.preset, task.plan.variant, ".png")
    described = record.Record(
        photo=record.PhotoPart(name=task.photo_name, sha256=task.photo_sha256, width=size[0], height=size[1]),
        preset=task.plan.preset,
        variant=dict(task.plan.variant),
        recipe=dict(task.plan.recipe),
        styles=tuple(record.StylePart(name=s.name, sha256=s.sha256, weight=s.weight) for s in task.plan.styles),
        engine=record.EnginePart(name="instant", version="1", torch="none", device="cpu", dtype="uint8"),
        seed=task.plan.seed,
        attempts=task.attempt,
        timings=record.Timings(
            queued_at=utc(task.queued_at),
            started_at=utc(time.time()),
            finished_at=utc(time.time()),
            seconds={"paint": 0.0},
        ),
        trace=(),
        output=record.Output(file=file, width=picture.width, height=picture.height),
    )
    stream, small = io.BytesIO(), io.BytesIO()
    picture.save(stream, "PNG")
    photo_preview = picture.copy()
    photo_preview.thumbnail((64, 64))
    photo_preview.save(small, "JPEG")
    data = metadata.embed(stream.getvalue(), described.model_dump_json())
    output = described.output.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    complete = described.model_copy(update={"output": output})
    return Result(job_id=task.job_id, attempt=task.attempt, picture=data, preview=small.getvalue(), record=complete)


def slow(task: Task) -> Result:
    """Paint for about two seconds, saying how far it is."""
    for step in range(20):
        seat.report(
            Progress(
                job_id=task.job_id, attempt=task.attempt, stage="paint", scale=1, iteration=step, fraction=step / 20
            )
        )
        time.sleep(0.1)
    return instant(task)


def raises(_task: Task) -> Result:
    """Fail with an error that nobody foresaw."""
    raise ZeroDivisionError("the canvas has no area")


def out_of_memory(_task: Task) -> Result:
    """Find the device full."""
    raise OutOfDeviceMemoryError("The GPU has too little free memory for 1024 px.")


def dies(_task: Task) -> Result:
    """Take the whole process down, as a crash in a driver does."""
    os._exit(139)


def dies_once(task: Task) -> Result:
    """Take the process down at the first attempt only."""
    if task.attempt == 1:
        os._exit(139)
    return instant(task)


def dies_of_poison(task: Task) -> Result:
    """Take the process down for photos called poison."""
    if "poison" in task.photo_name:
        os._exit(139)
    return instant(task)


def hangs(task: Task) -> Result:
    """Stop saying anything, except at the second attempt, which paints."""
    if task.attempt == 1:
        time.sleep(3600)
    return instant(task)


def writes_garbage(_task: Task) -> Result:
    """Return something that is no result."""
    return "a picture, honestly"  # type: ignore[return-value]  # that is the fault this painter has


def counts_itself(task: Task) -> Result:
    """Paint, and leave a mark in the folder named by the environment: how often was this job painted to the end?"""
    marks = Path(os.environ["NEURAL_SELFIE_TEST_MARKS"])
    result = slow(task)
    (marks / f"{task.job_id}.{task.attempt}").touch()
    return result


def painter(name: str) -> Painter:
    """Given the name of a function of this zoo, return it as a painter."""
    return Painter(prepare=no_preparation, paint=globals()[name])
