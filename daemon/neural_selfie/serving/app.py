"""What is answered to which address: the page, its news, picks and wishes, and the files of the outbox."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from neural_selfie import lock, picking
from neural_selfie.config import Loaded
from neural_selfie.config.layout import StateFolder
from neural_selfie.errors import PicksError, SelfieError, UsageError
from neural_selfie.gallery import page
from neural_selfie.serving import again
from neural_selfie.serving.guard import Guard
from neural_selfie.serving.news import News
from neural_selfie.serving.pictures import Pictures

_MOST_BYTES = 4 * 2**20  # forty thousand picks


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    painting: str = Field(min_length=3, max_length=4096)
    values: dict[str, bool | int | float | str] = Field(max_length=100)


@dataclass(frozen=True, slots=True)
class _Live:
    """The answers that are no files."""

    loaded: Loaded
    news: News
    html: bytes
    mark: str  # of the page's content, for browsers that have it already

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.loaded.settings.state)

    async def index(self, request: Request) -> Response:
        headers = {"etag": self.mark}
        if request.headers.get("if-none-match") == self.mark:
            return Response(status_code=304, headers=headers)
        return Response(self.html, media_type="text/html", headers=headers)

    async def events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        headers = {"x-accel-buffering": "no"}  # a proxy that collects would keep the news to itself
        return StreamingResponse(self.news.stream(), media_type="text/event-stream", headers=headers)

    async def knobs(self, _request: Request) -> Response:
        return JSONResponse(again.knobs())

    async def picks(self, request: Request) -> Response:
        return await _done(request, self._hand_over)

    async def again(self, request: Request) -> Response:
        return await _done(request, self._ask)

    def _hand_over(self, data: bytes) -> dict[str, Any]:
        return {"picks": picking.hand_over(self.state.picks, data), "daemon": self._daemon_runs()}

    def _ask(self, data: bytes) -> dict[str, Any]:
        wish = _Wish.model_validate_json(data)
        found = picking.find(self.loaded.settings.outbox_folder, wish.painting)
        if found is None:
            raise UsageError("This painting does not hang here any more.")
        return {"job": again.ask(found[1], wish.values, self.loaded).id, "daemon": self._daemon_runs()}

    def _daemon_runs(self) -> bool:
        return lock.holder(self.state.lock) is not None


def build(
    loaded: Loaded, *, names: frozenset[str], token: str | None, cookie: str, stopping: Callable[[], bool]
) -> ASGIApp:
    """Given the configuration and who may ask, return the live page as an ASGI application.

    `names`, `token`, `cookie`: as in `Guard`. Streams end when `stopping` says so.
    """
    html = page.html(live=True)
    mark = f'"{hashlib.sha256(html).hexdigest()[:16]}"'
    live = _Live(loaded, News(loaded.settings, stopping), html, mark)
    app = Starlette(
        routes=[
            Route("/", live.index),
            Route(f"/{page.NAME}", live.index),
            Route("/events", live.events),
            Route("/knobs", live.knobs),
            Route("/picks", live.picks, methods=["POST"]),
            Route("/again", live.again, methods=["POST"]),
            Route("/{path:path}", Pictures(loaded.settings.outbox_folder), methods=["GET"]),
        ]
    )
    return Guard(app, names, token, page.policy(live=True) + "; frame-ancestors 'none'", cookie)


async def _done(request: Request, work: Callable[[bytes], dict[str, Any]]) -> Response:
    """Do what a page asks for; say what came of it, or why not in words for the person who asked."""
    data = await _body(request)
    if data is None:
        return _refused("That is more than any page asks for.", 413)
    try:
        return JSONResponse(await to_thread.run_sync(work, data), 202)
    except ValidationError:
        return _refused("This cannot be understood. Load the page again.", 400)
    except (UsageError, PicksError) as error:
        return _refused(str(error), 409)
    except (SelfieError, OSError) as error:
        return _refused(f"It cannot be written down now: {error}", 503)


async def _body(request: Request) -> bytes | None:
    """Return the body of a request, or None as soon as it is too long."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > _MOST_BYTES:
            return None
    return bytes(data)


def _refused(reason: str, status: int) -> Response:
    return Response(json.dumps({"error": reason}), status, media_type="application/json")
