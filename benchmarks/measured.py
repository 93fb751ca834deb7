"""What the benchmarks measure and where it goes: pictures, weights, clocks, peaks of memory, a table and its JSON.

Nothing here knows an engine. A section that is run alone replaces its own rows and leaves the others as they are.
"""

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from neural_selfie import styles

Row = dict[str, Any]


def photo(height: int, width: int) -> Tensor:
    """Given a size, return scikit-image's astronaut cut and scaled to it, (3, height, width), 0..1."""
    from skimage import data  # noqa: PLC0415 - the child that measures memory must load nothing needless

    return _fitted(Image.fromarray(data.astronaut()), height, width)  # type: ignore[no-untyped-call]  # skimage has no types


def style(long_edge_px: int, name: str = "starry-night") -> Tensor:
    """Given a long edge, return a style image that ships, (3, h, w), 0..1."""
    image = Image.open(styles.image_path(name)).convert("RGB")
    scale = long_edge_px / max(image.size)
    return _tensor(image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS))


def _fitted(image: Image.Image, height: int, width: int) -> Tensor:
    cut = min(image.width / width, image.height / height)
    left, top = (image.width - cut * width) / 2, (image.height - cut * height) / 4
    box = (left, top, left + cut * width, top + cut * height)
    return _tensor(image.resize((width, height), Image.Resampling.LANCZOS, box=box))


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous().float() / 255


@contextmanager
def random_weights(folder: Path, seed: int = 0) -> Iterator[Path]:
    """Yield a file with torchvision's VGG-19 as it is before training, without the classifier; 80 MB, removed after."""
    from torchvision.models.vgg import cfgs, make_layers  # noqa: PLC0415 - the same

    torch.manual_seed(seed)
    layers = make_layers(cfgs["E"])
    for module in layers:
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            torch.nn.init.zeros_(module.bias)
    path = folder / "random-vgg19.pth"
    torch.save({f"features.{name}": value for name, value in layers.state_dict().items()}, path)
    try:
        yield path
    finally:
        path.unlink()


def now(device: torch.device) -> float:
    """Return seconds, once everything on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Peak:
    """The largest memory since it was made, above what was taken then: of the process, or on a GPU of its tensors.

    Linux's VmHWM: unlike getrusage's ru_maxrss it does not begin with what the parent process had.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.before = torch.cuda.memory_allocated(device) if device.type == "cuda" else _status_bytes("VmRSS")

    def bytes(self) -> int:
        """Return it."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.before
        return _status_bytes("VmHWM") - self.before


def _status_bytes(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def machine(device: torch.device) -> Row:
    """Return what the figures depend on."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def write(path: Path, facts: Row, title: str, rows: Sequence[Row], note: str) -> None:
    """Given a JSON file (new or not), put a section into it, and write the same as Markdown beside it."""
    whole = json.loads(path.read_text()) if path.exists() else {"sections": {}}
    whole["sections"][title] = {"machine": facts, "note": note, "rows": list(rows)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1) + "\n")
    path.with_suffix(".md").write_text("\n".join(_markdown(whole["sections"])))
    print(f"\n{title}\n" + "\n".join(_table(rows)), flush=True)


def _markdown(sections: dict[str, Row]) -> Iterator[str]:
    yield "# The `gatys` engine beside a plain program\n"
    for title, section in sections.items():
        facts = section["machine"]
        yield f"## {title}\n\n{section['note']}\n"
        yield from _table(section["rows"])
        yield (
            f"\n*{facts['device']}; {facts['processor']}, {facts['cores']} cores, {facts['threads']} threads; "
            f"torch {facts['torch']}, Python {facts['python']}; {facts['date']}*\n"
        )


def _table(rows: Sequence[Row]) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    yield "| " + " | ".join(names) + " |"
    yield "|" + "|".join(" --- " if isinstance(rows[0].get(name), str) else " ---: " for name in names) + "|"
    for row in rows:
        yield "| " + " | ".join(_cell(row.get(name)) for name in names) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits say enough
    return str(value)
