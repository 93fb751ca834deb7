"""Small photos and plans to put into a ledger, the steps of a job in one line, and what other processes do to it."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from neural_selfie.ledger import Admission, Ledger, open_ledger
from neural_selfie.lifecycle import Event, IllegalTransitionError, Published, Rendered, RetryPolicy, Started, kind_of
from neural_selfie.model import Job, PhotoFacts, Place, Plan, StyleUse

POLICY = RetryPolicy()


def facts(seed: object = "me") -> PhotoFacts:
    """Given anything, return the facts of a photo whose bytes are that."""
    sha256 = hashlib.sha256(str(seed).encode()).hexdigest()
    return PhotoFacts(
        sha256=sha256, format="JPEG", width=640, height=480, size_bytes=1234, taken_at="2017-05-01T12:00:00"
    )


def plan(preset: str = "starry-night", **variant: float) -> Plan:
    """Given a preset and a variant, return a plan of it."""
    style = StyleUse(name="starry.jpg", path=Path("/styles/starry.jpg"), sha256="ab" * 32)
    return Plan(preset=preset, engine="patch", variant=variant, recipe={"size": 64, **variant}, styles=(style,))


def drop(
    ledger: Ledger,
    seed: object = "me",
    plans: Sequence[Plan] | None = None,
    *,
    path: Path = Path("/inbox/me.jpg"),
    sidecar: Path | None = None,
    folder: Callable[[int], str] | None = None,
    now: float = 100.0,
    is_there: Callable[[str], bool] = lambda _output: True,
) -> Admission:
    """Given the bytes of a photo, drop it into the ledger's inbox at `path`; one plan unless told otherwise."""
    photo = facts(seed)
    return ledger.admit(
        photo,
        name=path.name,
        dropped=path.relative_to(path.anchor),
        path=path,
        sidecar=sidecar,
        folder=folder or (lambda digits: f"me-{photo.sha256[:digits]}"),
        plans=[plan()] if plans is None else plans,
        now=now,
        is_there=is_there,
    )


def take_in(ledger: Ledger, admission: Admission, *, now: float = 101.0) -> None:
    """Given a fresh admission, write down that its file is in the state folder."""
    ledger.set_place(admission.photo.id, Place.STATE, path=Path(f"/state/work/{admission.photo.id}"), now=now)


def apply(ledger: Ledger, job: Job, *events: Event) -> Job:
    """Given a job and what happens to it in turn, return it as it is afterwards."""
    for event in events:
        job, _ = ledger.apply(job.id, event, policy=POLICY)
    return job


def paint(ledger: Ledger, job: Job, *, output: str = "me-abcdef/starry-night.jpg", now: float = 102.0) -> Job:
    """Given a queued job of a photo taken in, bring it to its end."""
    started = apply(ledger, job, Started(now=now))
    rendered = Rendered(attempt=started.attempts, output=output, now=now)
    return apply(ledger, started, rendered, Published(now=now))


def burst(state: str) -> None:
    """Given a state folder, write without end and print the job and the kind of event of each thing written."""
    with open_ledger(Path(state)) as ledger:
        first = len(ledger.photos())
        for number in count(first):
            admission = drop(ledger, number, path=Path(f"/inbox/{number}.jpg"))
            (job,) = admission.new_jobs
            print(job.id, "job.queued", flush=True)  # noqa: T201 - the parent reads it
            take_in(ledger, admission)
            for event in (Started(now=1.0), Rendered(attempt=1, output=f"{number}.jpg", now=2.0), Published(now=3.0)):
                apply(ledger, job, event)
                print(job.id, f"job.{kind_of(type(event))}", flush=True)  # noqa: T201 - the parent reads it


def compete(state: str, photos: int) -> None:
    """Given a state folder that another process works on too, drop and paint; print the jobs finished here."""
    with open_ledger(Path(state)) as ledger:
        for number in range(photos):
            admission = drop(ledger, number, path=Path(f"/inbox/{number}.jpg"))
            if admission.photo.place is Place.INBOX:
                take_in(ledger, admission)
            while job := ledger.next_queued(1e6):
                try:
                    paint(ledger, job, output=f"{job.id}.jpg")
                except IllegalTransitionError:
                    continue  # the other process was faster
                print(job.id)  # noqa: T201 - the parent reads it
