"""The token: who may look from another machine has to know it. Made once, and kept where only the daemon's user reads.

A browser that showed it gets a cookie, which is derived from it: whoever reads the cookie does not know the token.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from neural_selfie.errors import UsageError

_BYTES: Final = 24
_SHORTEST: Final = 16  # characters: below that it could be guessed


def kept(path: Path) -> str:
    """Given where the token is kept, return it; made if there is none. Raise UsageError if it is too short."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return given(path)
    token = secrets.token_urlsafe(_BYTES)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{token}\n")
    return token


def given(path: Path) -> str:
    """Given a file with a token in it, return the token; raise UsageError if there is none, or one that is guessed."""
    try:
        token = path.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        raise UsageError(
            f"{path} holds no token: write one of at least {_SHORTEST} plain characters into it."
        ) from None
    if len(token) < _SHORTEST or not token.isprintable() or " " in token:
        raise UsageError(
            f"The token in {path} is too short or has blanks: {_SHORTEST} letters and digits are the least. "
            "Remove the file, and a new one is made."
        )
    return token


def is_right(shown: str, token: str) -> bool:
    """Given what somebody shows and the token, say whether it is that; takes as long for every wrong one."""
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), token.encode())


def session(token: str) -> str:
    """Given the token, return the content of the cookie; another token makes every cookie void."""
    return hmac.new(token.encode(), b"neural-selfie session", hashlib.sha256).hexdigest()
