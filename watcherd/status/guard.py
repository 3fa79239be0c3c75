"""The guard: a request from the network in, either an answer of its own or the application's out. ASGI.

The control socket's file has rights; a port has none, and every browser of this machine can reach it. So here
stand the checks, for every path there is: whose request it is (see sites), how large, and who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcherd.clock import Clock
from watcherd.config.page import StatusPage
from watcherd.status import login, sites
from watcherd.status.sessions import LASTING, CrowdedError, Door, Sessions
from watcherd.status.shapes import Trouble
from watcherd.status.sites import Head, Refusal

log = structlog.get_logger()

STREAMS = "/api/v1/events"
MOST_STREAMS = 60  # so that a connection is left for everybody else
MOST_REQUESTS = 200  # at a time: those of connections, and what clients that have left still wait for
BODY_TIME = 10.0  # seconds in which a request's body is here
COMPLAIN_EVERY = 60.0  # seconds between two lines about wrong tokens
OPEN_TO_ALL = {"/healthz", "/readyz"}
SECURE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # no-referrer would make our own forms' origin null
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
}
_TOKEN_NEEDED = Refusal(
    401,
    "token_needed",
    "a token is needed here",
    f"Log in at {login.PATH}, or send Authorization: Bearer and the token of status.token.",
)
_CUT = Refusal(400, "body_cut", "the request ended too early", "Send it whole.")
_SLOW = Refusal(408, "body_too_slow", "the request did not arrive in time", "Send it at once.")
_NOT_JSON = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
_NO_STORE = ("cache-control", "no-store")
_HTML = "text/html; charset=utf-8"


class Guard:
    """Stands before an application that is served on the network."""

    def __init__(self, app: ASGIApp, page: StatusPage, clock: Clock) -> None:
        self._app = app
        self._page = page
        self._clock = clock
        self._door = Door()
        self._sessions = Sessions()
        self._requests = 0
        self._streams = 0
        self._wrong = 0
        self._complained_at = -COMPLAIN_EVERY

    def adopt(self, page: StatusPage) -> None:
        """Go by other settings from now on; another token ends every session."""
        if page.token != self._page.token:
            self._sessions.clear()
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        answer = _Answer(send)
        if self._requests >= MOST_REQUESTS:
            await answer.refuse(_busy("Too many requests are being answered."))
            return
        self._requests += 1
        try:
            await self._hear(_head(scope), scope, receive, answer)
        except _TurnedAwayError as error:
            await answer.refuse(error.refusal)
        finally:
            self._requests -= 1

    async def _hear(self, head: Head, scope: Scope, receive: Receive, answer: _Answer) -> None:
        refusal = sites.refused(head, self._page.allowed_hosts)
        is_login = self._page.token is not None and head.path in login.PATHS
        if is_login and refusal is not None and _is_form(head) and refusal.status == _NOT_JSON:
            refusal = None
        if refusal is not None:
            raise _TurnedAwayError(refusal)
        if is_login:
            return await self._log_in_or_out(head, scope, receive, answer)
        if head.path not in OPEN_TO_ALL and not await self._is_known(head, scope):
            if _is_for_people(head):
                return await answer.lead(f"{login.PATH}?{login.onwards(_asked_for(scope))}")
            raise _TurnedAwayError(_TOKEN_NEEDED)
        if not head.is_safe:
            receive = _Replay(await _body(receive), receive)
        return await self._hand_on(head, scope, receive, answer)

    async def _hand_on(self, head: Head, scope: Scope, receive: Receive, answer: _Answer) -> None:
        stream = head.path == STREAMS
        if stream and self._streams >= MOST_STREAMS:
            raise _TurnedAwayError(_busy("Too many pages follow what happens."))
        self._streams += stream
        try:
            await self._app(scope, receive, answer)
        finally:
            self._streams -= stream

    # Who asks.

    async def _is_known(self, head: Head, scope: Scope) -> bool:
        """Whether whoever asks has shown the token, where one is needed."""
        token = self._page.token
        if token is None:
            return True
        if self._session(head):
            scope.setdefault("state", {})["session"] = True  # the page then shows how to log out
            return True
        scheme, _, said = head.said("authorization").partition(" ")
        if scheme.lower() != "bearer":
            return False
        try:
            if await self._door.opens(said.strip(), token.get_secret_value()):
                return True
        except CrowdedError:
            raise _TurnedAwayError(_busy(login.CROWDED)) from None
        self._complain(head)
        return False

    def _session(self, head: Head) -> str:
        """The session that the request belongs to; empty without one."""
        now = self._clock.monotonic()
        names = login.sessions_of(head.said("cookie"))
        return next((name for name in names if self._sessions.knows(name, now)), "")

    def _complain(self, head: Head) -> None:
        """Say now and then that somebody tries tokens."""
        self._wrong += 1
        if self._clock.monotonic() >= self._complained_at + COMPLAIN_EVERY:
            log.warning("page.refused_token", last_from=head.client, times=self._wrong)
            self._wrong, self._complained_at = 0, self._clock.monotonic()

    # The login.

    async def _log_in_or_out(self, head: Head, scope: Scope, receive: Receive, answer: _Answer) -> None:
        match head.method, head.path:
            case "GET" | "HEAD", login.STYLE_PATH:
                await answer.give(200, "text/css; charset=utf-8", login.STYLE)
            case "GET" | "HEAD", login.PATH:
                _, to = login.filled_in(scope["query_string"])
                await (answer.lead(to) if self._session(head) else answer.give(200, _HTML, login.page(to=to)))
            case "POST", login.PATH:
                await self._log_in(head, await _body(receive), answer)
            case "POST", login.LOGOUT_PATH:
                self._sessions.close(self._session(head))
                await answer.lead(login.PATH, set_cookie=login.set_cookie("", lasting=0, encrypted=False))
            case _:
                message = f"{head.method} is not done here"
                raise _TurnedAwayError(Refusal(405, "method_unknown", message, "Log in with the form."))

    async def _log_in(self, head: Head, form: bytes, answer: _Answer) -> None:
        said, to = login.filled_in(form)
        token = self._page.token
        assert token is not None, "without a token there is no login"
        try:
            opened = await self._door.opens(said, token.get_secret_value())
        except CrowdedError:
            await answer.give(429, _HTML, login.page(to=to, said=login.CROWDED), retry_after="5")
            return
        if not opened or token != self._page.token:  # a reload may have changed it meanwhile
            self._complain(head)
            await answer.give(403, _HTML, login.page(to=to, said=login.WRONG))
            return
        session = self._sessions.open(self._clock.monotonic())
        encrypted = head.said("origin").startswith("https://")  # to a proxy, as only the browser can tell
        await answer.lead(to, set_cookie=login.set_cookie(session, lasting=LASTING, encrypted=encrypted))


class _TurnedAwayError(Exception):
    """A request that is not handed on."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _Answer:
    """The way back: every answer gets the headers that keep a browser strict."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send the application's answer."""
        if message["type"] == "http.response.start":
            given = [(name, value) for name, value in message.get("headers", ()) if not _is_ours(name)]
            cached = any(name.lower() == b"cache-control" for name, _ in given)
            own = [*SECURE.items(), *([] if cached else [_NO_STORE])]
            message = {**message, "headers": [*given, *_encoded(dict(own))]}
        await self._send(message)

    async def give(self, status: int, kind: str, text: str, **headers: str) -> None:
        """Answer with a text."""
        content = text.encode()
        said = {"content-type": kind, "content-length": str(len(content))}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        await self({"type": "http.response.start", "status": status, "headers": _encoded(said)})
        await self({"type": "http.response.body", "body": content})

    async def lead(self, to: str, **headers: str) -> None:
        """Lead a browser elsewhere on this site."""
        await self.give(303, "text/plain; charset=utf-8", "", location=to, **headers)

    async def refuse(self, refusal: Refusal) -> None:
        """Say why a request is not heard; what follows it on its connection is not read."""
        trouble = Trouble(code=refusal.code, message=refusal.message, hint=refusal.hint)
        more = {"www_authenticate": "Bearer"} if refusal.status == HTTPStatus.UNAUTHORIZED else {}
        if refusal.status in {429, 503}:
            more["retry_after"] = "5"
        await self.give(
            refusal.status, "application/json", trouble.model_dump_json(), connection="close", **more
        )


class _Replay:
    """Gives a body that was read already, then whatever comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        """The next message."""
        body, self._body = self._body, None
        if body is None:
            return await self._receive()
        return {"type": "http.request", "body": body, "more_body": False}


async def _body(receive: Receive) -> bytes:
    """Read a body; turns away one that is large, slow or cut short."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":  # half a wish is none, and nobody hears the answer
                    raise _TurnedAwayError(_CUT)
                body += message.get("body", b"")
                if len(body) > sites.LARGEST_BODY:
                    raise _TurnedAwayError(sites.too_large())
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise _TurnedAwayError(_SLOW) from None


def _head(scope: Scope) -> Head:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(
        method=scope["method"],
        path=scope["path"],
        headers=headers,
        server=scope["server"],
        client="" if scope["client"] is None else scope["client"][0],
        size=len(scope["raw_path"])
        + len(scope["query_string"])
        + sum(len(name) + len(value) for name, value in scope["headers"]),
    )


def _asked_for(scope: Scope) -> str:
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _is_form(head: Head) -> bool:
    return sites.media_type(head) == sites.FORM


def _is_for_people(head: Head) -> bool:
    return head.method in {"GET", "HEAD"} and "text/html" in head.said("accept")


def _is_ours(name: bytes) -> bool:
    return name.decode("latin-1").lower() in SECURE


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _busy(message: str) -> Refusal:
    return Refusal(503, "busy", message, "Try again in some seconds.")
