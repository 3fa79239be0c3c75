"""The webhook: an address and an event's letter in, how the request ended out. Rim.

    X-Watcherd-Signature: sha256=HEX    HMAC-SHA256 under the secret, of X-Watcherd-Timestamp, a dot, the body

No redirect is followed: it would carry the letter elsewhere. Nothing is taken from the environment. Errors
name no address, since that may be a secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self

import httpx

from watcherd import __version__
from watcherd.config.model import Webhook
from watcherd.journal.notices import OUTPUT, Notice

SECONDS = 30.0  # for the whole request; a receiver that has more to do should answer first
_CONNECT = 10.0


class Post:
    """The requests to all webhooks, over kept connections; an asynchronous context."""

    def __init__(self) -> None:
        self._opened: httpx.AsyncClient | None = None  # most daemons have no webhook

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.aclose()

    async def send(self, webhook: Webhook, notice: Notice, *, now: float) -> tuple[str, str]:
        """Make one request; what was wrong in a few words, empty for a 2xx answer, and what was answered."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._sent(webhook, notice, now)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            return _word(error), ""

    async def _sent(self, webhook: Webhook, notice: Notice, now: float) -> tuple[str, str]:
        url, body = webhook.url.get_secret_value(), notice.draft.body.encode()
        headers = _headers(webhook, notice, body, now=now)
        async with self._http().stream("POST", url, content=body, headers=headers) as response:
            if response.is_success:
                return "", ""
            answer = b""
            async for piece in response.aiter_raw():
                answer += piece
                if len(answer) >= OUTPUT:
                    break
            return f"it answered {response.status_code}", answer[:OUTPUT].decode("utf-8", "backslashreplace")

    def _http(self) -> httpx.AsyncClient:
        if self._opened is None:
            self._opened = httpx.AsyncClient(
                verify=httpx.create_ssl_context(trust_env=False),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                timeout=httpx.Timeout(SECONDS, connect=_CONNECT),
                follow_redirects=False,
                trust_env=False,
            )
        return self._opened


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What a receiver compares with: made of the exact bytes that it got."""
    signed = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def _headers(webhook: Webhook, notice: Notice, body: bytes, *, now: float) -> dict[str, str]:
    timestamp = str(int(now))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"watcherd/{__version__}",
        "Accept-Encoding": "identity",
        "X-Watcherd-Event": notice.draft.event,
        "X-Watcherd-Id": notice.draft.event_id,
        "X-Watcherd-Attempt": str(notice.attempts + 1),
        "X-Watcherd-Timestamp": timestamp,
    }
    if webhook.secret is not None:
        headers["X-Watcherd-Signature"] = signature(webhook.secret.get_secret_value(), timestamp, body)
    return headers


def _word(error: BaseException) -> str:
    """Say in a few words what went wrong."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return "no secure connection: is its certificate valid?"
    match error:
        case TimeoutError() | httpx.TimeoutException():
            return "it did not answer in time"
        case httpx.ConnectError():
            return "no connection"
        case _:
            return "the connection broke"
