"""`neural-selfie doctor` finds what is wrong, says what mends it, changes nothing, and does not hang.

Faults are planted in real folders, disks, mounts, ledgers and limits, several in one house; machines that cannot be had
here (GPUs, a systemd) are told to the functions that judge them.
"""

import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from disks import NOBODY, names_in
from house import House, wait_until
from neural_selfie import config, lock
from neural_selfie.doctor import examining, folders, ledger
from neural_selfie.doctor.finding import Finding
from neural_selfie.ledger import open_ledger
from promised import lacking

PATIENCE = 60.0  # seconds; nobody waits that long unless something hangs


def examined(house: House, patience_seconds: float = PATIENCE) -> list[Finding]:
    """Return what the doctor finds in a house, torch left aside."""
    house.write_config()
    return examining.examine_house(config.load(house.config), patience_seconds)


def wrong(found: list[Finding]) -> dict[str, str]:
    """Return what is wrong, sentence and mend together, by the name of the check."""
    return {finding.name: f"{finding.says} {finding.mend}" for finding in found if finding.state == "wrong"}


@pytest.fixture
def lived_in(tmp_path: Path) -> House:
    """A house in which a daemon has run: all folders and the ledger are there. Nobody starts one here."""
    house = House(tmp_path)
    for folder in (house.outbox, house.originals, house.failed, house.state):
        folder.mkdir()
    open_ledger(house.state).close()
    return house


@contextmanager
def a_disk(folder: Path, options: str) -> Iterator[None]:
    """Mount a disk in memory at a folder."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True)
    if done.returncode:
        lacking(f"mounting is not permitted here: {done.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def a_share(folder: Path, behind: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Mount a FUSE file system at a folder, and yield the process that serves it."""
    if shutil.which("bindfs") is None or not Path("/dev/fuse").exists():
        lacking("needs bindfs and FUSE")
    behind.mkdir()
    serving = subprocess.Popen(["bindfs", "-f", behind, folder])
    try:
        wait_until(folder.is_mount)
        yield serving
    finally:
        serving.send_signal(signal.SIGCONT)
        subprocess.run(["umount", "--lazy", folder], check=True)
        serving.terminate()
        serving.wait(timeout=60)


# --- a house in order


def test_a_healthy_house_is_well_and_stays_as_it_is(lived_in: House) -> None:
    """All is well, `--json` has its form, the exit code is 0, and nothing was written, not even by reading."""
    lived_in.write_config()
    before = sorted(lived_in.root.rglob("*"))
    said = lived_in.command("doctor", "--json")
    view = json.loads(said.stdout)
    assert said.stderr == ""
    assert wrong([Finding(**check) for check in view["checks"]]) == {}
    assert said.returncode == 0
    assert (set(view), view["ok"]) == ({"ok", "checks"}, True)
    assert {(*check,) for check in view["checks"]} == {("name", "state", "says", "mend")}
    assert {check["state"] for check in view["checks"]} <= {"ok", "warning", "wrong"}
    assert all(check["says"] and bool(check["mend"]) == (check["state"] != "ok") for check in view["checks"])
    wanted = {"clock", "memory", "config", "inbox", "outbox", "state", "events", "ledger", "daemon", "presets", "torch"}
    assert wanted <= {check["name"] for check in view["checks"]}
    assert sorted(lived_in.root.rglob("*")) == before


def test_a_running_daemon_is_not_disturbed(house: House) -> None:
    """Beside a daemon all is well, too, and the probes are no photos to it."""
    house.start()
    wait_until(lambda: house.status()["watch"].get("mode") == "events")
    found = examined(house)
    assert wrong(found) == {}
    assert any("The daemon runs (process " in finding.says for finding in found)
    house.close()
    assert ".neural-selfie" not in house.log()
    assert names_in(house.inbox) == set()


def test_before_the_first_start_nothing_is_missed(house: House) -> None:
    """Folders that the daemon makes at its first start are not wrong, and the doctor makes none."""
    house.inbox.rmdir()
    before = names_in(house.root)
    found = examined(house)
    assert wrong(found) == {}
    assert sum("the daemon makes it when it starts" in finding.says for finding in found) == 6
    assert names_in(house.root) == before


# --- planted faults


def outbox_is_a_file(house: House, _: ExitStack) -> None:
    """Somebody saved a file where the outbox belongs."""
    house.outbox.rmdir()
    house.outbox.write_text("no folder")


def failed_is_forbidden(house: House, after: ExitStack) -> None:
    """Nobody may write to failed/."""
    if subprocess.run(["chattr", "+i", house.failed], check=False, capture_output=True).returncode:
        lacking("folders cannot be made immutable here")
    after.callback(lambda: subprocess.run(["chattr", "-i", house.failed], check=True))


def originals_is_read_only(house: House, after: ExitStack) -> None:
    """The disk of the originals is mounted read-only."""
    after.enter_context(a_disk(house.originals, "ro"))


def ledger_is_damaged(house: House, _: ExitStack) -> None:
    """Something wrote over the ledger."""
    (house.state / "ledger.sqlite3").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)


def style_is_missing(house: House, _: ExitStack) -> None:
    """The style image was moved away."""
    house.settings["presets"]["plain"]["style"] = "gone.png"


def inbox_is_gone(house: House, _: ExitStack) -> None:
    """Somebody deleted the inbox."""
    house.inbox.rmdir()


def outbox_is_nearly_full(house: House, after: ExitStack) -> None:
    """The disk of the outbox has less room than the daemon wants."""
    house.settings["disks"] = {"free_mib": 5}
    after.enter_context(a_disk(house.outbox, "size=1m"))


def originals_has_no_inodes(house: House, after: ExitStack) -> None:
    """The disk of the originals has room for bytes, but not for files."""
    after.enter_context(a_disk(house.originals, "nr_inodes=30"))


def style_is_no_picture(house: House, _: ExitStack) -> None:
    """The style image is something else."""
    (house.root / "style.png").write_text("no picture")


def ledger_is_newer(house: House, _: ExitStack) -> None:
    """A newer version of the program has been here."""
    with sqlite3.connect(house.state / "ledger.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def polling_is_forbidden_on_a_share(house: House, after: ExitStack) -> None:
    """The inbox is a share, which tells nothing, and it shall not be polled."""
    house.settings["watch"]["polling"] = "never"
    after.enter_context(a_share(house.inbox, house.root / "behind"))


def outbox_is_full(house: House, after: ExitStack) -> None:
    """Not a byte more goes onto the disk of the outbox."""
    after.enter_context(a_disk(house.outbox, "size=64k"))
    (house.outbox / "large").write_bytes(bytes(65536))


def a_command_ran_as_another_user(house: House, _: ExitStack) -> None:
    """A file in the state folder belongs to somebody else."""
    if os.geteuid() != 0:
        lacking("only root can give files away")
    os.chown(house.state / "ledger.sqlite3", NOBODY, NOBODY)


def failed_lies_in_the_inbox(house: House, _: ExitStack) -> None:
    """What failed would be tried again and again."""
    house.settings["failed"] = str(house.inbox / "failed")
    (house.inbox / "failed").mkdir()


def daemon_complains(house: House, after: ExitStack) -> None:
    """A daemon runs, and something is in its way."""
    after.enter_context(lock.held(house.state / "daemon.lock"))
    (house.state / "progress.json").write_text(json.dumps({"troubles": ["The cat sleeps on it."], "watch": {}}))


PLANTED = [
    {
        outbox_is_a_file: ("outbox", r"is not a folder.*Move that file away"),
        failed_is_forbidden: ("failed", r"does not permit it.*chown, chmod or an ACL"),
        originals_is_read_only: ("originals", r"mounted read-only.*Mount it writable"),
        ledger_is_damaged: ("ledger", r"is damaged.*move this file"),
        style_is_missing: ("presets", r"'gone.png' is not there.*Put a picture there"),
    },
    {
        inbox_is_gone: ("inbox", r"is gone.*Mount it again, or make it: `sudo install -d"),
        outbox_is_nearly_full: ("outbox.space", r"only 1 MiB left.*Free some space"),
        originals_has_no_inodes: ("originals.space", r"Only \d+ more files fit.*Delete small files"),
        ledger_is_newer: ("ledger", r"newer version.*Install that version again"),
        style_is_no_picture: ("presets", r"style.png cannot be used.*name another one"),
    },
    {
        polling_is_forbidden_on_a_share: ("events", r"does not tell.*Set `watch.polling: auto`"),
        outbox_is_full: ("outbox", r"disk is full.*Free some space there"),
        a_command_ran_as_another_user: ("state.owner", r"ledger.sqlite3 belongs to another user.*chown --recursive"),
        failed_lies_in_the_inbox: ("layout", r"lies inside the inbox.*another folder"),
        daemon_complains: ("daemon", r"The cat sleeps on it"),
    },
]


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_faults_are_found_with_their_mend(planted: dict[Any, tuple[str, str]], lived_in: House) -> None:
    """Each fault of a house is found by its name, with what mends it, and nothing else is said to be wrong."""
    with ExitStack() as after:
        for plant in planted:
            plant(lived_in, after)
        found = wrong(examined(lived_in))
    assert set(found) == {name for name, _ in planted.values()}
    for plant, (name, words) in planted.items():
        assert re.search(words, found[name], re.DOTALL), (plant, found[name])


@pytest.mark.parametrize("kind", ["instances", "watches"])
def test_limits_of_the_kernel_are_found(kind: str, lived_in: House) -> None:
    """Where the kernel lets this user watch no folder, the finding names the limit and the command that raises it."""
    limit = f'echo 0 > /proc/sys/user/max_inotify_{kind} && exec "$@"'
    code = (
        "import sys; from pathlib import Path; from neural_selfie.doctor import watching\n"
        "print(watching.look(Path(sys.argv[1]), 'auto', ()))"
    )
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh", sys.executable, "-c", code]
    done = subprocess.run([*command, lived_in.inbox], check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        lacking(f"no user namespace with its own limits here: {done.stderr.strip()[-200:]}")
    assert "'wrong'" in done.stdout
    assert f"echo fs.inotify.max_user_{kind}=" in done.stdout


def test_root_looks_as_the_daemons_user() -> None:
    """Root looks as the user whose the state folder is: what that one may not write to is wrong."""
    if os.geteuid() != 0:
        lacking("only root can become another user")
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        house = House(folder)
        house.state.mkdir()
        os.chown(house.state, NOBODY, NOBODY)
        house.config.chmod(0o600)
        found = examined(house)
    finally:
        shutil.rmtree(folder)
    assert any("Looked at as nobody" in finding.says for finding in found)
    assert "may not be read" in wrong(found)["config.readable"]
    assert "does not permit it" in wrong(found)["inbox"]
    assert "may not make it" in wrong(found)["outbox"]
    assert "state" not in wrong(found)


def test_a_ledger_on_a_share_is_refused(tmp_path: Path) -> None:
    """SQLite's log needs a local disk: the state folder on a share of another machine is wrong."""
    state, server = tmp_path / "state", Path("/usr/lib/openssh/sftp-server")
    if shutil.which("sshfs") is None or not server.exists():
        lacking("needs sshfs and an sftp-server")
    for folder in (state, tmp_path / "behind"):
        folder.mkdir()
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {server}\n")
    ssh.chmod(0o755)
    mount = ["sshfs", "-o", f"ssh_command={ssh}", f"there:{tmp_path / 'behind'}", str(state)]
    if subprocess.run(mount, check=False).returncode:
        lacking("FUSE is not permitted here")
    try:
        found = ledger.look(state)
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)
    assert re.search(r"network file system \(fuse.sshfs\).*local disk", wrong(found)["ledger"])


# --- it leaves nothing and waits for nobody


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("call", ["fsync:when=1", "fsync:when=2", "rename:when=2"])
def test_an_interrupted_probe_leaves_nothing(call: str, name: str, tmp_path: Path) -> None:
    """Told to end after the file was made, or renamed once or twice, the probe removes it first."""
    if shutil.which("strace") is None:
        lacking("strace is not installed: nothing is interrupted at a certain call")
    code = (
        "import sys; from pathlib import Path; from neural_selfie.doctor.folders import probe; probe(Path(sys.argv[1]))"
    )
    inject = f"--inject={call.replace(':', f':signal={name}:')}"
    probe = [sys.executable, "-B", "-c", code, str(tmp_path)]
    done = subprocess.run(
        ["strace", "-f", "-o", os.devnull, inject, *probe], check=False, capture_output=True, timeout=60
    )
    if b"PTRACE" in done.stderr:
        lacking("tracing processes is not permitted here")
    assert done.returncode != 0, "nothing was interrupted"
    assert names_in(tmp_path) == set()


def test_what_a_killed_doctor_left_is_removed(tmp_path: Path) -> None:
    """An old probe file is removed, a young one may be in use."""
    for name in ("old", "young"):
        (tmp_path / f"{folders.PROBE}{name}").touch()
    os.utime(tmp_path / f"{folders.PROBE}old", (0, 0))
    folders.probe(tmp_path)
    assert names_in(tmp_path) == {f"{folders.PROBE}young"}


def test_a_share_that_hangs_does_not_hang_the_doctor(lived_in: House) -> None:
    """Who serves the outbox is frozen: that is said, the rest is looked at, and nothing stays behind on the share."""
    with a_share(lived_in.outbox, lived_in.root / "behind") as serving:
        serving.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        found = examined(lived_in, patience_seconds=8)
        seconds = time.monotonic() - started
        serving.send_signal(signal.SIGCONT)
        assert "no answer within" in wrong(found)["outbox"]
        assert "mount it again" in wrong(found)["outbox"]
        assert "inbox" in {finding.name for finding in found if finding.state == "ok"}
        assert seconds < 60
        wait_until(lambda: names_in(lived_in.outbox) == set())


# --- what the commands say


def test_all_that_is_wrong_with_what_paints(lived_in: House) -> None:
    """Weights that are missing or of no use and a GPU that is not there are told with their mend; exit code 1."""
    models = lived_in.state / "models"
    models.mkdir()
    (models / "vgg19-dcbb9e9d.pth").write_bytes(b"no network")
    style = lived_in.settings["presets"]["plain"]["style"]
    lived_in.settings["presets"] |= {
        "vgg": {"engine": "gatys", "style": style},
        "candy": {"engine": "feedforward", "style": style, "weights": "candy.pth"},
    }
    lived_in.settings["workers"] = {"gpus": [99]}
    lived_in.write_config()
    said = lived_in.command("doctor")
    assert said.returncode == 1, said.stderr
    lines = {line.split()[1]: line for line in said.stdout.splitlines() if line.startswith("wrong ")}
    assert set(lines) == {"gpu", "weights.vgg", "weights.candy"}
    assert "`neural-selfie models fetch`" in lines["weights.vgg"]
    assert re.search(r"lacks its network.*candy\.pth.*Mend: Put it there\.$", lines["weights.candy"])
    assert "`workers: " in lines["gpu"]
    assert "\x1b" not in said.stdout


def test_on_a_terminal_it_is_a_table(lived_in: House) -> None:
    """On a terminal the sentences are as wide as that, in colours, and each mend stands on a line of its own."""
    lived_in.settings["failed"] = str(lived_in.root / "gone")
    lived_in.write_config()
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "neural_selfie", "doctor", "--config", str(lived_in.config)]
    terminal = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(command, stdout=slave, stderr=slave, env=terminal) as process:
        os.close(slave)
        said = b""
        with suppress(OSError):  # EIO: the other end was closed
            while more := os.read(master, 65536):
                said += more
    os.close(master)
    assert process.returncode == 1
    assert b"\x1b[1;31mwrong" in said
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).splitlines()
    assert max(map(len, plain)) <= 80
    [mend] = [line.strip() for line in plain if "Mend:" in line]
    assert mend.startswith("Mend: Mount it again, or make it: `sudo install -d")


def test_a_configuration_that_cannot_be_read(house: House) -> None:
    """An unknown key is named, the checks that need no configuration are made all the same, and the exit code is 78."""
    house.settings["inboks"] = "/srv"
    house.write_config()
    said = house.command("doctor", "--json")
    view = json.loads(said.stdout)
    assert said.returncode == 78
    assert "inboks" in wrong([Finding(**check) for check in view["checks"]])["config"]
    assert {"clock", "memory", "unit", "torch", "gpu"} <= {check["name"] for check in view["checks"]}
    assert (house.state).exists() is False
