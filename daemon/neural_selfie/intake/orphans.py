"""Sidecars and masks that lie in the inbox and whose photo does not come: they stay, and `status` names them.

They are not moved: the photo may come tomorrow, and then counts with what lies there. Opens nothing but sidecars.
"""

import os
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from neural_selfie.config import masks
from neural_selfie.files import names

_SHOWN_MAX = 20
_LOOK_SECONDS = 5.0


@dataclass(slots=True)
class Orphans:
    """Given the inbox and how long company may be early, take note of what is seen of it."""

    inbox: Path
    patience_seconds: float
    _seen: dict[Path, float] = field(default_factory=dict)
    _orphans: tuple[Path, ...] = ()
    _look_at: float = 0.0

    def noted(self, path: Path, now: float) -> None:
        """Given a sidecar or mask that lies in the inbox, take note of it."""
        self._seen.setdefault(path, now)

    def overdue(self, now: float) -> tuple[Path, ...]:
        """Return the first twenty, relative to the inbox, that have been there for too long without a photo."""
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._seen = {path: since for path, since in self._seen.items() if os.path.lexists(path)}
            found = (
                path
                for path, since in self._seen.items()
                if now - since >= self.patience_seconds and not self._has_photo(path)
            )
            self._orphans = tuple(sorted(path.relative_to(self.inbox) for path in islice(found, _SHOWN_MAX)))
        return self._orphans

    def _has_photo(self, path: Path) -> bool:
        if names.is_sidecar(path):
            return os.path.lexists(_photo_of(path))
        beside = [other for other in self._seen if names.is_sidecar(other) and other.parent == path.parent]
        return any(masks.named(_photo_of(sidecar)) == path and self._has_photo(sidecar) for sidecar in beside)


def _photo_of(sidecar: Path) -> Path:
    return sidecar.with_name(sidecar.name.rpartition(".")[0])
