"""A real `neural-selfie serve` beside a house, and requests to it as programs make them that are no browsers."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from house import House


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A server that listens; `address` as it was printed, and everything that it printed by then."""

    process: subprocess.Popen[str]
    address: str

    @property
    def host(self) -> str:
        """Address and port."""
        return urlsplit(self.address).netloc

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """Ask for something, the path exactly as it stands; `sec_fetch_site=...` becomes a header, "" leaves it out."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        named = {"host": self.host} | {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in named.items():
            if value:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        return found

    def post(self, path: str, content: Any, **headers: str) -> Answer:
        """Ask for a change as a page of this server does."""
        ours = {"origin": f"http://{self.host}", "content_type": "application/json", "sec_fetch_site": "same-origin"}
        return self.ask(path, "POST", json.dumps(content).encode(), **(ours | headers))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def serving(house: House, *arguments: str) -> Iterator[Served]:
    """Start a server on any port that is free; fail if it complained of anything."""
    complaints = house.root / "serve.log"
    with complaints.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "neural_selfie", "serve", "--port", "0", *arguments, "--config", str(house.config)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("The page: "), complaints.read_text()
        yield Served(process, line.removeprefix("The page: ").strip())
    finally:
        process.kill()
        process.wait(timeout=60)
        process.stdout.close()
    assert complaints.read_text() == ""
