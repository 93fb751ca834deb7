"""Masks that nobody needs any more: the state folder keeps one for each photo that had one. Style images all stay.

A mask is needed while a picture is to be painted with it, or may be retried, and, for `reproduce`, while the record of
a picture that was painted with it lies in the outbox or among the rejects.
"""

from bisect import bisect_right
from dataclasses import dataclass

import structlog

from neural_selfie.config import masks
from neural_selfie.errors import SelfieError
from neural_selfie.files import is_gone
from neural_selfie.files.renaming import discard
from neural_selfie.filing.desk import Desk
from neural_selfie.model import Job, JobState

_LOOK_SECONDS = 3600.0
_AT_ONCE = 200  # each may be a question to a share, and the daemon does nothing else meanwhile

log = structlog.get_logger()


@dataclass(slots=True)
class KeptMasks:
    """Looks over some of the kept masks now and then; between two looks nothing is remembered but where it was."""

    desk: Desk
    _after: str = ""
    _look_at: float = 0.0

    def tick(self, now: float) -> None:
        """Remove the masks, of the next few, that nobody needs; where the outbox is away, none."""
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        try:
            self._look()
        except (SelfieError, OSError) as error:
            log.warning("masks.not_looked_over", reason=str(error))

    def _look(self) -> None:
        folder = self.desk.state.styles
        kept = masks.all_kept(folder)
        some = kept[bisect_right(kept, self._after) :][:_AT_ONCE]
        self._after = some[-1] if len(some) == _AT_ONCE else ""
        if not some:
            return
        self.desk.shares.check(self.desk.settings.outbox_folder)
        # Asked and removed in one go: no job can be admitted in between.
        needed = {
            job.plan.mask.sha256 for job in self.desk.ledger.masks.jobs(some) if job.plan.mask and self._needs(job)
        }
        for sha256 in (sha256 for sha256 in some if sha256 not in needed):
            discard(masks.kept_path(folder, sha256))
            log.info("mask.forgotten", sha256=sha256[:6])

    def _needs(self, job: Job) -> bool:
        """Whether a job can be painted yet, or its record is where the daemon put it."""
        if job.state is not JobState.DONE or job.output is None:
            return True
        record = f"{job.output.rpartition('.')[0]}.json"
        settings = self.desk.settings
        return not all(is_gone(folder / record) for folder in (settings.outbox_folder, settings.rejected_folder))
