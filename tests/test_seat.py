"""A seat is one process behind an executor: calls come back, errors travel, death is noticed and mended."""

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from house import wait_until
from neural_selfie.errors import OutOfDeviceMemoryError
from neural_selfie.workers import seat
from neural_selfie.workers.seat import CallEnded, Reported, Seat

Open = Callable[..., tuple[Seat, "queue.SimpleQueue[Any]"]]


def double(number: int) -> int:
    """Return twice the number, after saying so."""
    seat.report(f"doubling {number}")
    return 2 * number


def fail(_call: object) -> None:
    """Raise an error of ours."""
    raise OutOfDeviceMemoryError("too large")


def die(_call: object) -> None:
    """End the process from within."""
    os._exit(1)


def sleep(seconds: float) -> None:
    """Do nothing for a while."""
    time.sleep(seconds)


def environment(name: str) -> str | None:
    """Return a variable of the process."""
    return os.environ.get(name)


def set_variable(name: str, value: str) -> None:
    """Prepare the process by setting a variable."""
    os.environ[name] = value


def start_and_tell(path: str) -> None:
    """Hold a seat in this process, write the seat's process id to a file, and wait to be killed."""
    held = Seat("orphan", post=lambda _: None)
    held.submit(1, double)
    wait_until(held._ready.done)
    Path(path).write_text(str(held._ready.result()))
    time.sleep(60)


@pytest.fixture
def open_seat() -> Iterator[Open]:
    """Open seats with a queue of what they post; all are closed at the end."""
    seats: list[Seat] = []

    def opened(**arguments: Any) -> tuple[Seat, "queue.SimpleQueue[Any]"]:
        posted: queue.SimpleQueue[Any] = queue.SimpleQueue()
        seats.append(Seat("test", post=posted.put, **arguments))
        return seats[-1], posted

    yield opened
    for one in seats:
        one.close()


def ended(posted: "queue.SimpleQueue[Any]") -> CallEnded:
    """Return the next end of a call."""
    while True:
        message = posted.get(timeout=60)
        if isinstance(message, CallEnded):
            return message


def test_a_call_returns_its_value_and_what_it_reports(open_seat: Open) -> None:
    """The value comes back with the call it belongs to; reports come on a way of their own, before or after it."""
    one, posted = open_seat()
    one.submit(21, double)
    messages = [posted.get(timeout=60), posted.get(timeout=60)]
    assert Reported("test", "doubling 21") in messages
    assert CallEnded("test", 21, value=42) in messages


def test_an_error_comes_back_as_itself(open_seat: Open) -> None:
    """The class of an error, which is its policy, survives the way between processes; so does its sentence."""
    one, posted = open_seat()
    one.submit(None, fail)
    message = ended(posted)
    assert isinstance(message.error, OutOfDeviceMemoryError)
    assert str(message.error) == "too large"
    assert not message.died


def test_a_dead_process_is_replaced(open_seat: Open) -> None:
    """After a call that took the process down, the same seat works again."""
    one, posted = open_seat()
    one.submit("x", die)
    message = ended(posted)
    assert (message.died, message.call) == (True, "x")
    one.release(message)
    one.submit(4, double)
    assert ended(posted).value == 8


def test_kill_ends_a_call_that_hangs(open_seat: Open) -> None:
    """A process that does not answer is ended from outside, at once."""
    one, posted = open_seat()
    one.submit(3600, sleep)
    wait_until(one._ready.done)
    began = time.monotonic()
    one.kill()
    assert ended(posted).died
    assert time.monotonic() - began < 10


def test_the_process_is_prepared_before_its_first_call(open_seat: Open) -> None:
    """`prepare` runs in the process, not in the daemon."""
    one, posted = open_seat(prepare=set_variable, arguments=("SEAT_TEST", "ready"))
    one.submit("SEAT_TEST", environment)
    assert ended(posted).value == "ready"
    assert "SEAT_TEST" not in os.environ


def test_one_call_at_a_time(open_seat: Open) -> None:
    """A busy seat refuses a second call instead of hiding a queue."""
    one, _ = open_seat()
    one.submit(1, double)
    with pytest.raises(RuntimeError):
        one.submit(2, double)


def test_no_process_survives_the_daemon(tmp_path: Path) -> None:
    """When the daemon is killed with -9, its processes end by themselves."""
    told = tmp_path / "pid"
    code = f"import test_seat; test_seat.start_and_tell({str(told)!r})"
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    daemon = subprocess.Popen([sys.executable, "-c", code], env=environ)
    wait_until(lambda: told.exists() and told.read_text() != "")
    child = int(told.read_text())
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    stat = Path(f"/proc/{child}/stat")
    wait_until(lambda: not stat.exists() or stat.read_text().split()[2] == "Z")
