"""The real daemon, which dies at a waypoint of the test's choosing. Forks one for each order it reads, as JSON lines.

Every daemon is the real command line with a painter of the zoo, in a process of its own; only what `waypoints.reached`
does is another: it writes down what was passed, and kills the process with -9, or cuts the power of its disks first.
So that hundreds of them can die in a minute, they are forked from a process that has imported everything, and their own
processes (inspector, worker) are forked, too, instead of spawned: none of these painters minds.
"""

import fcntl
import json
import multiprocessing
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import PIL.JpegImagePlugin
import PIL.PngImagePlugin  # noqa: F401 - what is imported here need not be imported by each daemon

import engines
from neural_selfie import cli, service, waypoints
from neural_selfie.cli import daemon  # noqa: F401 - as above
from neural_selfie.workers import seat

GOING_DOWN = 0x8004587D  # FS_IOC_GOINGDOWN (linux/fs.h): the file system ends as in a power cut
WITHOUT_LOG = 2  # ... and what its journal has not written yet is gone


class Fate:
    """What happens to a daemon at its waypoints: all are written to `trace`, and at one of them it ends.

    `at`: that waypoint, when it is passed for the `passing`-th time, counted from the waypoint `after` on, if there is
    one. Or `spare`: the first waypoint that is not among these, up to the waypoint `until`. `disks`: folders whose file
    systems lose their power at the same moment.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._trace = os.open(order["trace"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._at: str | None = order["at"]
        self._left: int = order["passing"]
        self._after: str | None = order["after"]
        self._spare: list[str] | None = order["spare"]
        self._until: str | None = order["until"]
        self._disks = [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in order["disks"]]

    def reached(self, waypoint: str) -> None:
        """Take the place of `waypoints.reached`."""
        os.write(self._trace, f"{waypoint}\n".encode())
        if waypoint == self._after:
            self._after = None
        if waypoint == self._at and self._after is None:
            self._left -= 1
            if self._left == 0:
                self._end()
        if self._spare is not None and waypoint not in self._spare:
            self._end()
        if waypoint == self._until:
            self._spare = None

    def _end(self) -> None:
        for disk in self._disks:
            fcntl.ioctl(disk, GOING_DOWN, struct.pack("I", WITHOUT_LOG))
        os.kill(os.getpid(), signal.SIGKILL)


def let_go(home: Path) -> None:
    """In a process of the daemon: close what it would not have if it were spawned, above all the lock."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself is closed by now
            if descriptor.readlink().is_relative_to(home):
                os.close(int(descriptor.name))


def be_the_daemon(order: dict[str, Any], reached: Callable[[str], None]) -> None:
    """In a process that was forked for it: run the command of an order, with a painter of the zoo, to its end.

    `reached` takes the place of `waypoints.reached`.
    """
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(log, sys.stderr.fileno())
    os.dup2(log, sys.stdout.fileno())
    vars(waypoints)["reached"] = reached
    os.register_at_fork(after_in_child=partial(let_go, Path(order["home"])))
    vars(seat)["_SPAWN"] = multiprocessing.get_context("fork")
    vars(service)["run"] = partial(service.run, painter=engines.painter(order["painter"]))
    cli.main(order["arguments"])


def main() -> None:
    """Read orders until there are no more; answer each with the exit code, negative for a signal.

    One with `lives` is killed after so many seconds, if it has not ended by then.
    """
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            be_the_daemon(order, Fate(order).reached)
        if order["lives"] is not None:  # killed from outside, wherever it is then: the kernel waits for no waypoint
            time.sleep(order["lives"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
