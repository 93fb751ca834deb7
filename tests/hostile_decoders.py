"""A zoo of decoders that hang, eat memory or crash, each called by what a GIF says in its comment.

`install` puts them into the process that calls it, in place of the decoder for GIF. As a program it is a daemon whose
inspector has them: `hostile_decoders.py PAINTER CONFIG [--once]`; the inspector's process runs this file, too (spawn).
"""

import io
import itertools
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable

from PIL.GifImagePlugin import GifImageFile

from made_pictures import encoded, noisy
from neural_selfie import inspection
from neural_selfie.engine import reading
from neural_selfie.errors import NotAPictureError

DEADLINE_SECONDS = 1.0  # in place of twenty
PATIENCE_SECONDS = 10.0  # of the intake by the clock, in place of two minutes


def gif(word: str) -> bytes:
    """Return a GIF that makes the zoo's decoder do what the word says; to any other decoder it is a picture."""
    return encoded(noisy(96, 72), "GIF", comment=f"zoo: {word};".encode())


def loops() -> None:
    """Never come back to Python, as a decoder in C would not."""
    sum(itertools.repeat(0))


def computes() -> None:
    """Never end."""
    while True:
        pass


def sleeps() -> None:
    """Wait for something that never comes, without using the processor."""
    time.sleep(3600)


def eats() -> None:
    """Take memory until there is no more."""
    eaten = []
    while True:
        eaten.append(bytes(64 << 20))


def crashes() -> None:
    """End as a decoder does that writes where it must not."""
    os.kill(os.getpid(), signal.SIGSEGV)


def tells() -> None:
    """Say how much address space there is left, MiB, as an error."""
    bound, _ = resource.getrlimit(resource.RLIMIT_AS)
    raise NotAPictureError(str((bound - inspection._address_space()) >> 20))


ZOO: dict[str, Callable[[], None]] = {each.__name__: each for each in (loops, computes, sleeps, eats, crashes, tells)}


def install() -> None:
    """Put the zoo in place of the decoder for GIF, and a deadline that a test can wait for."""

    def opened(file: io.BytesIO) -> GifImageFile:
        found = re.search(rb"zoo: (\w+);", file.getvalue())
        if found:
            ZOO[found[1].decode()]()
        return GifImageFile(file)

    reading.OPENERS["gif"] = opened
    inspection.SECONDS = DEADLINE_SECONDS


if __name__ == "__main__":
    import daemon_with
    from neural_selfie.intake import inspector

    inspector._INSPECTION_SECONDS = PATIENCE_SECONDS
    sys.exit(daemon_with.main())
elif __name__ == "__mp_main__":
    install()
