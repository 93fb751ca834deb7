"""Files that survive: real disks, full disks, other file systems, refusals, and a kill at every system call."""

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_selfie import files
from neural_selfie.errors import PermissionDeniedError, StorageUnavailableError, TruncatedPhotoError
from neural_selfie.storage import may_miss_events, mounted_type

NOBODY = 65534
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
    shm = Path("/dev/shm")  # noqa: S108 - not for secrets, but because it is another file system
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here: /dev/shm is missing or the same as the temporary folder")
    folder = Path(tempfile.mkdtemp(dir=shm))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["same file system", "another file system"])
def anywhere(request: pytest.FixtureRequest) -> Path:
    """Return an empty folder beside the photo, then one on another file system."""
    name = "target" if request.param == "same file system" else "elsewhere"
    folder: Path = request.getfixturevalue(name)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a disk of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.decode()}")
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
        pytest.skip("strace is not installed: system calls cannot be made to fail")
    calls = ",".join(injection.partition(":")[0] for injection in injections)
    inject = [f"--inject={injection}" for injection in injections]
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["strace", "-f", "-o", log.name, f"--trace={calls}", *inject, sys.executable, "-B", "-c", code]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if "PTRACE" in done.stderr:
            pytest.skip("tracing processes is not permitted here")
        happened = log.read()
    if done.returncode == -signal.SIGKILL:
        return "killed"
    assert done.returncode == 0, done.stderr
    assert happened.count("(INJECTED)") >= len(injections), "the system call did not happen"
    return done.stdout


def names_in(folder: Path) -> set[str]:
    """Return what lies in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


# --- write_atomic


def test_writing_replaces_the_whole_file(target: Path) -> None:
    """The new content is there, nothing else is, and the permissions are those of the umask or those asked for."""
    path = target / "a.json"
    files.write_atomic(path, b"old and long")
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    files.write_atomic(path, b"secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(target) == {"a.json"}


def test_leftovers_of_a_crash_are_not_in_the_way(target: Path) -> None:
    """A temp file that lies there, even a link that somebody planted, is replaced and never followed."""
    victim = target / "victim"
    victim.write_bytes(b"untouched")
    (target / ".a.json.part").symlink_to(victim)
    files.write_atomic(target / "a.json", b"new")
    assert victim.read_bytes() == b"untouched"
    assert names_in(target) == {"a.json", "victim"}


def test_the_longest_names_can_be_written(target: Path) -> None:
    """A name of 255 bytes leaves no room for a temp name made of it; it is written all the same."""
    path = target / ("é" * 127 + "x")
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert len(names_in(target)) == 1


def test_readers_never_see_half_a_file(target: Path) -> None:
    """While a file is written again and again, every reader sees one whole version."""
    path = target / "a"
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


def test_no_permission_is_told_apart(target: Path) -> None:
    """EACCES is not the weather: it names the user who needs the right."""
    with as_nobody(target), pytest.raises(PermissionDeniedError, match=rf"{os.geteuid()}|{NOBODY}"):
        files.write_atomic(target / "a", b"x")


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
def test_late_errors_are_reported_and_undone(target: Path, call: str, error: str, words: str) -> None:
    """An error that comes only with fsync or rename is told in words, and no temp file stays."""
    code = (
        "from pathlib import Path; from neural_selfie import errors, files\n"
        f"try: files.write_atomic(Path({str(target / 'a')!r}), b'new')\n"
        "except errors.StorageUnavailableError as error: print(error)"
    )
    assert words in under_strace(code, f"{call}:error={error}")
    assert names_in(target) == set()


# --- move_new


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


KILLS = [
    ("fsync", 1),
    ("fsync", 2),
    ("fsync", 3),
    ("fsync", 4),
    ("write", 1),
    ("renameat2", 1),
    ("?unlink,?unlinkat", 2),
]


@pytest.mark.parametrize(("call", "number"), KILLS)
def test_a_kill_at_any_call_loses_nothing(photo: Path, elsewhere: Path, call: str, number: int) -> None:
    """Killed at any system call of a move to another disk: the photo is whole somewhere, and trying again ends it."""
    target = elsewhere / "me.jpg"
    code = (
        "from pathlib import Path; from neural_selfie import files\n"
        f"files.move_exact(Path({str(photo)!r}), Path({str(target)!r}))"
    )
    assert under_strace(code, f"{call}:signal=KILL:when={number}") == "killed"
    assert [path for path in (photo, target) if path.exists() and path.read_bytes() == CONTENT]
    files.move_exact(photo, target)
    assert target.read_bytes() == CONTENT
    assert names_in(photo.parent) == set()
    assert names_in(elsewhere) == {"me.jpg"}


# --- the small ones


def test_removing_says_whether_there_was_something(photo: Path) -> None:
    """Removing twice is no error, and a link is removed, not what it points to."""
    link = photo.with_name("link")
    link.symlink_to(photo)
    assert files.remove_if_there(link)
    assert files.remove_if_there(photo)
    assert not files.remove_if_there(photo)


def test_folders_are_made_with_their_parents(tmp_path: Path) -> None:
    """Missing folders are made, existing ones are no error, and a place without permission is named."""
    files.make_folder(tmp_path / "a" / "b" / "c")
    files.make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    with as_nobody(tmp_path), pytest.raises(PermissionDeniedError, match="cannot be made"):
        files.make_folder(tmp_path / "x")


def test_within_looks_through_links(tmp_path: Path) -> None:
    """A folder lies in another also by way of a link, in itself, and before it exists; a like name is not inside."""
    outer = tmp_path / "inbox"
    (outer / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(outer / "a")
    assert files.is_within(tmp_path / "link", outer)
    assert files.is_within(outer, outer)
    assert files.is_within(outer / "a" / "not yet" / "there", tmp_path / "inbox")
    assert not files.is_within(tmp_path / "inbox2", outer)
    assert not files.is_within(outer, outer / "a")


def test_within_looks_through_binds(small_disk: Path, tmp_path: Path) -> None:
    """A folder that is mounted under a second name is still the same folder."""
    second = tmp_path / "second"
    second.mkdir()
    subprocess.run(["mount", "--bind", small_disk, second], check=True)
    try:
        assert files.is_within(second / "a", small_disk)
    finally:
        subprocess.run(["umount", second], check=True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.ENOTCONN, errno.ENODEV, errno.ESTALE, errno.EBUSY])
def test_every_outage_waits(code: int) -> None:
    """Errors of disks and shares are environmental; the sentence begins as it was asked to."""
    with pytest.raises(StorageUnavailableError, match=r"^The outbox /x: .*goes on by itself\.$") as caught:  # noqa: SIM117 - the inner one is tested
        with files.storage_errors("the outbox /x"):
            raise OSError(code, os.strerror(code))
    assert caught.value.environmental


def test_other_errors_pass(tmp_path: Path) -> None:
    """What is neither storage nor permission is not dressed up."""
    with pytest.raises(FileNotFoundError), files.storage_errors("x"):
        (tmp_path / "gone").read_bytes()
    with pytest.raises(ValueError, match="mine"), files.storage_errors("x"):
        raise ValueError("mine")


def test_the_type_of_a_mount_is_found(small_disk: Path) -> None:
    """A mount point with a blank in its name, as the kernel writes it, is found for paths that need not exist."""
    assert files.file_system_type(small_disk / "not" / "there") == "tmpfs"
    assert not files.is_network(small_disk)
    assert not may_miss_events(small_disk)


ESCAPES = {b" ": rb"\040", b"\t": rb"\011", b"\n": rb"\012", b"\\": rb"\134"}


def mount_line(point: bytes, kind: bytes) -> bytes:
    """Return a line of mountinfo as the kernel would write it."""
    escaped = b"".join(ESCAPES.get(bytes([byte]), bytes([byte])) for byte in point)
    return b"36 35 98:0 / " + escaped + b" rw,noatime shared:1 master:2 - " + kind + b" srv:/x rw,errors=continue\n"


@given(st.binary(min_size=1, max_size=20).filter(lambda raw: not set(raw) & {0, 0x2F}))
def test_any_mount_point_is_understood(name: bytes) -> None:
    """Whatever bytes a mount point is called, paths in it are found and paths beside it are not."""
    text = mount_line(b"/", b"ext4") + mount_line(b"/" + name, b"nfs4")
    assert mounted_type(b"/" + name + b"/photo", text) == "nfs4"
    assert mounted_type(b"/" + name, text) == "nfs4"
    assert mounted_type(b"/" + name + b"x", text) == "ext4"


def test_the_innermost_and_last_mount_wins() -> None:
    """Of nested mounts the longest counts, of two in the same place the one on top."""
    text = mount_line(b"/srv", b"ext4") + mount_line(b"/srv/in", b"cifs") + mount_line(b"/srv", b"xfs")
    assert mounted_type(b"/srv/in/a", text) == "cifs"
    assert mounted_type(b"/srv/out", text) == "xfs"
    assert mounted_type(b"/", text) == "unknown"
    assert mounted_type(b"/srv", b"broken\n\n" + text) == "xfs"
