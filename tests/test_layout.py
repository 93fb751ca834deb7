"""The folders before the start: what would lose photos is refused, with the exit code that says who must act."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config_samples import as_nobody, open_folder, style_image
from neural_selfie.cli import main
from neural_selfie.config import Originals, Settings, layout
from neural_selfie.errors import ConfigError, PermissionDeniedError, StorageUnavailableError
from neural_selfie.files import storage
from promised import lacking

KEYS = ("outbox", "failed", "originals.folder", "state")


def house(root: Path, **folders: Path) -> Settings:
    """Given a root, return settings whose folders lie side by side in it, except those that are named."""
    originals = folders.pop("originals", root / "originals")
    usual = {key: root / key for key in ("inbox", "outbox", "failed", "state")}
    return Settings.model_validate(usual | folders | {"originals": Originals(folder=originals)})


def overlapping(root: Path, key: str, folder: Path) -> Settings:
    """Given the key of a folder and where it shall be, return settings with it."""
    return house(root, **{key.split(".", maxsplit=1)[0]: folder})


def refusal(settings: Settings) -> str:
    """Given settings that must not be used, return what is said, and see that nothing was made."""
    with pytest.raises(ConfigError) as caught:
        layout.prepare(settings)
    assert caught.value.exit_code == 78
    return str(caught.value)


# ---------------------------------------------------------------- overlaps


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("inside", ["", "below", "deep/below"])
def test_no_folder_lies_in_the_inbox(tmp_path: Path, key: str, inside: str) -> None:
    """What the daemon writes must not be taken for photos: neither in the inbox nor anywhere below it."""
    folder = tmp_path / "inbox" / inside
    assert refusal(overlapping(tmp_path, key, folder)) == (
        f"{key}: {folder} lies inside the inbox {tmp_path / 'inbox'}: what is put there would be taken for photos "
        "again and again."
    )
    assert not (tmp_path / "inbox").exists()


@pytest.mark.parametrize("key", KEYS)
def test_the_inbox_lies_in_no_folder(tmp_path: Path, key: str) -> None:
    """The other way round: an inbox within a folder that the daemon writes to."""
    said = refusal(overlapping(tmp_path, key, tmp_path))
    assert said.startswith(f"inbox: {tmp_path / 'inbox'} lies inside {key} ({tmp_path}): ")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("inwards", [True, False], ids=["in-the-inbox", "around-the-inbox"])
def test_links_hide_no_overlap(tmp_path: Path, key: str, *, inwards: bool) -> None:
    """The same through a symbolic link, whether the folder or the inbox is named by it."""
    (tmp_path / "inbox" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "inbox" if inwards else tmp_path)
    said = refusal(overlapping(tmp_path, key, tmp_path / "link" / "deep" if inwards else tmp_path / "link"))
    assert said.startswith(f"{key}: " if inwards else "inbox: ")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "inbox").symlink_to(tmp_path / "inbox")
    one = house(elsewhere, **{key.split(".", maxsplit=1)[0]: tmp_path / "inbox" / "deep" if inwards else tmp_path})
    assert refusal(one).startswith(f"{key}: " if inwards else "inbox: ")


@pytest.mark.parametrize("key", ["outbox", "failed", "originals.folder"])
def test_nothing_lies_in_the_state_folder_nor_around_it(tmp_path: Path, key: str) -> None:
    """People look into these folders, and not into the state folder: neither may lie in the other."""
    for folder in (tmp_path / "state" / "below", tmp_path / "state"):
        said = refusal(overlapping(tmp_path, key, folder))
        assert said == f"{key}: {folder} and the state folder {tmp_path / 'state'} must not lie in each other."
    around = overlapping(tmp_path, key, tmp_path / "around").model_copy(update={"state": tmp_path / "around" / "state"})
    assert "must not lie in each other" in refusal(around)


def test_neighbours_with_like_names_do_not_overlap(tmp_path: Path) -> None:
    """`inbox-done` is not in `inbox`, and the default folders are beside each other."""
    layout.refuse_overlaps(house(tmp_path, outbox=tmp_path / "inbox-done", failed=tmp_path / "inbox.failed"))
    layout.refuse_overlaps(Settings())


def test_check_ends_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line says the same, with the exit code that keeps a service from being started again and again."""
    style_image(tmp_path / "style.png")
    (tmp_path / "config.yaml").write_text("inbox: inbox\nstate: s\noutbox: inbox/x\npresets: {a: {style: style.png}}\n")
    for command in (["config", "check"], ["run", "--once"], ["run", "--dry-run"]):
        with pytest.raises(SystemExit) as end:
            main([*command, "--config", str(tmp_path / "config.yaml")])
        assert end.value.code == 78
        assert "lies inside the inbox" in capsys.readouterr().err


# ---------------------------------------------------------------- made ready


def test_what_is_made_ready(tmp_path: Path) -> None:
    """Every folder is there and empty, the state folder has its rooms and says whose it is; again changes nothing."""
    one = house(tmp_path / "new")
    state = layout.prepare(one)
    assert state.root == one.state
    for folder in (one.inbox, one.outbox_folder, one.failed_folder, one.originals_folder):
        assert list(folder.iterdir()) == []
    assert {path.name for path in one.state.iterdir()} == {
        *("README", "work", "rendered", "styles", "models", "cache", "picks")
    }
    assert "Do not change anything here" in (one.state / "README").read_text()
    assert state.lock.parent == state.progress.parent == one.state
    assert (state.work.stat().st_mode & 0o007) == 0
    (one.inbox / "me.jpg").write_bytes(b"a photo")
    (state.work / "kept").write_bytes(b"a photo")
    (one.state / "README").write_text("mine")
    assert layout.prepare(one) == state
    assert (one.inbox / "me.jpg").read_bytes() == (state.work / "kept").read_bytes() == b"a photo"
    assert (one.state / "README").read_text() == "mine"


def test_many_begin_at_once(tmp_path: Path) -> None:
    """Daemons that share an inbox and begin in the same moment do not take each other's trials for a broken folder."""
    settings = [house(tmp_path, state=tmp_path / f"state-{number}") for number in range(4)]
    with ThreadPoolExecutor(len(settings)) as pool:
        for made in [pool.submit(layout.prepare, one) for _ in range(100) for one in settings]:
            made.result()
    assert list((tmp_path / "inbox").iterdir()) == []


@pytest.mark.parametrize("action", ["keep", "delete"])
def test_a_folder_that_is_not_used_is_not_made(tmp_path: Path, action: str) -> None:
    """Where originals are kept or deleted, no folder for them appears."""
    one = house(tmp_path).model_copy(update={"originals": Originals.model_validate({"action": action})})
    layout.prepare(one)
    assert not one.originals_folder.exists()


@pytest.mark.parametrize("key", ["inbox", "outbox", "failed", "originals", "state"])
def test_a_file_is_no_folder(tmp_path: Path, key: str) -> None:
    """A file, a dangling link, or a file further up in the path is told by the name of the setting."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "dangling"):
        assert refusal(house(tmp_path, **{key: folder})) == f"{key}: {folder} is not a folder."


def test_a_link_that_leads_to_itself(tmp_path: Path) -> None:
    """A circle of links is refused in a sentence too."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    said = refusal(house(tmp_path, outbox=tmp_path / "circle"))
    assert str(tmp_path / "circle") in said


@pytest.mark.parametrize("key", ["inbox", "outbox", "failed", "originals", "state"])
def test_a_folder_that_may_not_be_written(key: str) -> None:
    """Another user's folder is a matter of permission, exit code 77: said with folder, user, and what to do."""
    with open_folder() as root:
        one = house(root)
        for name in ("inbox", "outbox", "failed", "originals", "state"):
            (root / name).mkdir()
            (root / name).chmod(0o555 if name == key else 0o777)
        said = as_nobody(lambda: layout.prepare(one))
    assert said.startswith(f"PermissionDeniedError: The {key} folder {root / key} cannot be used: ")
    assert "Let the user with id " in said
    assert PermissionDeniedError.exit_code == 77


def test_a_folder_that_may_not_be_made() -> None:
    """A missing folder whose parent belongs to somebody else is a matter of permission as well."""
    with open_folder() as root:
        (root / "theirs").mkdir(mode=0o555)
        said = as_nobody(lambda: layout.prepare(house(root / "theirs")))
    assert said.startswith(f"PermissionDeniedError: The inbox folder {root / 'theirs' / 'inbox'} cannot be used: ")


def test_a_command_without_permission_ends_with_77() -> None:
    """`run` as a user who may not write there ends with 77, before anything is taken in."""
    with open_folder() as root:
        for name in ("outbox", "failed", "originals", "state"):
            (root / name).mkdir()
            (root / name).chmod(0o777)
        (root / "inbox").mkdir(mode=0o555)
        (root / "inbox" / "me.jpg").write_bytes(b"a photo")
        style_image(root / "style.png")
        (root / "config.yaml").write_text("inbox: inbox\nstate: state\npresets: {a: {style: style.png}}\n")
        said = as_nobody(lambda: main(["run", "--once", "--config", str(root / "config.yaml")]))
        assert said == "SystemExit: 77"
        assert (root / "inbox" / "me.jpg").read_bytes() == b"a photo"


def test_a_full_or_read_only_disk_is_no_fault_of_the_configuration(tmp_path: Path) -> None:
    """A disk that is full at start, or read-only after an error, is waited for: not exit code 78, which gives up."""
    private = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    code = """
        import sys
        from pathlib import Path
        from neural_selfie.config import layout
        from neural_selfie.config import Settings
        root = Path(sys.argv[1])
        try:
            layout.prepare(Settings(inbox=root / "disk" / "inbox", state=root / "state"))
        except Exception as error:
            print(type(error).__name__, error)
    """
    (tmp_path / "disk").mkdir()
    (tmp_path / "code.py").write_text(textwrap.dedent(code))
    disk, run = f'"{tmp_path}/disk"', f'"{sys.executable}" "{tmp_path}/code.py" "{tmp_path}"'
    script = f"""
        mount -t tmpfs -o size=32k none {disk} || exit 9
        mkdir {disk}/inbox; cat /dev/zero > {disk}/fill 2>/dev/null
        {run}; mount -o remount,ro {disk} && {run}
    """
    done = subprocess.run([*private, script], capture_output=True, text=True, check=False)
    if done.returncode in {1, 9} and not done.stdout:
        lacking("no mount namespace of its own can be had here")
    full, read_only = done.stdout.splitlines()
    told = f"StorageUnavailableError The inbox folder {tmp_path}/disk/inbox cannot be used: "
    assert full.startswith(f"{told}the disk is full")
    assert read_only.startswith(f"{told}it is mounted read-only")
    assert StorageUnavailableError.exit_code == 1


# ---------------------------------------------------------------- the ledger's disk


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Path]:
    """A folder that another process serves through the network file system sshfs, without any network."""
    server = next((path for path in map(Path, SERVERS) if path.exists()), None)
    if server is None or not shutil.which("sshfs") or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        lacking("needs sshfs, sftp-server and /dev/fuse (apt-get install sshfs openssh-sftp-server)")
    script, remote, mounted = tmp_path / "ssh", tmp_path / "remote", tmp_path / "share"
    script.write_text(f"#!/bin/sh\nexec {server}\n")
    script.chmod(0o755)
    remote.mkdir()
    mounted.mkdir()
    mount = ["sshfs", "-o", f"ssh_command={script}", f"here:{remote}", str(mounted)]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        lacking(f"sshfs cannot mount here: {done.stderr.strip()}")
    yield mounted
    subprocess.run(["fusermount3", "-u", str(mounted)], check=True, timeout=20)


SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")


def test_the_ledger_stays_off_the_network(share: Path, tmp_path: Path) -> None:
    """A state folder on a share is refused with the kind of file system and the reason; the other folders may be."""
    assert refusal(house(tmp_path, state=share / "state")) == (
        f"state: {share / 'state'} lies on a network file system (fuse.sshfs). The ledger needs a local disk; inbox "
        "and outbox may stay on the share."
    )
    one = house(share, state=tmp_path / "state")
    assert layout.prepare(one).root == tmp_path / "state"
    assert storage.is_network(one.inbox)
    assert not storage.is_network(one.state)
