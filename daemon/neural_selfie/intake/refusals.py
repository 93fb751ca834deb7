"""What may not be painted goes to failed/ with its reason; what cannot be moved there is told once, and left alone."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from neural_selfie.config import sidecars
from neural_selfie.errors import SelfieError
from neural_selfie.files import names
from neural_selfie.filing import Desk, departing
from neural_selfie.inbox.settle import FileFacts

log = structlog.get_logger()


@dataclass(slots=True)
class Refusals:
    """The refusals of this run: how many (`count`), and which files still lie in the inbox and are done with."""

    desk: Desk
    count: int = 0
    _left_alone: dict[Path, FileFacts] = field(default_factory=dict)

    def leave_alone(self, path: Path, seen: FileFacts) -> None:
        """Given a file that stays where it is, be done with it until it is another."""
        self._left_alone[path] = seen

    def leaves_alone(self, path: Path, seen: FileFacts) -> bool:
        """Return whether this file, as it is now, is done with."""
        return self._left_alone.get(path) == seen

    def refuse(self, path: Path, error: SelfieError, now: float) -> None:
        """Given a path in the inbox and why it is refused, move it to failed/ and say so.

        Raise SelfieError or OSError if it could not be moved nor explained; it then counts as never seen.
        """
        seen = FileFacts.of(os.lstat(path))
        moved = departing.refuse(self.desk, path, error, now, sidecars.beside(path))
        if os.path.lexists(path):
            self._left_alone[path] = seen
        self.count += 1
        log.warning(
            "photo.refused",
            photo=names.shown(path.name),
            cause=error.code,
            reason=str(error),
            moved_to=names.shown(moved),
        )
