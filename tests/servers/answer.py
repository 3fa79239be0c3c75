"""The sending half of the local endpoint: answers written byte by byte, as a behaviour bends them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from tests.servers.behaviour import Respond

_BLOCK = 256 * 1024
_LINGER = 5.0  # seconds, as nginx does


class HungUpError(Exception):
    """The connection is over: the client left, or a behaviour said so."""


class Answer:
    """The sending half of one exchange; `decided` is told the status before its first byte is sent."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decided: Callable[[int | None], None] = lambda _: None,
    ) -> None:
        self._decided = decided
        self._reader = reader
        self._writer = writer

    async def wait(self, something: Awaitable[None]) -> None:
        """Wait, unless the client hangs up meanwhile."""
        waited = asyncio.ensure_future(something)
        gone = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({waited, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waited.done():
                raise HungUpError
        finally:
            waited.cancel()
            gone.cancel()
            await asyncio.gather(waited, gone, return_exceptions=True)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_raw(self, data: bytes) -> None:
        """Send what may be no answer at all, and hang up."""
        self._decided(None)
        await self.write(data)
        self.hang_up(reset=False)

    async def send(self, how: Respond) -> None:
        """Send the answer as the behaviour bends it."""
        body = how.body if how.body is not None else b""
        last = how.close or how.after is not None or how.cut is not None
        headers = {"content-type": "application/json"} | {
            name.lower(): value for name, value in how.headers.items()
        }
        headers["content-length"] = str(len(body))
        headers["connection"] = "close" if last else "keep-alive"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        reason = HTTPStatus(how.status).phrase if how.status in set(HTTPStatus) else "Unnamed"
        self._decided(how.status)
        await self._write_all(
            f"HTTP/1.1 {how.status} {reason}\r\n{lines}\r\n".encode(), body[: how.cut], how.drip
        )
        if how.stall:
            await asyncio.Event().wait()
        if how.linger:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    while await self._reader.read(_BLOCK):
                        pass
        if last:
            self.hang_up(reset=how.reset)

    async def _write_all(self, head: bytes, body: bytes, drip: float) -> None:
        if not drip:
            await self.write(head + body)
            return
        await self.write(head)
        for number in range(len(body)):
            await self.write(body[number : number + 1])
            await self.wait(asyncio.sleep(drip))

    def hang_up(self, *, reset: bool) -> None:
        """End the connection: FIN where everything sent was read, RST otherwise or where asked for."""
        if reset:
            raw: socket.socket = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise HungUpError
