"""The benches' endpoint, in a process of its own, so lean that the client is what is measured.

`python -m tests.bench.server SECONDS` listens on a port of 127.0.0.1, which it writes to standard output, and
answers each `POST` that long after its last byte, in the `response_format` that was asked for. It looks at
no more of an upload than its first and last kilobytes; tests/servers is the one that insists on the contract.
`GET /seen` tells as JSON what has come so far. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict, dataclass

from tests.servers.speech import translation

BLOCK = 1 << 20
KEPT = 4096  # bytes of an upload's beginning and end, which hold its fields
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FORMAT = re.compile(rb'name="response_format"(?:\r\n[^\r\n]+)*\r\n\r\n(\w+)')


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: bytes of its body, when its first byte came, its last one, and its answer went out.

    Times are monotonic seconds, which all processes of a machine share.
    """

    body: int
    began: float
    whole: float
    answered: float


class _Connection(asyncio.BufferedProtocol):
    """One connection: requests in, one after the other, answers out."""

    def __init__(self, delay: float, seen: list[Seen]) -> None:
        self._delay = delay
        self._seen = seen
        self._buffer = bytearray(BLOCK)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._reset()

    def _reset(self) -> None:
        self._head = b""
        self._expected: int | None = None  # bytes of the body, once its head is whole
        self._arrived = 0
        self._edges = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if not self._head and self._expected is None:
            self._began = time.monotonic()
        if self._expected is None:
            self._head += self._view[:nbytes]
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head_came(head)
            self._body_came(memoryview(body))
        else:
            self._body_came(self._view[:nbytes])

    def _head_came(self, head: bytes) -> None:
        assert self._transport is not None
        length = _LENGTH.search(head)
        self._expected = int(length[1]) if length else 0
        self._head = head
        if b"100-continue" in head.lower():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _body_came(self, data: memoryview) -> None:
        self._arrived += len(data)
        if len(self._edges) < KEPT:
            self._edges += data[:KEPT]
        self._edges = self._edges[:KEPT] + (self._edges[KEPT:] + bytes(data[-KEPT:]))[-KEPT:]
        if self._arrived == self._expected:
            whole = time.monotonic()
            asyncio.get_running_loop().call_later(
                self._delay, self._answer, self._head, self._edges, self._arrived, self._began, whole
            )
            self._reset()

    def _answer(self, head: bytes, edges: bytes, size: int, began: float, whole: float) -> None:
        assert self._transport is not None
        if head.startswith(b"GET /seen"):
            kind, body = "application/json", json.dumps([asdict(one) for one in self._seen]).encode()
        else:
            asked = _FORMAT.search(edges)
            kind, body = translation(asked[1].decode() if asked else "json", size=size, sha256="0" * 64)
            self._seen.append(Seen(size, began, whole, time.monotonic()))
        answer = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(answer.encode() + body)


async def _serve(delay: float) -> None:
    loop = asyncio.get_running_loop()
    seen: list[Seen] = []
    server = await loop.create_server(lambda: _Connection(delay, seen), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
