"""The shell: wires inbox, intake, ledger, workers and outbox together, and owns the loop, the clock and the signals.

One thread decides everything. Observer, scans, inspector and workers put messages on one queue; the loop takes them in
order and then does what is due. What each part may do is decided in the parts; what happens to a job, in `lifecycle`.
"""

import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from neural_selfie import lock, notifying, picking, recovery, workers
from neural_selfie.config import Loaded, layout
from neural_selfie.config.catalogue import Catalogue, open_catalogue
from neural_selfie.curator import Curator
from neural_selfie.errors import LedgerBusyError, SelfieError, StorageUnavailableError
from neural_selfie.files.renaming import discard
from neural_selfie.files.shares import Shares
from neural_selfie.filing import Desk
from neural_selfie.finishing import Finishing
from neural_selfie.inbox import Inbox, ScanDone, Sighting
from neural_selfie.intake import INSPECTOR, Intake
from neural_selfie.ledger import Ledger, open_ledger
from neural_selfie.model import JobState, Limits, Place, Progress
from neural_selfie.notifying import Manager
from neural_selfie.outbox import Spool
from neural_selfie.painting import Painting
from neural_selfie.snapshot import Snapshot
from neural_selfie.surroundings import Surroundings
from neural_selfie.telling import Telling
from neural_selfie.workers.seat import CallEnded, Reported

_TICK_SECONDS = 0.5
_UNPAINTED = (JobState.FAILED, JobState.WAITING, JobState.QUEUED, JobState.RENDERED)
_UNFORESEEN = "The daemon met an error that nobody foresaw ({!r}) and ended. No photo is lost: start it again."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants the daemon to end."""

    signal: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Somebody sent SIGHUP, which asks other daemons to read their configuration again."""


def run(
    loaded: Loaded,
    *,
    once: bool = False,
    watcher: Callable[[Snapshot], None] | None = None,
    painter: workers.Painter | None = None,
) -> int:
    """Given the configuration, run the daemon until a signal, or with `once` until the inbox is drained.

    Return the exit code: 0, or with `once` 1 if something could not be painted. Raise ConfigError,
    PermissionDeniedError or LedgerBusyError when it cannot start. `watcher` is told how things stand about twice a
    second; `painter` is what workers run, by default the engines.
    """
    settings = loaded.settings
    manager = notifying.manager()
    devices = workers.devices(settings)
    catalogue = open_catalogue(loaded)
    state = layout.prepare(settings)
    with lock.held(state.lock):
        discard(state.progress)  # of a daemon that was killed: what it painted goes on no more
        catalogue = catalogue.kept_in(state.styles)
        service: Service | None = None
        shares = Shares()
        while True:
            try:
                shares.check(state.root)  # or a disk that is away would get a new ledger under its mount point
                with open_ledger(state.root) as ledger:
                    service = Service(
                        catalogue,
                        state,
                        ledger,
                        devices,
                        painter or workers.Painter(),
                        manager=manager,
                        watcher=watcher or (lambda _: None),
                    )
                    return service.run(once=once)
            except (StorageUnavailableError, LedgerBusyError) as error:  # of the ledger: all others are dealt with
                if once or service is None or service.stopping:
                    raise
                log.error("daemon.interrupted", reason=str(error))  # noqa: TRY400 - a full disk, not a mistake
                manager.status(str(error))
            except (SelfieError, PermissionError):
                raise
            except Exception as error:
                log.exception("daemon.failed")
                raise SelfieError(_UNFORESEEN.format(error)) from error
            _rest(settings.retry.waiting_seconds, manager)


def _rest(seconds: float, manager: Manager) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        manager.alive()  # a restart would not mend a disk
        time.sleep(min(left, 1.0))


class Service:
    """One running daemon."""

    def __init__(
        self,
        catalogue: Catalogue,
        state: layout.StateFolder,
        ledger: Ledger,
        devices: tuple[str, ...],
        painter: workers.Painter,
        *,
        manager: Manager,
        watcher: Callable[[Snapshot], None],
    ) -> None:
        settings = catalogue.settings
        limits = Limits(**settings.limits.model_dump())
        self._settings = settings
        self._state = state
        self._ledger = ledger
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        post = self._messages.put
        desk = self._desk = Desk(settings, state, ledger)
        spool = self._spool = Spool(state.rendered)
        self._workers = workers.Workers(
            devices, silence_seconds=settings.retry.silence_seconds, post=post, painter=painter
        )
        self._intake = Intake(catalogue, desk, limits, post)
        self._finishing = Finishing(desk, spool)
        self._handed = picking.Handed(desk)
        self._surroundings = Surroundings(desk)
        self._painting = Painting(desk, spool, self._workers, limits, self._finishing)
        self._inbox = Inbox(
            settings.inbox,
            ignore=settings.watch.ignore,
            rescan_seconds=settings.watch.rescan_seconds,
            polling=settings.watch.polling,
            post=post,
        )
        self._curator = Curator(settings.outbox_folder, state.styles, lambda: desk.shares.check(settings.outbox_folder))
        self._manager = manager
        self._telling = Telling(
            desk=desk,
            state=state,
            inbox=self._inbox,
            intake=self._intake,
            painting=self._painting,
            finishing=self._finishing,
            surroundings=self._surroundings,
            curator=self._curator,
            handed=self._handed,
            workers=self._workers,
            manager=manager,
            watcher=watcher,
        )
        self._data_version = ledger.data_version()
        self._scanned = False
        self._scan_troubles: tuple[str, ...] = ()
        self._stop: Stop | None = None
        self._started_at = time.time()

    @property
    def stopping(self) -> bool:
        """Whether somebody has asked the daemon to end."""
        return self._stop is not None

    def run(self, *, once: bool) -> int:
        """Run until stopped or drained; see the module's `run`."""
        log.info("daemon.started", pid=os.getpid(), inbox=str(self._settings.inbox), workers=self._workers.names)
        with self._signals(), ExitStack() as last:  # whatever happens: each of these, from the last to the first
            last.callback(discard, self._state.progress)
            last.callback(self._curator.close)
            last.callback(lambda: self._curator.finish(self._finishing.published, self._page))
            last.callback(lambda: self._painting.put_back(time.time()))
            last.callback(self._workers.close)
            last.callback(self._intake.close)
            last.callback(self._inbox.stop)
            self._manager.takes_longer()
            recovery.recover(self._desk, self._spool, time.time())
            self._painting.resume(time.time())
            self._intake.expect(self._ledger.photos(place=Place.INBOX))
            self._inbox.start()
            while not (self._stop or (once and self._drained())):
                self._turn()
            self._manager.stopping()
            self._inbox.stop()
            self._finish()
        log.info("daemon.stopped", reason=self._stop.signal if self._stop else "drained")
        return self._exit_code() if once else 0

    def _turn(self) -> None:
        now = time.time()
        due = self._intake.next_due(now)
        self._handle_all(timeout=min(_TICK_SECONDS, _TICK_SECONDS if due is None else max(due, 0.01)))
        now = time.time()
        if self._surroundings.changed(now):
            self._intake.paused = self._painting.paused = bool(self._surroundings.full)
            self._finishing.changed = True  # the page may be gone, too
        self._intake.tick(now)
        for photo_id in self._intake.unsure.settle(now):
            self._finishing.file(photo_id, now)
        if (version := self._ledger.data_version()) != self._data_version:
            self._data_version = version
            self._painting.noticed_changes(now)
        self._painting.tick(now)
        self._finishing.published |= self._intake.picked | self._handed.work(now)
        self._intake.picked.clear()
        changed = self._finishing.changed or bool(self._workers.running())
        self._curator.tick(self._finishing.published, self._finishing.ended, self._page, changed=changed)
        self._telling.tell(now)
        if self._scanned and self._workers.warm:
            self._manager.ready()

    def _page(self) -> dict[str, Any]:
        return self._telling.page(time.time())

    def _handle_all(self, timeout: float) -> None:
        try:
            message = self._messages.get(timeout=timeout)
            while True:
                self._handle(message, time.time())
                message = self._messages.get_nowait()
        except queue.Empty:
            return

    def _handle(self, message: object, now: float) -> None:
        match message:
            case Sighting():
                self._intake.sighted(message.path, now)
            case ScanDone():
                self._scanned = True
                if message.troubles and message.troubles != self._scan_troubles:
                    log.warning("inbox.unread", reason=" ".join(message.troubles))
                self._scan_troubles = message.troubles
            case CallEnded() if message.seat == INSPECTOR:
                for photo_id in self._intake.inspected(message, now):
                    self._finishing.file(photo_id, now)
                self._finishing.changed = True
            case CallEnded():
                self._painting.painted(self._workers.ended(message), now, go_on=self._stop is None)
            case Reported(value=Progress() as progress) if self._workers.paints(progress):
                self._painting.progress[progress.job_id] = progress
                self._workers.heard(progress)
            case Stop():
                self._stop = message
            case HangUp():
                log.warning("reload.ignored", reason="Reload is not supported yet: stop the daemon and start it again.")

    def _drained(self) -> bool:
        """With --once: whether the first scan is through and nothing is left that can go on by itself.

        What waits for a person (a folder is full, gone or may not be written) was tried once and is left as it is.
        """
        if not (self._scanned and self._messages.empty() and self._intake.idle) or self._workers.running():
            return False
        stuck = self._intake.admitted | self._finishing.unmoved
        most = None if stuck else 1  # of 50,000 only one is looked at
        queued = not self._painting.paused and any(
            job.photo_id not in stuck for job in self._ledger.jobs(state=JobState.QUEUED, limit=most)
        )
        return not queued and all(job.cause for job in self._ledger.jobs(state=JobState.RENDERED))

    def _exit_code(self) -> int:
        unpainted = [job for state in _UNPAINTED for job in self._ledger.jobs(state=state)]
        failed_now = [job for job in unpainted if (job.finished_at or self._started_at) >= self._started_at]
        unmoved = self._intake.refusals.count or self._intake.delayed or self._finishing.unmoved or self._scan_troubles
        return 1 if failed_now or unmoved or self._stop else 0

    def _finish(self) -> None:
        """At a stop: let running pictures finish within the grace time; the rest is put back."""
        deadline = time.monotonic() + self._settings.retry.stop_seconds
        first = self._stop  # whoever asks a second time does not want to wait
        while self._workers.running() and self._stop is first and (left := deadline - time.monotonic()) > 0:
            self._handle_all(timeout=min(_TICK_SECONDS, left))
            self._telling.tell(time.time(), ending=True)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(number: int, _frame: object) -> None:
            self._messages.put(Stop(signal.Signals(number).name))

        signal.signal(signal.SIGHUP, lambda *_: self._messages.put(HangUp()))  # and for good: it would end the process
        previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
