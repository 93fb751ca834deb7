"""Writing, removing and making folders so that it survives: full disks, late errors, leftovers, refusals."""

import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import disks
from disks import NOBODY, as_nobody, names_in, under_strace
from neural_selfie import files
from neural_selfie.errors import PermissionDeniedError, StorageUnavailableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    path = tmp_path / "outbox"
    path.mkdir()
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a disk of 1 MiB."""
    with disks.disk_of_one_mebibyte(tmp_path) as folder:
        yield folder


def test_writing_replaces_the_whole_file(folder: Path) -> None:
    """The new content is there, nothing else is, and the permissions are those of the umask or those asked for."""
    path = folder / "a.json"
    files.write_atomic(path, b"old and long")
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    files.write_atomic(path, b"secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(folder) == {"a.json"}


def test_leftovers_of_a_crash_are_not_in_the_way(folder: Path) -> None:
    """A temp file that lies there, even a link that somebody planted, is replaced and never followed."""
    victim = folder / "victim"
    victim.write_bytes(b"untouched")
    (folder / ".a.json.part").symlink_to(victim)
    files.write_atomic(folder / "a.json", b"new")
    assert victim.read_bytes() == b"untouched"
    assert names_in(folder) == {"a.json", "victim"}


def test_the_longest_names_can_be_written(folder: Path) -> None:
    """A name of 255 bytes leaves no room for a temp name made of it; it is written all the same."""
    path = folder / ("é" * 127 + "x")
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert len(names_in(folder)) == 1


def test_readers_never_see_half_a_file(folder: Path) -> None:
    """While a file is written again and again, every reader sees one whole version."""
    path = folder / "a"
    files.write_atomic(path, b"a" * 100_000)

    def write() -> None:
        for letter in (b"b", b"c", b"d") * 5:
            files.write_atomic(path, letter * 100_000)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        content = path.read_bytes()
        assert content == content[:1] * 100_000
    writer.join()


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    """ENOSPC: environmental, the sentence names file and mend, the old content and nothing else is there."""
    path = small_disk / "picture.jpg"
    files.write_atomic(path, b"old")
    with pytest.raises(StorageUnavailableError, match=r"picture\.jpg.*disk is full\. Free some space"):
        files.write_atomic(path, b"x" * 2_000_000)
    assert path.read_bytes() == b"old"
    assert names_in(small_disk) == {"picture.jpg"}


def test_a_read_only_disk_is_said_to_be_read_only(small_disk: Path) -> None:
    """EROFS: environmental, and the sentence says to mount it writable."""
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StorageUnavailableError, match=r"read-only\. Mount it writable"):
        files.write_atomic(small_disk / "a", b"x")


def test_no_permission_is_told_apart(folder: Path) -> None:
    """EACCES is not the weather: it names the user who needs the right."""
    with as_nobody(folder), pytest.raises(PermissionDeniedError, match=rf"{os.geteuid()}|{NOBODY}"):
        files.write_atomic(folder / "a", b"x")


def test_a_missing_folder_is_a_missing_share(tmp_path: Path) -> None:
    """A folder that is gone makes work wait; it is not made anew by accident under an unmounted share."""
    with pytest.raises(StorageUnavailableError, match=r"folder .*outbox is gone"):
        files.write_atomic(tmp_path / "outbox" / "a", b"x")
    assert not (tmp_path / "outbox").exists()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ("fsync", "EIO", "reports an error"),
        ("fsync", "ENOSPC", "disk is full"),
        ("?rename,?renameat,?renameat2", "ESTALE", "Mount it again"),
        ("fsync", "EDQUOT", "quota"),
        ("fsync", "EHOSTDOWN", "not connected"),
    ],
)
def test_late_errors_are_reported_and_undone(folder: Path, call: str, error: str, words: str) -> None:
    """An error that comes only with fsync or rename is told in words, and no temp file stays."""
    code = (
        "from pathlib import Path; from neural_selfie import errors, files\n"
        f"try: files.write_atomic(Path({str(folder / 'a')!r}), b'new')\n"
        "except errors.StorageUnavailableError as error: print(error)"
    )
    assert words in under_strace(code, f"{call}:error={error}")
    assert names_in(folder) == set()


def test_removing_says_whether_there_was_something(tmp_path: Path) -> None:
    """Removing twice is no error, and a link is removed, not what it points to."""
    photo, link = tmp_path / "me.jpg", tmp_path / "link"
    photo.touch()
    link.symlink_to(photo)
    assert files.remove_if_there(link)
    assert files.remove_if_there(photo)
    assert not files.remove_if_there(photo)


def test_a_folder_is_made_where_there_is_one(tmp_path: Path) -> None:
    """One that is there is no error, the one above it is not made, no link is followed, permissions are named."""
    files.make_folder(tmp_path / "a")
    files.make_folder(tmp_path / "a")
    assert (tmp_path / "a").is_dir()
    with pytest.raises(StorageUnavailableError, match="share is gone"):
        files.make_folder(tmp_path / "share" / "a")
    assert not (tmp_path / "share").exists()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(StorageUnavailableError, match=r"link is a link or a file.*Move it away"):
        files.make_folder(tmp_path / "link")
    with as_nobody(tmp_path), pytest.raises(PermissionDeniedError, match="cannot be made"):
        files.make_folder(tmp_path / "x")
