"""Run the real daemon on sick disks and wait until it has done everything all the same; see faulty_daemon.py."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from crashes import Inbox
from house import HERE, House

ERRNOS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EBUSY", "ESTALE", "EACCES", "EPERM")
OPERATIONS = ("create", "write", "fsync", "rename", "unlink", "mkdir")
_PATIENCE_SECONDS = 90.0
_OF_A_RUNNING_DAEMON = ("progress.json", ".progress.json.part", ".neural-selfie")


@dataclass(slots=True)
class Patient:
    """A running daemon whose disk is sick."""

    inbox: Inbox
    process: int
    answers: "subprocess.Popen[str]"

    def until_all_is_well(self) -> None:
        """Wait until `invariants.faults` finds nothing but what a running daemon has; fail if that takes too long."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while faults := self.faults():
            assert time.monotonic() < deadline, "\n".join([*faults, self.inbox.log()[-8000:]])
            assert not self.ended(), "\n".join([*faults, self.inbox.log()[-8000:]])
            time.sleep(0.1)

    def faults(self) -> list[str]:
        """Return what is wrong now."""
        try:
            found = self.inbox.faults()
        except (OSError, ValueError, AssertionError) as error:  # in the middle of something
            return [repr(error)]
        return [fault for fault in found if not any(word in fault for word in _OF_A_RUNNING_DAEMON)]

    def ended(self) -> bool:
        """Whether the daemon is gone."""
        return not Path(f"/proc/{self.process}/exe").exists()

    def stop(self) -> int:
        """Ask the daemon to end and return its exit code."""
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGTERM)
        assert self.answers.stdout is not None
        return int(self.answers.stdout.readline())


class Sickbed:
    """Starts daemons whose disks are sick, one after the other."""

    def __init__(self) -> None:
        self._launcher = subprocess.Popen(
            [sys.executable, str(HERE / "faulty_daemon.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(HERE)},
            start_new_session=True,
        )

    @contextmanager
    def daemon(
        self,
        inbox: Inbox,
        *folders: Path,
        errnos: Sequence[str] = ERRNOS,
        operations: Sequence[str] = OPERATIONS,
        until: Path | None = None,
        painter: str = "raises_for_poison",
    ) -> Iterator[Patient]:
        """Run a daemon whose calls fail below some folders (see `Sickness`); it is ended with the block."""
        house = inbox.house
        order = {
            "folders": [str(folder) for folder in folders],
            "errnos": errnos,
            "operations": operations,
            "until": None if until is None else str(until),
            "trace": str(trace_of(house)),
            "log": str(house.root.with_name(f"{house.root.name}.log")),
            "painter": painter,
            "arguments": ["run", "--config", str(house.config)],
            "home": str(house.root.resolve()),
        }
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        self._launcher.stdin.write(f"{json.dumps(order)}\n")
        self._launcher.stdin.flush()
        patient = Patient(inbox, int(self._launcher.stdout.readline()), self._launcher)
        try:
            yield patient
        except BaseException:
            self.close()
            self.__init__()  # type: ignore[misc]  # its answer is not to be taken for that of the next
            raise
        assert patient.stop() == 0, inbox.log()[-8000:]

    def close(self) -> None:
        """End the launcher and whatever daemon it waits for."""
        os.killpg(self._launcher.pid, signal.SIGKILL)
        self._launcher.communicate(timeout=60)


def trace_of(house: House) -> Path:
    """Return where the calls that failed are written down."""
    return house.root.with_name(f"{house.root.name}.trace")


def refused(house: House) -> Counter[tuple[str, str]]:
    """Return how often each operation failed, and with what."""
    return Counter((line.split()[0], line.split()[1]) for line in trace_of(house).read_text().splitlines())
