"""The real daemon with the zoo's instant painter, but without the zoo, and Pillow with it, in the daemon's own process.

`hostile_parent.py CONFIG`: until stopped. `daemon_with.py` is for everybody who does not look at what is loaded.
"""

import sys
from pathlib import Path

from neural_selfie import config, logs, service
from neural_selfie.model import Result, Task
from neural_selfie.workers import Painter


def nothing(_device: str) -> None:
    """Prepare nothing."""


def instant(task: Task) -> Result:
    """In the worker: paint at once."""
    import engines  # noqa: PLC0415 - not in the daemon's own process

    return engines.instant(task)


if __name__ == "__main__":
    loaded = config.load(Path(sys.argv[1]))
    logs.configure(loaded.settings.log)
    sys.exit(service.run(loaded, painter=Painter(prepare=nothing, paint=instant)))
