"""The models folder: which file with a network a job is painted with, what lies there, and whether it changed.

Cheap: it looks at names and at what `stat` says, and reads a file only for `inspected`. torch is loaded for nothing
but that. `fetching` brings the official file.
"""

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from neural_selfie.errors import WeightsUnavailableError
from neural_selfie.files.names import shown

# As torchvision's VGG19_Weights.IMAGENET1K_V1.url ends, which takes torch to ask.
FILE_NAME: Final = "vgg19-dcbb9e9d.pth"
SUFFIXES: Final = (".pth", ".pt", ".safetensors", ".model")
_SMALLEST_BYTES: Final = 32 << 20  # VGG-19 without its classifier in half precision has 40 MB; decoders have fewer
_LOOK_SECONDS: Final = 1.0

Signature = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the models folder: network, layout and SHA-256, or `fault`, why it cannot be used."""

    path: Path
    size_bytes: int
    network: str | None = None
    layout: str | None = None
    sha256: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The file that a preset's weights come from and what `stat` says of it; `signature` is None if it is not there."""

    path: Path
    signature: Signature | None


def candidates(folder: Path) -> list[Path]:
    """Given the models folder, return the files in it that may be weights, by name; [] if there is no folder."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    except OSError:
        return []
    return sorted(path for path in found if (signature := _signature(path)) is not None and signature[2] > 0)


def choose(wanted: str | None, folder: Path) -> Path:
    """Given a preset's `weights` or None, and the models folder, return the file to use, whether it is there or not.

    That is the one the preset names, else the official one, else the only one that is large enough for VGG-19.
    """
    if wanted is not None:
        return Path(wanted)
    official = folder / FILE_NAME
    if _signature(official) is not None:
        return official
    large = _large(folder)
    return large[0] if len(large) == 1 else official


def found(wanted: str | None, folder: Path) -> Path:
    """Given a preset's `weights` or None, and the models folder, return the file to use.

    Raise WeightsUnavailableError if it is not there, naming it and saying what brings it.
    """
    look = look_for(wanted, folder)
    if look.signature is None:
        raise missing(look.path, wanted, folder)
    return look.path


def look_for(wanted: str | None, folder: Path) -> Look:
    """Given a preset's `weights` or None, and the models folder, return the file to use and how it looks now."""
    path = choose(wanted, folder)
    return Look(path, _signature(path))


def missing(path: Path, wanted: str | None, folder: Path) -> WeightsUnavailableError:
    """Given the file that is not there, return the error that says so."""
    if wanted is not None:
        return WeightsUnavailableError(
            f"The network that the preset names is not there: looked for {shown(path)}. Put the file there. "
            "(A preset with `engine: gatys` can do without `weights`: `neural-selfie models fetch` brings a network.)"
        )
    here = f"The VGG-19 weights are not there: looked for {shown(path)}."
    if len(_large(folder)) > 1:
        return WeightsUnavailableError(
            f"{here} There are several other files: name one in the preset (weights: FILE), or run "
            "`neural-selfie models fetch`."
        )
    return WeightsUnavailableError(
        f"{here} Run `neural-selfie models fetch` (550 MB, once), or put a VGG-19 file into that folder; the picture "
        "is then painted by itself."
    )


def inspected(path: Path) -> Entry:
    """Given a file, read it to the end and say what it is. Takes seconds, and loads torch."""
    from neural_selfie.engine.feedforward import transformer  # noqa: PLC0415 - torch must not load with this module
    from neural_selfie.engine.gatys import weights  # noqa: PLC0415 - see above

    size_bytes = path.stat().st_size
    try:
        if transformer.is_one(path):
            trained = transformer.load(path)
            return Entry(path, size_bytes, "a network for feedforward", trained.layout, trained.sha256)
        vgg = weights.load(path)
    except WeightsUnavailableError as error:
        return Entry(path, size_bytes, fault=str(error))
    return Entry(path, size_bytes, "VGG-19", vgg.layout, vgg.sha256)


@dataclass(slots=True)
class Awaited:
    """The jobs that wait for weights, and which of them may go on because their file has changed.

    A file wakes nobody until it has looked the same twice, a second apart: while it is copied, every try would fail.
    """

    folder: Path
    _jobs: dict[int, tuple[str | None, Look | None]] = field(default_factory=dict)
    _seen: dict[str | None, Look] = field(default_factory=dict)
    _refused: dict[Look, tuple[float, str]] = field(default_factory=dict)
    _looked_at: float = 0.0

    def add(self, job_id: int, wanted: str | None, tried: Look | None) -> None:
        """Given a job, its preset's `weights` and how its file looked when tried (None: unknown), remember it."""
        self._jobs[job_id] = (wanted, tried)

    def drop(self, job_id: int) -> None:
        """Given a job that no longer waits for weights, forget it."""
        self._jobs.pop(job_id, None)

    def refuse(self, look: Look, reason: str, until: float) -> None:
        """Given how a file looked that could not be used, spare the workers another try of the same until then."""
        self._refused = {look: (until, reason)} | {key: value for key, value in self._refused.items() if key != look}

    def trouble(self, look: Look, wanted: str | None, now: float) -> WeightsUnavailableError | None:
        """Given how a preset's file looks now, return why a worker need not try it: not there, or just refused."""
        if look.signature is None:
            return missing(look.path, wanted, self.folder)
        self._refused = {key: value for key, value in self._refused.items() if value[0] > now}
        return WeightsUnavailableError(self._refused[look][1]) if look in self._refused else None

    def ready(self, now: float) -> list[int]:
        """Return the jobs whose file is there, differs from what they tried and is quiet; looks once a second."""
        if not self._jobs or 0 <= now - self._looked_at < _LOOK_SECONDS:
            return []
        self._looked_at = now
        before, self._seen = self._seen, {}
        for wanted in {wanted for wanted, _ in self._jobs.values()}:
            self._seen[wanted] = look_for(wanted, self.folder)
        return [
            job_id
            for job_id, (wanted, tried) in self._jobs.items()
            if (look := self._seen[wanted]).signature is not None and look != tried and look == before.get(wanted)
        ]


def _large(folder: Path) -> list[Path]:
    facts = {path: _signature(path) for path in candidates(folder)}
    return [path for path, signature in facts.items() if signature is not None and signature[2] >= _SMALLEST_BYTES]


def _signature(path: Path) -> Signature | None:
    """Return what changes when a file does, or None where there is no regular file that can be seen."""
    try:
        facts = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
