"""Moving photos: never overwritten, never doubled, never lost, also across disks and through a kill at any call."""

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import disks
from disks import names_in, under_strace
from neural_selfie import files
from neural_selfie.errors import StorageUnavailableError, TruncatedPhotoError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a photo in a folder of its own, with times of long ago."""
    path = tmp_path / "inbox" / "me.jpg"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    os.utime(path, ns=(10**18, 10**18 + 7))
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return an empty folder on the same file system as the photo."""
    folder = tmp_path / "originals"
    folder.mkdir()
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Yield an empty folder on another file system than the photo."""
    with disks.another_disk(tmp_path) as folder:
        yield folder


@pytest.fixture(params=["same file system", "another file system"])
def anywhere(request: pytest.FixtureRequest) -> Path:
    """Return an empty folder beside the photo, then one on another file system."""
    name = "target" if request.param == "same file system" else "elsewhere"
    folder: Path = request.getfixturevalue(name)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a disk of 1 MiB."""
    with disks.disk_of_one_mebibyte(tmp_path) as folder:
        yield folder


def test_moving_keeps_content_times_and_everything_in_the_way(photo: Path, anywhere: Path) -> None:
    """The photo arrives whole with its times; what has the name already stays; the inbox is empty."""
    (anywhere / "me.jpg").write_bytes(b"another")
    (anywhere / "me (2).jpg").write_bytes(b"a third")
    moved = files.move_new(photo, anywhere, "me.jpg")
    assert moved == anywhere / "me (3).jpg"
    assert moved.read_bytes() == CONTENT
    assert moved.stat().st_mtime_ns == 10**18 + 7
    assert (anywhere / "me.jpg").read_bytes() == b"another"
    assert names_in(anywhere) == {"me.jpg", "me (2).jpg", "me (3).jpg"}
    assert names_in(photo.parent) == set()


def test_two_movers_never_overwrite_each_other(tmp_path: Path, anywhere: Path) -> None:
    """Forty photos of the same name moved from four threads at once are forty photos."""
    sources = [tmp_path / f"in{number}" / "me.jpg" for number in range(40)]
    for number, source in enumerate(sources):
        source.parent.mkdir()
        source.write_text(str(number))

    def move(part: list[Path]) -> None:
        for source in part:
            files.move_new(source, anywhere, f"me{source.parent.name[-1]}.jpg")

    threads = [threading.Thread(target=move, args=(sources[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.read_text() for path in anywhere.iterdir()} == {str(number) for number in range(40)}


def make_fifo(path: Path) -> None:
    """Make a pipe: opening it for reading would wait for ever."""
    os.mkfifo(path)


def make_link(path: Path) -> None:
    """Make a link to nowhere."""
    path.symlink_to("/nowhere/at/all")


def make_socket(path: Path) -> None:
    """Make a socket; its path may be too long to bind to, so it is bound from within the folder."""
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            bound.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [make_fifo, make_link, make_socket])
def test_special_files_are_moved_unopened(photo: Path, anywhere: Path, make: Callable[[Path], None]) -> None:
    """Pipes, links and sockets go to failed/ as what they are, without anybody opening them."""
    special = photo.with_name("special")
    make(special)
    kind = stat.S_IFMT(special.lstat().st_mode)
    moved = files.move_new(special, anywhere, "special")
    assert stat.S_IFMT(moved.lstat().st_mode) == kind
    assert not os.path.lexists(special)


def test_odd_names_can_be_moved(photo: Path, anywhere: Path) -> None:
    """A name that is no UTF-8 and one of 255 bytes arrive as they are."""
    for name in (os.fsdecode(b"caf\xe9\n.jpg"), "x" * 251 + ".jpg"):
        odd = photo.with_name(name)
        odd.write_bytes(b"odd")
        assert files.move_new(odd, anywhere, name).name == name


def test_a_photo_that_is_gone_is_not_a_missing_share(photo: Path, anywhere: Path) -> None:
    """Somebody took the photo away: FileNotFoundError. The folder is gone: StorageUnavailableError."""
    with pytest.raises(FileNotFoundError):
        files.move_new(photo.with_name("gone.jpg"), anywhere, "gone.jpg")
    with pytest.raises(StorageUnavailableError, match="is gone"):
        files.move_new(photo, anywhere / "missing", "me.jpg")
    assert photo.read_bytes() == CONTENT


def test_a_move_that_does_not_fit_changes_nothing(photo: Path, small_disk: Path) -> None:
    """On a full disk the photo stays in the inbox and no piece of it on the disk."""
    photo.write_bytes(b"x" * 2_000_000)
    with pytest.raises(StorageUnavailableError, match="disk is full"):
        files.move_new(photo, small_disk, "me.jpg")
    assert photo.stat().st_size == 2_000_000
    assert names_in(small_disk) == set()


def test_a_photo_that_cannot_be_removed_is_not_doubled(photo: Path, elsewhere: Path) -> None:
    """Where the inbox lets nobody delete, the copy is taken back and the sentence says what is missing."""
    code = (
        "from pathlib import Path; from neural_selfie import errors, files\n"
        f"try: files.move_new(Path({str(photo)!r}), Path({str(elsewhere)!r}), 'me.jpg')\n"
        "except errors.PermissionDeniedError as error: print(error)"
    )
    said = under_strace(code, "?unlink,?unlinkat:error=EACCES:when=2")  # the first removes a leftover
    assert "does not permit" in said
    assert photo.read_bytes() == CONTENT
    assert names_in(elsewhere) == set()


def test_a_photo_that_grows_while_it_is_copied_is_not_cut(photo: Path, elsewhere: Path) -> None:
    """Somebody still writes: nothing is moved, and it counts as unfinished, not as broken."""
    stop = threading.Event()

    def grow() -> None:
        with photo.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"more")

    photo.write_bytes(b"x" * 20_000_000)
    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(TruncatedPhotoError, match=r"changed while it was copied"):
            files.move_new(photo, elsewhere, "me.jpg")
    finally:
        stop.set()
        writer.join()
    assert photo.exists()
    assert names_in(elsewhere) == set()


@pytest.mark.parametrize(
    "injections",
    [
        ("renameat2:error=EINVAL",),
        ("renameat2:error=EINVAL", "?link,linkat:error=EPERM"),
    ],
    ids=["no renameat2", "nor hard links"],
)
def test_poor_file_systems_do_not_overwrite_either(photo: Path, target: Path, injections: tuple[str, ...]) -> None:
    """Without RENAME_NOREPLACE a hard link, and without those an empty file, keeps the name safe."""
    (target / "me.jpg").write_bytes(b"another")
    code = (
        "from pathlib import Path; from neural_selfie import files\n"
        f"files.move_new(Path({str(photo)!r}), Path({str(target)!r}), 'me.jpg')"
    )
    under_strace(code, *injections)
    assert (target / "me.jpg").read_bytes() == b"another"
    assert (target / "me (2).jpg").read_bytes() == CONTENT
    assert names_in(photo.parent) == set()


# --- move_exact


def test_a_finished_move_is_left_alone(photo: Path, anywhere: Path) -> None:
    """Moving again what has arrived does nothing; moving what is nowhere says so."""
    target = anywhere / "me.jpg"
    files.move_exact(photo, target)
    files.move_exact(photo, target)
    assert target.read_bytes() == CONTENT
    with pytest.raises(FileNotFoundError):
        files.move_exact(photo, anywhere / "other.jpg")


@pytest.mark.parametrize("twin", ["copy", "link"])
def test_a_move_that_lacks_only_the_removal_is_finished(photo: Path, target: Path, twin: str) -> None:
    """Both there with the same content, or as one file with two names: the source goes, the target stays."""
    path = target / "me.jpg"
    if twin == "copy":
        path.write_bytes(CONTENT)
    else:
        path.hardlink_to(photo)
    files.move_exact(photo, path)
    assert path.read_bytes() == CONTENT
    assert not photo.exists()


def test_different_content_is_never_thrown_away(photo: Path, target: Path) -> None:
    """Where source and target differ, both stay."""
    path = target / "me.jpg"
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(FileExistsError):
        files.move_exact(photo, path)
    assert photo.read_bytes() == CONTENT
    assert path.read_bytes() == CONTENT[::-1]


def test_moving_a_file_onto_itself_keeps_it(photo: Path) -> None:
    """Source and target may be one entry under two spellings: it must not remove its only copy."""
    link = photo.parent.with_name("same folder")
    link.symlink_to(photo.parent)
    files.move_exact(photo, photo)
    files.move_exact(photo, link / "me.jpg")
    assert photo.read_bytes() == CONTENT


def test_an_empty_placeholder_gives_way(photo: Path, anywhere: Path) -> None:
    """The empty file with which a move reserves its name, left by a crash, is replaced."""
    (anywhere / "me.jpg").touch()
    files.move_exact(photo, anywhere / "me.jpg")
    assert (anywhere / "me.jpg").read_bytes() == CONTENT
    assert not photo.exists()


def test_a_copy_that_was_given_up_leaves_nothing(photo: Path, elsewhere: Path) -> None:
    """Killed while it copies, and the photo then goes elsewhere: the piece of a copy can be removed."""
    target = elsewhere / "me.jpg"
    code = (
        "from pathlib import Path; from neural_selfie import files\n"
        f"files.move_exact(Path({str(photo)!r}), Path({str(target)!r}))"
    )
    assert under_strace(code, "renameat2:signal=KILL:when=2") == "killed"
    assert names_in(elsewhere) != set()
    files.tidy_move(photo, target)
    assert names_in(elsewhere) == set()
    assert photo.read_bytes() == CONTENT


KILLS = [
    ("fsync", 1),
    ("fsync", 2),
    ("fsync", 3),
    ("fsync", 4),
    ("write", 1),
    ("renameat2", 1),
    ("?unlink,?unlinkat", 2),
    ("?rename,?renameat", 1),
]


@pytest.mark.parametrize(("call", "number"), KILLS)
def test_a_kill_at_any_call_loses_nothing(photo: Path, elsewhere: Path, call: str, number: int) -> None:
    """Killed at any system call of a move to another disk: the photo is whole somewhere, and trying again ends it."""
    target = elsewhere / "me.jpg"
    code = (
        "from pathlib import Path; from neural_selfie import files\n"
        f"files.move_exact(Path({str(photo)!r}), Path({str(target)!r}), contested=True)"
    )
    assert under_strace(code, f"{call}:signal=KILL:when={number}") == "killed"
    assert [path for path in (photo, target) if path.exists() and path.read_bytes() == CONTENT]
    files.move_exact(photo, target, contested=True)
    assert target.read_bytes() == CONTENT
    assert names_in(photo.parent) == set()
    assert names_in(elsewhere) == {"me.jpg"}
