"""From a queued job to a rendered picture: performs what `lifecycle` decides; `finishing` takes it from there.

The ledger is the queue: no more tasks are handed out than there are free workers, so order, cancel and retry stay
possible to the last moment.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from neural_selfie import lifecycle, models, waypoints
from neural_selfie.engine.recipe import NETWORKED
from neural_selfie.errors import (
    OutOfDeviceMemoryError,
    PhotoChangedError,
    SelfieError,
    StorageUnavailableError,
    WeightsUnavailableError,
)
from neural_selfie.filing import Desk, away, taking
from neural_selfie.finishing import Finishing, patience, policy_of
from neural_selfie.lifecycle import Command, EndWorker, Event, FilePhoto, Publish, RetryPolicy, TakeBack
from neural_selfie.model import Job, JobState, Limits, Progress, Result, Task
from neural_selfie.outbox import Spool
from neural_selfie.workers import Painted, Workers, batches

log = structlog.get_logger()


@dataclass(slots=True)
class Painting:
    """The jobs of this daemon, from the line to the worker and back."""

    desk: Desk
    spool: Spool
    workers: Workers
    limits: Limits
    finishing: Finishing
    paused: bool = False  # too little space: nothing new is painted
    progress: dict[int, Progress] = field(default_factory=dict)
    _tried: dict[int, models.Look] = field(default_factory=dict)  # jobs being painted; how their weights looked
    _awaited: models.Awaited = field(init=False)

    def __post_init__(self) -> None:
        self._awaited = models.Awaited(self.desk.state.models)

    @property
    def policy(self) -> RetryPolicy:
        """How failures count."""
        return policy_of(self.desk.settings)

    def resume(self, now: float) -> None:
        """At start, after `recovery`: go on with what waits, is to be published, filed, taken back or cancelled."""
        for job in self.desk.ledger.jobs(state=JobState.WAITING):
            if job.cause == WeightsUnavailableError.code:
                self._awaited.add(job.id, job.plan.weights, tried=None)
        self.noticed_changes(now)

    def tick(self, now: float) -> None:
        """Wake what waits, publish what is due, hand out what is queued."""
        ledger = self.desk.ledger
        for waiting in ledger.due_waiting(now):
            self.apply(waiting.id, lifecycle.Woken(now=now), now)
        for job_id in self._awaited.ready(now):
            self._weights_came(job_id, now)
        for rendered in ledger.due_rendered(now):
            self._perform_all(self.finishing.publish(rendered, now), now)
        self.finishing.try_again(now)
        for name, seconds in self.workers.end_silent().items():
            log.error("worker.stuck", worker=name, seconds=round(seconds, 1))
        self.hand_out(now)

    def hand_out(self, now: float) -> None:
        """Give every free worker the next job, unless the daemon is paused."""
        while not self.paused and self.workers.free() and (job := self.desk.ledger.next_queued(now)) is not None:
            self._start(job, now)

    def noticed_changes(self, now: float) -> None:
        """Another process changed the ledger: perform the cancels that it asks for, take back photos it retries."""
        self.finishing.changed = True
        for job in self.desk.ledger.cancel_requests():
            self.apply(job.id, lifecycle.CancelRequested(now=now), now)
            self.spool.drop(job.id)
        for photo in self.desk.ledger.to_take_back():
            self.finishing.take_back(photo.id, now)
        for photo in self.desk.ledger.to_file():
            self.finishing.file(photo.id, now)

    def painted(self, done: Painted, now: float, *, go_on: bool) -> None:
        """Given what a worker came back with, go on with each of its jobs; what nobody waits for is dropped.

        With `go_on` the worker begins the next one as soon as these are in the state folder: it need not wait until
        they are published. Not sooner: what is in memory only is lost if the next one takes the daemon along.
        """
        results = {result.job_id: result for result in done.result.members} if done.result is not None else {}
        together = len(done.task.members) > 1
        commands: list[Command] = []
        for task in done.task.members:
            commands += self._came_back(task, results.get(task.job_id), done.error, now, together=together)
        if go_on:
            self.hand_out(now)
        self._perform_all(commands, now)

    def _came_back(
        self, task: Task, result: Result | None, error: BaseException | None, now: float, *, together: bool
    ) -> tuple[Command, ...]:
        commands: tuple[Command, ...] = ()
        job = self.desk.ledger.job(task.job_id)
        tried = None
        if job.attempts == task.attempt:  # else a newer attempt of a job that was cancelled in the batch has its own
            self.progress.pop(task.job_id, None)
            tried = self._tried.pop(task.job_id, None)
        if job.state is not JobState.RUNNING or job.attempts != task.attempt:
            log.info("result.dropped", job=job.id, attempt=task.attempt)
            return commands
        waypoints.reached("job.came_back")
        if result is not None:
            try:
                self.spool.put(result)
            except SelfieError as full:
                error = full
            except OSError as fault:
                error = StorageUnavailableError(f"The painted picture cannot be kept in the state folder: {fault}.")
            else:
                waypoints.reached("result.spooled")
                output = f"{self.desk.ledger.photo(job.photo_id).folder}/{result.record.output.file}"
                rendered = lifecycle.Rendered(attempt=task.attempt, output=output, now=now)
                _, commands = self.desk.ledger.apply(job.id, rendered, policy=self.policy)
        if isinstance(error, WeightsUnavailableError) and tried is not None:
            self._awaited.refuse(tried, str(error), until=now + self.desk.settings.retry.waiting_seconds)
        if isinstance(error, PhotoChangedError):
            self._changed(job, now)
        elif error is not None:
            self._failed(job, error, now, tried, together=together)
        return commands

    def _changed(self, job: Job, now: float) -> None:
        """The photo is another one now: it goes back to the inbox as such, and this one is given up."""
        self.apply(job.id, lifecycle.Interrupted(now=now), now)
        photo = self.desk.ledger.photo(job.photo_id)
        try:
            taking.give_back(self.desk, photo, now)
        except (SelfieError, OSError) as error:  # painted and found out again
            log.warning("photo.not_given_back", photo=photo.name, reason=str(error))

    def put_back(self, now: float) -> None:
        """At a stop: what is still being painted will be painted again after the next start."""
        for job in self.desk.ledger.jobs(state=JobState.RUNNING):
            self.apply(job.id, lifecycle.Interrupted(now=now), now)

    def apply(self, job_id: int, event: Event, now: float) -> Job:
        """Apply an event to a job and perform what follows from it."""
        job, commands = self.desk.ledger.apply(job_id, event, policy=self.policy)
        self._perform_all(commands, now)
        return job

    def _perform_all(self, commands: Iterable[Command], now: float) -> None:
        for command in commands:
            match command:
                case Publish(job_id):
                    self._perform_all(self.finishing.publish(self.desk.ledger.job(job_id), now), now)
                case FilePhoto(photo_id):
                    self.finishing.file(photo_id, now)
                case EndWorker(job_id):
                    self._end_worker(self.desk.ledger.job(job_id))
                case TakeBack(photo_id):
                    self.finishing.take_back(photo_id, now)

    def _start(self, job: Job, now: float) -> None:
        photo = self.desk.ledger.photo(job.photo_id)
        try:
            unchanged = taking.is_unchanged(self.desk, photo)
        except SelfieError as error:
            self._failed(job, error, now)
            return
        except OSError as error:
            self._failed(job, StorageUnavailableError(f"The photo cannot be read: {error.strerror}."), now)
            return
        if not unchanged:
            taking.lose(self.desk, photo, now)
            return
        look = self._weights_for(job)
        if look is not None and (why_not := self._awaited.trouble(look, job.plan.weights, now)) is not None:
            self._failed(job, why_not, now, look)
            return
        away.withdraw_kept(self.desk, photo)
        started = self.desk.ledger.start([one.id for one in self._batch(job, now)], now=now, policy=self.policy)
        waypoints.reached("job.started")
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
                keep_gps=self.desk.settings.keep_gps,
                weights=None if look is None else look.path,
                cache=None if look is None else self.desk.state.cache,
            )
            for one in started
        ]
        worker = self.workers.submit(batches.as_one(tasks))
        waypoints.reached("job.handed_out")
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
        beside = [one for one in self.desk.ledger.queued_beside(job.id, now) if batches.batchable(job.plan, one.plan)]
        return [job, *beside][: batches.CEILING]

    def _end_worker(self, job: Job) -> None:
        """Given a job that is not wanted any more, end the worker that paints it, unless another of its batch is."""
        task = self.workers.task_of(job.id, job.attempts)
        others = [] if task is None else [(one, self.desk.ledger.job(one.job_id)) for one in task.members]
        if not any(now.state is JobState.RUNNING and now.attempts == one.attempt for one, now in others):
            self.workers.end_job(job.id, job.attempts)

    def _weights_for(self, job: Job) -> models.Look | None:
        """Return the file with the job's network as it looks now, or None for an engine without one."""
        return models.look_for(job.plan.weights, self._awaited.folder) if job.plan.engine in NETWORKED else None

    def _weights_came(self, job_id: int, now: float) -> None:
        self._awaited.drop(job_id)
        job = self.desk.ledger.job(job_id)
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
                cause=cause, reason=reason, next_try_at=now + patience(self.desk.settings, job, now), now=now
            )
        else:
            retryable = together or known is None or known.retryable  # it may have been another one's fault
            event = lifecycle.RenderFailed(
                attempt=job.attempts, cause=cause, reason=reason, retryable=retryable, now=now
            )
        after = self.apply(job.id, event, now)
        if cause == WeightsUnavailableError.code:
            self._awaited.add(job.id, job.plan.weights, tried)
        self.finishing.changed = True
        details = str(error.__cause__) if error.__cause__ and cause == "engine_failed" else None
        log.warning(
            "job.not_painted", now=str(after.state), cause=cause, reason=reason, details=details, **job.log_fields()
        )
