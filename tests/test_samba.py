"""Photos dropped through a real Samba share come out, also when the client is killed half-way and tries again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from house import House, photo, wait_until
from promised import lacking

pytestmark = pytest.mark.samba


@dataclass(frozen=True, slots=True)
class Share:
    """A private Samba server on loopback with one share, `inbox`."""

    port: int

    def client(self, command: str) -> list[str]:
        """Return the command line of an smbclient that runs a command."""
        return ["smbclient", "//127.0.0.1/inbox", "-p", str(self.port), "-N", "-c", command]


@pytest.fixture
def share(house: House) -> Iterator[Share]:
    """A Samba server whose share is the inbox."""
    if shutil.which("smbd") is None or shutil.which("smbclient") is None or os.geteuid() != 0:
        lacking("needs smbd and smbclient, and root")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    private = house.root / "samba"
    private.mkdir()
    folders = "\n".join(
        f"{name} = {private}"
        for name in (
            "private dir",
            "lock directory",
            "state directory",
            "cache directory",
            "pid directory",
            "ncalrpc dir",
        )
    )
    (private / "smb.conf").write_text(
        f"[global]\nserver role = standalone server\nmap to guest = Bad User\nsmb ports = {port}\ninterfaces = lo\n"
        f"bind interfaces only = yes\ndisable spoolss = yes\nload printers = no\nlog file = {private}/log\n{folders}\n"
        f"[inbox]\npath = {house.inbox}\nguest ok = yes\nread only = no\nforce user = root\n"
    )
    server = subprocess.Popen(
        ["smbd", "--foreground", "--no-process-group", "--configfile", str(private / "smb.conf")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    made = Share(port)
    try:
        wait_until(lambda: subprocess.run(made.client("ls"), capture_output=True, check=False).returncode == 0)
        yield made
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def test_a_photo_dropped_through_the_share_is_painted(house: House, share: Share) -> None:
    """`smbclient put` of a photo: exactly one picture, the original filed whole."""
    source = photo(house.root / "me.png", size=(400, 300))
    house.start()
    subprocess.run(share.client(f"put {source} me.png"), check=True, capture_output=True)
    wait_until((house.originals / "me.png").exists)
    assert [record["photo"]["name"] for record in house.records()] == ["me.png"]
    assert (house.originals / "me.png").read_bytes() == source.read_bytes()


def test_a_client_killed_in_mid_copy_is_not_taken_for_a_photo(house: House, share: Share) -> None:
    """Half a photo left by a killed client is never painted; copied again under the same name, it is."""
    house.settings["watch"]["truncated_seconds"] = 60
    house.write_config()
    source = house.root / "big.bmp"
    photo(source, size=(4000, 3000))
    house.start()
    wait_until(lambda: house.status()["daemon"]["running"])
    client = subprocess.Popen(
        share.client(f"put {source} big.bmp"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    target = house.inbox / "big.bmp"
    deadline = time.monotonic() + 30
    while not (target.exists() and target.stat().st_size) and time.monotonic() < deadline:
        pass  # no pause: the copy lasts a moment only
    client.kill()
    client.wait()
    assert 0 < target.stat().st_size < source.stat().st_size
    time.sleep(2)
    assert house.records() == []
    subprocess.run(share.client(f"put {source} big.bmp"), check=True, capture_output=True)
    wait_until((house.originals / "big.bmp").exists)
    assert len(house.records()) == 1
    assert (house.originals / "big.bmp").stat().st_size == source.stat().st_size
