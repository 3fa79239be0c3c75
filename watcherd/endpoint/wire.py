"""The wire: one connection to the endpoint, read while it is written. httpx requests in, responses out.

A server may answer before it has the whole upload (413 from nginx, 401) and then reset the connection.
httpcore goes on to read the answer after a failed write, but asyncio has closed the socket by then, with the
answer in it: an upload that is too large would look like a broken connection, every time. So the stream here
looks for an answer between the pieces it writes, and keeps the socket until the answer is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import anyio
import anyio.lowlevel
import httpcore
import httpx

KEEP_ALIVE = 3.5  # seconds; servers close an idle connection after 5 to 7, and a reused one then breaks
_LOADED = anyio.lowlevel, anyio.Event, anyio.Lock, anyio.connect_tcp, anyio.fail_after
"""What httpcore works with, which loads at its first use: that would hold the event loop up for 0.05 s."""
_READ = 64 * 1024
_PIECE = 256 * 1024  # bytes encrypted at a time
_SOCKET_OPTIONS = (  # a server that works for minutes sends nothing meanwhile: notice if it is gone
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


@dataclass(slots=True)
class Tally:
    """What has happened on the wire so far: connections opened, bytes received."""

    connections: int = 0
    received: int = 0


class Wire(httpx.AsyncBaseTransport):
    """An httpx transport with a single HTTP/1.1 connection, kept for the next request while it is fresh.

    `context` is for https, to the endpoint and to a proxy. Raises httpx's transport errors.
    """

    def __init__(self, *, context: ssl.SSLContext | None, proxy: httpx.Proxy | None) -> None:
        self.tally = Tally()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            proxy=None if proxy is None else _core_proxy(proxy, context),
            max_connections=1,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=_Backend(self.tally),
            socket_options=_SOCKET_OPTIONS,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the response's body is still to be read."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        outgoing = httpcore.Request(
            method=request.method,
            url=_core_url(request.url),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _httpx_errors():
            answer = await self._pool.handle_async_request(outgoing)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_AnswerStream(answer), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Close the connection."""
        await self._pool.aclose()


class _AnswerStream(httpx.AsyncByteStream):
    """The body of an answer, as it comes in."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for piece in self._answer.aiter_stream():
                yield piece

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """Opens connections as httpcore does (a host's addresses are raced), counts them, and takes them over."""

    def __init__(self, tally: Tally) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._tally = tally

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        raw: socket.socket = stream.get_extra_info("socket").dup()
        await stream.aclose()
        raw.setblocking(False)
        self._tally.connections += 1
        tcp = _Tcp(raw)
        return _Stream(tcp, tcp, self._tally)


class _Layer(Protocol):
    """Something that carries bytes; raises OSError, of which ssl.SSLError is one."""

    async def send(self, data: memoryview) -> int:
        """Send as much as goes at once, or goes first; how many bytes that was."""

    async def receive(self) -> bytes:
        """Wait for bytes; none at the end."""

    def receive_now(self) -> bytes | None:
        """Take the bytes that are here: none at the end, None where there are none yet."""


class _Tcp:
    """A connected socket. Not an asyncio transport, which closes it at the first failed write."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw

    async def send(self, data: memoryview) -> int:
        while True:
            try:
                return self.raw.send(data)
            except BlockingIOError:
                await self._taking()

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.raw, _READ)

    def is_readable(self) -> bool:
        poll = select.poll()
        poll.register(self.raw, select.POLLIN)
        return bool(poll.poll(0))

    def receive_now(self) -> bytes | None:
        try:
            return self.raw.recv(_READ)
        except BlockingIOError:
            return None

    async def _taking(self) -> None:
        """Wait until the system takes more, which it does once a third of its buffer is free."""
        taking = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_writer(self.raw, taking.set)
        try:
            await taking.wait()
        finally:
            loop.remove_writer(self.raw)


class _Tls:
    """TLS over another layer (over TLS itself, where a proxy speaks it)."""

    def __init__(self, lower: _Layer, context: ssl.SSLContext, host: str | None) -> None:
        self._lower = lower
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    async def shake_hands(self) -> None:
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                self._feed(await self._lower.receive())
            else:
                await self._flush()
                return

    async def send(self, data: memoryview) -> int:
        sent = self._object.write(data[:_PIECE])
        await self._flush()
        return sent

    async def receive(self) -> bytes:
        while (data := self._decrypted()) is None:
            await self._flush()
            self._feed(await self._lower.receive())
        return data

    def receive_now(self) -> bytes | None:
        while (data := self._decrypted()) is None:
            if (arrived := self._lower.receive_now()) is None:
                return None
            self._feed(arrived)
        return data

    def _decrypted(self) -> bytes | None:
        try:
            return self._object.read(_READ)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        left = memoryview(self._outgoing.read())
        while left:
            left = left[await self._lower.send(left) :]


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that listens whenever it has written some; `_ahead` is what came early."""

    def __init__(self, tcp: _Tcp, layer: _Layer, tally: Tally) -> None:
        self._tcp = tcp
        self._layer = layer
        self._tally = tally
        self._ahead = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._ahead:
            with _core_errors(httpcore.ReadTimeout, httpcore.ReadError):
                async with asyncio.timeout(timeout):
                    self._came(await self._layer.receive())
        piece, self._ahead = self._ahead[:max_bytes], self._ahead[max_bytes:]
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        while left:
            self._listen()
            try:
                with _core_errors(httpcore.WriteTimeout, httpcore.WriteError):
                    async with asyncio.timeout(timeout):
                        left = left[await self._layer.send(left) :]
            except httpcore.WriteTimeout:
                self._listen()  # has it answered, and neither reads on nor hangs up?
                raise

    async def aclose(self) -> None:
        self._tcp.raw.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        tls = _Tls(self._layer, ssl_context, server_hostname)
        try:
            with _core_errors(httpcore.ConnectTimeout, httpcore.ConnectError):
                async with asyncio.timeout(timeout):
                    await tls.shake_hands()
        except BaseException:
            await self.aclose()
            raise
        return _Stream(self._tcp, tls, self._tally)

    def get_extra_info(self, info: str) -> object:
        """Tell httpcore of an idle connection whether the server has spoken: it closes it, or sends a 408."""
        return self._tcp.is_readable() if info == "is_readable" else None

    def _came(self, data: bytes) -> None:
        self._tally.received += len(data)
        self._ahead += data

    def _listen(self) -> None:
        """Raise WriteError when the answer has begun, which httpcore takes as the moment to read it.

        An unasked `100 Continue` is no answer yet.
        """
        with _core_errors(httpcore.WriteTimeout, httpcore.WriteError):
            while (early := self._layer.receive_now()) is not None:
                self._came(early)
                if not early or _has_final(self._ahead):
                    raise httpcore.WriteError("the answer came before the request was whole")


def _has_final(answer: bytes) -> bool:
    """Whether the final answer has begun, after any interim ones (status 1xx)."""
    while answer[8:10] == b" 1":
        _, _, answer = answer.partition(b"\r\n\r\n")
    return len(answer) >= 10


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _core_proxy(proxy: httpx.Proxy, context: ssl.SSLContext | None) -> httpcore.Proxy:
    return httpcore.Proxy(
        _core_url(proxy.url),
        auth=proxy.raw_auth,
        headers=proxy.headers.raw,
        ssl_context=context if proxy.url.scheme == "https" else None,
    )


@contextlib.contextmanager
def _httpx_errors() -> Iterator[None]:
    """Raise httpcore's errors as httpx's, which have the same names."""
    try:
        yield
    except (
        httpcore.NetworkError,
        httpcore.TimeoutException,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        same: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise same(str(error)) from error


@contextlib.contextmanager
def _core_errors(
    timeout: type[httpcore.TimeoutException], broken: type[httpcore.NetworkError]
) -> Iterator[None]:
    """Raise the system's errors as httpcore's; what they were stays their cause."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except OSError as error:
        raise broken(str(error)) from error
