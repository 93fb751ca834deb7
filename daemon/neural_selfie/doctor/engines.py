"""What paints: torch and its build, GPU and driver, the networks' weights, the optional packages.

torch is loaded by `ask` only, which runs in a process of its own; the judgements are pure.
"""

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neural_selfie import models, workers
from neural_selfie.config import GpuWorkers, Loaded, Settings
from neural_selfie.config.catalogue import weights_of
from neural_selfie.config.layout import StateFolder
from neural_selfie.doctor.finding import Finding, ok, warning, wrong
from neural_selfie.engine.recipe import NETWORKED
from neural_selfie.errors import ConfigError
from neural_selfie.files.names import shown

_FITS = {"gatys": "VGG-19", "feedforward": "a network for feedforward"}
_CUDA_BUILD = "Install torch's build with CUDA (pytorch.org, Get Started), or set `workers: cpu`."


@dataclass(frozen=True, slots=True)
class Torch:
    """What torch says of itself: `build` of CUDA or ROCm, or None for a build without; `gpus` by name.

    `complaint`: what it says where it cannot use a GPU; `broken`: the same by GPU, for those that compute nothing.
    `networks`: what each weights file is ("VGG-19"); `faults`: why a file cannot be used. `trouble`: why there is no
    torch at all.
    """

    version: str = ""
    build: str | None = None
    gpus: tuple[str, ...] = ()
    threads: int = 1
    complaint: str = ""
    broken: tuple[str, ...] = ()
    networks: Mapping[Path, str] = field(default_factory=dict)
    faults: Mapping[Path, str] = field(default_factory=dict)
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Gpus:
    """What the kernel shows: names of NVIDIA's device nodes, the driver's version, and graphics cards on the bus."""

    nodes: tuple[str, ...]
    driver: str | None
    cards: int


def ask(files: tuple[Path, ...]) -> Torch:
    """Given weights files that are there, return what torch says of itself and of them. Takes seconds."""
    try:
        import torch  # noqa: PLC0415 - never in the doctor's own process
    except (ImportError, OSError, RuntimeError) as error:
        return Torch(trouble=str(error).splitlines()[0] if str(error) else type(error).__name__)
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    broken = [_trial(index) for index in range(count)]
    entries = [models.inspected(path) for path in files]
    return Torch(
        version=str(torch.__version__),
        build=torch.version.cuda or torch.version.hip,
        gpus=tuple(torch.cuda.get_device_name(index) for index in range(count)),
        threads=torch.get_num_threads(),
        complaint=str(complaints[-1].message).splitlines()[0] if complaints else "",
        broken=tuple(f"GPU {index}: {why}" for index, why in enumerate(broken) if why),
        networks={entry.path: entry.network for entry in entries if entry.network is not None},
        faults={entry.path: entry.fault for entry in entries if entry.fault is not None},
    )


def _trial(index: int) -> str:
    """Let a GPU add two numbers; return why that fails, "" where it does not, or where it is only busy."""
    import torch  # noqa: PLC0415 - see `ask`

    try:
        torch.ones(2, device=f"cuda:{index}").sum().item()
    except RuntimeError as error:
        said = str(error).splitlines()[0]
        return "" if "out of memory" in said or "busy" in said else said
    return ""


def seen_gpus() -> Gpus:
    """Return what the kernel shows of GPUs: /dev, /proc and /sys are never away."""
    driver = Path("/proc/driver/nvidia/version")
    cards = 0
    for device in Path("/sys/bus/pci/devices").glob("*"):
        try:  # 0x10de is NVIDIA, class 0x03.... a display controller
            nvidia = (device / "vendor").read_text().strip() == "0x10de"
            cards += nvidia and (device / "class").read_text().startswith("0x03")
        except OSError:
            continue
    nodes = tuple(sorted(path.name for path in Path("/dev").glob("nvidia*")))
    return Gpus(nodes, driver.read_text().split("\n")[0] if driver.exists() else None, cards)


def devices(torch: Torch, gpus: Gpus, settings: Settings) -> Iterator[Finding]:
    """Given torch, the kernel's GPUs and the settings, yield what is wrong with what the workers compute on."""
    if torch.trouble is not None:
        mend = "Install it again: `pip install --force-reinstall torch torchvision`."
        yield wrong("torch", f"torch cannot be loaded: {torch.trouble}", mend)
        return
    yield ok(
        "torch", f"torch {torch.version}, {f'built for CUDA or ROCm {torch.build}' if torch.build else 'CPU build'}."
    )
    try:
        wanted = workers.devices(settings)
    except ConfigError as error:
        yield wrong("gpu", str(error), "Set `workers: auto`.")
        return
    if wanted == ("cpu",):
        yield from _on_the_cpu(torch, gpus, settings)
    elif torch.build is None:
        yield wrong("gpu", f"workers wants {', '.join(wanted)}, and torch was built without CUDA.", _CUDA_BUILD)
    elif not torch.gpus:
        yield _unusable(torch, gpus, wanted)
    elif isinstance(settings.workers, GpuWorkers) and max(settings.workers.gpus) >= len(torch.gpus):
        numbers = ", ".join(str(number) for number in settings.workers.gpus if number >= len(torch.gpus))
        says = f"workers.gpus names {numbers}; torch sees {len(torch.gpus)}, counted from 0."
        yield wrong("gpu", says, "Name only those in `workers: {gpus: [...]}`, or set `workers: auto`.")
    elif torch.broken:
        mend = "Install a build of torch for this GPU (pytorch.org, Get Started), or name another one in `workers`."
        yield wrong("gpu", f"torch cannot compute on it: {'; '.join(torch.broken)}.", mend)
    else:
        yield ok("gpu", f"Paints on {', '.join(torch.gpus)}.")


def _on_the_cpu(torch: Torch, gpus: Gpus, settings: Settings) -> Iterator[Finding]:
    if gpus.cards and not gpus.nodes and settings.workers == "auto":
        says = "There is an NVIDIA card, and no driver is loaded: paints on the CPU."
        yield warning("gpu", says, "Install NVIDIA's driver and restart, or set `workers: cpu`.")
    else:
        yield ok("gpu", f"Paints on the CPU with {torch.threads} threads.")


def _unusable(torch: Torch, gpus: Gpus, wanted: tuple[str, ...]) -> Finding:
    if not gpus.nodes:
        says = f"workers wants {', '.join(wanted)}, and this machine shows no GPU."
        return wrong("gpu", says, "Install NVIDIA's driver and restart, or set `workers: cpu`.")
    if "nvidia-uvm" not in gpus.nodes:
        says = "The GPU is there, but the driver's part for computing (nvidia_uvm) is not loaded."
        return wrong("gpu", says, "`sudo modprobe nvidia_uvm`, or `sudo nvidia-modprobe -u`.")
    says = f"The GPU is there ({gpus.driver or 'driver unknown'}), but torch cannot use it. {torch.complaint}"
    return wrong("gpu", says, "Renew the driver (`nvidia-smi` shows what it can), or let this user open /dev/nvidia*.")


def find_weights(loaded: Loaded) -> dict[str, tuple[Path, bool]]:
    """Given the configuration, return for each preset with a network its file, and whether it is there."""
    named, folder = weights_of(loaded), StateFolder(loaded.settings.state).models
    needy = [name for name, preset in loaded.settings.presets.items() if preset.engine in NETWORKED]
    looks = {name: models.look_for(named.get(name), folder) for name in needy}
    return {name: (look.path, look.signature is not None) for name, look in looks.items()}


def weights(loaded: Loaded, files: Mapping[str, tuple[Path, bool]], torch: Torch) -> Iterator[Finding]:
    """Given the configuration, what `find_weights` found, and what torch says of the files, yield how they stand."""
    for name, (path, is_there) in files.items():
        check, preset = f"weights.{name}", loaded.settings.presets[name]
        fits = _FITS[preset.engine]
        fetch = "" if preset.weights else ", or run `neural-selfie models fetch` as the daemon's user"
        if not is_there:
            says = f"The preset {name} lacks its network, {shown(path)}: its pictures wait."
            yield wrong(check, says, f"Put it there{fetch}.")
        elif path in torch.faults:
            yield wrong(check, torch.faults[path], f"Put another file there{fetch}.")
        elif path in torch.networks and torch.networks[path] != fits:
            says = f"{shown(path)} is {torch.networks[path]}; the engine of the preset {name} needs {fits}."
            yield wrong(check, says, "Name another file under `weights:`, or change `engine:`.")
        else:
            yield ok(check, f"The preset {name} has its network, {shown(path)}.")
    if not files:
        yield ok("weights", "No preset needs a network.")


def is_installed(package: str) -> bool:
    """Given the name of a package as it is imported, return whether it is installed; loads nothing."""
    return importlib.util.find_spec(package) is not None


def extras(settings: Settings, installed: Callable[[str], bool] = is_installed) -> Iterator[Finding]:
    """Given the settings and what is installed, yield what the optional packages are needed for."""
    faces = [name for name, preset in settings.presets.items() if getattr(preset, "protect", "none") == "faces"]
    if faces and not installed("cv2"):
        says = f"The preset {faces[0]} says `protect: faces`, and OpenCV is not installed."
        yield wrong("faces", says, "`pip install 'neural-selfie[faces]'`, or take `protect` out of the preset.")
    if installed("pillow_heif"):
        yield ok("heif", "Photos of iPhones (HEIC) can be read.")
    else:
        says = "Photos of iPhones (HEIC) are refused: pillow-heif is not installed."
        yield warning("heif", says, "`pip install 'neural-selfie[heif]'`.")
