"""Listens: opens the port, says where the page is, answers until a signal, and ends without cutting anybody short."""

import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from neural_selfie import lock
from neural_selfie.config import Loaded
from neural_selfie.config.layout import StateFolder
from neural_selfie.errors import PermissionDeniedError, UsageError
from neural_selfie.serving import app, tokens

_LAST_SECONDS = 5  # for downloads under way when somebody stops the server
_MOST_AT_ONCE = 200  # connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How to serve. `names`: what else the server may be called; `token_file` None: the one in the state folder."""

    host: str
    port: int
    names: Sequence[str] = ()
    token_file: Path | None = None


def run(loaded: Loaded, wishes: Wishes, said: Callable[[str], None]) -> int:
    """Given the configuration, serve the page until SIGINT or SIGTERM, and return the exit code.

    `said` is told what people have to know. Raise UsageError or PermissionDeniedError if it cannot begin.
    """
    state = StateFolder(loaded.settings.state)
    if not state.root.is_dir():
        raise UsageError(f"No daemon has run with the state folder {state.root} yet: start `neural-selfie run` first.")
    if not os.access(state.root, os.W_OK | os.X_OK):
        raise PermissionDeniedError(f"{state.root} cannot be written: run this as the user that the daemon runs as.")
    state.picks.mkdir(mode=0o750, exist_ok=True)
    with _listening(wishes.host, wishes.port) as listener:
        address, port = listener.getsockname()[:2]
        token = _token(wishes, state, address)
        server: uvicorn.Server | None = None
        application = app.build(
            loaded,
            names=frozenset({"localhost", *_own_names(), *map(str.lower, wishes.names)}),
            token=token,
            cookie=f"neural-selfie-{port}",
            stopping=lambda: server is not None and server.should_exit,
        )
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_MOST_AT_ONCE,
                timeout_graceful_shutdown=_LAST_SECONDS,
            )
        )
        said(f"The page: {_address(address, port)}{'' if token is None else f'?token={token}'}")
        if lock.holder(state.lock) is None:
            said(f"No daemon works on {state.root} now: nothing is painted until `neural-selfie run` is started.")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)  # uvicorn raises again what ended it, and that is no failure
        server.run(sockets=[listener])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise UsageError(f"--host {host}: this machine has no such address.") from None
    family, _, _, _, address = found[0]
    try:
        return socket.create_server(address, family=family, backlog=256)
    except PermissionError:
        raise PermissionDeniedError(
            f"Port {port} is for the administrator: choose one above 1023 with --port."
        ) from None
    except OSError as error:
        raise UsageError(
            f"{host}, port {port}, cannot be used: {error.strerror}. Choose another with --host or --port."
        ) from None


def _token(wishes: Wishes, state: StateFolder, address: str) -> str | None:
    if wishes.token_file is not None:
        return tokens.given(wishes.token_file)
    return None if ipaddress.ip_address(address).is_loopback else tokens.kept(state.token)


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name.partition('.')[0]}.local"}


def _address(address: str, port: int) -> str:
    at = ipaddress.ip_address(address)
    host = socket.gethostname() if at.is_unspecified else f"[{at}]" if at.version == 6 else str(at)  # noqa: PLR2004
    return f"http://{host}:{port}/"
