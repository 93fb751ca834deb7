"""Weights for networks: fetched by the real command over a bad connection, listed, waited for, and found again."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from PIL import Image

import engines
import random_vgg
from house import House, photo, wait_until
from neural_selfie import config, models
from neural_selfie.config.catalogue import open_catalogue
from neural_selfie.engine import metadata
from neural_selfie.errors import UsageError
from neural_selfie.ledger.rows import plan_from, plan_json, plan_key
from neural_selfie.model import Plan, StyleUse, Task
from neural_selfie.models import fetching
from random_vgg import Served, server

DATA = bytes(range(256)) * 4000  # about a megabyte
SHA = hashlib.sha256(DATA).hexdigest()
NAME = f"net-{SHA[:8]}.pth"


def shelf(house: House) -> Path:
    """The models folder of a house."""
    return house.state / "models"


def start(house: House, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `neural-selfie models ...` as a process that hears Ctrl-C, also when the tests run in the background."""
    command = [sys.executable, "-m", "neural_selfie", "models", *arguments, "--config", str(house.config)]
    return subprocess.Popen(
        ["env", "--default-signal=INT", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
    )


def fetch(house: House, url: str, *more: str, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run `neural-selfie models fetch` to its end; return its exit code and what it said."""
    with start(house, "fetch", "--url", url, *more, environ=environ) as process:
        said, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    return process.returncode, said + errors


def is_alone(house: House, data: bytes = DATA) -> bool:
    """Whether the models folder holds this file, whole, and nothing else."""
    return {path.name: path.read_bytes() for path in shelf(house).iterdir()} == {NAME: data}


def test_fetch_brings_the_file_once(house: House) -> None:
    """The file is whole and alone in its folder; a second fetch asks for nothing; a damaged file is replaced."""
    with server(Served(DATA), NAME) as served:
        assert fetch(house, served.url)[0] == 0
        assert is_alone(house)
        code, said = fetch(house, served.url)
        assert (code, served.asked) == (0, [""])
        assert "is there already" in said
        (shelf(house) / NAME).write_bytes(DATA[:-1])
        assert fetch(house, served.url)[0] == 0
        assert is_alone(house)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_taken_up_again(house: House, *, ranges: bool) -> None:
    """When the server hangs up the rest is asked for; one that knows no ranges sends all again."""
    with server(Served(DATA, ranges=ranges, break_at=[300_000, 100_000]), NAME) as served:
        assert fetch(house, served.url)[0] == 0
    assert is_alone(house)
    second = "bytes=400000-" if ranges else "bytes=100000-"
    assert served.asked == ["", "bytes=300000-", second]


def test_an_interrupted_fetch_goes_on_where_it_stopped(house: House) -> None:
    """Ctrl-C leaves the part; the next fetch asks only for the rest. Meanwhile a second fetch is refused."""
    with server(Served(DATA, wait=threading.Event()), NAME) as served:
        part = shelf(house) / f".{NAME}.part"
        with start(house, "fetch", "--url", served.url) as process:
            wait_until(lambda: part.exists() and part.stat().st_size == len(DATA) // 2)
            code, said = fetch(house, served.url)
            assert code == 1
            assert "Another process is fetching" in said
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
        assert not (shelf(house) / NAME).exists()
        assert served.wait is not None
        served.wait.set()
        served.wait = None
        assert fetch(house, served.url)[0] == 0
    assert is_alone(house)
    assert served.asked[-1] == f"bytes={len(DATA) // 2}-"


def test_another_file_at_the_server_is_not_joined_to_the_first(house: House) -> None:
    """If the server's file changed since, what there is of the old one is thrown away."""
    folder = shelf(house)
    folder.mkdir(parents=True)
    with server(Served(DATA, etag='"two"'), NAME) as served:
        (folder / f".{NAME}.part").write_bytes(b"old" * 1000)
        (folder / f".{NAME}.part.json").write_text(json.dumps({"url": served.url, "validator": '"one"'}))
        assert fetch(house, served.url)[0] == 0
    assert is_alone(house)
    assert served.asked == ["bytes=3000-"]


def test_a_complete_part_is_only_checked(house: House) -> None:
    """After a power cut between the last byte and the renaming, no byte is fetched again."""
    folder = shelf(house)
    folder.mkdir(parents=True)
    with server(Served(DATA), NAME) as served:
        (folder / f".{NAME}.part").write_bytes(DATA)
        (folder / f".{NAME}.part.json").write_text(json.dumps({"url": served.url, "validator": '"one"'}))
        assert fetch(house, served.url)[0] == 0
    assert is_alone(house)
    assert served.asked == [f"bytes={len(DATA)}-"]


def test_what_has_another_hash_is_not_kept(house: House) -> None:
    """Bytes with another hash are thrown away with a sentence, also a part that was spoiled on the disk is mended."""
    with server(Served(DATA[::-1]), NAME) as served:
        code, said = fetch(house, served.url)
        assert code == 1
        assert SHA[:8] in said
        assert list(shelf(house).iterdir()) == []
        served.data = DATA
        (shelf(house) / f".{NAME}.part").write_bytes(b"x" * 1000)
        (shelf(house) / f".{NAME}.part.json").write_text(json.dumps({"url": served.url, "validator": '"one"'}))
        assert fetch(house, served.url)[0] == 0
    assert is_alone(house)


def test_answers_other_than_the_file(house: House) -> None:
    """A busy server is asked again; one that has no such file is not, and the sentence says what it answered."""
    with server(Served(DATA, answers=[503, 404]), NAME) as served:
        code, said = fetch(house, served.url)
        assert (code, len(served.asked)) == (1, 2)
        assert "404" in said
        assert fetch(house, served.url)[0] == 0


def test_a_proxy_of_the_environment_is_used(house: House) -> None:
    """With http_proxy set, the proxy is asked for a host that does not exist."""
    with server(Served(DATA), NAME) as served:
        proxy = served.url.removesuffix(f"/some/where/{NAME}")
        code, _ = fetch(house, f"http://nowhere.invalid/{NAME}", environ={"http_proxy": proxy, "no_proxy": ""})
    assert code == 0
    assert is_alone(house)


@pytest.mark.parametrize(
    ("url", "sha256"),
    [
        ("ftp://host/net-0123abcd.pth", None),
        ("file:///etc/passwd", None),
        ("http://host/page.html", None),
        ("http://host/net.pth", None),  # neither name nor option says the hash
        ("http://host/net.pth", "123"),
        ("http://host/", None),
    ],
)
def test_what_cannot_be_fetched_is_a_mistake_of_usage(url: str, sha256: str | None) -> None:
    """Other schemes, other files, no hash: refused before anything is asked."""
    with pytest.raises(UsageError, match=r"^--(url|sha256) "):
        fetching.source(url, sha256)


def test_a_name_cannot_lead_out_of_the_folder() -> None:
    """Of the address only what follows the last slash becomes a file's name, also where the slash is written %2F."""
    assert fetching.source("http://host/..%2F..%2Fnet-0123abcd.pth?x=/y").name == "net-0123abcd.pth"


def test_the_official_file_carries_its_hash() -> None:
    """Without --url it is torchvision's VGG-19, under the name by which the daemon looks for it."""
    assert fetching.official().name == models.FILE_NAME
    assert fetching.official().sha256 == "dcbb9e9d"


def test_a_hash_may_be_given_in_full(house: House) -> None:
    """With --sha256 the name needs no hash in it."""
    with server(Served(DATA), "net.pth") as served:
        assert fetch(house, served.url, "--sha256", SHA.upper())[0] == 0
        assert (shelf(house) / "net.pth").read_bytes() == DATA


def test_list_says_what_is_there_and_what_is_wanted(house: House, vgg_file: Path) -> None:
    """`models list` names the folder, each file with its layout or its fault, and the file that each preset takes."""
    house.settings["presets"] |= {
        "painted": {"engine": "gatys", "style": "style.png"},
        "own": {"engine": "gatys", "style": "style.png", "weights": "my.pth"},
    }
    house.write_config()
    empty = house.command("models", "list")
    assert "There are no weights yet" in empty.stdout
    assert f"own wants {house.root / 'my.pth'}, which is not there" in empty.stdout
    shelf(house).mkdir(parents=True)
    (shelf(house) / "other.pth").write_bytes(DATA)
    (shelf(house) / "vgg.pth").symlink_to(vgg_file)
    done = house.command("models", "list")
    assert done.returncode == 0, done.stderr
    sha = hashlib.sha256(vgg_file.read_bytes()).hexdigest()
    assert f"vgg.pth: 40 MB, VGG-19 in torchvision's layout, SHA-256 {sha[:8]}..., usable" in done.stdout
    assert "other.pth: 1 MB, The weights file" in done.stdout
    assert "preset   painted wants vgg.pth\n" in done.stdout


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A random VGG-19 in half precision."""
    with random_vgg.written(tmp_path_factory.mktemp("vgg"), half=True) as path:
        yield path


def test_which_file_is_chosen(tmp_path: Path) -> None:
    """The preset's file; else the official one; else the only large one; several large ones are nobody's choice."""
    official = tmp_path / models.FILE_NAME
    assert models.choose("/my/own.pth", tmp_path) == Path("/my/own.pth")
    assert models.choose(None, tmp_path / "nothing") == tmp_path / "nothing" / models.FILE_NAME
    (tmp_path / "decoder.pth").write_bytes(b"small")
    assert models.choose(None, tmp_path) == official
    for name in ("one.safetensors", "two.pt"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 40_000_000)
        if name == "one.safetensors":
            assert models.choose(None, tmp_path) == tmp_path / name
    assert models.choose(None, tmp_path) == official
    assert "several other files" in str(models.missing(official, None, tmp_path))
    official.write_bytes(b"")
    assert models.choose(None, tmp_path) == official


def test_a_file_that_still_grows_wakes_nobody(tmp_path: Path) -> None:
    """A job is woken once, when its file has come and has looked the same twice; an old file wakes nobody again."""
    awaited = models.Awaited(tmp_path)
    file = tmp_path / models.FILE_NAME
    awaited.add(7, None, models.look_for(None, tmp_path))
    assert [awaited.ready(now) for now in (1.0, 2.0)] == [[], []]
    file.write_bytes(b"1")
    assert awaited.ready(3.0) == []
    file.write_bytes(b"12")
    assert awaited.ready(4.0) == []
    assert awaited.ready(4.5) == []
    assert awaited.ready(5.0) == [7]
    awaited.add(7, None, models.look_for(None, tmp_path))
    assert [awaited.ready(now) for now in (6.0, 7.0, 8.0)] == [[], [], []]


def gatys(house: House, **more: object) -> None:
    """Give a house one preset for the gatys engine; jobs that wait look again once in an hour."""
    house.settings["presets"] = {"vgg": {"engine": "gatys", "style": "style.png", "size": 64, "format": "png", **more}}
    house.settings["retry"] |= {"waiting_seconds": 3600.0, "backoff_ceiling_seconds": 3600.0}
    house.write_config()


def waiting(house: House) -> list[str]:
    """The causes of the jobs that wait."""
    return [job["cause"] for job in house.status()["waiting"]]


def done(house: House) -> int:
    """How many jobs are done."""
    return int(house.status()["counts"]["done"])


def test_a_job_waits_for_weights_and_goes_on_when_they_come(house: House) -> None:
    """`config check` and the start accept it; `status` names file and command; the file alone wakes the job."""
    gatys(house)
    assert house.command("config", "check").returncode == 0
    house.start("wants_weights")
    photo(house.inbox / "me.png")
    wait_until(lambda: waiting(house) == ["weights_unavailable"])
    reason = house.status()["waiting"][0]["reason"]
    assert str(shelf(house) / models.FILE_NAME) in reason
    assert "neural-selfie models fetch" in reason
    (shelf(house) / models.FILE_NAME).write_bytes(b"good")
    wait_until(lambda: done(house) == 1)


def test_a_bad_file_is_tried_once_for_all_jobs(house: House) -> None:
    """Where the file is refused all jobs wait with its reason after one try, and go on when it is replaced."""
    gatys(house, weights="nets/own.pth", sweep={"content_weight": [0.1, 0.2, 0.3]})
    file = house.root / "nets" / "own.pth"
    file.parent.mkdir()
    file.write_bytes(b"bad")
    house.start("wants_weights")
    photo(house.inbox / "me.png")
    wait_until(lambda: waiting(house) == ["weights_unavailable"] * 3)
    assert {job["reason"] for job in house.status()["waiting"]} == {
        f"The weights file {file} cannot be used: it is not good."
    }
    assert len((file.parent / "tries").read_text().splitlines()) == 1
    file.write_bytes(b"good")
    wait_until(lambda: done(house) == 3)


def test_weights_that_come_while_the_daemon_is_down(house: House) -> None:
    """A job that waited goes on after a restart although its next look is an hour away."""
    gatys(house)
    photo(house.inbox / "me.png")
    assert house.once("wants_weights") == 1
    (shelf(house) / models.FILE_NAME).write_bytes(b"good")
    house.start("wants_weights")
    wait_until(lambda: done(house) == 1)


def test_the_real_engine_paints_with_the_weights(house: House, vgg_file: Path) -> None:
    """A VGG-19 file of any name in the models folder: the photo is painted, the record names the file's hash, and what
    was computed of the style is kept.
    """
    gatys(house, iterations=2, coarse_iterations=2)
    photo(house.inbox / "me.png")
    shelf(house).mkdir(parents=True)
    (shelf(house) / "mine.pth").symlink_to(vgg_file)
    assert house.command("run", "--once").returncode == 0
    [record] = [json.loads(path.read_text()) for path in house.outbox.glob("*/vgg.json")]
    assert record["engine"]["weights_sha256"] == hashlib.sha256(vgg_file.read_bytes()).hexdigest()
    assert [step["scale"] for step in record["trace"]] == [0, 0]
    assert list((house.state / "cache").glob("*.safetensors"))


def test_stylize_without_weights_says_what_to_do(house: House) -> None:
    """`stylize` does not wait: it names the file and the command, and ends with 1."""
    gatys(house, weights="~/no/such/net.pth")
    out = house.root / "out.png"
    done = house.command("stylize", str(photo(house.root / "me.png")), "--preset", "vgg", "-o", str(out))
    assert done.returncode == 1
    assert f"looked for {Path.home() / 'no/such/net.pth'}" in done.stderr
    assert "neural-selfie models fetch" in done.stderr
    assert not out.exists()


def test_reproduce_says_that_the_weights_were_others(house: House) -> None:
    """When the repeat differs and the record was made with other weights, that is said."""
    me, out = photo(house.root / "me.png"), house.root / "out.png"
    plan = open_catalogue(config.load(house.config)).plans("plain", {})[0]
    sha256 = hashlib.sha256(me.read_bytes()).hexdigest()
    grey = engines.instant(
        Task(job_id=1, attempt=1, photo_path=me, photo_name="me.png", photo_sha256=sha256, plan=plan, queued_at=0.0)
    )
    out.write_bytes(grey.picture)
    record = json.loads(metadata.extract(out))
    record["engine"] |= {"name": "patch", "weights_sha256": "ab" * 32}
    with Image.open(out) as picture:
        picture.convert("L").save(out)  # without the record inside
    out.write_bytes(metadata.embed(out.read_bytes(), json.dumps(record)))
    again = house.command("reproduce", str(out), "--photo", str(me))
    assert again.returncode == 1
    assert "made with other weights (SHA-256 abababab..., now unknown)" in again.stdout


def test_plans_without_weights_are_as_they_were() -> None:
    """A plan without weights keeps the text and the key that older ledgers hold; weights change the key."""
    style = StyleUse(name="s", path=Path("/s"), sha256="0" * 64)
    plan = Plan(preset="p", engine="patch", variant={"a": 1}, recipe={"size": 64}, styles=(style,), seed=3)
    assert plan_key(plan) == "8d7cd7751b12a6cbcfa3e8d55a91a4f44c2bb1da86bed868e5ebf4ec29916ef9"
    assert "weights" not in plan_json(plan)
    assert plan_from(plan_json(plan)) == plan
    other = Plan(
        preset="p", engine="patch", variant={"a": 1}, recipe={"size": 64}, styles=(style,), seed=3, weights="/w.pth"
    )
    assert plan_key(other) != plan_key(plan)
    assert plan_from(plan_json(other)) == other


def test_weights_of_a_preset_are_found_from_the_config_file(house: House) -> None:
    """A preset's `weights` is taken from the folder of the config file, and only for the gatys engine."""
    gatys(house, weights="nets/own.pth")
    house.settings["presets"]["plain"] = {"style": "style.png", "weights": "nets/own.pth"}
    house.write_config()
    catalogue = open_catalogue(config.load(house.config))
    assert catalogue.plans("vgg", {})[0].weights == str(house.root / "nets" / "own.pth")
    assert catalogue.plans("plain", {})[0].weights is None
