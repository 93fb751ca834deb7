"""At start: finish what a crash or power cut interrupted, so that every photo is in exactly one place.

Runs before anything else is seen or painted. It may be interrupted itself, anywhere, and is then begun again.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from neural_selfie import lifecycle, outbox, waypoints
from neural_selfie.errors import SelfieError
from neural_selfie.filing import Desk, away, departing, taking
from neural_selfie.finishing import policy_of
from neural_selfie.ledger import Ledger
from neural_selfie.model import JobState, Place
from neural_selfie.outbox import Spool

log = structlog.get_logger()


def recover(desk: Desk, spool: Spool, now: float) -> None:
    """Given the ledger and the folders as the last run left them, bring them into step."""
    waypoints.reached("recovery.begun")
    away.settle_moves(desk, now)
    departing.settle_departures(desk)
    for photo in desk.ledger.photos(place=Place.INBOX):
        try:
            taking.take_in_again(desk, photo, now)
        except (SelfieError, OSError) as error:  # tried again when the scan finds it; the others do not wait
            log.warning("photo.not_taken_in", photo=photo.name, reason=str(error))
        else:
            waypoints.reached("recovery.taken_in")
    for job in desk.ledger.jobs(state=JobState.RUNNING):
        died = lifecycle.Interrupted(now=now, deaths=1 + _deaths_before(desk.ledger, job.id))
        after, _ = desk.ledger.apply(job.id, died, policy=policy_of(desk.settings))  # filed by Painting.resume
        waypoints.reached("recovery.put_back")
        if died.deaths > 1:
            log.warning("job.interrupted", deaths=died.deaths, now=str(after.state), **job.log_fields())
    try:
        away.explain_again(desk, now)
    except (SelfieError, OSError) as error:
        log.warning("photo.not_explained", reason=str(error))
    _sweep(desk, spool)
    waypoints.reached("recovery.ended")


def _deaths_before(ledger: Ledger, job_id: int) -> int:
    """Return how often in a row, up to its present start, a job was being painted when the daemon died."""
    for event in reversed(ledger.events(job_id=job_id)):
        if event.kind == "job.interrupted":
            return int(event.detail.get("deaths", 0))
        if event.kind != "job.started":
            break
    return 0


def _sweep(desk: Desk, spool: Spool) -> None:
    """Remove what is half-made, and painted pictures that nobody waits for."""
    rendered = desk.ledger.jobs(state=JobState.RENDERED)
    try:
        left = set(spool.job_ids()) - {job.id for job in rendered}
    except OSError as error:  # swept after another start
        log.warning("state.unread", reason=str(error))
        left = set()
    for job_id in left:
        spool.drop(job_id)
        waypoints.reached("recovery.spool_swept")
    state = desk.state
    _remove(part for room in (state.root, state.work, state.styles) for part in room.glob(".*.part"))
    photos = {job.photo_id: desk.ledger.photo(job.photo_id) for job in rendered}
    _remove(outbox.temporaries(desk.settings.outbox_folder, photos.values()))


def _remove(parts: Iterable[Path]) -> None:
    for part in parts:
        with suppress(OSError):  # it is in nobody's way
            part.unlink()
            waypoints.reached("recovery.part_removed")
