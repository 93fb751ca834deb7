"""What the service manager hears of the daemon: by a socket that stands for the manager's, from the real process."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from house import House, photo, wait_until
from neural_selfie.inbox import InboxHealth
from neural_selfie.notifying import Manager, manager
from neural_selfie.snapshot import Running, Snapshot, sentence
from neural_selfie.telling import ailing


@contextmanager
def ear(address: str) -> Iterator[socket.socket]:
    """Yield a socket that hears what is sent to an address, as the manager's does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(address)
        hearing.setblocking(False)  # noqa: FBT003 - the only argument
        yield hearing


def heard(hearing: socket.socket) -> list[str]:
    """Return what was sent since the last time."""
    found = []
    while True:
        try:
            found.append(hearing.recv(4096).decode())
        except BlockingIOError:
            return found


def test_the_manager_hears_how_things_stand(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY after the first scan, then the watchdog is fed, what is painted is told, and at last STOPPING."""
    address = house.root / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    said: list[str] = []
    with ear(str(address)) as hearing:

        def hears(text: str) -> bool:
            said.extend(heard(hearing))
            return any(text in each for each in said)

        daemon = house.start("until_told")
        wait_until(lambda: hears("READY=1"))
        assert not any(each.startswith("WATCHDOG") for each in said[: said.index("READY=1")])
        assert "EXTEND_TIMEOUT_USEC=60000000" in said[: said.index("READY=1")]
        assert house.log().count("daemon.started") == 1
        wait_until(lambda: hears("STATUS=Nothing to paint.") and hears("WATCHDOG=1"))
        photo(house.inbox / "me.png")
        wait_until(lambda: hears("STATUS=Painting me.png -> plain: "))
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        assert children
        for child in children:
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{child}/environ").read_bytes()
        fed = sum(each == "WATCHDOG=1" for each in said)
        wait_until(lambda: hears("-") and sum(each == "WATCHDOG=1" for each in said) > fed + 2)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=60) == 0
        wait_until(lambda: hears("STOPPING=1"))


def test_a_frozen_daemon_is_not_called_alive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs as a whole feeds no watchdog; set free, it goes on."""
    address = house.root / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with ear(str(address)) as hearing:
        daemon = house.start()
        wait_until(lambda: "WATCHDOG=1" in heard(hearing))
        daemon.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, daemon.pid, os.WSTOPPED)
        heard(hearing)
        hearing.setblocking(True)  # noqa: FBT003 - the only argument
        hearing.settimeout(1.5)
        with pytest.raises(TimeoutError):
            hearing.recv(4096)
        hearing.setblocking(False)  # noqa: FBT003 - the only argument
        daemon.send_signal(signal.SIGCONT)
        wait_until(lambda: "WATCHDOG=1" in heard(hearing))


def test_nobody_listens() -> None:
    """Without a manager nothing is sent or said; that one is gone is logged once."""
    with capture_logs() as logs:
        silent = manager({})
        silent.ready()
        silent.alive()
        silent.status("well")
        assert logs == []
        gone = manager({"NOTIFY_SOCKET": "/nowhere/notify"})
        gone.ready()
        gone.status("well")
    assert [entry["event"] for entry in logs] == ["manager.unreachable"]


def test_a_manager_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    """However much is told to a full socket, the daemon goes on."""
    with ear(str(tmp_path / "n")), capture_logs() as logs:
        told = Manager(str(tmp_path / "n"))
        for number in range(5000):
            told.status(f"line {number}")
    assert [entry["event"] for entry in logs] == ["manager.unreachable"]


def test_an_abstract_address_and_one_line(tmp_path: Path) -> None:
    """An address with @ at the front is an abstract socket; a status is one line, sent once while it is the same."""
    name = f"neural-selfie-{os.getpid()}"
    with ear(f"\0{name}") as hearing:
        told = manager({"NOTIFY_SOCKET": f"@{name}"})
        told.status("two\nREADY=1")
        told.status("two\nREADY=1")
        assert heard(hearing) == ["STATUS=two READY=1"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "fed"),
    [
        ({"WATCHDOG_USEC": "1000"}, True),
        ({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
        ({"WATCHDOG_USEC": "0"}, False),
        ({}, False),
    ],
)
def test_whose_watchdog(environment: dict[str, str], *, fed: bool, tmp_path: Path) -> None:
    """The watchdog is fed only where the manager asks this process for it, and only once the start is over."""
    environment["NOTIFY_SOCKET"] = str(tmp_path / "n")
    with ear(str(tmp_path / "n")) as hearing:
        told = manager(environment)
        assert environment == {}
        told.alive()
        assert heard(hearing) == []
        told.ready()
        told.ready()
        told.alive()
        assert heard(hearing) == ["READY=1", *["WATCHDOG=1"] * fed]


HEALTHY = InboxHealth(
    observer_alive=True,
    last_scan_at=1000.0,
    last_scan_seconds=2.0,
    mode="events",
    overflows=0,
    trouble=None,
    file_system="ext4",
)


@pytest.mark.parametrize(
    ("health", "stuck", "unwatched", "now", "says"),
    [
        (HEALTHY, None, 0.0, 1060.0, None),
        (HEALTHY, None, 59.0, 1600.0, None),
        (HEALTHY, None, 61.0, 1060.0, "not watched"),
        (HEALTHY, None, 0.0, 1700.0, "last scanned 700 s ago"),
        (HEALTHY, "cuda:0", 0.0, 1060.0, "cuda:0 is stuck"),
    ],
)
def test_what_ails(health: InboxHealth, stuck: str | None, unwatched: float, now: float, says: str | None) -> None:
    """A blind inbox, a scan that never ends and a worker that cannot be ended starve the watchdog."""
    found = ailing(health, stuck, unwatched=unwatched, rescan=60.0, now=now)
    assert (found is None) == (says is None)
    assert says is None or says in (found or "")


def test_one_line_about_everything() -> None:
    """What is painted, how far it is, what else there is, and the first thing that is in the way."""
    counts = dict.fromkeys(("queued", "running", "rendered", "waiting", "done", "failed", "cancelled"), 0)
    assert sentence(Snapshot(at=0.0, counts=counts)) == "Nothing to paint."
    first = Running(job=1, photo="me.png", preset="scream", variant={}, fraction=0.42, eta_seconds=190.2)
    busy = Snapshot(
        at=0.0,
        counts=counts | {"running": 2, "queued": 5, "failed": 1},
        arriving=3,
        running=(first, first),
        troubles=("The disk of the outbox is full.",),
    )
    assert sentence(busy) == (
        "Painting me.png -> scream and 1 more: 42%, about 0:03:10 left, 5 waiting for their turn, 1 failed, "
        "3 arriving. The disk of the outbox is full."
    )
