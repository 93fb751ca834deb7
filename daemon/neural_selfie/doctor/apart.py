"""Ask a question in a process of its own, with a deadline: a dead share stops that process and not the doctor.

Guarantees: whoever asks waits no longer than it says. Who is late is told to end (SIGTERM), which it does at once, or,
where the kernel holds it, as soon as the share answers; nobody waits for that. Does not guarantee what the function
does: one that makes files removes them itself, also when it is told to end (`in_order`).
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Generic, NoReturn, Self, TypeVar

Answer = TypeVar("Answer")
_CODE = "from neural_selfie.doctor import apart; apart.answer()"
_FAREWELL_SECONDS = 0.5


class NoAnswerError(Exception):
    """The process gave no answer: it is late, or it died."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a process becomes: only root may ask for that."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class Question(Generic[Answer]):
    """Given a function of a module, its arguments and perhaps a user, run it in a process of its own, from now on.

    Function, arguments and answer have to be picklable. Use it in a `with`: the process ends with it.
    """

    def __init__(self, function: Callable[..., Answer], *arguments: object, user: User | None = None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`; no pipe, which somebody could hold
        where = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with tempfile.TemporaryFile() as asked:
            pickle.dump((user, function, arguments), asked)
            asked.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _CODE],
                stdin=asked,
                stdout=self._said,
                stderr=subprocess.DEVNULL,
                env=where,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def answer(self, patience_seconds: float) -> Answer:
        """Return what the function returned, or raise what it raised; raise NoAnswerError if it is late or died."""
        try:
            code = self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            raise NoAnswerError(f"no answer within {patience_seconds:.0f} s") from None
        self._said.seek(0)
        try:
            is_error, answer = pickle.load(self._said)  # noqa: S301 - of our own process
        except (EOFError, pickle.UnpicklingError, AttributeError, ImportError, TypeError):
            raise NoAnswerError(f"the process that looked ended with {code}") from None
        if is_error:
            raise answer
        found: Answer = answer
        return found

    def close(self) -> None:
        """End the process if it still runs; wait for it a moment only."""
        self._said.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_FAREWELL_SECONDS)
            except subprocess.TimeoutExpired:  # until the share answers; a thread that nobody waits for takes note
                threading.Thread(target=self._process.wait, daemon=True).start()


def answer() -> None:
    """In the process of a `Question`: read it, run the function, and write what it returned or raised."""
    said = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries print
    user, function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - of our parent
    if user is not None:
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)
    try:
        found = False, function(*arguments)
    except Exception as error:  # noqa: BLE001 - who asked judges it
        found = True, error
    pickle.dump(found, said)
    said.close()


@contextmanager
def in_order() -> Iterator[None]:
    """While the block runs, let SIGTERM and SIGHUP end this process by way of its `finally` blocks, not at once."""
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
