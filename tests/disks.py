"""For tests of files: other disks, small disks, disks that refuse, and system calls that fail or kill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from promised import lacking

NOBODY = 65534


@contextmanager
def another_disk(here: Path) -> Iterator[Path]:
    """Yield an empty folder on another file system than `here`."""
    shm = Path("/dev/shm")  # noqa: S108 - not for secrets, but because it is another file system
    if not shm.is_dir() or shm.stat().st_dev == here.stat().st_dev:
        lacking("no second file system here: /dev/shm is missing or the same as the temporary folder")
    folder = Path(tempfile.mkdtemp(dir=shm))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def disk_of_one_mebibyte(here: Path) -> Iterator[Path]:
    """Yield an empty disk of 1 MiB, mounted in `here`."""
    if os.geteuid() != 0:
        lacking("only root can mount a small disk")
    folder = here / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        lacking(f"mounting is not permitted here: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Take away the right to write to a folder, also from root."""
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


def under_strace(code: str, *injections: str) -> str:
    """Run Python code while the kernel fails, or kills it, at the system calls that `injections` name.

    Return what it printed, or "killed". Every injection must have happened, or nothing was tested.
    """
    if shutil.which("strace") is None:
        lacking("strace is not installed: system calls cannot be made to fail")
    calls = ",".join(injection.partition(":")[0] for injection in injections)
    inject = [f"--inject={injection}" for injection in injections]
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["strace", "-f", "-o", log.name, f"--trace={calls}", *inject, sys.executable, "-B", "-c", code]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if "PTRACE" in done.stderr:
            lacking("tracing processes is not permitted here")
        happened = log.read()
    if done.returncode == -signal.SIGKILL:
        return "killed"
    assert done.returncode == 0, done.stderr
    assert happened.count("(INJECTED)") >= len(injections), "the system call did not happen"
    return done.stdout


@contextmanager
def failing_calls(process: int, files: Sequence[Path], *injections: str) -> Iterator[Callable[[], int]]:
    """While the block runs the kernel fails calls of a running process on some files; see inject in strace(1).

    Yield what counts the calls that failed so far. A call that failed has done nothing.
    """
    if shutil.which("strace") is None:
        lacking("strace is not installed: system calls cannot be made to fail")
    calls = ",".join({injection.partition(":")[0] for injection in injections})
    options = [f"--inject={injection}" for injection in injections] + [f"--trace-path={file}" for file in files]
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["strace", "-f", "-p", str(process), "-o", log.name, f"--trace={calls}", *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            said = strace.stderr.readline()
            if "attached" not in said:
                lacking(f"tracing processes is not permitted here: {said}")
            try:
                yield lambda: Path(log.name).read_text().count("(INJECTED)")
            finally:
                strace.terminate()
                strace.stderr.read()


def names_in(folder: Path) -> set[str]:
    """Return what lies in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


@contextmanager
def disks_at(*folders: Path) -> Iterator[None]:
    """Mount a file system of its own, in memory, at each folder."""
    if os.geteuid() != 0:
        lacking("only root can mount file systems")
    mounted: list[Path] = []
    try:
        for folder in folders:
            folder.mkdir(exist_ok=True)
            mount = ["mount", "-t", "tmpfs", "tmpfs", str(folder)]
            tried = subprocess.run(mount, check=False, capture_output=True)
            if tried.returncode:
                lacking(f"mounting is not permitted here: {tried.stderr.decode()}")
            mounted.append(folder)
        yield
    finally:
        for point in _mounted_below({folder.parent for folder in mounted}):  # a failed test may have moved some
            subprocess.run(["umount", "--lazy", point], check=True)


def _mounted_below(folders: set[Path]) -> list[Path]:
    """Return the mount points in these folders, the innermost first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [Path(line.split(" ")[1].encode().decode("unicode_escape")) for line in lines]
    return [point for point in reversed(points) if point.parent in folders]
