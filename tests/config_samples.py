"""What the tests of the configuration share: the product's example, styles, the command line, a child as nobody."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from neural_selfie.config import Settings, parse

NOBODY = 65534
EXAMPLE = """\
inbox: /srv/neural-selfie/inbox
outbox: /srv/neural-selfie/outbox
originals: {action: move, folder: ...}          # move | keep | delete
failed: /srv/neural-selfie/failed
workers: auto                                   # auto | cpu | {gpus: [0, 1]} | {dask: {scheduler: ...}}
state: /var/lib/neural-selfie
default_presets: [starry-night]
rules:                                          # first match wins; folder names equal to a preset need no rule
  - {match: "portraits/**", presets: [starry-night, scream]}
presets:
  starry-night:
    engine: patch
    style: styles/starry-night.jpg              # or [{image: ..., weight: 0.7}, {image: ..., weight: 0.3}]
    size: 1024                                  # long edge of the result, px
  selfie-sweep:
    engine: gatys
    style: styles/scream.jpg
    sweep: {content_weight: [0.2, 0.6, 3.8], style_scale: [0.5, 1.0]}
"""


def settings(text: str, **environ: str) -> Settings:
    """Given the text of a file called home.yaml and variables, return the settings."""
    return parse(text, source="home.yaml", environ=environ)


def style_image(path: Path, colour: str = "navy", size: tuple[int, int] = (48, 32)) -> Path:
    """Given a path, make a picture there and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def command(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the real command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "neural_selfie", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environ,
    )


def as_nobody(work: Callable[[], object]) -> str:
    """Given a function, run it in a child that is not root; return "fine" or the class and text of what it raised."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork beside pytest-xdist's threads
        child = os.fork()
    if child == 0:
        said = "fine"
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
        except BaseException as error:  # noqa: BLE001 - the parent asserts on it
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@contextmanager
def open_folder() -> Iterator[Path]:
    """Lend a folder that every user can come to; pytest's own ones are private."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def flat(mapping: Mapping[str, object], path: str = "") -> dict[str, object]:
    """Given nested sections, return their values by dotted key."""
    values: dict[str, object] = {}
    for key, value in mapping.items():
        here = f"{path}.{key}" if path else key
        values |= flat(value, here) if isinstance(value, Mapping) and value else {here: value}
    return values
