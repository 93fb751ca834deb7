"""What blinds watchers: replaced folders, dead threads, lost events, mounts, limits. The inbox notices and goes on."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from neural_selfie.inbox import Inbox, ScanDone, Sighting
from neural_selfie.inbox.watching import COOKIE, Watch, watched_folders
from promised import lacking
from told import HOUR, NOBODY, Told, eventually, watched


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty inbox."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def remake(folder: Path) -> None:
    """Delete the inbox and make it anew."""
    shutil.rmtree(folder)
    folder.mkdir()


def exchange(folder: Path) -> None:
    """Rename the inbox and put another folder in its place."""
    folder.rename(folder.with_name("old inbox"))
    folder.mkdir()


def take_away_and_bring_back(folder: Path) -> None:
    """Rename the inbox away for a while and back."""
    folder.rename(folder.with_name("away"))
    time.sleep(0.6)  # longer than the daemon's tick, so that it notices
    folder.with_name("away").rename(folder)


@pytest.mark.parametrize("change", [remake, exchange, take_away_and_bring_back])
def test_another_folder_in_the_same_place_is_watched(folder: Path, change: Callable[[Path], None]) -> None:
    """After the inbox was replaced, photos are told again without a restart: at once, and by events."""
    told = Told()
    with watched(folder, told) as inbox:
        change(folder)
        (folder / "me.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "me.jpg")))
        eventually(lambda: inbox.health().observer_alive)
        (folder / "you.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "you.jpg") - {"scanned"}))
        eventually(lambda: inbox.health().trouble is None)


def test_an_inbox_that_comes_later_is_found(folder: Path) -> None:
    """No inbox at the start: the scan says that part is unknown, the health says what to do, and then it works."""
    folder.rmdir()
    told = Told()
    with watched(folder, told) as inbox:
        assert told.scans[0].troubles
        assert "is gone" in str(inbox.health().trouble)
        assert not inbox.health().observer_alive
        folder.mkdir()
        (folder / "me.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "me.jpg")))
        eventually(lambda: inbox.health().observer_alive)
        told.until(lambda: not told.scans[-1].troubles)
        assert inbox.health().trouble is None


def test_a_share_mounted_over_the_inbox_is_watched(folder: Path) -> None:
    """A mount that comes after the start, and goes again: what is dropped is told in both."""
    if os.geteuid() != 0:
        lacking("only root can mount")
    told = Told()
    with watched(folder, told):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True)
        if mounted.returncode:
            lacking(f"mounting is not permitted here: {mounted.stderr.decode()}")
        try:
            (folder / "mounted.jpg").touch()
            told.until(lambda: bool(told.kinds(folder / "mounted.jpg")))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
        (folder / "unmounted.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "unmounted.jpg")))


def test_a_mount_where_others_write_is_polled(folder: Path, tmp_path: Path) -> None:
    """On FUSE a photo that is written past the mount gives no event: polling is chosen by itself and finds it."""
    if shutil.which("bindfs") is None:
        lacking("bindfs is not installed: no file system here hides what others write")
    behind = tmp_path / "behind"
    behind.mkdir()
    mounted = subprocess.run(["bindfs", behind, folder], check=False, capture_output=True)
    if mounted.returncode:
        lacking(f"FUSE is not permitted here: {mounted.stderr.decode()}")
    try:
        told = Told()
        with watched(folder, told, rescan_seconds=0.2) as inbox:
            (behind / "me.jpg").touch()
            told.until(lambda: told.kinds(folder / "me.jpg") == {"scanned"})
            health = inbox.health()
            assert (health.mode, health.trouble) == ("polling", None)
            assert health.file_system.startswith("fuse")
            assert "does not tell" in str(health.why)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_dead_observer_is_replaced(folder: Path) -> None:
    """Threads of watchdog end while the process lives: they are started anew, and what came meanwhile is told."""
    told = Told()
    with watched(folder, told) as inbox:
        (observer,) = (thread for thread in threading.enumerate() if isinstance(thread, BaseObserver))
        observer.stop()
        observer.join()
        assert not inbox.health().observer_alive
        (folder / "me.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "me.jpg")))
        eventually(lambda: inbox.health().observer_alive)


def test_an_error_while_an_event_is_passed_on_blinds_nobody(folder: Path) -> None:
    """The receiver fails once: the health says so, the path is told again, and events still arrive."""
    told = Told()
    failing = threading.Event()

    def post(message: Sighting | ScanDone) -> None:
        if failing.is_set():
            failing.clear()
            raise RuntimeError("the receiver is broken")
        told(message)

    inbox = Inbox(folder, rescan_seconds=HOUR, post=post)
    inbox.start()
    try:
        told.until(lambda: bool(told.scans))
        failing.set()
        (folder / "me.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "me.jpg")))
        told.until(lambda: len(told.scans) > 1)
        assert not failing.is_set()
        (folder / "you.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "you.jpg") - {"scanned"}))
    finally:
        inbox.stop()


def test_a_warning_of_lost_events_brings_a_scan(folder: Path) -> None:
    """The overflow warning of watchdog, its only sign of lost events, is counted once and answered with a scan."""
    told = Told()
    with watched(folder, told) as inbox:
        scans = len(told.scans)
        logging.getLogger("watchdog.observers.inotify_c").warning(
            "Inotify queue overflowed; filesystem events were lost"
        )
        logging.getLogger("watchdog.observers.inotify").warning(
            "Inotify queue overflowed; reconciling recursive watches"
        )
        told.until(lambda: len(told.scans) > scans)
        assert inbox.health().overflows == 1


DROPPER = """
import sys, time
from pathlib import Path
from neural_selfie.inbox import Inbox, ScanDone, Sighting
seen, scans = set(), []
def post(message):
    seen.add(message.path) if isinstance(message, Sighting) else scans.append(message)
inbox = Inbox(Path(sys.argv[1]), rescan_seconds=3600, post=post)
inbox.start()
while not scans: time.sleep(0.01)
print("ready", flush=True)
deadline = time.monotonic() + 20
while len(seen) < 101 and time.monotonic() < deadline: time.sleep(0.01)
print(len(seen), inbox.health().overflows, flush=True)
inbox.stop()
"""


def test_a_real_overflow_loses_nothing(folder: Path) -> None:
    """A daemon that sleeps while the kernel's queue runs over knows it, and tells photos whose events were lost."""
    queued = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queued > 50_000:
        lacking(f"the kernel's queue takes {queued} events: filling it would take too long")
    command = [sys.executable, "-c", DROPPER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stdout is not None
            assert daemon.stdout.readline() == "ready\n"
            daemon.send_signal(signal.SIGSTOP)
            os.waitpid(daemon.pid, os.WUNTRACED)
            with (folder / "slow.jpg").open("wb", buffering=0) as file:
                for _ in range(queued // 2 + 1):  # equal events in a row would count once
                    file.write(b"x")
                    os.utime(file.fileno())
            for number in range(100):
                (folder / f"{number}.jpg").write_bytes(b"x")
            daemon.send_signal(signal.SIGCONT)
            seen, overflows = map(int, daemon.stdout.readline().split())
            assert seen == 101
            assert overflows >= 1
        finally:
            daemon.kill()


LIMITED = """
import json, sys, time
from dataclasses import asdict
from pathlib import Path
from neural_selfie.inbox import Inbox, ScanDone, Sighting
seen, scans = set(), []
def post(message):
    seen.add(message.path) if isinstance(message, Sighting) else scans.append(message)
inbox = Inbox(Path(sys.argv[1]), rescan_seconds=0.2, post=post)
inbox.start()
while len(scans) < 3: time.sleep(0.01)
Path(sys.argv[1], "5", "me.jpg").touch()
while not seen: time.sleep(0.01)
print(json.dumps(asdict(inbox.health())))
inbox.stop()
"""


@pytest.mark.parametrize(
    ("watches", "mode", "words"), [(0, "polling", "cannot be watched"), (3, "events", "Only 3 of 7")]
)
def test_too_few_watches_are_noticed(folder: Path, watches: int, mode: str, words: str) -> None:
    """At the kernel's limit of watches photos are still found, and the trouble names the setting to raise."""
    for number in range(6):
        (folder / str(number)).mkdir()
    limit = f'echo {watches} > /proc/sys/user/max_inotify_watches && exec "$@"'
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        limit,
        "sh",
        sys.executable,
        "-c",
        LIMITED,
        str(folder),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        lacking(f"no user namespace with its own limits here: {done.stderr.strip()[-200:]}")
    health = json.loads(done.stdout)
    assert health["mode"] == mode
    assert words in health["trouble"]
    assert "fs.inotify.max_user_watches" in health["trouble"]


# --- the probe


def test_the_probe_hears_and_leaves_nothing(folder: Path) -> None:
    """A working watch hears its cookie; a deaf one does not; neither leaves a file or tells it to anybody."""
    told: list[Path] = []
    watch = Watch(folder, lambda _kind, path, _is_folder: told.append(path))
    assert watch.hears() is True
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    assert watch.alive()
    assert not watch.stands()
    assert watch.hears(0.2) is False
    watch.stop()
    assert list(folder.iterdir()) == []
    assert told == []


def test_a_probe_that_cannot_write_proves_nothing(folder: Path) -> None:
    """In a folder that only others may write to, the probe says neither yes nor no."""
    watch = Watch(folder, lambda *_: None)
    user = os.geteuid()
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        assert watch.hears(0.1) is None
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
        watch.stop()


def test_cookies_are_never_told(folder: Path) -> None:
    """Neither ours nor those of another daemon on the same inbox."""
    told = Told()
    with watched(folder, told) as inbox:
        (folder / f"{COOKIE}of-another").touch()
        (folder / "me.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "me.jpg")))
        assert list(inbox.scan()) == [folder / "me.jpg"]
    assert {m.path for m in told.messages if isinstance(m, Sighting)} == {folder / "me.jpg"}


def test_a_cookie_of_a_killed_daemon_is_removed(folder: Path) -> None:
    """Whoever is killed between making a cookie and removing it leaves it; the next start does not."""
    (folder / f"{COOKIE}of-the-dead").touch()
    (folder / ".neural-selfie-is-mine").touch()
    with watched(folder, Told()):
        assert [path.name for path in folder.iterdir()] == [".neural-selfie-is-mine"]


def test_after_stop_there_is_silence(folder: Path) -> None:
    """Stopping ends every thread, leaves no watch in the kernel, and nothing is posted afterwards."""
    threads, watches = threading.active_count(), watched_folders()
    told = Told()
    with watched(folder, told):
        assert watched_folders() == (watches or 0) + 1
    posted = len(told.messages)
    eventually(lambda: threading.active_count() == threads)
    (folder / "me.jpg").touch()
    assert watched_folders() == watches
    assert len(told.messages) == posted
