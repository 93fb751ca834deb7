"""Says how things stand: to `status`, to the page, to whoever watches the terminal, and to the service manager.

Judges, too, whether all that the daemon consists of is alive: only then is the manager's watchdog fed. Changes nothing.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from neural_selfie import picking, snapshot
from neural_selfie.config import layout
from neural_selfie.curator import Curator
from neural_selfie.filing import Desk
from neural_selfie.finishing import Finishing
from neural_selfie.inbox import Inbox, InboxHealth
from neural_selfie.intake import Intake
from neural_selfie.notifying import Manager
from neural_selfie.painting import Painting
from neural_selfie.snapshot import Snapshot
from neural_selfie.surroundings import Surroundings
from neural_selfie.workers import Workers

_SNAPSHOT_SECONDS = 0.5
_TROUBLES_MAX = 10
_START_SECONDS = 1800.0  # a driver that hangs when a worker is warmed up may be mended by another start
_LATE_SECONDS = 600.0  # a scan of a slow share may take minutes; one that never ends is dead
_BLIND_SECONDS = 60.0  # a dead observer is replaced within seconds

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Telling:
    """Tells of the parts of a running daemon. `watcher` is told about twice a second."""

    desk: Desk
    state: layout.StateFolder
    inbox: Inbox
    intake: Intake
    painting: Painting
    finishing: Finishing
    surroundings: Surroundings
    curator: Curator
    handed: picking.Handed
    workers: Workers
    manager: Manager
    watcher: Callable[[Snapshot], None]
    _explained: tuple[snapshot.Trouble, ...] = ()  # what lies in failed/, and why
    _begun_at: float = 0.0
    _told_at: float = 0.0
    _seen_at: float | None = None  # when the inbox was last seen to be watched
    _ailing: str | None = None

    def tell(self, now: float, *, ending: bool = False) -> None:
        """Tell everybody how things stand, if it is time."""
        if now - self._told_at < _SNAPSHOT_SECONDS:
            return
        self._told_at = now
        current = self._snapshot(now)
        self.watcher(current)
        self._write(current)
        self.manager.status(snapshot.sentence(current))
        self._begun_at = self._begun_at or now
        starting = not self.manager.is_ready and now - self._begun_at < _START_SECONDS
        if starting or ending:
            self.manager.takes_longer()
        ailing = None if ending else self._what_ails(now)
        if ailing is None:
            self.manager.alive()
        elif ailing != self._ailing:
            log.error("daemon.ailing", reason=ailing)
        self._ailing = ailing

    def page(self, now: float) -> dict[str, Any]:
        """Return what goes on, as the page shows it."""
        if self.finishing.changed:
            self._explained = snapshot.troubles(self.desk.settings.failed_folder)
            self.finishing.changed = False
        troubles = [*map(snapshot.trouble, self.surroundings.full), *self._explained]
        return snapshot.for_page(self._snapshot(now), troubles, snapshot.waiting(self.desk.ledger))

    def _what_ails(self, now: float) -> str | None:
        health = self.inbox.health()
        if health.observer_alive or self._seen_at is None:
            self._seen_at = now
        rescan_seconds = self.desk.settings.watch.rescan_seconds
        return ailing(health, self.workers.stuck(), unwatched=now - self._seen_at, rescan=rescan_seconds, now=now)

    def _troubles(self) -> tuple[str, ...]:
        """What is in the way at the moment, a sentence each."""
        own = [*self.surroundings.full, *self.surroundings.away, self.curator.trouble or "", self.handed.trouble or ""]
        found = [*own, *self.intake.troubles, *self.finishing.troubles]
        return tuple(dict.fromkeys(filter(None, found)))[:_TROUBLES_MAX]

    def _snapshot(self, now: float) -> Snapshot:
        return snapshot.of(
            self.desk.ledger,
            self.painting.progress,
            asdict(self.inbox.health()),
            len(self.intake.settler),
            now,
            orphans=self.intake.orphans.overdue(now),
            troubles=self._troubles(),
        )

    def _write(self, current: Snapshot) -> None:
        temporary = self.state.progress.with_name(".progress.json.part")
        try:  # no fsync: it only speaks of now
            temporary.write_text(json.dumps(current.as_json()), encoding="utf-8")
            temporary.replace(self.state.progress)
        except OSError as error:
            log.warning("progress.unwritten", reason=str(error))


def ailing(health: InboxHealth, stuck: str | None, *, unwatched: float, rescan: float, now: float) -> str | None:
    """Return what no longer works and does not mend itself, as a sentence, or None.

    `stuck` is a worker that could not be ended; the inbox has been `unwatched` for so many seconds and is to be scanned
    every `rescan` seconds. That the loop turns and the ledger answers is shown by being asked.
    """
    if unwatched > _BLIND_SECONDS:
        return "The inbox is not watched, and the observer could not be replaced."
    patience = _LATE_SECONDS + rescan + 10 * health.last_scan_seconds
    if health.last_scan_at is not None and now - health.last_scan_at > patience:
        return f"The inbox was last scanned {now - health.last_scan_at:.0f} s ago."
    return None if stuck is None else f"The worker {stuck} is stuck and could not be ended."
