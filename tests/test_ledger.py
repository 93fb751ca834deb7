"""The ledger as the daemon and the commands use it: admission, the queue, what a crash leaves to be done, names."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ledger_samples import POLICY, apply, drop, facts, paint, plan, take_in
from neural_selfie.errors import UsageError
from neural_selfie.ledger import Ledger, open_ledger, plan_key
from neural_selfie.lifecycle import (
    CancelRequested,
    IllegalTransitionError,
    Interrupted,
    Publish,
    PublishDelayed,
    Rendered,
    RenderFailed,
    Retried,
    StaleAttemptError,
    Started,
    TakeBack,
    Waits,
)
from neural_selfie.model import Departure, Job, JobState, Place, Plan, StyleUse

pytest_plugins = ["ledger_fixture"]

HERE = Path(__file__).parent


def failed(ledger: Ledger, job: Job, now: float = 110.0) -> Job:
    """Given a queued job, let it fail for good."""
    job = apply(ledger, job, Started(now=now))
    end = RenderFailed(attempt=job.attempts, cause="engine_failed", reason="It broke.", retryable=False, now=now)
    return apply(ledger, job, end)


def only(jobs: tuple[Job, ...]) -> Job:
    """Given exactly one job, return it."""
    (job,) = jobs
    return job


# -- admission


def test_a_new_photo_is_written_down_with_a_job_per_plan(ledger: Ledger) -> None:
    """One transaction holds the photo, its outbox folder and its queued jobs."""
    plans = [plan("scream", content_weight=0.2), plan("scream", content_weight=0.6), plan()]
    sidecar = Path("/inbox/me.jpg.yaml")
    admission = drop(ledger, plans=plans, sidecar=sidecar)
    photo = ledger.photo(admission.photo.id)
    assert photo == admission.photo
    assert (photo.place, photo.path, photo.sidecar) == (Place.INBOX, Path("/inbox/me.jpg"), sidecar)
    assert photo.folder == f"me-{facts().sha256[:6]}"
    assert [job.plan for job in ledger.jobs(JobState.QUEUED, photo_id=photo.id)] == plans
    assert (admission.known, admission.duplicate, admission.already_done) == (False, False, 0)


def test_folder_names_that_clash_grow(ledger: Ledger) -> None:
    """Two photos whose names and six digits agree get different folders."""
    folders = [drop(ledger, seed, folder=lambda digits: f"me-{'0' * digits}").photo.folder for seed in range(4)]
    assert folders == [f"me-{'0' * digits}" for digits in (6, 8, 12, 64)]


def test_the_same_file_seen_twice_changes_nothing(ledger: Ledger) -> None:
    """After a crash between admission and taking in, the next scan admits the same path again: no new job, no event."""
    first = drop(ledger)
    ledger.request_cancel(only(first.new_jobs).id, now=101.0)
    history = ledger.events()
    again = drop(ledger, now=500.0)
    assert (again.new_jobs, again.reopened, again.duplicate) == ((), (), False)
    assert again.photo == first.photo
    assert ledger.events() == history


def test_a_second_copy_is_a_duplicate_while_the_first_is_at_work(ledger: Ledger) -> None:
    """A copy under another name does not become the photo's file, but what it asks for is added."""
    first = drop(ledger)
    other = Path("/inbox/scream/copy.jpg")
    for _ in ("in the inbox", "in the state folder"):
        again = drop(ledger, plans=[plan(), plan("scream")], path=other)
        assert again.duplicate
        assert again.photo.path != other
        take_in(ledger, first)
    assert [job.plan.preset for job in ledger.jobs()] == ["starry-night", "scream"]


@pytest.mark.parametrize("place", [Place.ORIGINALS, Place.FAILED, Place.DELETED, Place.LOST, Place.KEPT])
def test_a_photo_of_before_takes_the_file_now_dropped(ledger: Ledger, place: Place) -> None:
    """Once the former file is filed or gone, the dropped file becomes the photo's and waits to be taken in."""
    first = drop(ledger)
    take_in(ledger, first)
    paint(ledger, only(first.new_jobs))
    ledger.set_place(first.photo.id, place, path=Path("/elsewhere/me.jpg"), now=103.0)
    again = drop(ledger, path=Path("/inbox/again.jpg"), now=200.0)
    assert (again.photo.place, again.photo.path, again.photo.name) == (
        Place.INBOX,
        Path("/inbox/again.jpg"),
        "again.jpg",
    )
    assert again.photo.folder == first.photo.folder
    assert (again.duplicate, again.known, again.already_done) == (False, True, 1)


def test_a_kept_photo_seen_again_stays_kept(ledger: Ledger) -> None:
    """A touched file of the inbox is the same photo at the same place, not one to be taken in."""
    first = drop(ledger)
    ledger.set_place(first.photo.id, Place.KEPT, now=101.0)
    again = drop(ledger, plans=[plan(), plan("scream")], now=200.0)
    assert (again.photo.place, again.duplicate, len(again.new_jobs)) == (Place.KEPT, False, 1)


def test_a_kept_photo_at_work_is_not_replaced(ledger: Ledger) -> None:
    """A copy of a photo that is painted from the inbox is a duplicate until its jobs are finished."""
    first = drop(ledger)
    ledger.set_place(first.photo.id, Place.KEPT, now=101.0)
    assert drop(ledger, path=Path("/inbox/copy.jpg")).duplicate
    paint(ledger, only(first.new_jobs))
    assert not drop(ledger, path=Path("/inbox/copy.jpg")).duplicate


def test_a_photo_on_its_way_back_is_not_replaced(ledger: Ledger) -> None:
    """While a filed photo is being taken back, a copy dropped meanwhile is a duplicate."""
    first = drop(ledger)
    take_in(ledger, first)
    job = failed(ledger, only(first.new_jobs))
    ledger.set_place(first.photo.id, Place.FAILED, path=Path("/failed/me.jpg"), now=120.0)
    ledger.retry(job.id, now=121.0)
    ledger.moving(first.photo.id, Path("/state/me.jpg"), now=122.0)
    assert drop(ledger, path=Path("/inbox/copy.jpg")).duplicate
    assert ledger.photo(first.photo.id).path == Path("/failed/me.jpg")


def test_dropping_again_repaints_only_what_is_missing(ledger: Ledger) -> None:
    """Pictures that lie in the outbox stay; removed, failed and cancelled ones are queued anew, others untouched."""
    names = ["there", "removed", "failed", "cancelled", "other"]
    first = drop(ledger, plans=[plan(name) for name in names])
    take_in(ledger, first)
    there, removed, broken, cancelled, other = first.new_jobs
    paint(ledger, there, output="me/there.jpg")
    paint(ledger, removed, output="me/removed.jpg")
    failed(ledger, broken)
    failed(ledger, other)
    ledger.request_cancel(cancelled.id, now=120.0)
    ledger.set_place(first.photo.id, Place.FAILED, path=Path("/failed/me.jpg"), now=121.0)
    again = drop(
        ledger, plans=[plan(n) for n in names[:4]], now=200.0, is_there=lambda output: output != "me/removed.jpg"
    )
    assert [job.id for job in again.reopened] == [removed.id, broken.id, cancelled.id]
    assert {job.state for job in again.reopened} == {JobState.QUEUED}
    assert (again.already_done, again.new_jobs) == (1, ())
    assert ledger.job(other.id).state is JobState.FAILED


def test_a_picture_that_another_recipe_replaced_is_repainted(ledger: Ledger) -> None:
    """Changing a preset's numbers and changing them back gives the first picture again, although its name was taken."""
    before, after = (Plan(preset="p", engine="patch", recipe={"size": size}, styles=()) for size in (64, 128))
    first = drop(ledger, plans=[before])
    take_in(ledger, first)
    paint(ledger, only(first.new_jobs), output="me/p.jpg", now=110.0)
    second = drop(ledger, plans=[after], path=Path("/inbox/2.jpg"))
    paint(ledger, only(second.new_jobs), output="me/p.jpg", now=120.0)
    take_in(ledger, second)
    assert drop(ledger, plans=[after], path=Path("/inbox/3.jpg")).already_done == 1
    third = drop(ledger, plans=[before], path=Path("/inbox/3.jpg"))
    assert [job.id for job in third.reopened] == [only(first.new_jobs).id]


def test_a_failing_admission_leaves_nothing(ledger: Ledger) -> None:
    """When the third plan of a drop cannot be written, photo and other jobs are not written either."""
    bad = Plan(preset="p", engine="patch", recipe={"weight": float("nan")}, styles=())
    with pytest.raises(ValueError, match="JSON"):
        drop(ledger, plans=[plan(), plan("scream"), bad])
    assert (ledger.photos(), ledger.jobs(), ledger.events()) == ([], [], [])


def test_what_makes_plans_the_same() -> None:
    """The bytes of a style count, not where it lies or its name; 1 and 1.0 are one number; all else counts."""

    def starry(path: str = "/a.jpg", sha256: str = "ab" * 32, size: float = 64, seed: int = 0) -> str:
        style = StyleUse(name=Path(path).name, path=Path(path), sha256=sha256)
        return plan_key(Plan(preset="p", engine="patch", recipe={"size": size}, styles=(style,), seed=seed))

    assert starry() == starry("/b/c.jpg") == starry(size=64.0)
    assert len({starry(), starry(sha256="cd" * 32), starry(size=65), starry(seed=1)}) == 4


# -- the queue


def test_the_line_is_served_in_order_and_only_for_photos_taken_in(ledger: Ledger) -> None:
    """The oldest job that may start is next; not yet taken in, excluded, resting or moving ones are passed over."""
    early, late = drop(ledger, "early", path=Path("/inbox/1.jpg")), drop(ledger, "late", path=Path("/inbox/2.jpg"))
    assert ledger.next_queued(200.0) is None
    take_in(ledger, late)
    assert ledger.next_queued(200.0) == only(late.new_jobs)
    take_in(ledger, early)
    first = only(early.new_jobs)
    assert ledger.next_queued(200.0) == first
    assert ledger.next_queued(200.0, exclude={first.id}) == only(late.new_jobs)
    ledger.moving(early.photo.id, Path("/originals/1.jpg"), now=201.0)
    assert ledger.next_queued(202.0) == only(late.new_jobs)
    assert [photo.id for photo in ledger.in_transit()] == [early.photo.id]
    ledger.moving(early.photo.id, None, now=203.0)
    started = apply(ledger, first, Started(now=300.0))
    rest = RenderFailed(attempt=started.attempts, cause="worker_died", reason="It died.", retryable=True, now=300.0)
    apply(ledger, started, rest)
    assert ledger.next_queued(300.0) == only(late.new_jobs)
    assert ledger.next_due_at(300.0) == 310.0
    assert ledger.next_queued(310.0, exclude=[only(late.new_jobs).id]) == ledger.job(first.id)


def test_alarms_for_waiting_and_rendered_jobs(ledger: Ledger) -> None:
    """Waiting and rendered jobs come up when their time has come, and `next_due_at` says when that is."""
    admission = drop(ledger, plans=[plan("a"), plan("b")])
    take_in(ledger, admission)
    waiting = apply(
        ledger, admission.new_jobs[0], Waits(cause="out_of_memory", reason="Full.", next_try_at=150.0, now=110.0)
    )
    started = apply(ledger, admission.new_jobs[1], Started(now=110.0))
    rendered, commands = ledger.apply(started.id, Rendered(attempt=1, output="me/b.jpg", now=120.0), policy=POLICY)
    assert commands == (Publish(started.id),)
    assert (ledger.due_rendered(120.0), ledger.due_waiting(120.0)) == ([rendered], [])
    assert ledger.next_due_at(120.0) == 150.0
    assert ledger.due_waiting(150.0) == [waiting]
    delay = PublishDelayed(cause="storage_unavailable", reason="The outbox is full.", next_try_at=180.0, now=150.0)
    assert apply(ledger, rendered, delay).reason == "The outbox is full."
    assert (ledger.due_rendered(150.0), ledger.next_due_at(150.0)) == ([], 180.0)
    assert ledger.due_rendered(180.0) == [ledger.job(rendered.id)]
    assert ledger.next_due_at(180.0) is None


def test_a_refused_event_changes_nothing(ledger: Ledger) -> None:
    """Illegal and stale events, and a start before the photo is taken in, leave job and history as they were."""
    admission = drop(ledger)
    job = only(admission.new_jobs)
    with pytest.raises(IllegalTransitionError):
        ledger.apply(job.id, Started(now=101.0), policy=POLICY)
    take_in(ledger, admission)
    apply(ledger, job, Started(now=102.0), Interrupted(now=103.0))
    running = apply(ledger, job, Started(now=104.0))
    history = ledger.events()
    with pytest.raises(StaleAttemptError):
        ledger.apply(job.id, Rendered(attempt=1, output="x", now=105.0), policy=POLICY)
    with pytest.raises(IllegalTransitionError):
        ledger.apply(job.id, Retried(now=105.0), policy=POLICY)
    assert ledger.job(job.id) == running
    assert ledger.events() == history


def test_jobs_counts_and_history(ledger: Ledger) -> None:
    """Jobs are found by state and photo in both orders; counts name every state; the history tells the way of a job."""
    first, second = drop(ledger, "1", plans=[plan("a"), plan("b")]), drop(ledger, "2")
    take_in(ledger, first)
    done = paint(ledger, first.new_jobs[0])
    assert ledger.jobs(JobState.DONE) == [done]
    assert [job.id for job in ledger.jobs(newest_first=True, limit=2)] == [3, 2]
    assert [job.id for job in ledger.jobs(JobState.QUEUED, photo_id=second.photo.id)] == [3]
    assert ledger.counts() == dict.fromkeys(JobState, 0) | {JobState.DONE: 1, JobState.QUEUED: 2}
    assert ledger.unfinished(first.photo.id) == 1
    kinds = [event.kind for event in ledger.events(job_id=done.id)]
    assert kinds == ["job.queued", "job.started", "job.rendered", "job.published"]
    assert ledger.events(job_id=done.id)[2].detail == {
        "attempt": 1,
        "output": "me-abcdef/starry-night.jpg",
        "from": "running",
        "to": "rendered",
    }
    assert [event.kind for event in ledger.events(photo_id=first.photo.id) if event.job_id is None] == [
        "photo.admitted",
        "photo.moved",
    ]


def test_unknown_numbers_are_the_callers_mistake(ledger: Ledger) -> None:
    """Photos and jobs that do not exist are named in a usage error."""
    with pytest.raises(UsageError, match="no job 17"):
        ledger.job(17)
    with pytest.raises(UsageError, match="no job 17"):
        ledger.request_cancel(17, now=1.0)
    with pytest.raises(UsageError, match="no photo 4"):
        ledger.set_place(4, Place.STATE, now=1.0)


# -- commands that a crash swallowed


def test_what_is_left_to_do_is_found_in_the_ledger(ledger: Ledger) -> None:
    """A photo whose jobs are finished is to be filed; a retry of it once it is filed is to be taken back."""
    admission = drop(ledger)
    take_in(ledger, admission)
    job = failed(ledger, only(admission.new_jobs))
    (photo,) = ledger.to_file()
    ledger.set_place(photo.id, Place.FAILED, path=Path("/failed/me.jpg"), now=120.0)
    assert (ledger.to_file(), ledger.to_take_back()) == ([], [])
    assert ledger.apply(job.id, Retried(now=130.0), policy=POLICY)[1] == (TakeBack(photo.id),)
    assert ledger.next_queued(130.0) is None
    assert [found.id for found in ledger.to_take_back()] == [photo.id]
    take_in(ledger, admission)
    assert ledger.next_queued(130.0) == ledger.job(job.id)


def test_a_lost_photo_cancels_what_waits_in_line(ledger: Ledger) -> None:
    """With the photo go its queued and waiting jobs; one that is painting may finish, or is cancelled if it cannot."""
    admission = drop(ledger, plans=[plan("a"), plan("b"), plan("c")])
    take_in(ledger, admission)
    queued, waiting, running = admission.new_jobs
    apply(ledger, waiting, Waits(cause="out_of_memory", reason="Full.", next_try_at=1e9, now=110.0))
    apply(ledger, running, Started(now=110.0))
    ledger.set_place(admission.photo.id, Place.LOST, now=120.0)
    assert [ledger.job(job.id).state for job in (queued, waiting)] == [JobState.CANCELLED] * 2
    assert ledger.job(running.id).state is JobState.RUNNING
    after = apply(ledger, running, Interrupted(now=130.0))
    assert (after.state, after.cause) == (JobState.CANCELLED, "photo_lost")
    with pytest.raises(UsageError, match="gone"):
        ledger.retry(queued.id, now=140.0)


def test_cancelling_from_another_process(ledger: Ledger, state_folder: Path) -> None:
    """A queued job is cancelled on the spot; a running one leaves a request; a finished one is refused."""
    admission = drop(ledger, plans=[plan("a"), plan("b")])
    take_in(ledger, admission)
    queued, running = admission.new_jobs
    apply(ledger, running, Started(now=110.0))
    with open_ledger(state_folder) as command:
        version = ledger.data_version()
        assert command.request_cancel(queued.id, now=120.0).state is JobState.CANCELLED
        assert command.request_cancel(running.id, now=120.0).state is JobState.RUNNING
        assert ledger.data_version() != version
        with pytest.raises(UsageError, match="cancelled already"):
            command.request_cancel(queued.id, now=121.0)
    assert [job.id for job in ledger.cancel_requests()] == [running.id]
    job = apply(ledger, running, CancelRequested(now=122.0))
    assert (job.state, job.cancel_requested, ledger.cancel_requests()) == (JobState.CANCELLED, False, [])


def test_a_request_to_cancel_survives_the_daemon(ledger: Ledger) -> None:
    """A job asked to be cancelled does not start again after the daemon died."""
    admission = drop(ledger)
    take_in(ledger, admission)
    job = apply(ledger, only(admission.new_jobs), Started(now=110.0))
    ledger.request_cancel(job.id, now=111.0)
    apply(ledger, job, Interrupted(now=112.0))
    assert ledger.next_queued(113.0) is None
    assert [found.id for found in ledger.cancel_requests()] == [job.id]


def test_retrying_what_cannot_be_retried(ledger: Ledger) -> None:
    """Retry takes failed, cancelled and waiting jobs; for others it says in which state they are."""
    admission = drop(ledger)
    take_in(ledger, admission)
    job = only(admission.new_jobs)
    with pytest.raises(UsageError, match="is queued"):
        ledger.retry(job.id, now=120.0)
    failed(ledger, job)
    assert ledger.retry(job.id, now=130.0).state is JobState.QUEUED


def test_data_version_ignores_own_changes(ledger: Ledger, state_folder: Path) -> None:
    """The number stays when this process writes and changes when another does."""
    before = ledger.data_version()
    drop(ledger)
    assert ledger.data_version() == before
    with open_ledger(state_folder) as other:
        drop(other, "other")
    assert ledger.data_version() != before


# -- names and kept photos


def test_names_that_are_not_utf8_come_back_unchanged(tmp_path: Path) -> None:
    """Paths of photo, sidecar, style, destination and state folder keep their bytes; reasons stay readable."""
    odd = os.fsdecode(b"caf\xe9")
    style = StyleUse(name="style", path=Path(f"/styles/{odd}.jpg"), sha256="ab" * 32)
    odd_plan = Plan(preset="p", engine="patch", recipe={}, styles=(style,))
    path = Path(f"/inbox/{odd}/{odd}.jpg")
    state = tmp_path / odd
    with open_ledger(state) as ledger:
        admission = drop(ledger, path=path, sidecar=Path(f"{path}.yaml"), plans=[odd_plan])
        ledger.moving(admission.photo.id, Path(f"/state/{odd}"), now=101.0)
        reason = f"The disk of {odd} is full."
        apply(ledger, only(admission.new_jobs), Waits(cause="storage", reason=reason, next_try_at=1.0, now=1.0))
        ledger.kept.remember(path, 1, 2, 3, admission.photo.id)
    with open_ledger(state, read_only=True) as ledger:
        photo = ledger.photo(admission.photo.id)
        assert (photo.path, photo.dropped, photo.sidecar) == (path, path.relative_to("/"), Path(f"{path}.yaml"))
        assert os.fsencode(photo.path) == b"/inbox/caf\xe9/caf\xe9.jpg"
        assert photo.destination == Path(f"/state/{odd}")
        job = ledger.job(1)
        assert job.plan == odd_plan
        assert job.reason == r"The disk of caf\udce9 is full."
        assert ledger.kept.knows(path, 1, 2, 3)
        assert ledger.check() == []


def test_a_departure_is_known_until_it_ends(ledger: Ledger, state_folder: Path) -> None:
    """What leaves is known with where it goes and what follows it, also after a restart; the last word counts."""
    odd = Path(os.fsdecode(b"/inbox/caf\xe9.jpg"))
    copy = Departure(path=odd, destination=Path("/originals/me.jpg"), sidecar=Path("/inbox/s"), mask=Path("/inbox/m"))
    refused = Departure(path=Path("/inbox/notes.txt"), destination=None)
    ledger.departures.begin(replace(copy, destination=None))
    ledger.departures.begin(refused)
    ledger.departures.begin(copy)
    with open_ledger(state_folder, read_only=True) as reader:
        assert reader.departures.begun() == [copy, refused]
    ledger.departures.end(odd)
    ledger.departures.end(Path("/never/begun"))
    assert ledger.departures.begun() == [refused]


def test_kept_photos_are_known_by_path_size_time_and_inode(ledger: Ledger) -> None:
    """Any difference makes the file a new one; inodes may use all 64 bits; remembering again replaces."""
    photo_id = drop(ledger).photo.id
    path, inode = Path("/inbox/me.jpg"), 2**64 - 1
    ledger.kept.remember(path, 10, 20, 1, photo_id)
    ledger.kept.remember(path, 10, 20, inode, photo_id)
    assert ledger.kept.knows(path, 10, 20, inode)
    changed = [(Path("/inbox/x.jpg"), 10, 20, inode), (path, 11, 20, inode), (path, 10, 21, inode), (path, 10, 20, 1)]
    assert not any(ledger.kept.knows(*key) for key in changed)
    ledger.kept.forget(path)
    assert not ledger.kept.knows(path, 10, 20, inode)
