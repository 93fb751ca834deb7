"""One daemon for each state folder, proven with processes."""

import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neural_selfie import lock
from neural_selfie.errors import LedgerBusyError

HOLD = """
import subprocess
import sys
from pathlib import Path
from neural_selfie import lock
from neural_selfie.errors import LedgerBusyError
try:
    with lock.held(Path(sys.argv[1])):
        child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=2) if "child" in sys.argv else None
        print("held", child.pid if child else "", flush=True)
        sys.stdin.readline()
except LedgerBusyError as error:
    print(f"{error.exit_code} {error}", flush=True)
"""


@contextmanager
def other_process(path: Path, *wishes: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Try to hold the lock in another process; give that process and what it says, and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *wishes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_the_second_process_is_told_who_is_there(tmp_path: Path) -> None:
    """Another process gets LedgerBusyError, exit code 75, with the holder's number and folder, and what to do."""
    with lock.held(tmp_path / "daemon.lock"), other_process(tmp_path / "daemon.lock") as (_, said):
        assert said == (
            f"75 A daemon (process {os.getpid()}) already works on {tmp_path}. Stop it first, or give this one another "
            "state folder and inbox."
        )


def test_kill_frees_the_lock(tmp_path: Path) -> None:
    """After kill -9 of its holder the lock is free at once, although its file still names the dead process."""
    path = tmp_path / "daemon.lock"
    with other_process(path) as (process, said):
        assert said == "held"
        assert lock.holder(path) == process.pid
        with pytest.raises(LedgerBusyError, match=re.escape(f"process {process.pid}")), lock.held(path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        assert path.read_text() == f"{process.pid}\n"
        assert lock.holder(path) is None
        with lock.held(path):
            assert lock.holder(path) == os.getpid()


def test_the_end_of_the_block_frees_the_lock(tmp_path: Path) -> None:
    """Whatever ends the block, an exception too, gives the lock back; the same process may take it again."""
    path = tmp_path / "daemon.lock"
    with pytest.raises(ZeroDivisionError), lock.held(path):
        raise ZeroDivisionError
    assert lock.holder(path) is None
    with lock.held(path):
        pass
    assert lock.holder(path) is None


def forked() -> int:
    """Return the process id of a child that has every open file of this process, and waits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork beside pytest-xdist's threads
        child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    return child


def test_no_child_keeps_the_lock_of_a_daemon_that_is_gone(tmp_path: Path) -> None:
    """A worker that outlives its daemon, ended or killed, does not stand in the way of the next one."""
    path = tmp_path / "daemon.lock"
    with lock.held(path):
        child = forked()
    try:
        assert lock.holder(path) is None
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with other_process(path, "child") as (process, said):
        process.kill()
        process.wait(timeout=60)
        try:
            assert lock.holder(path) is None
            os.kill(int(said.removeprefix("held ")), 0)  # the child is still there
        finally:
            os.kill(int(said.removeprefix("held ")), signal.SIGKILL)


def test_asking_never_takes(tmp_path: Path) -> None:
    """A `status` that asks all the time keeps no daemon from starting."""
    path = tmp_path / "daemon.lock"
    path.touch()
    ask = "import sys; from pathlib import Path; from neural_selfie import lock; print('up', flush=True)\n"
    ask += "while True: lock.holder(Path(sys.argv[1]))"
    asker = subprocess.Popen([sys.executable, "-c", ask, str(path)], stdout=subprocess.PIPE)
    try:
        assert asker.stdout
        asker.stdout.readline()
        for _ in range(2000):
            with lock.held(path):
                pass
        assert asker.poll() is None
    finally:
        asker.kill()
        asker.communicate()


def test_nobody_and_nonsense(tmp_path: Path) -> None:
    """Without a file nobody holds the lock; a file with nonsense in it hides no daemon and stops none."""
    path = tmp_path / "daemon.lock"
    assert lock.holder(path) is None
    path.write_bytes(b"\xff\xfe nonsense, and longer than any number")
    assert lock.holder(path) is None
    with lock.held(path):
        assert path.read_text() == f"{os.getpid()}\n"
        path.write_text("²")
        assert lock.holder(path) == 0
