"""From a queued job to a published picture and a filed photo: performs what `lifecycle` decides.

The ledger is the queue: no more tasks are handed out than there are free workers, so order, cancel and retry stay
possible to the last moment. Publishing comes before "done", and "done" before the photo is filed.
"""

import os
from dataclasses import dataclass, field

import structlog

from neural_selfie import lifecycle, models, outbox
from neural_selfie.config import Settings, catalogue
from neural_selfie.errors import (
    OutOfDeviceMemoryError,
    SelfieError,
    StorageUnavailableError,
    WeightsUnavailableError,
)
from neural_selfie.filing import Filing
from neural_selfie.ledger import Ledger
from neural_selfie.lifecycle import Command, EndWorker, Event, FilePhoto, Publish, RetryPolicy, TakeBack
from neural_selfie.model import Job, JobState, Limits, Photo, Place, Progress, Result, Task
from neural_selfie.outbox import Spool
from neural_selfie.workers import Painted, Workers, batches

_PATIENCE = 0.1  # share of the time that a job has waited after which it is looked at again

log = structlog.get_logger()


@dataclass(slots=True)
class Painting:
    """The jobs of this daemon. `changed` is set when the gallery has something new to show."""

    settings: Settings
    ledger: Ledger
    filing: Filing
    spool: Spool
    workers: Workers
    limits: Limits
    progress: dict[int, Progress] = field(default_factory=dict)
    changed: bool = True
    _blocked: dict[int, float] = field(default_factory=dict)  # photos that could not be filed; when to try again
    _tried: dict[int, models.Look] = field(default_factory=dict)  # jobs being painted; how their weights looked
    _awaited: models.Awaited = field(init=False)

    def __post_init__(self) -> None:
        self._awaited = models.Awaited(self.filing.state.models)

    @property
    def unmoved(self) -> set[int]:
        """The photos that could not be put where they belong yet."""
        return set(self._blocked)

    @property
    def policy(self) -> RetryPolicy:
        """How failures count."""
        retry = self.settings.retry
        return RetryPolicy(
            attempts=retry.attempts,
            backoff_seconds=retry.backoff_seconds,
            backoff_ceiling_seconds=retry.backoff_ceiling_seconds,
        )

    def recover(self, now: float) -> None:
        """At start: finish what a crash or power cut interrupted, so that every photo is in exactly one place."""
        self.filing.undo_moves(now)
        for photo in self.ledger.photos(place=Place.INBOX):
            try:
                self._take_in_again(photo, now)
            except (SelfieError, OSError) as error:  # tried again when the scan finds it; the others do not wait
                log.warning("photo.not_taken_in", photo=photo.name, reason=str(error))
        for job in self.ledger.jobs(state=JobState.RUNNING):
            self.apply(job.id, lifecycle.Interrupted(now=now), now)
        rendered = self.ledger.jobs(state=JobState.RENDERED)
        for job in rendered:
            outbox.sweep_temporaries(self.settings.outbox_folder, self.ledger.photo(job.photo_id))
        for job_id in set(self.spool.job_ids()) - {job.id for job in rendered}:
            self.spool.drop(job_id)
        for job in self.ledger.jobs(state=JobState.WAITING):
            if job.cause == WeightsUnavailableError.code:
                self._awaited.add(job.id, job.plan.weights, tried=None)
        self.noticed_changes(now)
        for part in self.filing.state.work.glob(".*.part"):
            part.unlink()

    def tick(self, now: float) -> None:
        """Wake what waits, publish what is due, hand out what is queued."""
        for waiting in self.ledger.due_waiting(now):
            self.apply(waiting.id, lifecycle.Woken(now=now), now)
        for job_id in self._awaited.ready(now):
            self._weights_came(job_id, now)
        for rendered in self.ledger.due_rendered(now):
            self._publish(rendered, now)
        for photo_id, at in list(self._blocked.items()):
            if at <= now:
                self._move_again(photo_id, now)
        for name in self.workers.end_silent():
            log.error("worker.silent", worker=name, seconds=self.settings.retry.silence_seconds)
        while self.workers.free() and (job := self.ledger.next_queued(now)) is not None:
            self._start(job, now)

    def noticed_changes(self, now: float) -> None:
        """Another process changed the ledger: perform the cancels that it asks for, take back photos it retries."""
        self.changed = True
        for job in self.ledger.cancel_requests():
            self.apply(job.id, lifecycle.CancelRequested(now=now), now)
            self.spool.drop(job.id)
        for photo in self.ledger.to_take_back():
            self._take_back(photo.id, now)
        for photo in self.ledger.to_file():
            self.file(photo.id, now)

    def painted(self, done: Painted, now: float) -> None:
        """Given what a worker came back with, go on with each of its jobs; what nobody waits for is dropped."""
        results = {result.job_id: result for result in done.result.members} if done.result is not None else {}
        together = len(done.task.members) > 1
        for task in done.task.members:
            self._came_back(task, results.get(task.job_id), done.error, now, together=together)

    def _came_back(
        self, task: Task, result: Result | None, error: BaseException | None, now: float, *, together: bool
    ) -> None:
        job = self.ledger.job(task.job_id)
        tried = None
        if job.attempts == task.attempt:  # else a newer attempt of a job that was cancelled in the batch has its own
            self.progress.pop(task.job_id, None)
            tried = self._tried.pop(task.job_id, None)
        if job.state is not JobState.RUNNING or job.attempts != task.attempt:
            log.info("result.dropped", job=job.id, attempt=task.attempt)
            return
        if result is not None:
            try:
                self.spool.put(result)
            except SelfieError as full:
                error = full
            except OSError as fault:
                error = StorageUnavailableError(f"The painted picture cannot be kept in the state folder: {fault}.")
            else:
                output = f"{self.ledger.photo(job.photo_id).folder}/{result.record.output.file}"
                self.apply(job.id, lifecycle.Rendered(attempt=task.attempt, output=output, now=now), now)
        if isinstance(error, WeightsUnavailableError) and tried is not None:
            self._awaited.refuse(tried, str(error), until=now + self.settings.retry.waiting_seconds)
        if error is not None:
            self._failed(job, error, now, tried, together=together)

    def put_back(self, now: float) -> None:
        """At a stop: what is still being painted will be painted again after the next start."""
        for job in self.ledger.jobs(state=JobState.RUNNING):
            self.apply(job.id, lifecycle.Interrupted(now=now), now)

    def apply(self, job_id: int, event: Event, now: float) -> Job:
        """Apply an event to a job and perform what follows from it."""
        job, commands = self.ledger.apply(job_id, event, policy=self.policy)
        for command in commands:
            self._perform(command, now)
        return job

    def _perform(self, command: Command, now: float) -> None:
        match command:
            case Publish(job_id):
                self._publish(self.ledger.job(job_id), now)
            case FilePhoto(photo_id):
                self.file(photo_id, now)
            case EndWorker(job_id):
                self._end_worker(self.ledger.job(job_id))
            case TakeBack(photo_id):
                self._take_back(photo_id, now)

    def _start(self, job: Job, now: float) -> None:
        photo = self.ledger.photo(job.photo_id)
        try:
            unchanged = self.filing.is_unchanged(photo)
        except OSError as error:
            self._failed(job, StorageUnavailableError(f"The photo cannot be read: {error.strerror}."), now)
            return
        if not unchanged:
            self.filing.lose(photo, now)
            return
        look = self._weights_for(job)
        if look is not None and (why_not := self._awaited.trouble(look, job.plan.weights, now)) is not None:
            self._failed(job, why_not, now, look)
            return
        started = self.ledger.start([one.id for one in self._batch(job, now)], now=now, policy=self.policy)
        if not started:  # somebody has cancelled it in this moment
            return
        tasks = [
            Task(
                job_id=one.id,
                attempt=one.attempts,
                photo_path=photo.path,
                photo_name=photo.name,
                photo_sha256=photo.sha256,
                plan=one.plan,
                queued_at=one.queued_at,
                limits=self.limits,
                keep_gps=self.settings.keep_gps,
                weights=None if look is None else look.path,
                cache=None if look is None else self.filing.state.cache,
            )
            for one in started
        ]
        worker = self.workers.submit(batches.as_one(tasks))
        for one in started:
            self._awaited.drop(one.id)
            if look is not None:
                self._tried[one.id] = look
            log.info("job.started", photo=photo.name, attempt=one.attempts, worker=worker, **one.log_fields())

    def _batch(self, job: Job, now: float) -> list[Job]:
        """Given the job that is next, return it and the queued variants of its sweep that are painted in the same go.

        Whatever fails in a batch is tried again alone, so that one variant does not fail the others; hence none where
        the first failure is the last.
        """
        if job.failures or self.policy.attempts == 1:
            return [job]
        beside = [one for one in self.ledger.queued_beside(job.id, now) if batches.batchable(job.plan, one.plan)]
        return [job, *beside][: batches.CEILING]

    def _end_worker(self, job: Job) -> None:
        """Given a job that is not wanted any more, end the worker that paints it, unless another of its batch is."""
        task = self.workers.task_of(job.id, job.attempts)
        others = [] if task is None else [(one, self.ledger.job(one.job_id)) for one in task.members]
        if not any(now.state is JobState.RUNNING and now.attempts == one.attempt for one, now in others):
            self.workers.end_job(job.id, job.attempts)

    def _weights_for(self, job: Job) -> models.Look | None:
        """Return the file with the job's network as it looks now, or None for an engine without one."""
        return models.look_for(job.plan.weights, self._awaited.folder) if job.plan.engine == "gatys" else None

    def _weights_came(self, job_id: int, now: float) -> None:
        self._awaited.drop(job_id)
        job = self.ledger.job(job_id)
        if job.state is JobState.WAITING and job.cause == WeightsUnavailableError.code:
            self.apply(job_id, lifecycle.Woken(now=now), now)

    def _failed(
        self,
        job: Job,
        error: BaseException,
        now: float,
        tried: models.Look | None = None,
        *,
        together: bool = False,
    ) -> None:
        known = error if isinstance(error, SelfieError) else None
        cause = known.code if known else "engine_failed"
        reason = str(known) if known else f"The worker failed: {type(error).__name__}: {error}"
        too_many = together and isinstance(error, OutOfDeviceMemoryError)  # one of them alone may well fit
        if known is not None and known.environmental and not too_many:
            event: Event = lifecycle.Waits(
                cause=cause, reason=reason, next_try_at=now + self._patience(job, now), now=now
            )
        else:
            retryable = together or known is None or known.retryable  # it may have been another one's fault
            event = lifecycle.RenderFailed(
                attempt=job.attempts, cause=cause, reason=reason, retryable=retryable, now=now
            )
        after = self.apply(job.id, event, now)
        if cause == WeightsUnavailableError.code:
            self._awaited.add(job.id, job.plan.weights, tried)
        self.changed = True
        details = str(error.__cause__) if error.__cause__ and cause == "engine_failed" else None
        log.warning(
            "job.not_painted", now=str(after.state), cause=cause, reason=reason, details=details, **job.log_fields()
        )

    def _patience(self, job: Job, now: float) -> float:
        """Return after how many seconds to look again: what has waited for hours need not be tried twice a minute."""
        retry = self.settings.retry
        longest = max(retry.waiting_seconds, retry.backoff_ceiling_seconds)
        return min(max(retry.waiting_seconds, (now - job.queued_at) * _PATIENCE), longest)

    def _publish(self, job: Job, now: float) -> None:
        rendered = self.spool.get(job)
        if rendered is None:
            self.apply(job.id, lifecycle.SpoolLost(now=now), now)
            return
        photo = self.ledger.photo(job.photo_id)
        try:
            output = outbox.publish(self.settings.outbox_folder, photo, rendered)
        except (SelfieError, OSError) as error:
            cause = error.code if isinstance(error, SelfieError) else StorageUnavailableError.code
            again = now + self._patience(job, now)
            delayed = lifecycle.PublishDelayed(cause=cause, reason=str(error), next_try_at=again, now=now)
            self.apply(job.id, delayed, now)
            log.warning("picture.delayed", cause=cause, reason=str(error), **job.log_fields())
            return
        self.changed = True
        done, commands = self.ledger.apply(job.id, lifecycle.Published(now=now), policy=self.policy)
        self.spool.drop(job.id)
        seconds = round(now - done.started_at, 1) if done.started_at else None
        log.info("picture.published", photo=photo.name, picture=output, seconds=seconds, **job.log_fields())
        for command in commands:
            self._perform(command, now)

    def _move_again(self, photo_id: int, now: float) -> None:
        del self._blocked[photo_id]
        if self.ledger.unfinished(photo_id):  # retried meanwhile
            if self.ledger.photo(photo_id).destination is not None:
                self.filing.undo_moves(now)
            self._take_back(photo_id, now)
        else:
            self.file(photo_id, now)

    def file(self, photo_id: int, now: float) -> None:
        """File a photo if all its jobs have ended; where the folder is full or gone, try again later."""
        photo = self.ledger.photo(photo_id)
        if photo.place not in {Place.STATE, Place.KEPT} or self.ledger.unfinished(photo_id):
            return
        self._blocked.pop(photo_id, None)
        jobs = self.ledger.jobs(photo_id=photo_id)
        try:
            place = self.filing.file(photo, jobs, now)
        except (SelfieError, OSError) as error:
            going = self.ledger.photo(photo_id).destination
            if not any(os.path.lexists(path) for path in (photo.path, going) if path is not None):
                self.filing.lose(photo, now)
                return
            self._blocked[photo_id] = now + self.settings.retry.waiting_seconds
            log.warning("photo.not_filed", photo=photo.name, reason=str(error))
            return
        self.changed = True
        log.info(  # the one line an operator looks for
            "photo.filed",
            photo=photo.name,
            place=str(place),
            pictures=sum(job.state is JobState.DONE for job in jobs),
            failed=sum(job.state is JobState.FAILED for job in jobs),
            seconds=round(now - photo.dropped_at, 1),
        )

    def _take_back(self, photo_id: int, now: float) -> None:
        photo = self.ledger.photo(photo_id)
        if photo.place not in {Place.ORIGINALS, Place.FAILED}:
            return
        try:
            there = self.filing.take_back(photo, now)
        except (SelfieError, OSError) as error:
            self._blocked[photo_id] = now + self.settings.retry.waiting_seconds
            log.warning("photo.not_taken_back", photo=photo.name, reason=str(error))
            return
        if not there:
            self.filing.lose(photo, now)

    def _take_in_again(self, photo: Photo, now: float) -> None:
        """A crash came between admission and taking in: finish it if the file is still the same."""
        target = self.filing.work_path(photo)
        if photo.path.is_file() and catalogue.sha256_of(photo.path) == photo.sha256:
            self.filing.take_in(photo, now)
        elif target.exists():  # taken in; what lies in the inbox under its name, if anything, is another photo
            self.ledger.set_place(photo.id, Place.STATE, path=target, now=now)
        else:
            self.filing.lose(photo, now)
