"""The folders, checked and made ready before the daemon starts: refuse at once what would lose photos later.

Guarantees: after `prepare`, every folder exists, can be written, renamed in and deleted in by this user, none lies in
another where that would paint pictures again and again, and the ledger is on a local disk.
Does not guarantee: that it stays so; a share that goes away later makes jobs wait.
"""

import errno
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from neural_selfie import files
from neural_selfie.config import Settings
from neural_selfie.errors import ConfigError, PermissionDeniedError, StorageUnavailableError
from neural_selfie.files import storage

_PROBES = 50
SCANNED_BY = "would be taken for photos again and again"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The rooms of the state folder: people do not look in here, and nothing in it is theirs to change."""

    root: Path

    @property
    def work(self) -> Path:
        """Photos taken in from the inbox, named by their hash."""
        return self.root / "work"

    @property
    def rendered(self) -> Path:
        """Painted pictures on their way to the outbox."""
        return self.root / "rendered"

    @property
    def styles(self) -> Path:
        """Style images as they were when a job was admitted, named by their hash."""
        return self.root / "styles"

    @property
    def models(self) -> Path:
        """Networks' weights: what `neural-selfie models fetch` brings, or people put there."""
        return self.root / "models"

    @property
    def cache(self) -> Path:
        """What was computed of style images; it may be deleted at any time."""
        return self.root / "cache"

    @property
    def picks(self) -> Path:
        """What was picked on the live page, on its way to the daemon."""
        return self.root / "picks"

    @property
    def token(self) -> Path:
        """Who may look at the live page from another machine has to know what is in here."""
        return self.root / "serve.token"

    @property
    def lock(self) -> Path:
        """Held by the daemon that works here; contains its process id."""
        return self.root / "daemon.lock"

    @property
    def progress(self) -> Path:
        """What is being painted right now, for `status`."""
        return self.root / "progress.json"


README = """This folder belongs to the neural-selfie daemon: ledger.sqlite3 knows every photo and picture, work/ holds
photos that are being painted, rendered/ pictures on their way to the outbox, styles/ the style images in use, picks/
what was picked on the live page.
Do not change anything here while the daemon runs, except in models/: networks' weights may be put there at any time.
"""


def prepare(settings: Settings) -> StateFolder:
    """Given the settings, make the folders ready and return the state folder.

    Raise ConfigError (exit 78) when one lies within another or the ledger would be on a network file system, and
    PermissionDeniedError (77) when one cannot be written, renamed or deleted in, also where the disk of `state` is
    mounted read-only, and StorageUnavailableError (1: the
    service is started again) when its disk is full or away.
    """
    refuse_overlaps(settings)
    folders = {"inbox": settings.inbox, "outbox": settings.outbox_folder, "failed": settings.failed_folder}
    if settings.originals.action == "move":
        folders["originals"] = settings.originals_folder
    state = StateFolder(settings.state)
    folders |= {"state": state.root}
    for name, folder in folders.items():
        _make_usable(name, folder)
    if storage.is_network(state.root):
        raise ConfigError(
            f"state: {state.root} lies on a network file system ({storage.file_system_type(state.root)}). The ledger "
            "needs a local disk; inbox and outbox may stay on the share."
        )
    for folder in (state.work, state.rendered, state.styles, state.models, state.cache, state.picks):
        folder.mkdir(mode=0o750, exist_ok=True)
    if not (readme := state.root / "README").exists():
        with suppress(FileNotFoundError):  # another daemon began at the same moment, and has just done it
            files.write_atomic(readme, README.encode())
    return state


def refuse_overlaps(settings: Settings) -> None:
    """Given the settings, raise ConfigError if a folder lies in another so that pictures are fed back or lost."""
    others = {
        "outbox": settings.outbox_folder,
        "failed": settings.failed_folder,
        "rejected": settings.rejected_folder,
        "originals.folder": settings.originals_folder,
        "state": settings.state,
    }
    for name, folder in {"inbox": settings.inbox, **others}.items():
        try:
            folder.resolve()
        except RuntimeError:
            raise ConfigError(f"{name}: {folder} is a link that leads to itself.") from None
    for name, folder in others.items():
        if storage.is_within(folder, settings.inbox):
            raise ConfigError(
                f"{name}: {folder} lies inside the inbox {settings.inbox}: what is put there {SCANNED_BY}."
            )
        if storage.is_within(settings.inbox, folder):
            raise ConfigError(f"inbox: {settings.inbox} lies inside {name} ({folder}): what is put there {SCANNED_BY}.")
    if storage.is_within(settings.rejected_folder, settings.outbox_folder):
        raise ConfigError(
            f"rejected: {settings.rejected_folder} lies inside the outbox {settings.outbox_folder}: what is put there "
            "hangs on the page again."
        )
    for name, folder in others.items():
        if name != "state" and (storage.is_within(folder, settings.state) or storage.is_within(settings.state, folder)):
            raise ConfigError(f"{name}: {folder} and the state folder {settings.state} must not lie in each other.")


def _make_usable(name: str, folder: Path) -> None:
    """Create the folder if need be and prove that files can be written, renamed and deleted in it."""
    try:
        with storage.storage_errors(f"the {name} folder {folder} cannot be used"):
            folder.mkdir(parents=True, exist_ok=True)
            _probe(folder)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{name}: {folder} is not a folder.") from None
    except StorageUnavailableError as error:
        if name == "state" and isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS:
            raise PermissionDeniedError(
                f"The state folder {folder} is on a disk that is mounted read-only, and the ledger has to be written. "
                "Mount it writable, or set `state` to another folder; then start the daemon again."
            ) from error
        raise
    except OSError as error:
        raise ConfigError(f"{name}: {folder} cannot be used: {error.strerror}.") from error


def _probe(folder: Path) -> None:
    probe, renamed = folder / ".neural-selfie-probe", folder / ".neural-selfie-probe-renamed"
    for left in reversed(range(_PROBES)):
        try:
            probe.write_bytes(b"probe")
            probe.rename(renamed)
            renamed.unlink()
        except FileNotFoundError:  # another daemon that begins on the same folder was at it in this moment
            if not left:
                raise
        else:
            return
