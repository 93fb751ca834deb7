"""What every move needs to know: the folders, and the ledger in which it is written down. It moves nothing itself."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from neural_selfie import files
from neural_selfie.config import Settings
from neural_selfie.config.layout import StateFolder
from neural_selfie.errors import SelfieError
from neural_selfie.files import names
from neural_selfie.files.shares import Shares
from neural_selfie.ledger import Ledger
from neural_selfie.model import Photo

_SUFFIX_CHARACTERS_MAX = 10  # what follows the last dot of a name may be half a sentence


@dataclass(frozen=True, slots=True)
class Desk:
    """The folders that people see, the state folder, and the ledger that knows what is where."""

    settings: Settings
    state: StateFolder
    ledger: Ledger
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        for folder in self._homes:
            with suppress(SelfieError):
                self.shares.check(folder)  # now they are what they should be: `layout.prepare` has looked

    @property
    def _homes(self) -> tuple[Path, ...]:
        settings = self.settings
        originals = (settings.originals_folder,) if settings.originals.action == "move" else ()
        return settings.inbox, settings.outbox_folder, settings.failed_folder, *originals

    def away(self) -> list[str]:
        """Return a sentence for each folder that is gone, or whose share is not mounted any more."""
        found = []
        for folder in self._homes:
            try:
                self.shares.check(folder)
            except (SelfieError, OSError) as error:
                found.append(str(error))
        return found

    def is_gone(self, path: Path) -> bool:
        """Whether certainly nothing is at a path; raise StorageUnavailableError if its folder or share is away."""
        self.shares.check(next((home for home in self._homes if path.is_relative_to(home)), path.parent))
        return files.is_gone(path)

    def work_path(self, photo: Photo) -> Path:
        """Return where a photo lies in the state folder while it is painted."""
        suffix = photo.dropped.suffix.lower()
        plain = suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= _SUFFIX_CHARACTERS_MAX
        return self.state.work / f"{photo.sha256}{suffix if plain else ''}"

    def explained_path(self, dropped: Path) -> Path:
        """Return where in failed/ a file that stays in the inbox would lie: photos of two folders may share a name."""
        name = "-".join(dropped.parts)
        fits = len(os.fsencode(name)) <= names.NAME_BYTES
        return self.settings.failed_folder / (name if fits else names.numbered(name, 2))

    @property
    def keeps(self) -> bool:
        """Whether photos stay in the inbox: they are painted from there, and nothing of the inbox is moved."""
        return self.settings.originals.action == "keep"
