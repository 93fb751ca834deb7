"""Workers paint, fail, die and hang without hurting each other or the daemon."""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engines
from house import photo
from neural_selfie import workers
from neural_selfie.config import parse
from neural_selfie.config.catalogue import sha256_of
from neural_selfie.errors import ConfigError, OutOfDeviceMemoryError, WorkerDiedError, WorkerHungError
from neural_selfie.model import Plan, Progress, Task
from neural_selfie.workers import Painted, Workers
from neural_selfie.workers.seat import CallEnded, Reported

Open = Callable[..., tuple[Workers, "queue.SimpleQueue[Any]"]]


@pytest.fixture
def open_workers() -> Iterator[Open]:
    """Open workers of the zoo; closed at the end."""
    opened: list[Workers] = []

    def made(painter: str, *, devices: tuple[str, ...] = ("cpu",), silence_seconds: float = 60.0) -> Any:
        posted: queue.SimpleQueue[Any] = queue.SimpleQueue()
        opened.append(
            Workers(devices, silence_seconds=silence_seconds, post=posted.put, painter=engines.painter(painter))
        )
        return opened[-1], posted

    yield made
    for one in opened:
        one.close()


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task with a real photo."""
    path = photo(tmp_path / "me.png")
    plan = Plan(preset="plain", engine="patch", recipe={"size": 64, "format": "png", "quality": 95}, styles=())
    return Task(
        job_id=7,
        attempt=1,
        photo_path=path,
        photo_name="me.png",
        photo_sha256=sha256_of(path),
        plan=plan,
        queued_at=0.0,
    )


def outcome(painters: Workers, posted: "queue.SimpleQueue[Any]") -> Painted:
    """Return what came of the next task that ends."""
    while True:
        message = posted.get(timeout=60)
        if isinstance(message, CallEnded):
            return painters.ended(message)


def test_a_result_carries_its_own_identity(open_workers: Open, task: Task) -> None:
    """A result says which job and attempt it belongs to, whatever order results come in."""
    painters, posted = open_workers("instant")
    painters.submit(task)
    done = outcome(painters, posted)
    assert done.result is not None
    assert (done.result.job_id, done.result.attempt) == (7, 1)
    assert painters.free() == 1


def test_progress_flows_while_a_picture_is_made(open_workers: Open, task: Task) -> None:
    """Progress arrives before the picture does, and never falls."""
    painters, posted = open_workers("slow")
    painters.submit(task)
    fractions = []
    while isinstance(message := posted.get(timeout=60), Reported):
        assert isinstance(message.value, Progress)
        fractions.append(message.value.fraction)
    assert len(fractions) >= 10
    assert fractions == sorted(fractions)


def test_a_worker_that_dies_is_replaced(open_workers: Open, task: Task) -> None:
    """A crash is reported as the worker's death, counts as retryable, and the next task is painted."""
    painters, posted = open_workers("dies_once")
    painters.submit(task)
    first = outcome(painters, posted)
    assert isinstance(first.error, WorkerDiedError)
    assert first.error.retryable
    second = Task(**{name: getattr(task, name) for name in Task.__dataclass_fields__} | {"attempt": 2})
    painters.submit(second)
    assert outcome(painters, posted).result is not None


def test_a_silent_worker_is_ended(open_workers: Open, task: Task) -> None:
    """A worker that says nothing for too long is killed, and its task comes back as hung."""
    painters, posted = open_workers("hangs", silence_seconds=1.0)
    painters.submit(task)
    deadline = time.monotonic() + 30
    while not painters.end_silent() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert isinstance(outcome(painters, posted).error, WorkerHungError)


def test_a_worker_that_marks_time_is_ended(open_workers: Open, task: Task) -> None:
    """One that speaks all the time and gets no further is killed as well, once its own prediction has passed."""
    painters, posted = open_workers("marks_time", silence_seconds=0.5)
    painters.submit(task)
    while isinstance(message := posted.get(timeout=60), Reported):
        painters.heard(message.value)
        painters.end_silent()
    error = painters.ended(message).error
    assert isinstance(error, WorkerHungError)
    assert error.retryable


def test_a_worker_may_take_as_long_as_it_said(open_workers: Open, task: Task) -> None:
    """Half done after two seconds of the clock, and silent for less than that: there is hope yet."""
    painters, posted = open_workers("marks_time", silence_seconds=0.5)
    painters.submit(task)
    half_done = Progress(job_id=task.job_id, attempt=task.attempt, stage="paint", fraction=0.5)
    time.sleep(1.0)
    painters.heard(half_done)
    said_at = time.monotonic()
    while not painters.end_silent():
        assert isinstance(posted.get(timeout=60), Reported)
    assert time.monotonic() - said_at > 1.9


def test_a_cancelled_job_loses_its_worker(open_workers: Open, task: Task) -> None:
    """Ending a job ends the process that paints it, and only that."""
    painters, posted = open_workers("hangs", devices=("cpu", "cuda:0"))
    painters.submit(task)
    assert painters.free() == 1
    while painters.running() and posted.empty():
        painters.end_job(999, 1)
        painters.end_job(task.job_id, task.attempt)
        time.sleep(0.1)
    assert isinstance(outcome(painters, posted).error, WorkerDiedError)
    assert painters.free() == 2


def test_a_batch_has_one_worker(open_workers: Open, task: Task) -> None:
    """The worker of a batch is found by any of its members, and only in the attempt that it paints; so it is ended."""
    painters, posted = open_workers("hangs", devices=("cpu", "cuda:0"))
    painters.submit(replace(task, together=(replace(task, job_id=8, attempt=2), replace(task, job_id=9))))
    assert painters.free() == 1
    for job_id, attempt in [(7, 1), (8, 2), (9, 1)]:
        assert painters.paints(Progress(job_id=job_id, attempt=attempt, stage="paint"))
    for job_id, attempt in [(7, 2), (8, 1), (10, 1)]:
        assert not painters.paints(Progress(job_id=job_id, attempt=attempt, stage="paint"))
    painters.end_job(9, 1)
    done = outcome(painters, posted)
    assert isinstance(done.error, WorkerDiedError)
    assert [one.job_id for one in done.task.members] == [7, 8, 9]


def test_errors_of_ours_keep_their_class(open_workers: Open, task: Task) -> None:
    """What a worker raises decides by its class what happens to the job."""
    painters, posted = open_workers("out_of_memory")
    painters.submit(task)
    assert isinstance(outcome(painters, posted).error, OutOfDeviceMemoryError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("workers: cpu", ("cpu",)), ("workers: {gpus: [0, 2]}", ("cuda:0", "cuda:2"))],
)
def test_devices_follow_the_configuration(text: str, expected: tuple[str, ...]) -> None:
    """One worker for each GPU that is named, or one on the CPU."""
    assert workers.devices(parse(text, source="test")) == expected


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("", ("cpu",)), ("-1", ("cpu",)), ("0,3", ("cuda:0", "cuda:3")), ("GPU-1a", ("cuda:GPU-1a",))],
)
def test_auto_respects_what_cuda_may_see(
    monkeypatch: pytest.MonkeyPatch, visible: str, expected: tuple[str, ...]
) -> None:
    """CUDA_VISIBLE_DEVICES limits the workers of `auto`, numbers and UUIDs alike."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert workers.devices(parse("workers: auto", source="test")) == expected


def test_other_machines_are_refused_for_now() -> None:
    """A Dask cluster in the configuration is refused with a sentence, not ignored."""
    settings = parse("workers: {dask: {scheduler: 'tls://gpu:8786'}}", source="test")
    with pytest.raises(ConfigError, match="not in this version"):
        workers.devices(settings)
