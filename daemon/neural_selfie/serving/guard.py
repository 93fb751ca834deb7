"""Who may ask what: every request passes here first, and every answer leaves with the same policy.

- Host: only names that this server has, so that no other site's name can be made to point here (DNS rebinding). An
  address as a number is nobody's name.
- Token, where one is asked for: once as `?token=`, from then on by a cookie that scripts cannot read.
- Other sites may link here and nothing else: what they embed or fetch is refused, and so is every change that does not
  come from a page of this server (`Origin`, `Sec-Fetch-Site`, JSON).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neural_selfie.serving import tokens

_KEPT_SECONDS = 180 * 24 * 3600
_ASK = (
    "This page wants the token of its owner: open it once with the address that `neural-selfie serve` printed, which "
    "ends in ?token=... This browser is then remembered."
)


@dataclass(frozen=True, slots=True)
class Guard:
    """`app` behind the rules. `names`: what this server may be called; `token` None: nobody is asked for one."""

    app: ASGIApp
    names: frozenset[str]
    token: str | None
    policy: str
    cookie: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the app do so."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _everywhere(self.policy).items():
                    headers[name] = value
            await send(message)

        answer = self._refusal(Request(scope))
        await (answer or self.app)(scope, receive, send_with_policy)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that gets no further, or None."""
        host = request.headers.get("host", "")
        if not _is_ours(host, self.names):
            return PlainTextResponse(
                "This server does not go by that name. Its owner can allow it: --allow-host NAME.", 421
            )
        site = request.headers.get("sec-fetch-site")
        if site in {"cross-site", "same-site"} and request.headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("Only pages of this server may ask for that.", 403)
        if (answer := self._unknown(request)) is not None:
            return answer
        if request.method in {"GET", "HEAD"}:
            return None
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if urlsplit(request.headers.get("origin", "")).netloc != host or site not in {None, "same-origin"}:
            return PlainTextResponse("Only pages of this server may change anything.", 403)
        return None if kind == "application/json" else PlainTextResponse("Expected JSON.", 415)

    def _unknown(self, request: Request) -> Response | None:
        """Return what somebody is told who is not known yet; None for everybody else."""
        if self.token is None:
            return None
        shown = request.query_params.get("token")
        if shown is None:
            known = tokens.is_right(request.cookies.get(self.cookie, ""), tokens.session(self.token))
            return None if known else PlainTextResponse(_ASK, 401)
        if request.method != "GET" or not tokens.is_right(shown, self.token):
            return PlainTextResponse(f"That is not the token. {_ASK}", 401)
        rest = urlencode([(key, value) for key, value in request.query_params.multi_items() if key != "token"])
        # Without the token, so that it stays in no history and is in no address that somebody passes on. Relative and
        # without a second slash, so that it cannot lead to another server.
        answer = RedirectResponse("/" + request.url.path.lstrip("/\\") + (f"?{rest}" if rest else ""), 303)
        secure = request.url.scheme == "https"
        session = tokens.session(self.token)
        # Lax, not strict: the link with the token may come in a mail, and a strict cookie would not follow it.
        answer.set_cookie(self.cookie, session, _KEPT_SECONDS, httponly=True, secure=secure, samesite="lax")
        return answer


def _is_ours(host: str, names: Iterable[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".") in names
    return True


def _everywhere(policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-cache",  # asked again each time; what has not changed is not sent again
    }
