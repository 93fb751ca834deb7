"""Sidecars and configurations that attack whoever reads them: told apart in sentences, soon and in little memory."""

import json
import os
import socket
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hostile_texts import CONFIGS, SIDECARS
from house import House, photo
from neural_selfie import config
from neural_selfie.cli import main
from neural_selfie.config import sidecars
from neural_selfie.errors import ConfigError, SidecarError

SECONDS_MAX = 4.0  # of the processor, for a command; 0.8 s on one of 2023
SIDECAR_SECONDS_MAX = 2.0  # for one reading, in the daemon's own loop; 0.2 s
PEAK_BYTES_MAX = 64 << 20
OWNED = Path("/tmp/owned-by-yaml")  # noqa: S108 - what a hostile text would make


def test_each_hostile_sidecar_costs_its_own_photo(house: House) -> None:
    """Whatever lies beside a photo, it is refused in a sentence or two, with its sidecar; the others are painted."""
    secret = photo(house.root / "secret.mask.png", seed=500)
    for seed, (kind, data) in enumerate(SIDECARS.items()):
        (house.inbox / f"{kind}.png.yaml").write_bytes(data)
        photo(house.inbox / f"{kind}.png", seed=seed)
    (house.inbox / "folder.png.yaml").mkdir()
    for seed, name in enumerate(("folder", "without", "harmless")):
        photo(house.inbox / f"{name}.png", seed=700 + seed)
    (house.inbox / "harmless.png.yaml").write_text("presets: [plain]\noverrides: {seed: 7}\n")

    assert house.start("instant", "--once").wait(timeout=110) == 1

    painted = {"folder.png", "without.png", "harmless.png"}
    assert {record["photo"]["name"] for record in house.records()} == painted
    explained = {}
    for path in house.failed.glob("*.error.json"):
        content = json.loads(path.read_bytes())
        explained[content["photo"]] = content
        assert content["cause"] == "sidecar", content
        assert "Traceback" not in content["reason"]
        assert len(content["reason"]) < 4000
    assert set(explained) == {f"{kind}.png" for kind in SIDECARS}
    for kind, data in SIDECARS.items():
        assert (house.failed / f"{kind}.png.yaml").read_bytes() == data
    assert [path.name for path in house.inbox.iterdir()] == ["folder.png.yaml"]
    assert secret.exists()
    assert not OWNED.exists()
    assert house.command("status").returncode == 0


def seconds_to_read(kind: str, folder: Path) -> float:
    """Return how long reading that sidecar takes the processor."""
    path = photo(folder / "me.png")
    (folder / "me.png.yaml").write_bytes(SIDECARS[kind])
    began = time.process_time()
    with suppress(SidecarError):
        sidecars.read(sidecars.text_of(path) or "")
    return time.process_time() - began


@pytest.mark.parametrize("kind", SIDECARS)
def test_no_sidecar_holds_up_the_daemon(kind: str, tmp_path: Path) -> None:
    """Sidecars are read in the daemon's own loop: whatever one says is understood or refused soon."""
    assert seconds_to_read(kind, tmp_path) < SIDECAR_SECONDS_MAX


@pytest.mark.parametrize("kind", ["brackets", "braces", "indents"])
def test_depth_is_refused_before_it_is_looked_through(kind: str, tmp_path: Path) -> None:
    """Brackets in brackets make PyYAML look ahead in all of them at once: they cost less than an honest long list."""
    assert seconds_to_read(kind, tmp_path) < seconds_to_read("half open", tmp_path)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_hostile_configuration_ends_with_78(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`config check` says what is wrong, without a traceback, and exits 78."""
    file = tmp_path / "config.yaml"
    file.write_bytes(CONFIGS[kind])
    began = time.process_time()
    with pytest.raises(SystemExit) as end:
        main(["config", "check", "--config", str(file)])
    assert time.process_time() - began < SECONDS_MAX
    said = capsys.readouterr().err
    assert end.value.code == 78, said
    assert said.startswith("neural-selfie: ")
    assert "Traceback" not in said
    assert all(line.isprintable() and len(line) < 1000 for line in said.splitlines())
    assert not OWNED.exists()


@pytest.mark.parametrize("kind", ["laughs", "merges", "ten megabytes", "thousands of keys"])
def test_a_hostile_configuration_takes_little_memory(kind: str, tmp_path: Path) -> None:
    """What stands for thousands of millions of values, or is long, is refused before there is much of it."""
    file = tmp_path / "config.yaml"
    file.write_bytes(CONFIGS[kind])
    tracemalloc.start()
    with pytest.raises(ConfigError):
        config.load(file, {})
    assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES_MAX
    tracemalloc.stop()


def make_socket(path: Path) -> None:
    """Make a socket that nobody listens to any more."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


MAKE: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": make_socket,
    "link to nothing": lambda path: path.symlink_to("/nowhere"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", MAKE)
def test_a_configuration_that_is_no_file_ends_with_78(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe is not waited for and a device not read: there is no such configuration."""
    path = tmp_path / "config.yaml"
    MAKE[kind](path)
    with pytest.raises(SystemExit) as end:
        main(["run", "--once", "--config", str(path)])
    assert end.value.code == 78
    assert capsys.readouterr().err == f"neural-selfie: {path}: there is no such configuration file.\n"


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        *(("file", place) for place in ("inbox", "outbox", "failed", "state")),
        *(("pipe", "inbox"), ("pipe", "state"), ("link to nothing", "outbox"), ("link to itself", "failed")),
    ],
)
def test_a_folder_that_is_none_stops_the_start(house: House, kind: str, place: str) -> None:
    """Where a folder should be there is something else: the daemon says so and exits 77 or 78, and writes nothing."""
    at = house.root / "in the way"
    if kind == "file":
        at.write_text("not yours\n")
    else:
        MAKE[kind](at)
    house.settings[place] = str(at)
    house.write_config()
    assert house.start("instant", "--once").wait(timeout=110) in {77, 78}
    said = house.log()
    assert "in the way" in said
    assert "Traceback" not in said
    assert kind != "file" or at.read_text() == "not yours\n"
