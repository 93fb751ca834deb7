"""For tests that need what not every machine has: they are skipped without it, except where all of them have to run."""

import os
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Given what this machine lacks, in a sentence, skip the test; under CI=true fail it: there nothing may lack."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)  # noqa: TID251 - the one place
