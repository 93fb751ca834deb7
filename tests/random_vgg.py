"""A VGG-19 of seeded random numbers in every layout that files come in, and a server on loopback that breaks off.

The layouts hold the same network: each file is the torchvision one, transformed so that with its own preparation of
pictures it has the same features. None has a classifier, so a file has 80 MB.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

CHANNELS = (64, 64, 128, 128, *(256,) * 4, *(512,) * 8)
FEATURES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
NORMALISED = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)
NAMES = [f"conv{block}_{number}" for block, count in enumerate((2, 2, 4, 4, 4), 1) for number in range(1, count + 1)]
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
CAFFE_MEAN = torch.tensor([103.939, 116.779, 123.68])


def torchvision(seed: int = 0) -> dict[str, Tensor]:
    """Return the state dict of `torchvision.models.vgg19(weights=None)` without classifier: Kaiming, fan-out.

    The biases are small random numbers instead of zeros, so that a bias that goes wrong is noticed.
    """
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for number, inputs, outputs in zip(FEATURES, (3, *CHANNELS), CHANNELS, strict=False):
        spread = (2 / (9 * outputs)) ** 0.5
        state[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * spread
        state[f"features.{number}.bias"] = torch.randn(outputs, generator=generator) * 0.05
    return state


def caffe(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Given the torchvision layout, return Caffe's: the first layer sees BGR in 0..255, minus its own mean."""
    weight, bias = state["features.0.weight"], state["features.0.bias"]
    first = weight.double() / (255 * DEVIATION.double()[:, None, None])
    # x_torchvision = (x_caffe + caffe mean - 255 mean) / (255 deviation), channel by channel: the rest is a bias.
    shift = (first.sum((2, 3)) * (CAFFE_MEAN.flip(0).double() - 255 * MEAN.double())).sum(1)
    new = {"features.0.weight": first.flip(1).float(), "features.0.bias": (bias + shift).float()}
    return {**state, **new}


def vgg_conv(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Given the torchvision layout, return that of `vgg_conv.pth`: Caffe's numbers under the layers' names."""
    return _renamed(caffe(state), NAMES)


def vgg_normalised(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Given the torchvision layout, return that of `vgg_normalised.pth`: a 1 x 1 convolution prepares RGB in 0..1."""
    preparing = {"0.weight": torch.diag(1 / DEVIATION)[:, :, None, None], "0.bias": -MEAN / DEVIATION}
    return {**preparing, **_renamed(state, [str(number) for number in NORMALISED])}


def _renamed(state: Mapping[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    pairs = [
        (f"features.{old}.{kind}", f"{new}.{kind}")
        for old, new in zip(FEATURES, names, strict=True)
        for kind in ("weight", "bias")
    ]
    return {new: state[old] for old, new in pairs}


LAYOUTS: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]] = {
    "torchvision": dict,
    "caffe": caffe,
    "vgg_conv": vgg_conv,
    "vgg_normalised": vgg_normalised,
}


@contextmanager
def written(folder: Path, layout: str = "torchvision", *, seed: int = 0, half: bool = False) -> Iterator[Path]:
    """Yield a file with a random network (80 MB; 40 with `half`), removed when the block ends: pytest keeps folders."""
    state = LAYOUTS[layout](torchvision(seed))
    path = folder / f"{layout}.pth"
    torch.save({key: value.half() if half else value for key, value in state.items()}, path)
    try:
        yield path
    finally:
        path.unlink()


@dataclass
class Served:
    """What a server sends and how it behaves; `asked` holds the Range header of each request, or ""."""

    data: bytes
    etag: str = '"one"'
    ranges: bool = True
    break_at: list[int] = field(default_factory=list)  # bytes after which the first, second ... answer breaks off
    answers: list[int] = field(default_factory=list)  # status codes that come before anything else
    wait: threading.Event | None = None  # after half of the data, wait for this
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def server(served: Served, name: str) -> Iterator[Served]:
    """Serve the data under a name on loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, served)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    served.url = f"http://127.0.0.1:{http.server_address[1]}/some/where/{name}"
    try:
        yield served
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def answer(handler: BaseHTTPRequestHandler, served: Served) -> None:
    """Answer one request as `served` says."""
    asked = handler.headers.get("Range", "")
    served.asked.append(asked)
    if served.answers:
        handler.send_error(served.answers.pop(0))
        return
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    same = handler.headers.get("If-Range", served.etag) == served.etag
    if not (served.ranges and asked and same):
        start = 0
        handler.send_response(200)
    elif start >= len(served.data):
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(served.data)}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    else:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(served.data) - 1}/{len(served.data)}")
    handler.send_header("Content-Length", str(len(served.data) - start))
    if served.etag:
        handler.send_header("ETag", served.etag)
    handler.end_headers()
    end = start + served.break_at.pop(0) if served.break_at else len(served.data)
    if served.wait is not None:
        half = len(served.data) // 2
        handler.wfile.write(served.data[start:half])
        handler.wfile.flush()
        served.wait.wait(30)
        start = half
    handler.wfile.write(served.data[start:end])
