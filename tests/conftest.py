"""Guards for every test: a daemon that a test started ends with it, and none reads the machine's configuration."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A daemon in a folder of its own; ended, and its invariants checked, when the test is over."""
    made = House(tmp_path)
    yield made
    made.close()
    if (made.state / "ledger.sqlite3").exists() and made.outbox.exists():
        made.check()


@pytest.fixture(autouse=True)
def _no_foreign_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is steered by the environment of the person who runs it."""
    for name in list(os.environ):
        if name.startswith("NEURAL_SELFIE_"):
            monkeypatch.delenv(name)
