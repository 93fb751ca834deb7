"""`neural-selfie serve` and those who ask it for what they should not have, or from where they should not ask."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery_samples import publish
from house import House
from neural_selfie.gallery import build
from neural_selfie.ledger import open_ledger
from neural_selfie.serving import tokens
from served import Served, serving

PICTURE = "/me-abc123/starry-night.jpg"
PICKS = {"neural-selfie": "picks", "version": 1, "picks": [{"painting": "me-abc123/starry-night", "mark": "keep"}]}
EVERYWHERE = ("content-security-policy", "x-content-type-options", "referrer-policy", "cross-origin-resource-policy")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with a painting, where a daemon has been; and secrets beside and inside the outbox."""
    house = House(tmp_path_factory.mktemp("home"))
    publish(house.outbox)
    build(house.outbox)
    open_ledger(house.state).close()
    secret = house.root / "secret.jpg"
    secret.write_bytes(b"secret")
    (house.outbox / "link.jpg").symlink_to(secret)
    (house.outbox / "folder").symlink_to(house.root)
    (house.outbox / ".hidden.jpg").write_bytes(b"secret")
    (house.outbox / "me-abc123" / ".part.jpg").write_bytes(b"secret")
    (house.outbox / "me-abc123" / "notes.html").write_bytes(b"secret <script>alert(1)</script>")
    (house.outbox / "me-abc123" / "notes.svg").write_bytes(b"secret <svg/>")
    (house.outbox / "me-abc123" / "evil.js").write_bytes(b"secret()")
    (house.outbox / "me-abc123" / "folder.jpg").mkdir()
    os.mkfifo(house.outbox / "me-abc123" / "pipe.jpg")
    return house


@pytest.fixture(scope="module")
def server(home: House) -> Iterator[Served]:
    """A server for this machine alone."""
    with serving(home) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(home: House) -> Iterator[Served]:
    """A server that listens on every address, and so asks for the token."""
    with serving(home, "--host", "0.0.0.0", "--allow-host", "Photos.Example") as server:  # noqa: S104 - that is the case
        here = server.address.replace(socket.gethostname(), "127.0.0.1", 1)
        yield Served(server.process, here)


def test_pictures_and_data_are_handed_out(server: Served, home: House) -> None:
    """Whole, in part, and not again if nothing has changed; HEAD says the same without the picture."""
    whole = server.ask(PICTURE)
    assert (whole.status, whole.headers["content-type"]) == (200, "image/jpeg")
    assert whole.body == (home.outbox / "me-abc123/starry-night.jpg").read_bytes()
    part = server.ask(PICTURE, range="bytes=2-5")
    assert (part.status, part.body) == (206, whole.body[2:6])
    same = server.ask(PICTURE, if_none_match=whole.headers["etag"])
    assert (same.status, same.body) == (304, b"")
    head = server.ask(PICTURE, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole.body)))
    page = server.ask("/")
    assert b"<title>Neural Selfie" in page.body
    assert server.ask("/index.html", if_none_match=page.headers["etag"]).status == 304
    assert server.ask("/gallery/data/index.js").headers["content-type"].startswith("text/javascript")
    assert server.ask("/me-abc123/starry-night.json").status == 200
    assert server.ask("/events", "HEAD").status == 200
    for name in EVERYWHERE:
        assert {name in answer.headers for answer in (whole, part, same, head, page)} == {True}, name


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.jpg",
        "/%2e%2e/secret.jpg",
        "/..%2fsecret.jpg",
        "/me-abc123/../../secret.jpg",
        "/me-abc123/%2e%2e/%2e%2e/secret.jpg",
        "//etc/hostname.jpg",
        "/me-abc123//starry-night.jpg",
        "/me-abc123/starry-night.jpg/",
        "/me-abc123\\..\\..\\secret.jpg",
        "/link.jpg",
        "/folder/secret.jpg",
        "/.hidden.jpg",
        "/me-abc123/.part.jpg",
        "/me-abc123/notes.html",
        "/me-abc123/notes.svg",
        "/me-abc123/evil.js",
        "/me-abc123/folder.jpg",
        "/me-abc123/pipe.jpg",
        "/me-abc123/starry-night.jpg%00.png",
        "/me-abc123",
        "/state/ledger.sqlite3",
        "/config.yaml",
        "/" + "a" * 300 + ".jpg",
        "/" + "a/" * 500 + "b.jpg",
        "/%ff%fe.jpg",
        "http://127.0.0.1/secret.jpg",
    ],
)
def test_nothing_else_is_handed_out(server: Served, path: str) -> None:
    """No way out of the outbox, no link, no hidden or half-made file, nothing that a browser would run."""
    answer = server.ask(path)
    assert answer.status == 404
    assert b"secret" not in answer.body
    assert all(name in answer.headers for name in EVERYWHERE)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "OPTIONS", "NONSENSE"])
def test_only_looking_and_two_requests(server: Served, method: str) -> None:
    """Nothing in the outbox can be changed over HTTP, whoever asks, and what changes something is not read."""
    headers = {"origin": f"http://{server.host}", "content_type": "application/json"}
    assert server.ask(PICTURE, method, b"{}", **headers).status == 405
    assert server.ask("/picks").status == server.ask("/again").status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8017", "localhost.evil.example", "", "[::1", "127.0.0.1.nip.example"]
)
def test_other_names_are_nobody(server: Served, host: str) -> None:
    """A name that somebody else makes point here (DNS rebinding) gets nothing, with and without a port."""
    answer = server.ask(PICTURE, host=host)
    assert answer.status in ({421} if host else {400, 421})
    assert b"JFIF" not in answer.body


def test_own_names_are_known(server: Served, guarded: Served) -> None:
    """By number, as localhost and by what --allow-host says, however it is written."""
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8017", socket.gethostname()):
        assert server.ask("/", host=host).status == 200, host
    assert guarded.ask("/", host="photos.example:80").status == 401
    assert server.ask("/", host="photos.example").status == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "none"}, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_type": ""}, 415),
        ({"host": "evil.example", "origin": "http://evil.example"}, 421),
    ],
)
def test_only_own_pages_change_anything(server: Served, home: House, headers: dict[str, str], status: int) -> None:
    """What another site, a form or a bare program sends is refused, and nothing of it reaches the daemon."""
    before = len(list((home.state / "picks").iterdir()))
    assert server.post("/picks", PICKS, **headers).status == status
    assert len(list((home.state / "picks").iterdir())) - before == (status == 202)


def test_other_sites_embed_nothing(server: Served) -> None:
    """They may link to the page; pictures, news and data are refused to them."""
    assert server.ask(PICTURE, sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status == 403
    assert server.ask("/events", sec_fetch_site="same-site", sec_fetch_mode="cors").status == 403
    assert server.ask("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate").status == 200


@pytest.mark.parametrize("path", ["/picks", "/again"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"picks": []}', b"\xff", b"[" * 100_000, b'{"painting": 1}']
)
def test_nonsense_is_refused(server: Served, home: House, path: str, body: bytes) -> None:
    """With a sentence for the person; nothing is written down."""
    before = sorted((home.state / "picks").iterdir())
    headers = {"origin": f"http://{server.host}", "content_type": "application/json"}
    answer = server.ask(path, "POST", body, **headers)
    assert answer.status in {400, 409}
    assert json.loads(answer.body)["error"]
    assert sorted((home.state / "picks").iterdir()) == before


def test_too_much_is_refused(server: Served) -> None:
    """A body of 5 MB is not taken, with and without its length said."""
    headers = {"origin": f"http://{server.host}", "content_type": "application/json"}
    assert server.ask("/picks", "POST", b" " * 5_000_000, **headers).status == 413


@pytest.mark.parametrize(
    ("painting", "said"),
    [("../config/x", "does not hang"), ("gallery/data", "does not hang"), ("me-abc123/nothing", "does not hang")],
)
def test_only_what_hangs_is_painted_again(server: Served, painting: str, said: str) -> None:
    """A name that leads elsewhere is no painting."""
    answer = server.post("/again", {"painting": painting, "values": {"content_weight": 1}})
    assert answer.status == 409
    assert said in json.loads(answer.body)["error"]


def test_strangers_need_the_token(guarded: Served, home: House) -> None:
    """Page, pictures, news and changes: nothing without it; with it once, by a cookie that says nothing about it."""
    for path in ("/", PICTURE, "/events", "/knobs", "/gallery/data/index.js", "/nothing"):
        assert guarded.ask(path).status == 401, path
    assert guarded.post("/picks", PICKS).status == 401
    token = (home.state / "serve.token").read_text().strip()
    assert guarded.address.endswith(f"/?token={token}")
    assert (home.state / "serve.token").stat().st_mode & 0o777 == 0o600
    shown = guarded.ask(f"/?token={token}&x=1")
    assert (shown.status, shown.headers["location"]) == (303, "/?x=1")
    cookie = shown.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    assert token not in cookie
    mine = cookie.partition(";")[0]
    assert guarded.ask(PICTURE, cookie=mine).status == 200
    assert guarded.post("/picks", PICKS, cookie=mine).status == 202
    assert guarded.post("/picks", PICKS, cookie=mine, origin="http://evil.example").status == 403


@pytest.mark.parametrize("wrong", ["", "x", "%00", "%ff", "a" * 5000])
def test_wrong_tokens_and_cookies(guarded: Served, wrong: str) -> None:
    """Nothing that is not exactly it."""
    assert guarded.ask(f"/?token={wrong}").status == 401
    name = f"neural-selfie-{guarded.host.rpartition(':')[2]}"
    assert guarded.ask("/", cookie=f"{name}={wrong}").status == 401


def test_the_way_on_stays_here(guarded: Served, home: House) -> None:
    """After the token was shown nobody is sent to another server, however the address is written."""
    token = (home.state / "serve.token").read_text().strip()
    for path in ("//evil.example/", "///evil.example/", "/\\evil.example/", "/%2Fevil.example/"):
        location = guarded.ask(f"{path}?token={token}").headers["location"]
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))


def test_a_token_that_is_given(home: House, tmp_path: Path) -> None:
    """--token-file asks for it on this machine, too; one that could be guessed is refused."""
    path = tmp_path / "token"
    path.write_text("correct-horse-battery\n")
    with serving(home, "--token-file", str(path)) as server:
        assert server.ask("/").status == 401
        assert server.ask("/?token=correct-horse-battery").status == 303
    path.write_text("short")
    done = home.command("serve", "--token-file", str(path))
    assert done.returncode == 64
    assert "too short" in done.stderr
    assert tokens.kept(tmp_path / "new") == tokens.kept(tmp_path / "new") != "short"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_and_cleanly(home: House, number: int) -> None:
    """Also while somebody listens to the news: exit code 0, the stream ends, no traceback."""
    with serving(home) as server, socket.create_connection(server.host.split(":"), timeout=30) as listener:  # type: ignore[arg-type]  # a pair of address and port
        listener.sendall(f"GET /events HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        heard = b""
        while b"event: now" not in heard:
            heard += listener.recv(65536)
        assert server.stop(number) == 0
        while data := listener.recv(65536):
            heard += data
        assert heard.endswith(b"0\r\n\r\n")


def test_what_keeps_it_from_beginning(home: House, tmp_path: Path) -> None:
    """A port that is taken, an address that is not ours, no state folder, no library: a sentence and an exit code."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = home.command("serve", "--port", str(taken.getsockname()[1]))
        assert (done.returncode, "Choose another" in done.stderr) == (64, True)
    done = home.command("serve", "--host", "192.0.2.1")
    assert (done.returncode, "Choose another" in done.stderr) == (64, True)
    done = House(tmp_path).command("serve")
    assert (done.returncode, "start `neural-selfie run` first" in done.stderr) == (64, True)
    code = "import sys; sys.modules['uvicorn'] = None; from neural_selfie.cli import main; main(['serve'])"
    bare = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (bare.returncode, "pip install 'neural-selfie[web]'" in bare.stderr) == (64, True), bare.stderr


def test_it_loads_no_engine() -> None:
    """Neither torch nor numpy nor a decoder is in the server's process."""
    code = (
        "import sys; from neural_selfie.serving import server; "
        "print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
