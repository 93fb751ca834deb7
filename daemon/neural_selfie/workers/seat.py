"""A seat: one spawned process behind `concurrent.futures`, doing one call at a time, replaced when it dies.

Guarantees: a call ends in exactly one `CallEnded`, also when the process is killed; nothing of a seat outlives the
daemon, even one killed with -9, because the process watches its parent.
Does not guarantee that a call has no effect when its process is killed: callees return values and write nothing.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_SPAWN = multiprocessing.get_context("spawn")  # CUDA does not survive a fork, and threads do not either


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call has ended: with `value`, or with `error`. `died` says that its process is gone."""

    seat: str
    call: Any
    value: Any = None
    error: BaseException | None = None
    died: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """A value that the process sent while it works."""

    seat: str
    value: Any


class Seat:
    """One process. `prepare(*arguments)` runs in it first; values go to `post` from other threads."""

    def __init__(
        self,
        name: str,
        *,
        prepare: Callable[..., None] | None = None,
        arguments: tuple[Any, ...] = (),
        post: Callable[[CallEnded | Reported], None],
    ) -> None:
        self.name = name
        self.call: Any = None
        self.heard_at = time.monotonic()
        self.started_at: float | None = None
        self._prepare = prepare
        self._arguments = arguments
        self._post = post
        self._closed = False
        self._process: BaseProcess | None = None
        self._pool, self._ready = self._open()

    @property
    def free(self) -> bool:
        """Whether a call can be submitted."""
        return self.call is None

    @property
    def warm(self) -> bool:
        """Whether the process has been prepared, or has found that it cannot be."""
        return self._ready.done()

    def submit(self, call: Any, function: Callable[[Any], Any]) -> None:
        """Run `function(call)` in the process. `function` and `call` must be picklable; one call at a time."""
        if not self.free:
            raise RuntimeError(f"{self.name} is busy")
        self.call, self.heard_at, self.started_at = call, time.monotonic(), time.monotonic()
        try:
            future = self._pool.submit(_called, function, call)
        except BrokenProcessPool:  # it died while nobody was looking
            self._replace()
            future = self._pool.submit(_called, function, call)
        future.add_done_callback(lambda done: self._ended(call, done))

    def release(self, ended: CallEnded) -> None:
        """Call this from the loop once `CallEnded` has arrived: the seat is free again, its process new if it died."""
        self.call, self.started_at = None, None
        if ended.died:
            self._replace()

    def kill(self) -> None:
        """End the process at once, also one that is still being prepared. The running call ends as died."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, ValueError):
                self._process.kill()

    def close(self) -> None:
        """End the process and wait until it is gone."""
        self._closed = True
        self.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _replace(self) -> None:
        if self._closed:
            return
        self.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool, self._ready = self._open()

    def _open(self) -> tuple[ProcessPoolExecutor, "Future[int]"]:
        receiver, sender = _SPAWN.Pipe(duplex=False)
        pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=_SPAWN,
            initializer=_begin,
            initargs=(os.getpid(), sender, self._prepare, self._arguments),
        )
        others = set(multiprocessing.active_children())
        ready = pool.submit(os.getpid)  # starts the process; the pool does not say which it is
        self._process = next(iter(set(multiprocessing.active_children()) - others), None)
        sender.close()  # the process has its own end now; ours would keep the listener from seeing the end
        threading.Thread(target=self._listen, args=(receiver,), name=f"{self.name}-listener", daemon=True).start()
        return pool, ready

    def _listen(self, receiver: Connection) -> None:
        with contextlib.suppress(EOFError, OSError), receiver:
            while True:
                value = receiver.recv()
                self.heard_at = time.monotonic()
                if value is not None:
                    self._post(Reported(self.name, value))

    def _ended(self, call: Any, done: "Future[Any]") -> None:
        if done.cancelled():
            self._post(CallEnded(self.name, call, died=True))
        elif isinstance(error := done.exception(), BrokenProcessPool):
            self._post(CallEnded(self.name, call, error=error, died=True))
        elif error is not None:
            self._post(CallEnded(self.name, call, error=error))
        else:
            self._post(CallEnded(self.name, call, value=done.result()))


_prepare: Callable[[], None] | None = None  # in a seat's process only: what has to succeed before the first call
_sender: Connection | None = None  # in a seat's process only: where `report` sends to; set once by `_begin`


def report(value: Any) -> None:
    """In a seat's process: send a value to the daemon. Does nothing in any other process."""
    if _sender is not None:
        with contextlib.suppress(OSError):
            _sender.send(value)


def _begin(parent: int, sender: Connection, prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    global _sender, _prepare  # noqa: PLW0603 - a connection can reach a pool's process only this way
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's business, not each process's
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), name="parent-watch", daemon=True).start()
    _sender = sender
    _prepare = None if prepare is None else partial(prepare, *arguments)
    with contextlib.suppress(Exception):  # tried again by the first call, which can say what is missing
        _called(os.getpid)


def _called(function: Callable[..., Any], *call: Any) -> Any:
    """In a seat's process: run a call, in a process that is prepared."""
    global _prepare  # noqa: PLW0603 - as above
    if _prepare is not None:
        _prepare()
        _prepare = None
    return function(*call)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a pool's process would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
