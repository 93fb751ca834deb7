"""Files of the outbox over HTTP: pictures, records, and the data of the page. Nothing else that lies there.

A path is opened part by part without following links, so that nobody who may write into the outbox can show other
files, and what was opened is what is sent. Ranges and conditional requests are starlette's own.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

from neural_selfie.gallery import ASSETS

KINDS = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".json": "application/json",
}
_OWN_KINDS = KINDS | {".js": "text/javascript"}  # in the folder that only the daemon writes
_STEP = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Pictures:
    """The outbox as an ASGI application for GET and HEAD."""

    outbox: Path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file that a request names, or say that there is none."""
        parts = [os.fsdecode(unquote_to_bytes(part)) for part in scope["raw_path"].split(b"/")[1:]]
        kind = (_OWN_KINDS if parts[0] == ASSETS else KINDS).get(Path(parts[-1]).suffix.lower())
        descriptor = None if kind is None else await to_thread.run_sync(opened, self.outbox, parts)
        if descriptor is None:
            await PlainTextResponse("There is no such picture.", 404)(scope, receive, send)
            return
        try:
            # By its number, which stands for the very file that was opened.
            answer: Response = FileResponse(
                f"/proc/self/fd/{descriptor}", media_type=kind, stat_result=os.fstat(descriptor)
            )
            if StaticFiles.is_not_modified(_NOBODY, answer.headers, Headers(scope=scope)):
                answer = NotModifiedResponse(answer.headers)
            await answer(scope, receive, send)
        finally:
            os.close(descriptor)


_NOBODY = StaticFiles(check_dir=False)  # it looks at headers only


def opened(outbox: Path, parts: list[str]) -> int | None:
    """Given the outbox and the names along a path, return a descriptor of the plain file there; None without one.

    Hidden names, links, and whatever leads out of the outbox are no files here.
    """
    if len(parts) > _DEEPEST or any(not part or part[0] == "." or set(part) & {"/", "\0"} for part in parts):
        return None
    try:
        at = os.open(outbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for number, part in enumerate(parts):
            folder, flags = at, _STEP | (os.O_DIRECTORY if number < len(parts) - 1 else 0)
            try:
                at = os.open(part, flags, dir_fd=folder)
            finally:
                os.close(folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(at).st_mode):
        return at
    os.close(at)
    return None
