"""The curator: lets the page of the outbox be brought up to date, in a process of its own, whenever there is news.

The daemon's loop never waits for it, except once at the end. A picture in the outbox that kills the process is avoided
from then on. What the page says is in `gallery`; this room only decides when.
"""

import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from neural_selfie import inspection, waypoints
from neural_selfie.errors import SelfieError
from neural_selfie.files.names import shown
from neural_selfie.gallery import Order, Outcome, hang
from neural_selfie.model import Limits
from neural_selfie.workers.seat import CallEnded, Reported, Seat, report

CURATOR = "curator"
_LIMITS = Limits(file_mib=256, megapixels=200)  # of pictures in the outbox and style images
_REST_SECONDS = 2.0  # between two looks at what the daemon itself did
_SWEEP_SECONDS = 30.0  # between two looks at what others did in the outbox
_SWEEP_REST = 50.0  # ... and where a look takes long, at most one part in so many of the time goes into it
_LONGEST_REST_SECONDS = 300.0  # after failures
_HUNG_SECONDS = 300.0
_LAST_SECONDS = 10.0  # at the end of the daemon, for what is still to be hung

log = structlog.get_logger()


@dataclass(slots=True)
class Curator:
    """The page of one outbox; `styles` is the folder of style images named by their hash.

    `check` raises SelfieError while the outbox is away: nothing is written then. `trouble`: why the page is not up to
    date, if it is not.
    """

    outbox: Path
    styles: Path
    check: Callable[[], None]
    trouble: str | None = None
    _messages: "queue.SimpleQueue[CallEnded | Reported]" = field(default_factory=queue.SimpleQueue)
    _seat: Seat | None = None
    _touched: set[str] = field(default_factory=set)
    _ended: set[str] = field(default_factory=set)
    _changed: bool = True
    _next_at: float = 0.0
    _sweep_at: float = 0.0
    _more: bool = False
    _failures: int = 0  # in a row
    _busy_with: str = ""
    _avoid: set[str] = field(default_factory=set)

    def tick(self, touched: set[str], ended: set[str], now: Callable[[], Mapping[str, Any]], *, changed: bool) -> None:
        """Take what came back, and give the next order if there is a reason.

        `touched` are folders with new pictures, `ended` those to which no more will come; both are emptied. `now` gives
        what goes on; `changed` says that it is other than before.
        """
        self._touched |= touched
        self._ended |= ended
        touched.clear()
        ended.clear()
        self._changed |= changed
        self._receive()
        clock = time.monotonic()
        sweep = clock >= self._sweep_at
        if self._seat is not None and not self._seat.free:
            if self._seat.started_at is not None and clock - self._seat.started_at > _HUNG_SECONDS:
                self._seat.kill()
        elif clock >= self._next_at and (sweep or self._more or self._touched or self._ended or self._changed):
            self._submit(now, sweep=sweep)

    def finish(self, touched: set[str], now: Callable[[], Mapping[str, Any]]) -> None:
        """At the end of the daemon: wait until the page shows all that was painted; give up after a while."""
        self._touched |= touched
        deadline = time.monotonic() + _LAST_SECONDS
        self._await(deadline)
        self._more = True
        while self._more and time.monotonic() < deadline:
            self._submit(now, sweep=True)
            self._await(deadline)

    def close(self) -> None:
        """End the process."""
        if self._seat is not None:
            self._seat.close()

    def _submit(self, now: Callable[[], Mapping[str, Any]], *, sweep: bool) -> None:
        if self._seat is None:
            self._seat = Seat(CURATOR, prepare=inspection.limit_memory, arguments=(_LIMITS,), post=self._messages.put)
        if not self._seat.free:
            return
        try:
            self.check()
        except SelfieError as error:
            self._delayed(str(error))
            self._next_at, self._more = time.monotonic() + _REST_SECONDS, False
            return
        order = Order(
            outbox=self.outbox,
            styles=self.styles,
            touched=tuple(sorted(self._touched)),
            ended=tuple(sorted(self._ended)),
            sweep=sweep,
            now=now(),
            avoid=frozenset(self._avoid),
        )
        self._touched, self._ended, self._changed, self._busy_with = set(), set(), False, ""
        self._seat.submit(order, hang_here)

    def _await(self, deadline: float) -> None:
        while self._seat is not None and not self._seat.free and (left := deadline - time.monotonic()) > 0:
            try:
                self._take(self._messages.get(timeout=left))
            except queue.Empty:
                return

    def _receive(self) -> None:
        try:
            while True:
                self._take(self._messages.get_nowait())
        except queue.Empty:
            return

    def _take(self, message: CallEnded | Reported) -> None:
        if isinstance(message, Reported):
            self._busy_with = message.value
            return
        assert self._seat is not None  # noqa: S101 - only a seat sends messages
        clock = time.monotonic()
        took = clock - (self._seat.started_at or clock)
        self._seat.release(message)
        order: Order = message.call
        self._more = isinstance(message.value, Outcome) and message.value.more
        if isinstance(message.value, Outcome):
            if order.sweep and not self._more:
                self._sweep_at = clock + max(_SWEEP_SECONDS, _SWEEP_REST * took)
            self._next_at = clock + (0.0 if self._more else _REST_SECONDS)
            self._failures, self.trouble = 0, None
            waypoints.reached("gallery.updated")
            return
        self._failures += 1
        self._next_at = clock + min(_REST_SECONDS * 2 ** (self._failures - 1), _LONGEST_REST_SECONDS)
        self._touched |= set(order.touched)
        self._ended |= set(order.ended)
        self._changed = True
        self._complain(message)

    def _complain(self, message: CallEnded) -> None:
        """Say why an order was not done; a picture of which the process died is avoided from now on."""
        if message.died and self._busy_with:
            self._avoid.add(self._busy_with)
            log.warning("gallery.picture_avoided", picture=shown(self._busy_with))
        elif isinstance(message.error, SelfieError | OSError):
            self._delayed(str(message.error))
        else:  # the page is not worth the daemon
            log.error("gallery.failed", reason=repr(message.error))

    def _delayed(self, reason: str) -> None:
        if self.trouble != reason:  # it is tried every two seconds
            log.warning("gallery.delayed", reason=reason)
        self.trouble = reason


def hang_here(order: Order) -> Outcome:
    """Run in the curator's process: do an order, and say which file is about to be decoded."""
    return hang(order, report)
