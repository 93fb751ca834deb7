"""A real ledger for tests, proven consistent after each of them: `pytest_plugins = ["ledger_fixture"]`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from neural_selfie.ledger import Ledger, open_ledger


@pytest.fixture
def state_folder(tmp_path: Path) -> Path:
    """Return the path of a state folder that does not exist yet."""
    return tmp_path / "state"


@pytest.fixture
def ledger(state_folder: Path) -> Iterator[Ledger]:
    """Yield an empty ledger; afterwards no invariant may be violated."""
    with open_ledger(state_folder) as opened:
        yield opened
        assert opened.check() == []
