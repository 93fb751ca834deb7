"""Photos whose names attack terminals, shells, pages and file systems: painted, filed and shown like any other."""

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from gallery_samples import data_of, hung
from house import House, photo
from neural_selfie.files import names

NAMES = [
    # that lead elsewhere, or would
    *(
        b"me%2f..%2f..%2fetc%2fpasswd.png",
        b"me\\..\\..\\windows.png",
        b"C:\\boot.png",
        b"a..png",
        b"%2e%2e%2f.png",
        b"~root.png",
    ),
    # of terminals and logs
    *(
        b"new\nline\r.png",
        b"\x1b[2J\x1b]0;owned\x07.png",
        b"tab\tbell\x07del\x7f.png",
        b"nel\xc2\x85ls\xe2\x80\xa8.png",
    ),
    # of pages
    *(b"<script>alert(1)<script>.png", b"<img src=x onerror=alert(1)>.png", b"\"'`><b>.png", b"&lt;b&gt;&amp;.png"),
    *(b"{{7*7}}{% raw %}.png", b"javascript:alert(1).png", b"data:text,html.png", b"#frag?query=1.png", b"]]>.png"),
    # of shells
    *(b"-rf.png", b"--help.png", b"$(reboot)`id`;|&.png", b"*.png", b"[a-z]?.png", b"${HOME}.png", b"%s%n%d.png"),
    # that read otherwise than they are
    *("photo\u202egnp.exe.png".encode(), "zero\u200bwidth\ufeff.png".encode(), "👩\u200d👩\u200d👧☀.png".encode()),
    *("caf\u00e9.png".encode(), "cafe\u0301.png".encode(), b"A.png", b"a.png", "\u212a\u017f.png".encode()),
    # that are no UTF-8
    *(b"caf\xe9.png", b"\xff\xfe\xfd.png", b"\xed\xa0\x80.png", b"\xc0\xaf..\xc0\xaf.png", b"\xf0\x9f\x98.png"),
    # that are long, or hardly there
    *(b"x" * 251 + b".png", "ü".encode() * 125 + b".png", b"\xe9" * 251 + b".png", b"y." + b"z" * 253, b"noending"),
    *(b"trailing.png ", b"trailing.png.", b" ", b"   .png", b"-", b"'", b"a.b.c.d.png"),
    # that somebody has already
    *(b"x.error.json", b"index.html", b"gallery.json", b"gallery", b"plain.json", b"config.yaml", b"ledger.sqlite3"),
    *(b"CON.png", b"nul", b"com1.txt.png", b"aux.", b"me.mask.png.png"),
]
LEFT_ALONE = [
    b".hidden.png",
    b"..png",
    b"..%2f..%2fetc%2fpasswd.png",
    b"me.png.part",
    b"Thumbs.db",
    b"~$me.png",
    b"me.png~",
    b"only.mask.png",
]


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def spoiled(name: bytes) -> bytes:
    """Return the name for a file that is no photo: in front of it something that no other begins with."""
    return b"bad " + name[: 255 - 4]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A daemon that has drained an inbox with a photo of each name, and with something else under each name."""
    made = House(tmp_path_factory.mktemp("names"))
    inbox = os.fsencode(made.inbox)
    for seed, name in enumerate(NAMES):
        photo(made.root / "tmp.png", seed=seed, size=(40, 36)).rename(os.fsdecode(inbox + b"/" + name))
        Path(os.fsdecode(inbox + b"/" + spoiled(name))).write_text(f"no photo: {seed}")
    for name in LEFT_ALONE:
        photo(made.root / "tmp.png").rename(os.fsdecode(inbox + b"/" + name))
    assert made.start("instant", "--once").wait(timeout=110) == 1
    yield made
    made.close()
    made.check()


def test_photos_of_any_name_are_painted_and_filed(house: House, tmp_path: Path) -> None:
    """Each is painted under its name as people can read it, and filed under its bytes; what is ignored stays."""
    seeds = {name: sha256(photo(tmp_path / "tmp.png", seed=seed, size=(40, 36))) for seed, name in enumerate(NAMES)}
    originals = {os.fsencode(path.name): sha256(path) for path in house.originals.iterdir()}
    originals[b"x.error.json"] = originals.pop(b"x.error (2).json")  # in failed/ the first would be an explanation
    assert originals == seeds
    painted = {record["photo"]["sha256"]: record["photo"]["name"] for record in house.records()}
    assert painted == {digest: names.shown(name) for name, digest in seeds.items()}
    assert sorted(os.fsencode(path.name) for path in house.inbox.iterdir()) == sorted(LEFT_ALONE)
    folders = {"config.yaml", "daemon.log", "failed", "inbox", "originals", "outbox", "state", "style.png"}
    assert {path.name for path in house.root.iterdir()} == folders


def test_what_cannot_be_painted_is_explained_under_any_name(house: House) -> None:
    """Each lies in failed/ under its bytes, and its explanation beside it, even where the name is as long as names can
    be or is that of an explanation.
    """
    bad = [spoiled(name) for name in NAMES]
    there = {os.fsencode(path.name) for path in house.failed.iterdir()}
    assert len(there) == 2 * len(bad)
    assert set(bad) - {b"bad x.error.json"} < there
    explained = [json.loads(path.read_bytes()) for path in house.failed.glob("*.error.json")]
    assert {content["photo"] for content in explained} == {names.shown(name) for name in bad}
    assert {content["cause"] for content in explained} == {"not_a_picture"}


def test_hostile_names_are_text_on_the_page(house: House) -> None:
    """The page holds none of the names; its data holds each as it can be read, with addresses that lead to files."""
    html = (house.outbox / "index.html").read_text("utf-8")
    assert "script>alert" not in html
    told = hung(house.outbox)
    assert sorted(each["photo"] for each in told) == sorted(names.shown(name) for name in NAMES)
    failed = data_of(house.outbox, "data/now.js")["failed"]
    assert len({each["photo"] for each in failed} & {names.shown(spoiled(name)) for name in NAMES}) >= 50
    for each in told:
        for address in (each["picture"], each["preview"], f"gallery/details/{each['id']}.js"):
            target = os.path.realpath(os.fsencode(house.outbox) + b"/" + unquote_to_bytes(address))
            assert target.startswith(os.fsencode(house.outbox) + b"/")
            assert Path(os.fsdecode(target)).is_file()


def test_hostile_names_make_folders_that_every_share_takes(house: House) -> None:
    """Folders of the outbox have composed, printable names without what Windows, links and shells read otherwise."""
    for folder in house.outbox.iterdir():
        assert folder.name == unicodedata.normalize("NFC", folder.name)
        assert not set(folder.name) & set('<>:"|?*\\#%')
        assert folder.name.replace("\u200d", "").isprintable()
        assert not folder.name.startswith(("-", ".", " "))


def test_hostile_names_are_one_line_in_log_and_status(house: House) -> None:
    """Each line of the log is one JSON value, and what `status` prints commands no terminal."""
    assert all(isinstance(json.loads(line), dict) for line in house.log().splitlines())
    status = house.command("status")
    assert status.returncode == 0
    assert all(line.replace("\u200d", "").isprintable() for line in status.stdout.splitlines())
