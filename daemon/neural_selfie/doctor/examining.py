"""Look at everything that the daemon needs, and say what is wrong. Changes nothing, and never hangs.

Works beside a running daemon and without one. Root looks as the user whose the state folder is.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from neural_selfie import config as configuration
from neural_selfie.config import Loaded, Settings
from neural_selfie.doctor import engines, folders, ledger, machine, presets, unit, watching
from neural_selfie.doctor.apart import NoAnswerError, Question, User
from neural_selfie.doctor.finding import Finding, ok, wrong
from neural_selfie.doctor.folders import Looked
from neural_selfie.errors import ConfigError, SelfieError
from neural_selfie.files.names import shown

Answer = TypeVar("Answer")
_PATIENCE_SECONDS = 20.0  # a disk that slept needs ten
_TORCH_SECONDS = 180.0  # to load torch from a slow disk, and to read 550 MB of weights
_HANGS = (
    "Look whether the other machine is up and the network is; then mount it again (`sudo umount --lazy FOLDER`, `sudo "
    "mount FOLDER`)."
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, in the order to read them. `is_readable`: whether the configuration could be read."""

    findings: tuple[Finding, ...]
    is_readable: bool = True

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; there may be warnings."""
        return all(finding.state != "wrong" for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0: nothing is wrong, 1: something is, 78: the configuration cannot be read."""
        if not self.is_readable:
            return ConfigError.exit_code
        return 0 if self.ok else 1


def examine(option: Path | None, environ: Mapping[str, str] = os.environ) -> Diagnosis:
    """Given `--config` or None and the environment, look at everything and return what was found."""
    found = machine.look()
    try:
        with Question(configuration.load, option, dict(environ)) as asked:
            loaded = asked.answer(_PATIENCE_SECONDS)
    except (SelfieError, NoAnswerError) as error:
        mend = "Mend that; `neural-selfie config check` says when it is in order."
        found.append(wrong("config", str(error), mend))
        found += unit.judged(unit.properties(), {}, None, None)
        with Question(engines.ask, ()) as torch:
            found += engines.devices(_told(torch), engines.seen_gpus(), Settings())
        return Diagnosis(tuple(found), is_readable=False)
    source = shown(loaded.path) if loaded.path else "defaults, there is no file"
    found.append(ok("config", f"The configuration is in order ({source})."))
    found += examine_house(loaded, _PATIENCE_SECONDS)
    found += _examine_engines(loaded)
    return Diagnosis(tuple(found))


def examine_house(loaded: Loaded, patience_seconds: float) -> list[Finding]:
    """Given the configuration, return what was found of folders, ledger, images and unit: of all but what paints.

    `patience_seconds`: how long a folder may take to answer.
    """
    settings = loaded.settings
    service = unit.properties()
    with Question(folders.owner, settings.state) as asked:
        owner, known = _answer(asked, time.monotonic() + patience_seconds, lambda _: (None, False))
    user = machine.service_user(unit.uid(service) if owner is None else owner)
    places = _places(settings)

    def absent(name: str) -> folders.Absent:
        if known:
            return "lost"
        return "unit" if unit.makes(service, places[name]) else "new"

    with ExitStack() as stack:

        def ask(function: Callable[..., list[Finding]], *arguments: object) -> Question[list[Finding]]:
            return stack.enter_context(Question(function, *arguments, user=user))

        looks = {name: stack.enter_context(_look(settings, name, absent(name), user)) for name in places}
        others = {
            "config": ask(folders.readable, loaded.path),
            "events": ask(watching.look, settings.inbox, settings.watch.polling, settings.watch.ignore),
            "layout": ask(presets.overlaps, loaded),
        }
        larger = {"ledger": ask(ledger.look, settings.state), "presets": ask(presets.images, loaded)}
        until = time.monotonic() + patience_seconds
        looked = {name: _answer(each, until, partial(_silent, name, places[name])) for name, each in looks.items()}
        told = {name: _answer(each, until, partial(_unanswered, name)) for name, each in others.items()}
        until += 2 * patience_seconds  # a large ledger and many style images take their time
        told |= {name: _answer(each, until, partial(_unanswered, name)) for name, each in larger.items()}
    found = list(machine.user(user.uid if user else owner))
    for name, folder in places.items():
        found += looked[name].findings
        if name in {"inbox", "outbox"} and unit.is_installed(service):
            found += unit.sharing(name, looked[name], folder)
    found += _disks(looked)
    found += [finding for findings in told.values() for finding in findings]
    return [*found, *unit.judged(service, places, loaded.path, owner)]


def _places(settings: Settings) -> dict[str, Path]:
    places = {"inbox": settings.inbox, "outbox": settings.outbox_folder, "failed": settings.failed_folder}
    if settings.originals.action == "move":
        places["originals"] = settings.originals_folder
    return {**places, "state": settings.state}


def _look(settings: Settings, name: str, absent: folders.Absent, user: User | None) -> Question[Looked]:
    folder = _places(settings)[name]
    look = partial(folders.look, fills=folder in settings.filling_folders, absent=absent)
    return Question(look, name, folder, settings.disks.free_mib, user=user)


def _answer(question: Question[Answer], until: float, otherwise: Callable[[Exception], Answer]) -> Answer:
    """Return the answer, or what `otherwise` makes of the reason why there is none by then (monotonic seconds)."""
    try:
        return question.answer(max(0.0, until - time.monotonic()))
    except Exception as error:  # noqa: BLE001 - one check that fails must not hide what the others found
        return otherwise(error)


def _silent(name: str, folder: Path, error: Exception) -> Looked:
    return Looked((_unseen(name, shown(folder), error),))


def _unanswered(name: str, error: Exception) -> list[Finding]:
    return [_unseen(name, "This", error)]


def _unseen(name: str, what: str, error: Exception) -> Finding:
    if isinstance(error, NoAnswerError):
        return wrong(name, f"{what} cannot be looked at: {error}.", _HANGS)
    if isinstance(error, PermissionError):
        mend = "Install the program where the daemon's user may read it, such as /opt/neural-selfie."
        return wrong(name, f"{what} cannot be looked at: {error.filename}: {error.strerror}.", mend)
    mend = "Try again; if it stays so, report it as a fault of this program."
    return wrong(name, f"{what} cannot be looked at: {type(error).__name__}: {error}.", mend)


def _disks(looked: Mapping[str, Looked]) -> Iterator[Finding]:
    """Yield which folders photos and pictures are copied between, because a rename does not lead to another disk."""
    state = looked["state"].device
    others = [name for name, each in looked.items() if None not in {state, each.device} and each.device != state]
    if others:
        says = (
            f"{', '.join(others)}: on another disk than the state folder, so that files are copied there, not renamed."
        )
        yield ok("disks", says)
    elif state is not None:
        yield ok("disks", "All folders are on one disk: files are renamed, not copied.")


def _examine_engines(loaded: Loaded) -> list[Finding]:
    with Question(engines.find_weights, loaded) as asked:
        files = _answer(asked, time.monotonic() + _PATIENCE_SECONDS, lambda _: {})
    with Question(engines.ask, tuple({path for path, is_there in files.values() if is_there})) as torch:
        said = _told(torch)
    found = list(engines.devices(said, engines.seen_gpus(), loaded.settings))
    return [*found, *engines.weights(loaded, files, said), *engines.extras(loaded.settings)]


def _told(torch: Question[engines.Torch]) -> engines.Torch:
    until = time.monotonic() + _TORCH_SECONDS
    return _answer(torch, until, lambda error: engines.Torch(trouble=str(error)))
