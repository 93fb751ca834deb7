"""What follows a painted picture: it is published, and once no picture of its photo is missing, the photo is filed.

Publishing comes before "done", and "done" before the photo is filed. What cannot be done now, because a folder is full
or gone, is tried again later; nothing is painted twice for it.
"""

from dataclasses import dataclass, field

import structlog

from neural_selfie import lifecycle, outbox, waypoints
from neural_selfie.config import Settings
from neural_selfie.errors import SelfieError, StorageUnavailableError
from neural_selfie.filing import Desk, away, departing, taking
from neural_selfie.filing.forgetting import KeptMasks
from neural_selfie.lifecycle import Command, RetryPolicy
from neural_selfie.model import Job, JobState, Photo, Place
from neural_selfie.outbox import Spool

_TROUBLES_MAX = 10
_PATIENCE = 0.1  # share of the time that a job has waited after which it is looked at again

log = structlog.get_logger()


@dataclass(slots=True)
class Finishing:
    """The way from the state folder to outbox, originals and failed.

    `changed`: the gallery has something new; `published`: the folders of the outbox with new pictures; `ended`: those
    of photos of which every job has ended.
    """

    desk: Desk
    spool: Spool
    changed: bool = True
    published: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    _blocked: dict[int, float] = field(default_factory=dict)  # photos that could not be filed; when to try again
    _reasons: dict[int, str] = field(default_factory=dict)  # why
    _settle_at: float = 0.0
    _masks: KeptMasks = field(init=False)

    def __post_init__(self) -> None:
        self._masks = KeptMasks(self.desk)

    @property
    def unmoved(self) -> set[int]:
        """The photos that could not be put where they belong yet."""
        return set(self._blocked)

    @property
    def troubles(self) -> list[str]:
        """Why photos could not be put where they belong, and pictures not be published, a sentence each."""
        unpublished = self.desk.ledger.jobs(state=JobState.RENDERED, limit=_TROUBLES_MAX)
        return [*list(self._reasons.values())[:_TROUBLES_MAX], *(job.reason for job in unpublished if job.reason)]

    def publish(self, job: Job, now: float) -> tuple[Command, ...]:
        """Given a rendered job, let its picture appear in the outbox; return what is to be done then."""
        waypoints.reached("job.rendered")
        ledger, policy, folder = self.desk.ledger, policy_of(self.desk.settings), self.desk.settings.outbox_folder
        photo = ledger.photo(job.photo_id)
        try:
            rendered = self.spool.get(job)
            if rendered is None:
                return ledger.apply(job.id, lifecycle.SpoolLost(now=now), policy=policy)[1]
            self.desk.shares.check(folder)
            output = outbox.publish(folder, photo, rendered)
        except (SelfieError, OSError) as error:
            cause = error.code if isinstance(error, SelfieError) else StorageUnavailableError.code
            again = now + patience(self.desk.settings, job, now)
            delayed = lifecycle.PublishDelayed(cause=cause, reason=str(error), next_try_at=again, now=now)
            log.warning("picture.delayed", cause=cause, reason=str(error), **job.log_fields())
            return ledger.apply(job.id, delayed, policy=policy)[1]
        self.changed = True
        self.published.add(photo.folder)
        done, commands = ledger.apply(job.id, lifecycle.Published(now=now), policy=policy)
        waypoints.reached("job.done")
        self.spool.drop(job.id)
        waypoints.reached("spool.emptied")
        seconds = round(now - done.started_at, 1) if done.started_at else None
        log.info("picture.published", photo=photo.name, picture=output, seconds=seconds, **job.log_fields())
        return commands

    def file(self, photo_id: int, now: float) -> None:
        """File a photo if all its jobs have ended; where the folder is full or gone, try again later."""
        photo = self.desk.ledger.photo(photo_id)
        if photo.place not in {Place.STATE, Place.KEPT} or self.desk.ledger.unfinished(photo_id):
            return
        waypoints.reached("photo.finished")
        self._unblock(photo_id)
        jobs = self.desk.ledger.jobs(photo_id=photo_id)
        try:
            place = away.file(self.desk, photo, jobs, now)
        except (SelfieError, OSError) as error:
            if self._is_lost(photo):
                taking.lose(self.desk, photo, now)
                return
            self._block(photo_id, error, now)
            log.warning("photo.not_filed", photo=photo.name, reason=str(error))
            return
        self.changed = True
        self.ended.add(photo.folder)
        log.info(  # the one line an operator looks for
            "photo.filed",
            photo=photo.name,
            place=str(place),
            pictures=sum(job.state is JobState.DONE for job in jobs),
            failed=sum(job.state is JobState.FAILED for job in jobs),
            seconds=round(now - photo.dropped_at, 1),
        )

    def take_back(self, photo_id: int, now: float) -> None:
        """Bring a photo that is to be painted again back from originals or failed; where it is not possible, later."""
        photo = self.desk.ledger.photo(photo_id)
        if photo.place not in {Place.ORIGINALS, Place.FAILED}:
            return
        try:
            there = taking.take_back(self.desk, photo, now)
        except (SelfieError, OSError) as error:
            self._block(photo_id, error, now)
            log.warning("photo.not_taken_back", photo=photo.name, reason=str(error))
            return
        if not there:
            taking.lose(self.desk, photo, now)

    def try_again(self, now: float) -> None:
        """Move the photos that could not be moved and whose time has come; complete what was begun of other files."""
        if now >= self._settle_at:
            self._settle_at = now + self.desk.settings.retry.waiting_seconds
            departing.settle_departures(self.desk)
            self.spool.sweep()
            self._masks.tick(now)
        for photo_id in [photo_id for photo_id, at in self._blocked.items() if at <= now]:
            self._unblock(photo_id)
            if self.desk.ledger.unfinished(photo_id):  # retried meanwhile
                if self.desk.ledger.photo(photo_id).destination is not None:
                    away.settle_moves(self.desk, now)
                self.take_back(photo_id, now)
            else:
                self.file(photo_id, now)

    def _block(self, photo_id: int, error: Exception, now: float) -> None:
        self._blocked[photo_id] = now + self.desk.settings.retry.waiting_seconds
        self._reasons[photo_id] = str(error)

    def _unblock(self, photo_id: int) -> None:
        self._blocked.pop(photo_id, None)
        self._reasons.pop(photo_id, None)

    def _is_lost(self, photo: Photo) -> bool:
        """Whether a photo is certainly neither where it was nor where it was going."""
        going = self.desk.ledger.photo(photo.id).destination
        try:
            return all(self.desk.is_gone(path) for path in (photo.path, going) if path is not None)
        except (SelfieError, OSError):
            return False


def policy_of(settings: Settings) -> RetryPolicy:
    """Given the settings, return how failures count."""
    retry = settings.retry
    return RetryPolicy(
        attempts=retry.attempts,
        backoff_seconds=retry.backoff_seconds,
        backoff_ceiling_seconds=retry.backoff_ceiling_seconds,
    )


def patience(settings: Settings, job: Job, now: float) -> float:
    """Return after how many seconds to look again: what has waited for hours need not be tried twice a minute."""
    retry = settings.retry
    longest = max(retry.waiting_seconds, retry.backoff_ceiling_seconds)
    return min(max(retry.waiting_seconds, (now - job.queued_at) * _PATIENCE), longest)
