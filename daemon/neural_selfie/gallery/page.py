"""Turns entries into the gallery page: one self-contained HTML text, free of scripts. Reads no outbox and no clock.

Guarantees that nothing a photo, preset or record is called can become markup, a script or a link out of the outbox:
every value is escaped, every address is percent-encoded, and the page's policy forbids scripts and other hosts.
"""

import base64
import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from neural_selfie.files import names
from neural_selfie.gallery.entries import LONG_AGO, Entry, Trouble, moment, newest_first

if TYPE_CHECKING:
    from jinja2 import Template

PREVIEW_LONG_EDGE_PX = 640


@dataclass(frozen=True, slots=True)
class Wall:
    """One photo and all its paintings, newest first; there is at least one."""

    paintings: tuple[Entry, ...]

    @property
    def newest(self) -> Entry:
        """Return the painting whose facts about the photo are the latest."""
        return self.paintings[0]

    @property
    def preview_size(self) -> tuple[int, int]:
        """Return width and height in pixels that the preview is laid out with."""
        width, height = self.newest.photo_width, self.newest.photo_height
        long_edge = max(width, height)
        shown = min(long_edge, PREVIEW_LONG_EDGE_PX)
        return max(1, width * shown // long_edge), max(1, height * shown // long_edge)

    @property
    def count(self) -> str:
        """Return the class that chooses the number of columns."""
        return {1: "one", 2: "two", 3: "three", 4: "four"}.get(len(self.paintings), "many")

    @property
    def shape(self) -> str:
        """Return the class that sets how wide a painting of this photo may become."""
        width, height = self.newest.photo_width, self.newest.photo_height
        if 10 * width < 9 * height:
            return "upright"
        return "wide" if width > 2 * height else "level"


def render(
    entries: Sequence[Entry],
    *,
    troubles: Sequence[Trouble] = (),
    waiting: Sequence[Trouble] = (),
    title: str = "Neural Selfie",
    made_at: str,
    zone: tzinfo | None = UTC,
) -> str:
    """Given paintings in any order, return the page that shows them newest first, each beside its photo.

    `troubles` are photos that failed, `waiting` those that wait for something to be put right; `made_at` is ISO 8601.
    Times are shown in `zone`; None is the zone of this machine.
    """
    by_folder: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=newest_first):
        by_folder.setdefault(entry.folder, []).append(entry)
    return _template().render(
        title=title,
        walls=[Wall(tuple(paintings)) for paintings in by_folder.values()],
        painting_count=len(entries),
        troubles=sorted(troubles, key=lambda trouble: moment(trouble.when), reverse=True),
        waiting=sorted(waiting, key=lambda trouble: moment(trouble.when), reverse=True),
        made_at=made_at,
        clock=functools.partial(shown_time, zone=zone),
    )


def address(*parts: str) -> str:
    """Given the names along a path (a name that is not UTF-8 as PEP 383 has it), return its relative URL."""
    return "/".join(quote(part.encode("utf-8", "surrogateescape"), safe="") for part in parts)


def shown_text(value: object) -> object:
    """Given what the template is about to write, return text fit for people; lines of a longer text are joined."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return names.shown(value.replace("\r\n", " ").replace("\n", " "))


def shown_time(iso: str, *, zone: tzinfo | None) -> str:
    """Given ISO 8601, return day and time of day in `zone` (None: of this machine); "" where it cannot be read."""
    when = moment(iso)
    try:
        local = when.astimezone(zone)
    except OverflowError:
        return ""
    return "" if when == LONG_AGO else f"{local.day} {local:%b} {local.year}, {local:%H:%M}"


def shown_duration(seconds: float) -> str:
    """Given seconds, return them as people say them: "0.8 s", "42 s", "3 min 20 s", "2 h 5 min"."""
    if not math.isfinite(seconds) or seconds < 0:
        return ""
    if seconds < 9.95:  # noqa: PLR2004 - from here on "10 s" reads better than "10.0 s"
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def shown_value(value: Any) -> str:
    """Given a value of a sweep, return it as it would stand in the configuration."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else ascii(value)


@functools.cache
def _template() -> "Template":
    """Return the page's template; the policy in it admits exactly the style sheet that it embeds."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - `status` and workers never render
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    here = files("neural_selfie.gallery")
    style = "\n" + here.joinpath("page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=shown_text, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"address": address, "style": Markup(style), "style_digest": digest}  # noqa: S704 - our file
    environment.filters |= {"duration": shown_duration, "value": shown_value}
    return environment.from_string(here.joinpath("page.html.j2").read_text("utf-8"))
