"""Links, pipes, sockets and devices in the inbox: never opened, never followed, each explained; no more."""

import hashlib
import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from house import House, photo

Snapshot = dict[str, tuple[int, int, int, str]]


def snapshot(folder: Path) -> Snapshot:
    """Return what lies in and below a folder: kind and mode, size, time of change, and content."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        facts = path.lstat()
        content = ""
        if stat.S_ISREG(facts.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(facts.st_mode):
            content = str(path.readlink())
        found[str(path.relative_to(folder))] = (facts.st_mode, facts.st_size, facts.st_mtime_ns, content)
    return found


def files_in(folder: Path) -> list[Path]:
    """Return the files in and below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def elsewhere(house: House) -> Path:
    """Return a folder that is none of the daemon's: photos that nobody dropped, and a file that nobody may write."""
    folder = house.root / "elsewhere"
    (folder / "album" / "plain").mkdir(parents=True)
    photo(folder / "secret.png", seed=50)
    photo(folder / "album" / "private.png", seed=51)
    photo(folder / "album" / "plain" / "more.png", seed=52)
    (folder / "passwd").write_text("root:x:0:0\n")
    return folder


@pytest.fixture
def listening() -> Iterator[Callable[[Path], None]]:
    """Make sockets that listen until the test is over."""
    opened = []

    def listen(path: Path) -> None:
        opened.append(socket.socket(socket.AF_UNIX))
        opened[-1].bind(str(path))
        opened[-1].listen()

    yield listen
    for one in opened:
        one.close()


def make_device(path: Path, kind: int) -> bool:
    """Make a device that gives zeros without end; return whether this user and file system can."""
    try:
        os.mknod(path, kind | 0o666, os.makedev(1, 5))
    except PermissionError:
        return False
    return True


def special_files(inbox: Path, elsewhere: Path, listen: Callable[[Path], None]) -> dict[str, str]:
    """Lay every kind of thing that is no file into the inbox; return what each is, by its path below the inbox."""
    below = inbox / "plain"
    below.mkdir()
    links = {
        "to a photo here.png": inbox / "good.png",
        "to a photo elsewhere.png": elsewhere / "secret.png",
        "to a photo by its way.png": Path("../elsewhere/secret.png"),
        "to nothing.png": Path("/nowhere/at/all.png"),
        "to itself.png": Path("to itself.png"),
        "round.png": Path("and round.png"),
        "and round.png": Path("round.png"),
        "to an album": elsewhere / "album",
        "to everything": Path("/"),
        "to the inbox": inbox,
        "plain/to an album": elsewhere / "album",
        "plain/to a device.png": Path("/dev/zero"),
        "plain/to a terminal.png": Path("/dev/tty"),
        "plain/to memory.png": Path("/proc/self/mem"),
        "good.png.yaml": elsewhere / "passwd",  # where a sidecar would be
    }
    for name, target in links.items():
        (inbox / name).symlink_to(target)
    kinds = dict.fromkeys(links, "a link to another file")
    for name in ("pipe.png", "pipe without an ending", "plain/pipe.mask.png", "other.png.yaml"):
        os.mkfifo(inbox / name)
        kinds[name] = "a pipe"
    for name in ("socket.png", "plain/socket.jpg.yaml"):
        listen(inbox / name)
        kinds[name] = "a socket"
    for name, kind in (("device.png", stat.S_IFCHR), ("plain/disk.png", stat.S_IFBLK)):
        if make_device(inbox / name, kind):
            kinds[name] = "a device"
    return kinds


def test_what_is_no_file_is_refused_unopened(house: House, elsewhere: Path, listening: Callable[[Path], None]) -> None:
    """Links to anywhere, pipes, sockets and devices end in failed/ as what they are; what they lead to stays as it was,
    and the photos among them are painted.
    """
    kinds = special_files(house.inbox, elsewhere, listening)
    photo(house.inbox / "good.png", seed=1)
    photo(house.inbox / "plain" / "other.png", seed=2)
    (house.inbox / "folder.png").mkdir()
    photo(house.inbox / "folder.png" / "inside.png", seed=3)
    before = snapshot(elsewhere)
    for path in files_in(elsewhere):
        os.utime(path, ns=(0, path.stat().st_mtime_ns))  # whoever reads it now is written down as having done so

    assert house.once() == 1

    assert [path for path in files_in(elsewhere) if path.stat().st_atime_ns] == []
    assert snapshot(elsewhere) == before
    assert sorted(record["photo"]["name"] for record in house.records()) == ["good.png", "inside.png", "other.png"]
    refused = {}
    for path in house.failed.glob("*.error.json"):
        content = json.loads(path.read_bytes())
        refused[content["dropped_as"]] = content["reason"]
        moved = path.with_name(path.name.removesuffix(".error.json"))
        assert not stat.S_ISREG(moved.lstat().st_mode), moved
    assert {name: reason.partition(",")[0] for name, reason in refused.items()} == {
        name: f"This is {kind}" for name, kind in kinds.items()
    }
    assert [path for path in house.inbox.rglob("*") if not path.is_dir()] == []
    assert (house.failed / "to a photo by its way.png").readlink() == Path("../elsewhere/secret.png")
    names = {"config.yaml", "daemon.log", "elsewhere", "failed", "inbox", "originals", "outbox", "state", "style.png"}
    assert {path.name for path in house.root.iterdir()} == names
    assert {entry["cause"] for entry in house.status()["refused"]} == {"not_a_file"}


def test_links_laid_where_the_daemon_writes_are_replaced_and_not_followed(house: House, elsewhere: Path) -> None:
    """Whoever may write into failed/ and outbox/ cannot make the daemon write through a link of theirs."""
    house.failed.mkdir()
    house.originals.mkdir()
    (house.outbox / "gallery").mkdir(parents=True)
    target = elsewhere / "passwd"
    (house.inbox / "notes.jpg").write_text("no photo")
    photo(house.inbox / "me.png", seed=1)
    for place in (
        house.failed / "notes.jpg.error.json",
        house.failed / ".notes.jpg.error.json.part",
        house.originals / "me.png",
        house.outbox / "index.html",
        house.outbox / ".index.html.part",
    ):
        place.symlink_to(target)
    before = snapshot(elsewhere)

    assert house.once() == 1

    assert snapshot(elsewhere) == before
    assert not (house.outbox / "index.html").is_symlink()
    assert (house.originals / "me (2).png").is_file()
    assert [entry["photo"] for entry in house.status()["refused"]] == ["notes.jpg"]


@pytest.mark.parametrize("action", ["keep", "delete"])
def test_what_is_no_file_is_told_where_nothing_may_be_moved(house: House, elsewhere: Path, action: str) -> None:
    """With `keep` a link and a pipe stay in the inbox, explained once; with `delete` they go to failed/."""
    house.settings["originals"] = {"action": action}
    house.write_config()
    (house.inbox / "link.png").symlink_to(elsewhere / "secret.png")
    os.mkfifo(house.inbox / "pipe.png")
    before = snapshot(elsewhere)
    assert house.once() == 1
    assert house.once() == (1 if action == "keep" else 0)
    assert snapshot(elsewhere) == before
    assert house.records() == []
    explained = sorted(json.loads(path.read_bytes())["photo"] for path in house.failed.glob("*.error.json"))
    assert explained == ["link.png", "pipe.png"]
    assert (house.inbox / "link.png").is_symlink() == (action == "keep")
