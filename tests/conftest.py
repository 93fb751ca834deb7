"""Guards for every test: a daemon that a test started ends with it, and none reads the machine's configuration."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from crashes import Launcher
from house import House
from made_pictures import Decode
from neural_selfie.engine import images
from neural_selfie.model import Limits
from sickbed import Sickbed

# A busy machine is no reason to fail: what takes too long is ended by pytest-timeout.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A daemon in a folder of its own; ended, and its invariants checked, when the test is over."""
    made = House(tmp_path)
    yield made
    made.close()
    if (made.state / "ledger.sqlite3").exists() and made.outbox.exists():
        made.check()


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """What starts daemons that die."""
    made = Launcher()
    yield made
    made.close()


@pytest.fixture(scope="module")
def sickbed() -> Iterator[Sickbed]:
    """What starts daemons on sick disks; nobody has to be sick."""
    made = Sickbed()
    yield made
    made.close()


@pytest.fixture
def decode(tmp_path: Path) -> Decode:
    """Return a function that decodes bytes by way of a real file."""

    def decoded(data: bytes, name: str = "me.jpg", limits: Limits | None = None) -> images.Picture:
        path = tmp_path / name
        path.write_bytes(data)
        return images.decode(path, limits or Limits())

    return decoded


@pytest.fixture(autouse=True)
def _no_foreign_log() -> None:
    """No test logs where another one of the same process told the daemon to."""
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _no_foreign_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is steered by the environment of the person who runs it."""
    for name in list(os.environ):
        if name.startswith("NEURAL_SELFIE_"):
            monkeypatch.delenv(name)
