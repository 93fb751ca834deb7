"""Puts the page together: one self-contained HTML text, the same for every outbox. Nothing of an outbox is in it.

Its policy admits exactly the style sheet and the script that it embeds, by their hashes, and with `strict-dynamic` the
data that this script asks for: these words mean the same from a disk in every browser, which "self" does not. Texts
cannot become markup or scripts: Trusted Types forbid it where a browser knows them.
"""

import base64
import functools
import hashlib
from importlib.resources import files

NAME = "index.html"
STYLES = ("page.css", "wall.css", "viewer.css", "tables.css")
SCRIPTS = (
    "elements.js",
    "format.js",
    "store.js",
    "picks.js",
    "layout.js",
    "wall.js",
    "stage.js",
    "plot.js",
    "viewer.js",
    "compare.js",
    "sweep.js",
    "queue.js",
    "main.js",
)  # in the order in which they need each other
LIVE = ("live.js", "again.js")  # before the last: only a page that a server hands out has somebody to talk to


@functools.cache
def html(*, live: bool = False) -> bytes:
    """Return the page; `live`: as `neural-selfie serve` hands it out."""
    style, script = _parts(live=live)
    text = _read("page.html")
    for mark, content in (("%POLICY%", policy(live=live)), ("%STYLE%", style), ("%SCRIPT%", script)):
        text = text.replace(mark, content)
    return text.encode()


@functools.cache
def policy(*, live: bool = False) -> str:
    """Return the page's Content-Security-Policy; a live page may also ask the server that it comes from."""
    style, script = _parts(live=live)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}' 'strict-dynamic'",
            f"style-src '{_hash(style)}'",
            *(("img-src 'self' data:", "connect-src 'self'") if live else ("img-src 'self' file: data:",)),
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types gallery",
        )
    )


@functools.cache
def _parts(*, live: bool) -> tuple[str, str]:
    style = "".join(map(_read, STYLES))
    scripts = (*SCRIPTS[:-1], *LIVE, SCRIPTS[-1]) if live else SCRIPTS
    return style, f'"use strict";\n(() => {{\n{"".join(map(_read, scripts))}}})();\n'


def _read(name: str) -> str:
    return (files("neural_selfie.gallery") / "web" / name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
