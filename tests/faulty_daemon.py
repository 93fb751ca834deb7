"""The real daemon on folders whose disk is sick: forks one for each order it reads, as JSON lines, and says its number.

Every daemon is the real command line with a painter of the zoo. From the first step of its recovery on, the few calls
that change files fail below the folders of the test's choosing, as the kernel would let them fail; what they are asked
to do, they do not do, and a write is half done. Inspector and worker are healthy; all are forked, so that they start at
once.
"""

import ctypes
import errno
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.JpegImagePlugin
import PIL.PngImagePlugin  # noqa: F401 - what is imported here need not be imported by each daemon

import neural_selfie
from mortal_daemon import be_the_daemon
from neural_selfie.cli import daemon  # noqa: F401 - as above
from neural_selfie.files import renaming

_HOUSE = str(Path(neural_selfie.__file__).parent)
_NEW = os.O_CREAT | os.O_WRONLY


class Sickness:
    """Which calls fail below `folders`, each failure written to `trace` as "operation errno path".

    `errnos`: names of errors. Every place in the program that makes such a call is refused once with each of them, and
    served from then on; or, with `until`, every call is refused with the first of them until that file is there.
    `operations`: open (of what is there already), create, write, fsync, rename, unlink, mkdir.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._folders = [f"{folder}/" for folder in order["folders"]]
        self._codes = [getattr(errno, name) for name in order["errnos"]]
        self._operations = set(order["operations"])
        self._until: str | None = order["until"]
        self._trace = os.open(order["trace"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._refused: Counter[tuple[Any, ...]] = Counter()
        self._process = os.getpid()
        self._stat = os.stat

    def reached(self, waypoint: str) -> None:
        """Take the place of `waypoints.reached`."""
        if waypoint == "recovery.begun":
            self.breaks_out()

    def breaks_out(self) -> None:
        """From now on calls fail."""
        originals = {name: getattr(os, name) for name in ("open", "fdopen", "fsync", "unlink", "rmdir", "mkdir")}
        two = {name: getattr(os, name) for name in ("rename", "replace", "link", "symlink")}
        rename_new = renaming._renameat2()

        def opened(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            self.meets("create" if flags & _NEW == _NEW else "open", path, more.get("dir_fd"))
            number: int = originals["open"](path, flags, *rest, **more)
            return number

        def for_writing(number: int, mode: str = "r", *rest: Any, **more: Any) -> Any:
            return (
                io.BufferedWriter(Paper(number, self))
                if mode == "wb"
                else originals["fdopen"](number, mode, *rest, **more)
            )

        def of_one(operation: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def called(path: Any, *rest: Any, **more: Any) -> Any:
                self.meets(operation, path, more.get("dir_fd"))
                return call(path, *rest, **more)

            return called

        def of_two(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(source: Any, target: Any, *rest: Any, **more: Any) -> Any:
                self.meets("rename", source, None, target)
                return call(source, target, *rest, **more)

            return called

        def renamed(here: int, source: bytes, there: int, target: bytes, flags: int) -> int:
            try:
                self.meets("rename", source, None, target)
            except OSError as error:
                ctypes.set_errno(error.errno or 0)
                return -1
            return rename_new(here, source, there, target, flags) if rename_new is not None else -1

        vars(os).update({"open": opened, "fdopen": for_writing})
        vars(os).update({name: of_one("unlink", originals[name]) for name in ("unlink", "rmdir")})
        vars(os).update({name: of_one(name, originals[name]) for name in ("fsync", "mkdir")})
        vars(os).update({name: of_two(call) for name, call in two.items()})
        vars(renaming)["_renameat2"] = lambda: renamed

    def meets(self, operation: str, path: Any, at: int | None, second: Any = None) -> None:
        """Raise OSError if this call is to fail."""
        if operation not in self._operations or os.getpid() != self._process:
            return
        where = [_absolute(each, at) for each in (path, second) if each is not None]
        if not any(place.startswith(folder) or f"{place}/" == folder for place in where for folder in self._folders):
            return
        if self._until is not None:
            if not self._exists(self._until):
                self._refuse(operation, self._codes[0], where[0])
            return
        place = (operation, *_way_here())
        if self._refused[place] < len(self._codes):
            self._refused[place] += 1
            self._refuse(operation, self._codes[self._refused[place] - 1], where[0])

    def _exists(self, path: str) -> bool:
        try:
            self._stat(path)
        except FileNotFoundError:
            return False
        return True

    def _refuse(self, operation: str, code: int, path: str) -> None:
        os.write(self._trace, f"{operation} {errno.errorcode[code]} {os.fsencode(path)!r}\n".encode())
        raise OSError(code, os.strerror(code), path)


class Paper(io.FileIO):
    """A file that is open for writing on a sick disk: what fails is half done."""

    def __init__(self, number: int, sickness: Sickness) -> None:
        super().__init__(number, "wb")
        self._sickness = sickness

    def write(self, data: Any, /) -> int:
        """Write, or write half of it and fail."""
        try:
            self._sickness.meets("write", self.fileno(), None)
        except OSError:
            super().write(memoryview(data)[: len(data) // 2])
            raise
        return super().write(data) or 0


def _absolute(path: Any, at: int | None) -> str:
    """Return where a call leads: of a descriptor the file, of a relative path that in the folder `at`."""
    if isinstance(path, int):
        return str(Path(f"/proc/self/fd/{path}").readlink())
    relative = os.fsdecode(path)
    return str(Path(f"/proc/self/fd/{at}").readlink() / relative) if at is not None else str(Path(relative).absolute())


def _way_here() -> list[tuple[str, int]]:
    """Return the lines of the program that lead to this call, without those of Python's library and of this module."""
    way = []
    frame = sys._getframe(2)
    while frame.f_back is not None:
        if frame.f_code.co_filename.startswith(_HOUSE):
            way.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return way


def main() -> None:
    """Read orders until there are no more; answer each with the daemon's process, then with its exit code."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            be_the_daemon(order, Sickness(order).reached)
        print(child, flush=True)  # noqa: T201 - the answer
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
