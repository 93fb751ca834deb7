"""Where folders lie and what the errors of their disks mean."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import disks
from neural_selfie import files
from neural_selfie.errors import StorageUnavailableError
from neural_selfie.files.storage import may_miss_events, mounted_type


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a disk of 1 MiB."""
    with disks.disk_of_one_mebibyte(tmp_path) as folder:
        yield folder


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
