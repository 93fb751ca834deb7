"""What a machine lacks: only a machine that promised to run everything fails for it."""

import pytest

from promised import lacking

_OUTCOMES = [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]  # noqa: TID251 - not called


@pytest.mark.parametrize(("value", "outcome"), _OUTCOMES)
def test_what_is_lacking_fails_where_all_was_promised(
    value: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under CI=true a test that cannot run fails and says why; elsewhere it is skipped."""
    monkeypatch.setenv("CI", value)
    with pytest.raises(outcome, match="no ships"):
        lacking("no ships here")
