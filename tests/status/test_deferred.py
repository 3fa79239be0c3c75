"""The application is made once, when somebody asks or when there is time, and never to start a daemon."""

from __future__ import annotations

import asyncio
import threading

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcherd.status import deferred
from watcherd.status.deferred import Deferred


class Maker:
    """Makes applications that say hello, and counts them."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def __call__(self) -> ASGIApp:
        self.threads.append(threading.current_thread())

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse("hello")(scope, receive, send)

        return app


async def asked(app: ASGIApp) -> bytes:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        said.append(message)

    await app({"type": "http", "method": "GET"}, receive, send)
    return b"".join(message.get("body", b"") for message in said)


async def test_two_who_ask_at_once_get_one_application_made_beside_the_loop() -> None:
    make = Maker()
    app = Deferred(make)
    assert not make.threads
    assert set(await asyncio.gather(asked(app), asked(app))) == {b"hello"}
    (thread,) = make.threads
    assert thread is not threading.main_thread()


async def test_where_there_was_time_it_is_made_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "WARM_AFTER", 0)
    make = Maker()
    app = Deferred(make)
    await app.warm()
    assert len(make.threads) == 1
    assert await asked(app) == b"hello"
    assert len(make.threads) == 1
