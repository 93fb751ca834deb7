"""The inbox: whatever is dropped there, however it comes, is told.

Real files and the real watchdog. Where `rescan_seconds` is an hour, a sighting in time proves that an event brought it.
"""

import inspect
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from neural_selfie.inbox import Inbox, Sighting, walk
from neural_selfie.inbox.watching import watched_folders
from told import NOBODY, Told, watched


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty inbox."""
    path = tmp_path / "inbox"
    path.mkdir()
    return path


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
