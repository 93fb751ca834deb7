"""The inbox: whatever is dropped there, however it comes, is told; and nothing makes the daemon blind for long.

Real files and the real watchdog. Where `rescan_seconds` is an hour, a sighting in time proves that an event brought it.
"""

import inspect
import itertools
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.api import BaseObserver

from neural_selfie.inbox import Inbox, ScanDone, Sighting, walk
from neural_selfie.watching import COOKIE, Watch, watched_folders

HOUR = 3600.0
PATIENCE = 10.0  # seconds until a test fails; none waits that long when all is well
NOBODY = 65534


class Told:
    """What an inbox posted, and waiting for it."""

    def __init__(self) -> None:
        self.messages: list[Sighting | ScanDone] = []
        self._news = threading.Condition()

    def __call__(self, message: Sighting | ScanDone) -> None:
        """Take a message, from any thread."""
        with self._news:
            self.messages.append(message)
            self._news.notify_all()

    def until(self, what: Callable[[], bool]) -> None:
        """Wait until `what` holds, or fail."""
        with self._news:
            assert self._news.wait_for(what, PATIENCE), f"waited in vain; told: {self.messages[-20:]}"

    @property
    def scans(self) -> list[ScanDone]:
        """The scans that ended."""
        return [message for message in self.messages if isinstance(message, ScanDone)]

    def kinds(self, path: Path) -> set[str]:
        """How a path was told."""
        return {message.kind for message in self.messages if isinstance(message, Sighting) and message.path == path}


def eventually(what: Callable[[], bool]) -> None:
    """Wait until `what` holds without being told, or fail."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty inbox."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


@contextmanager
def watched(folder: Path, told: Told, **options: Any) -> Iterator[Inbox]:
    """Yield an inbox that has looked around once and hears events."""
    inbox = Inbox(folder, post=told, **{"rescan_seconds": HOUR, **options})
    inbox.start()
    try:
        told.until(lambda: bool(told.scans))
        yield inbox
    finally:
        inbox.stop()


# --- how photos come


def test_what_is_there_at_the_start_is_told(folder: Path) -> None:
    """Photos dropped while the daemon was away are told, then that the scan is through and how many it saw."""
    (folder / "a").mkdir()
    paths = [folder / "me.jpg", folder / "a" / "you.jpg"]
    for path in paths:
        path.touch()
    told = Told()
    with watched(folder, told) as inbox:
        assert all(told.kinds(path) == {"scanned"} for path in paths)
        assert told.scans[0].seen == 2
        assert not told.scans[0].troubles
        health = inbox.health()
        assert health.observer_alive
        assert health.mode == "events"
        assert health.trouble is None
        assert health.last_scan_at == told.scans[0].started_at


def by_writing(path: Path, _outside: Path) -> None:
    """Write it in place, like cp."""
    path.write_bytes(b"x")


def by_renaming(path: Path, outside: Path) -> None:
    """Rename it in from outside, like mv."""
    (outside / "a").write_bytes(b"x")
    (outside / "a").rename(path)


def by_renaming_a_hidden_file(path: Path, _outside: Path) -> None:
    """Upload under an ignored name and rename, like WinSCP, rsync and browsers."""
    temp = path.with_name(f"{path.name}.filepart")
    temp.write_bytes(b"x")
    temp.rename(path)


def by_linking(path: Path, outside: Path) -> None:
    """Finish by a hard link: there is no event but `created`."""
    (outside / "a").write_bytes(b"x")
    path.hardlink_to(outside / "a")


def by_setting_times(path: Path, _outside: Path) -> None:
    """Set times of long ago at the end, like a copy that keeps them."""
    path.write_bytes(b"x")
    os.utime(path, (1, 1))


WAYS = [by_writing, by_renaming, by_renaming_a_hidden_file, by_linking, by_setting_times]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_drop_a_photo_is_seen_at_once(
    folder: Path, tmp_path: Path, way: Callable[[Path, Path], None]
) -> None:
    """However a photo comes in, an event tells it, and its temporary name is never told."""
    told = Told()
    path = folder / "me.jpg"
    with watched(folder, told):
        way(path, tmp_path)
        told.until(lambda: bool(told.kinds(path)))
    assert "scanned" not in told.kinds(path)
    assert {m.path for m in told.messages if isinstance(m, Sighting)} == {path}


def test_a_folder_moved_in_brings_its_photos(folder: Path, tmp_path: Path) -> None:
    """A folder with folders moved into the inbox, and one renamed there, tell every photo under its new name."""
    deep = tmp_path / "album" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "me.jpg").touch()
    told = Told()
    with watched(folder, told):
        (tmp_path / "album").rename(folder / "album")
        told.until(lambda: bool(told.kinds(folder / "album" / "a" / "b" / "me.jpg")))
        (folder / "album").rename(folder / "holiday")
        told.until(lambda: bool(told.kinds(folder / "holiday" / "a" / "b" / "me.jpg")))
        (folder / "holiday" / "a" / "b" / "you.jpg").touch()
        told.until(lambda: bool(told.kinds(folder / "holiday" / "a" / "b" / "you.jpg")))


def test_a_tree_copied_in_is_seen_whole(folder: Path, tmp_path: Path) -> None:
    """A tree that is copied in, folders and files in quick succession, is told without a scan of everything."""
    for name in itertools.product("abc", "xyz", "123"):
        path = tmp_path / "tree" / Path(*name) / "me.jpg"
        path.parent.mkdir(parents=True)
        path.touch()
    told = Told()
    with watched(folder, told):
        shutil.copytree(tmp_path / "tree", folder / "tree")
        expected = list(walk(folder))
        assert len(expected) == 27
        told.until(lambda: all(told.kinds(path) for path in expected))


def test_many_new_folders_become_one_scan(folder: Path) -> None:
    """Hundreds of folders at once are told, and do not cost hundreds of walks over each other."""
    told = Told()
    paths = [folder / f"album {number}" / "me.jpg" for number in range(300)]
    with watched(folder, told):
        for path in paths:
            path.parent.mkdir()
            path.touch()
        told.until(lambda: all(told.kinds(path) for path in paths))


def test_a_name_that_is_no_utf8_is_told(folder: Path) -> None:
    """A name from an old camera or share, not UTF-8, comes as the path under which it can be opened."""
    told = Told()
    path = folder / os.fsdecode(b"caf\xe9\n.jpg")
    with watched(folder, told) as inbox:
        path.write_bytes(b"x")
        told.until(lambda: bool(told.kinds(path)))
        assert list(inbox.scan()) == [path]


def test_what_is_no_photo_is_not_told(folder: Path) -> None:
    """Ignored names, ignored folders and configured globs are told by neither events nor scans."""
    told = Told()
    names = [".DS_Store", "Thumbs.db", "me.jpg.part", "@eaDir/me.jpg", "raw/me.jpg", "me.nef"]
    with watched(folder, told, ignore=("raw/**", "*.nef")) as inbox:
        for name in [*names, "last.jpg"]:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        told.until(lambda: bool(told.kinds(folder / "last.jpg")))
        inbox.request_scan()
        told.until(lambda: len(told.scans) > 1)
    assert {m.path for m in told.messages if isinstance(m, Sighting)} == {folder / "last.jpg"}


def test_special_files_are_told_and_never_followed(folder: Path, tmp_path: Path) -> None:
    """Links, pipes and sockets are told, so that somebody can say why they are not painted; links lead nowhere."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "me.jpg").touch()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(folder)
        bound.bind("socket")
        os.chdir(here)
    told = Told()
    with watched(folder, told) as inbox:
        assert set(inbox.scan()) == {folder / name for name in ("link", "loop", "pipe", "socket")}
        assert told.scans[0].seen == 4
        os.mkfifo(folder / "pipe2")
        told.until(lambda: bool(told.kinds(folder / "pipe2")))


def test_an_inbox_that_is_a_link_is_watched(folder: Path, tmp_path: Path) -> None:
    """The configured path may be a link; events and scans both speak of it as it was configured."""
    link = tmp_path / "link"
    link.symlink_to(folder)
    (folder / "you.jpg").touch()
    told = Told()
    with watched(link, told):
        assert told.kinds(link / "you.jpg") == {"scanned"}
        (folder / "me.jpg").touch()
        told.until(lambda: "created" in told.kinds(link / "me.jpg"))


# --- scans


def test_the_rescan_finds_what_no_event_told(folder: Path) -> None:
    """Every rescan tells everything again, so that nothing depends on events."""
    told = Told()
    (folder / "me.jpg").touch()
    with watched(folder, told, rescan_seconds=0.1):
        told.until(lambda: len(told.scans) >= 3)
        assert all(scan.seen == 1 for scan in told.scans)


def test_polling_needs_no_events(folder: Path) -> None:
    """With polling there is no observer; the scans come faster, and the health says so and why."""
    told = Told()
    before = watched_folders()
    with watched(folder, told, polling="always", rescan_seconds=0.1) as inbox:
        (folder / "me.jpg").touch()
        told.until(lambda: told.kinds(folder / "me.jpg") == {"scanned"})
        health = inbox.health()
        assert (health.mode, health.observer_alive, health.trouble) == ("polling", True, None)
        assert health.why
        assert watched_folders() == before


def test_scanning_needs_no_start(folder: Path) -> None:
    """A dry run asks for a scan only; stopping what never started is no error, twice neither."""
    (folder / "me.jpg").touch()
    inbox = Inbox(folder, post=Told())
    assert list(inbox.scan()) == [folder / "me.jpg"]
    assert not inbox.health().observer_alive
    inbox.stop()
    inbox.stop()


def test_a_tree_deeper_than_the_stack_is_walked(folder: Path) -> None:
    """More folders in each other than calls may be nested are no reason to stop."""
    path = folder.joinpath(*"d" * 200)
    subprocess.run(["mkdir", "-p", path], check=True)
    (path / "me.jpg").touch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        found = list(walk(folder))
    finally:
        sys.setrecursionlimit(limit)
    assert found == [path / "me.jpg"]


def test_a_folder_that_vanishes_during_the_walk_is_no_trouble(folder: Path) -> None:
    """Somebody tidies up while the scan runs: the rest is told, and nobody is alarmed."""
    for name in "abc":
        (folder / name).mkdir()
        (folder / name / "me.jpg").touch()
    inbox = Inbox(folder, post=Told())
    scan = inbox.scan()
    first = next(scan)
    for name in {"a", "b", "c"} - {first.parent.name}:
        shutil.rmtree(folder / name)
    assert list(scan) == []
    assert inbox.health().trouble is None


def test_a_folder_that_becomes_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """A folder that is exchanged for a link between listing and reading leads nowhere either."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.pem").touch()
    for name in "ab":
        (folder / name).mkdir()
        (folder / name / "me.jpg").touch()
    scan = walk(folder)
    first = next(scan)
    other = ({"a", "b"} - {first.parent.name}).pop()
    shutil.rmtree(folder / other)
    (folder / other).symlink_to(tmp_path / "secret")
    assert list(scan) == []


def test_a_folder_that_cannot_be_read_is_reported() -> None:
    """A folder of somebody else: its name and the reason are told, everything beside it is found."""
    with tempfile.TemporaryDirectory() as name:  # not below a folder that only this user may enter
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "mine").mkdir()
        (folder / "mine" / "me.jpg").touch()
        (folder / "theirs").mkdir(mode=0)
        inbox = Inbox(folder, post=Told())
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            assert list(inbox.scan()) == [folder / "mine" / "me.jpg"]
        finally:
            os.seteuid(user)
            (folder / "theirs").chmod(0o700)
        assert "theirs cannot be read: Permission denied" in str(inbox.health().trouble)


# --- what makes watchers blind


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
        pytest.skip("only root can mount")
    told = Told()
    with watched(folder, told):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True)
        if mounted.returncode:
            pytest.skip(f"mounting is not permitted here: {mounted.stderr.decode()}")
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
        pytest.skip("bindfs is not installed: no file system here hides what others write")
    behind = tmp_path / "behind"
    behind.mkdir()
    mounted = subprocess.run(["bindfs", behind, folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"FUSE is not permitted here: {mounted.stderr.decode()}")
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
import os, sys, threading, time
from pathlib import Path
from neural_selfie.inbox import Inbox, ScanDone, Sighting
seen, scans = set(), []
def post(message):
    seen.add(message.path) if isinstance(message, Sighting) else scans.append(message)
inbox = Inbox(Path(sys.argv[1]), rescan_seconds=3600, post=post)
inbox.start()
while not scans: time.sleep(0.01)
print("ready", flush=True)
while len(seen) < int(sys.argv[2]): time.sleep(0.01)
print(inbox.health().overflows, flush=True)
inbox.stop()
"""


def test_a_real_overflow_loses_nothing(folder: Path) -> None:
    """A daemon that sleeps while the kernel's queue runs over knows it, and tells photos whose events were lost."""
    queued = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queued > 50_000:
        pytest.skip(f"the kernel's queue takes {queued} events: filling it would take too long")
    command = [sys.executable, "-c", DROPPER, str(folder), "101"]
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
            assert int(daemon.stdout.readline()) >= 1
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
        pytest.skip(f"no user namespace with its own limits here: {done.stderr.strip()[-200:]}")
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
