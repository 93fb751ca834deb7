"""A zoo of painters that fail, each in its own way, to run in real worker processes. None of them loads torch."""

import hashlib
import io
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image

from neural_selfie import record
from neural_selfie.engine import metadata
from neural_selfie.errors import OutOfDeviceMemoryError, WeightsUnavailableError
from neural_selfie.files import names
from neural_selfie.model import Progress, Result, Task
from neural_selfie.workers import Painter, seat
from neural_selfie.workers.describing import together_part, utc

_POISON = 13.0


def no_preparation(_device: str) -> None:
    """Prepare nothing: these painters need no torch."""


def instant(task: Task) -> Result:
    """Paint at once: the photo in grey, with a true record in it; for every member of a batch."""
    first, *others = [_grey(task, member) for member in task.members]
    return replace(first, together=tuple(others))


def in_disguise(task: Task) -> Result:
    """Paint as `instant` does, and say that it was the engine that the plan names."""
    return _grey(task, task, engine=task.plan.engine)


def _grey(batch: Task, task: Task, engine: str = "instant") -> Result:
    with Image.open(task.photo_path) as photo:
        picture = photo.convert("L").convert("RGB")
        size = photo.size
    file = names.picture_name(task.plan.preset, task.plan.variant, ".png")
    described = record.Record(
        photo=record.PhotoPart(name=task.photo_name, sha256=task.photo_sha256, width=size[0], height=size[1]),
        preset=task.plan.preset,
        variant=dict(task.plan.variant),
        recipe=dict(task.plan.recipe) | together_part(batch),
        styles=tuple(record.StylePart(name=s.name, sha256=s.sha256, weight=s.weight) for s in task.plan.styles),
        engine=record.EnginePart(name=engine, version="1", torch="none", device="cpu", dtype="uint8"),
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
        for one in task.members:
            seat.report(
                Progress(
                    job_id=one.job_id, attempt=one.attempt, stage="paint", scale=1, iteration=step, fraction=step / 20
                )
            )
        time.sleep(0.1)
    return instant(task)


def until_told(task: Task) -> Result:
    """Paint until the test says that it has seen enough (`House.let_go`), saying again and again how far it is."""
    step = 0
    while not Path(os.environ["NEURAL_SELFIE_TEST_GATE"]).exists():
        for one in task.members:
            fraction = step / (step + 20)
            seat.report(Progress(job_id=one.job_id, attempt=one.attempt, stage="paint", fraction=fraction))
        step += 1
        time.sleep(0.1)
    return instant(task)


def raises(_task: Task) -> Result:
    """Fail with an error that nobody foresaw."""
    raise ZeroDivisionError("the canvas has no area")


def out_of_memory(_task: Task) -> Result:
    """Find the device full."""
    raise OutOfDeviceMemoryError("The GPU has too little free memory for 1024 px.")


def wants_weights(task: Task) -> Result:
    """Paint if the weights file holds the word good, and refuse it otherwise; each try leaves a line beside it."""
    assert task.weights is not None
    with task.weights.with_name("tries").open("a") as tries:
        tries.write(f"{task.job_id}\n")
    if task.weights.read_bytes() != b"good":
        raise WeightsUnavailableError(f"The weights file {task.weights} cannot be used: it is not good.")
    return instant(task)


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


def marks_time(task: Task) -> Result:
    """Say again and again that half of it is done, except at the second attempt, which paints."""
    while task.attempt == 1:
        seat.report(Progress(job_id=task.job_id, attempt=1, stage="paint", fraction=0.5))
        time.sleep(0.05)
    return instant(task)


def kills_the_daemon(task: Task) -> Result:
    """For photos called poison, end the daemon itself, as if the machine had run out of memory."""
    if "poison" in task.photo_name:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(3600)
    return instant(task)


def raises_for_poison(task: Task) -> Result:
    """Fail for photos called poison."""
    return raises(task) if "poison" in task.photo_name else instant(task)


def slow_for_poison(task: Task) -> Result:
    """Paint for about two seconds, but fail at once for photos called poison."""
    return raises(task) if "poison" in task.photo_name else slow(task)


def writes_garbage(_task: Task) -> Result:
    """Return something that is no result."""
    return "a picture, honestly"  # type: ignore[return-value]  # that is the fault this painter has


def counts_itself(task: Task) -> Result:
    """Paint, and leave a mark in the folder named by the environment: how often was this job painted to the end?"""
    marks = Path(os.environ["NEURAL_SELFIE_TEST_MARKS"])
    result = until_told(task)
    for one in task.members:
        (marks / f"{one.job_id}.{one.attempt}").touch()
    return result


def dies_of_a_variant(task: Task) -> Result:
    """Take the process down where the content weight 13 is among those to be painted."""
    if any(one.plan.recipe["content_weight"] == _POISON for one in task.members):
        os._exit(139)
    return instant(task)


def has_room_for_one(task: Task) -> Result:
    """Find the device full for any batch, and for the content weight 13 also alone."""
    alone = task.plan.recipe["content_weight"]
    return out_of_memory(task) if task.together or alone == _POISON else instant(task)


def waits_for_leave(task: Task) -> Result:
    """Paint once there is a file called leave beside the weights, saying until then that half of it is done."""
    assert task.weights is not None
    while not task.weights.with_name("leave").exists():
        for one in task.members:
            seat.report(Progress(job_id=one.job_id, attempt=one.attempt, stage="paint", fraction=0.5))
        time.sleep(0.05)
    return instant(task)


def forgets_one(task: Task) -> Result:
    """Return a picture less than there are members."""
    result = instant(task)
    return replace(result, together=result.together[:-1])


def confused(task: Task) -> Result:
    """Return the pictures of a batch in another order."""
    first, *others = reversed(instant(task).members)
    return replace(first, together=tuple(replace(one, together=()) for one in others))


def painter(name: str) -> Painter:
    """Given the name of a function of this zoo, return it as a painter."""
    return Painter(prepare=no_preparation, paint=globals()[name])
