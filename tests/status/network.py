"""An application that is served on a port of this machine, behind its guard, for tests; and a raw client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPMessage, parse_headers
from io import BytesIO

from starlette.types import ASGIApp, Receive, Scope, Send

from watcherd.clock import SystemClock
from watcherd.config.page import StatusPage
from watcherd.status.port import Port

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
DEADLINE = 20.0


@dataclass(frozen=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: HTTPMessage
    body: bytes


@dataclass
class Echo:
    """An application that answers with what it was asked, or streams until its client leaves."""

    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    streaming: int = 0
    sent: int = 0
    ended: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        message = await receive()
        self.asked.append((scope["method"], scope["path"], message.get("body", b"")))
        self.scopes.append(scope)
        headers = [
            (b"Content-Security-Policy", b"default-src *"),
            (b"cache-control", b"private, max-age=60"),
        ]
        if scope["path"] == "/plain":
            headers = []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        match scope["path"]:
            case "/flood":
                while message["type"] != "http.disconnect":  # as long as there is room for more
                    await self._more(send, bytes(1 << 14))
                    self.sent += 1 << 14
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0):
                            message = await receive()
                self.ended = True
            case "/api/v1/events":
                self.streaming += 1
                await self._more(send, b"data: x\n\n")
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.streaming -= 1
            case _:
                await send({"type": "http.response.body", "body": b"echo"})

    async def _more(self, send: Send, body: bytes) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": True})


class Network:
    """A client's view of it."""

    def __init__(self, port: int, served: Port) -> None:
        self.port = port
        self.served = served
        self.host = f"127.0.0.1:{port}"
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that has said nothing yet."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return reader, writer

    def leave(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def ask(self, method: str, path: str, *, body: bytes | None = None, **headers: str) -> Reply:
        """One request on a connection of its own."""
        said = {"host": self.host, "connection": "close"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            said |= {"content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items() if value)
        return await self.say(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))

    async def post(self, path: str, body: bytes = b"{}", kind: str = JSON, **headers: str) -> Reply:
        """One request that changes something."""
        return await self.ask("POST", path, body=body, content_type=kind, **headers)

    async def say(self, request: bytes) -> Reply:
        """Bytes to the server, and its whole answer."""
        reader, writer = await self.connect()
        async with asyncio.timeout(DEADLINE):
            writer.write(request)
            answer = await reader.read()
        writer.close()
        first, _, rest = answer.partition(b"\r\n")
        head = BytesIO(rest)
        return Reply(int(first.split()[1]), parse_headers(head), head.read())


@asynccontextmanager
async def network(app: ASGIApp, **settings: object) -> AsyncIterator[Network]:
    """Serve on a free port of this machine."""
    told: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def tell(address: str | None, _: str) -> None:
        if not told.done():
            told.set_result(address)

    page = StatusPage.model_validate({"listen": "127.0.0.1:0", **settings})
    port = Port(app, page, clock=SystemClock(), told=tell)
    serving = asyncio.create_task(port.run())
    try:
        address = await told
        assert address is not None
        net = Network(int(address.rpartition(":")[2].rstrip("/")), port)
        yield net
        net.leave()
    finally:
        port.stop()
        async with asyncio.timeout(DEADLINE):
            await serving
