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


@functools.cache
def html() -> bytes:
    """Return the page."""
    here = files("neural_selfie.gallery") / "web"
    style = "".join((here / name).read_text("utf-8") for name in STYLES)
    parts = "".join((here / name).read_text("utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{parts}}})();\n'
    text = (here / "page.html").read_text("utf-8")
    for mark, content in (
        ("%STYLE-HASH%", _hash(style)),
        ("%SCRIPT-HASH%", _hash(script)),
        ("%STYLE%", style),
        ("%SCRIPT%", script),
    ):
        text = text.replace(mark, content)
    return text.encode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
