"""What is in the way of the whole daemon: disks with too little space, folders and shares that are away. Mends nothing.

Looked at every two seconds, and forgotten as soon as it is over.
"""

from dataclasses import dataclass, field

import structlog

from neural_selfie.files import storage
from neural_selfie.filing import Desk

_LOOK_SECONDS = 2.0

log = structlog.get_logger()


@dataclass(slots=True)
class Surroundings:
    """`full`: a sentence for each disk below `disks.free_mib`; `away`: one for each folder that is gone."""

    desk: Desk
    full: list[str] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    _look_at: float = 0.0

    def changed(self, now: float) -> bool:
        """Look around, if it is time to; return whether something is in the way that was not, or the reverse."""
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_SECONDS
        settings = self.desk.settings
        full, away = storage.too_full(settings.filling_folders, settings.disks.free_mib), self.desk.away()
        paused, gone = bool(full) != bool(self.full), away != self.away
        if paused:
            log.warning("daemon.paused", reason=" ".join(full)) if full else log.info("daemon.resumed")
        if gone:
            log.warning("folder.away", reason=" ".join(away)) if away else log.info("folder.back")
        self.full, self.away = full, away
        return paused or gone
