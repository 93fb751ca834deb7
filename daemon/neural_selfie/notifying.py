"""Tells the service manager how things stand: datagrams to $NOTIFY_SOCKET, as sd_notify(3) describes them.

Without a manager, or for one that wants to hear nothing, no method does anything. When to speak is decided elsewhere.
"""

import os
import socket
import time
from collections.abc import MutableMapping

import structlog

_EXTEND_SECONDS = 60.0  # by how much a start or a stop is prolonged at a time
_OFTEN = 4  # the watchdog is fed this often within its time

log = structlog.get_logger()


class Manager:
    """The service manager at an address: "@" at the front is an abstract socket, None is nobody.

    `watchdog_seconds`: it restarts a daemon of which it has heard nothing for so long; None: it does not.
    """

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self._address = address and ("\0" + address[1:] if address.startswith("@") else address)
        self._pause = None if watchdog_seconds is None else watchdog_seconds / _OFTEN
        self._fed_at = self._extended_at = float("-inf")
        self._said = ""
        self._failed = False
        self._is_ready = False

    @property
    def is_ready(self) -> bool:
        """Whether it was told that the start is over."""
        return self._is_ready

    def ready(self) -> None:
        """The start is over: whatever waits for the daemon may begin, and the watchdog watches from now on."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def stopping(self) -> None:
        """The daemon has begun to end."""
        self._send("STOPPING=1")

    def takes_longer(self) -> None:
        """A start or a stop goes on: call this at least every half a minute until it is over."""
        now = time.monotonic()
        if now - self._extended_at >= _EXTEND_SECONDS / _OFTEN:
            self._extended_at = now
            self._send(f"EXTEND_TIMEOUT_USEC={_EXTEND_SECONDS * 1e6:.0f}")

    def status(self, sentence: str) -> None:
        """Given one line for people, show it in `systemctl status`; the same line is sent once."""
        sentence = " ".join(sentence.split())
        if sentence != self._said:
            self._said = sentence
            self._send(f"STATUS={sentence}")

    def alive(self) -> None:
        """The daemon does what it is there for; may be called much more often than the manager wants to hear it."""
        now = time.monotonic()
        if self._pause is not None and self._is_ready and now - self._fed_at >= self._pause:
            self._fed_at = now
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        data = message.encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as own:
                own.setblocking(False)  # noqa: FBT003 - a manager that does not read must not hold the daemon up
                own.sendto(data, self._address)
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("manager.unreachable", reason=str(error))
            self._failed = True


def manager(environment: MutableMapping[str, str] = os.environ) -> Manager:
    """Return the manager of this process, and take it out of the environment: the workers are not to speak to it."""
    address = environment.pop("NOTIFY_SOCKET", None)
    watchdog, watched = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    for_us = watchdog.isdecimal() and watched in ("", str(os.getpid()))
    return Manager(address, int(watchdog) / 1e6 if for_us and int(watchdog) else None)
