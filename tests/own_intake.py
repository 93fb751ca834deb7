"""An intake in the test's own process, with a real ledger and a real inspector, to be driven step by step."""

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from house import House
from neural_selfie import config
from neural_selfie.config import layout
from neural_selfie.config.catalogue import open_catalogue
from neural_selfie.filing import Desk
from neural_selfie.intake import Intake
from neural_selfie.ledger import open_ledger
from neural_selfie.model import Limits
from neural_selfie.workers.seat import CallEnded

LATER = 10.0  # seconds: whatever was dropped has been quiet for long


@dataclass(frozen=True, slots=True)
class OwnIntake:
    """A real intake in this process, with the queue that its inspector answers to."""

    intake: Intake
    desk: Desk
    messages: "queue.SimpleQueue[Any]"

    def admit_all(self, folder: Path) -> None:
        """Let every file of a folder be seen, settle, be inspected and admitted."""
        self.see(folder)
        while not self.intake.idle:
            self.intake.inspected(self.answer(), time.time() + LATER)

    def see(self, folder: Path) -> None:
        """Let every file of a folder be seen."""
        for path in sorted(folder.iterdir()):
            self.intake.sighted(path, time.time())

    def answer(self) -> CallEnded:
        """Send what is quiet to the inspector and return what comes back."""
        self.intake.tick(time.time() + LATER)
        message: CallEnded = self.messages.get(timeout=60)
        return message


@contextmanager
def own_intake(house: House) -> Iterator[OwnIntake]:
    """Give a house an intake of its own, as long as the block runs."""
    catalogue = open_catalogue(config.load(house.config))
    state = layout.prepare(catalogue.settings)
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with open_ledger(house.state) as ledger:
        desk = Desk(catalogue.settings, state, ledger)
        intake = Intake(catalogue.kept_in(state.styles), desk, Limits(), messages.put)
        try:
            yield OwnIntake(intake, desk, messages)
        finally:
            intake.close()
