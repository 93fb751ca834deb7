"""From a whole photo in the inbox to one that is written down and taken in: what it asks for, and one or many at once.

Photos that are new to the ledger and came alone, as a memory card brings them by the thousand, are admitted together:
two transactions and a sync for each folder are enough for all of them. Everything else is admitted one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from neural_selfie import outbox, waypoints
from neural_selfie.config import masks, sidecars
from neural_selfie.config.catalogue import Catalogue
from neural_selfie.errors import SelfieError
from neural_selfie.files import names
from neural_selfie.filing import Desk, departing, taking, together
from neural_selfie.intake.inspector import Inspected
from neural_selfie.ledger import Admission
from neural_selfie.model import MaskUse, PhotoFacts, Place, Plan

Troubles = dict[Path, SelfieError | OSError]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A whole photo in the inbox, and the pictures that it asks for."""

    path: Path
    facts: PhotoFacts
    mask: MaskUse | None
    sidecar: Path | None
    plans: tuple[Plan, ...]


@dataclass(slots=True)
class Admitting:
    """`admitted`: the photos in the ledger that are not taken in yet. `lose(path, now)` gives up the one at a path."""

    catalogue: Catalogue
    desk: Desk
    admitted: dict[Path, int]
    lose: Callable[[Path, float], None]

    def arrival(self, path: Path, inspected: Inspected) -> Arrival:
        """Given a photo that was inspected, return what it asks for; raise SidecarError if that cannot be told."""
        mask = inspected.mask
        dropped = path.relative_to(self.catalogue.settings.inbox)
        sidecar = sidecars.beside(path)
        plans = self.catalogue.plans_for(dropped, sidecars.text_of(path), mask)
        if mask is not None:
            kept = masks.kept(mask, self.desk.state.styles)
            waypoints.reached("mask.kept")
            plans = tuple(plan if plan.mask is None else replace(plan, mask=kept) for plan in plans)
        return Arrival(path, inspected.photo, mask, sidecar, plans)

    def admit(self, arrivals: Sequence[Arrival], now: float) -> tuple[Troubles, list[int]]:
        """Given photos, write them down and take them in.

        Return what was in the way, by their paths, and the ids of those that need no picture any more.
        """
        troubles: Troubles = {}
        finished = []
        many = self._alike(arrivals)
        try:
            troubles |= self._admit_together(many, now)
        except (SelfieError, OSError) as error:
            troubles |= dict.fromkeys((arrival.path for arrival in many), error)
        admitted = {arrival.path for arrival in many}
        for arrival in (arrival for arrival in arrivals if arrival.path not in admitted):
            try:
                if (photo_id := self._admit(arrival, now)) is not None:
                    finished.append(photo_id)
            except (SelfieError, OSError) as error:
                troubles[arrival.path] = error
        return troubles, finished

    def _alike(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Return those that can be admitted together; none where they would not be many."""
        found: dict[str, Arrival] = {}
        for arrival in arrivals:
            alone = arrival.sidecar is None and arrival.mask is None
            sha256 = arrival.facts.sha256
            if alone and arrival.path not in self.admitted and self.desk.ledger.photo_by_sha256(sha256) is None:
                found.setdefault(sha256, arrival)
        return [] if self.desk.keeps or len(found) <= 1 else list(found.values())

    def _admit_together(self, arrivals: Sequence[Arrival], now: float) -> Troubles:
        with self.desk.ledger.together():
            photos = {arrival.path: self._write_down(arrival, now).photo for arrival in arrivals}
        for path, photo in photos.items():
            waypoints.reached("photo.admitted")
            self.admitted[path] = photo.id
        troubles = together.take_in(self.desk, list(photos.values()), now)
        for arrival in arrivals:
            photo_id = photos[arrival.path].id
            if photo_id not in troubles:
                del self.admitted[arrival.path]
                self._say(arrival, len(arrival.plans))
        return {path: troubles[photo.id] for path, photo in photos.items() if photo.id in troubles}

    def _admit(self, arrival: Arrival, now: float) -> int | None:
        """Admit one photo; return its id if every picture of it is there already."""
        path, ledger = arrival.path, self.desk.ledger
        before = ledger.photo_by_sha256(arrival.facts.sha256)
        if before is not None and before.place is Place.FAILED and before.destination is None:
            departing.file_failed_copy(self.desk, before)  # first: afterwards nobody knows where it is
        admission = self._write_down(arrival, now)
        photo = admission.photo
        waypoints.reached("photo.admitted")
        if self.admitted.get(path, photo.id) != photo.id:
            self.lose(path, now)
        if admission.duplicate:
            departing.file_copy(self.desk, path, arrival.sidecar, arrival.mask)
            if self.desk.keeps:
                taking.remember_kept(self.desk, photo, path)
            self._say(arrival, len(admission.new_jobs), event="photo.dropped_again")
            return None
        self.admitted[path] = photo.id
        taking.take_in(self.desk, photo, now)
        del self.admitted[path]
        self._say(arrival, len(admission.new_jobs))
        return photo.id if ledger.unfinished(photo.id) == 0 else None

    def _write_down(self, arrival: Arrival, now: float) -> Admission:
        path, facts, settings = arrival.path, arrival.facts, self.catalogue.settings
        return self.desk.ledger.admit(
            facts,
            name=names.shown(path.name),
            dropped=path.relative_to(settings.inbox),
            path=path,
            sidecar=arrival.sidecar,
            folder=lambda digits: names.outbox_folder(path.name, facts.sha256, digits),
            plans=arrival.plans,
            now=now,
            is_there=self._is_there,
        )

    def _is_there(self, output: str) -> bool:
        """Whether a picture lies in the outbox, or where somebody rejected it: who did does not want it again.

        Raise StorageUnavailableError if the outbox is away: nobody knows then.
        """
        settings = self.catalogue.settings
        self.desk.shares.check(settings.outbox_folder)
        return any(outbox.is_there(folder, output) for folder in (settings.outbox_folder, settings.rejected_folder))

    def _say(self, arrival: Arrival, new_jobs: int, *, event: str = "photo.admitted") -> None:
        facts = arrival.facts
        log.info(
            event,
            photo=names.shown(arrival.path.name),
            sha256=facts.sha256[:6],
            new_jobs=new_jobs,
            presets=list(dict.fromkeys(plan.preset for plan in arrival.plans)),
            width=facts.width,
            height=facts.height,
        )
