"""Transport: the way to the embedded endpoint. httpx requests in, its child's responses out.

The child is started by the first request, shared by all, let go when nothing was asked for a while (which
frees its memory), replaced when it has died, and killed when it is stuck. A child that cannot be had is
a FaultError of the endpoint; one that dies over a request is the transport error that any server's death is.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import structlog

from watcherd.children import ChildDiedError, ChildTimeoutError
from watcherd.config.model import Embedded
from watcherd.whisper.running import Running, start

LOOK_EVERY = 30.0  # seconds between two looks at a child at work
PATIENCE = 600.0  # seconds without progress, for which a window of 30 s may well take one

# What a Unix socket says only when the other side is gone.
_BROKEN = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)

log = structlog.get_logger()


class EmbeddedTransport(httpx.AsyncBaseTransport):
    """One embedded endpoint. `cache` is the folder where the packaged model is put together.

    Closing it ends the child; a request after that starts another. The other arguments are the figures
    that tests lower.
    """

    def __init__(
        self, embedded: Embedded, *, cache: Path, look_every: float = LOOK_EVERY, patience: float = PATIENCE
    ) -> None:
        self._embedded = embedded
        self._cache = cache
        self._look_every = look_every
        self._patience = patience
        self._child: asyncio.Task[Running] | None = None
        self._keepers: dict[Running, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._quiet_since = 0.0

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none that could be asked."""
        running = self._current()
        return None if running is None else running.pid

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the response is whole. Raises FaultError and httpx's transport errors.

        The connect timeout does not count the loading of the model. The read timeout does not count at
        all, since a long file takes its time: what counts is that the child gets on.
        """
        self._in_flight += 1
        try:
            running = await self._running()
            try:
                return await _whole(await running.http.handle_async_request(_unhurried(request)))
            except _BROKEN:
                self._drop(running)
                raise
        finally:
            self._in_flight -= 1
            self._quiet_since = asyncio.get_running_loop().time()

    async def aclose(self) -> None:
        """End the child, also one that is only starting; requests under way get a transport error."""
        starting, self._child = self._child, None
        if starting is not None:
            starting.cancel()
            await asyncio.wait({starting})
        for keeper in self._keepers.values():
            keeper.cancel()
        while waiting := {*self._keepers.values(), *self._leaving}:
            await asyncio.wait(waiting)

    def _current(self) -> Running | None:
        """Return the child that is ready and alive."""
        task = self._child
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result() if task.result().alive else None

    async def _running(self) -> Running:
        """Return the child, started where there is none; all who ask meanwhile wait for the same start."""
        if self._child is None or (self._child.done() and self._current() is None):
            self._child = asyncio.create_task(self._start())
        starting = self._child
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled():  # not this request was cancelled, but the transport closed
                raise httpx.ConnectError("the embedded endpoint was closed") from None
            raise

    async def _start(self) -> Running:
        loop = asyncio.get_running_loop()
        began = loop.time()
        running = await start(self._embedded, cache=self._cache)
        self._quiet_since = loop.time()
        seconds = round(self._quiet_since - began, 1)
        log.info("whisper.started", pid=running.pid, model=self._embedded.model, seconds=seconds)
        keeper = asyncio.create_task(self._keep(running))
        self._keepers[running] = keeper
        # Not a `finally` in the keeper: a task that is cancelled before its first step runs none.
        keeper.add_done_callback(lambda _: self._let_go(running))
        return running

    def _let_go(self, running: Running) -> None:
        """End a child that nobody keeps any more, in a task of its own."""
        del self._keepers[running]
        self._forget(running)
        leaving = asyncio.create_task(running.stop())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _drop(self, running: Running) -> None:
        """Have done with a child whose connection broke: it is dead, though the system may not say so yet."""
        keeper = self._keepers.get(running)
        if keeper is not None:
            log.warning("whisper.died", pid=running.pid, last_words=running.last_words)
            keeper.cancel()
        self._forget(running)

    def _forget(self, running: Running) -> None:
        """Let the next request start another child; at once, before anything can ask this one."""
        if self._current() is running:
            self._child = None

    async def _keep(self, running: Running) -> None:
        """Stay with the child until it is idle too long, stuck or dead."""
        try:
            await self._until_idle(running)
        except (ChildDiedError, ChildTimeoutError) as error:
            log.warning("whisper.died", pid=running.pid, reason=str(error), last_words=running.last_words)
        self._forget(running)

    async def _until_idle(self, running: Running) -> None:
        """Return when nothing was asked for `idle` seconds, or when the child gets nowhere."""
        loop = asyncio.get_running_loop()
        steps, since = -1, loop.time()
        while True:
            await asyncio.sleep(self._pause())
            if self._in_flight or not running.alive:
                progress = await running.progress()
                if not progress.working or progress.steps != steps:
                    steps, since = progress.steps, loop.time()
                elif loop.time() - since > self._patience:
                    log.warning("whisper.stuck", pid=running.pid, seconds=round(self._patience))
                    return
            elif loop.time() - self._quiet_since >= self._embedded.idle:
                log.info("whisper.stopped", pid=running.pid, idle=self._embedded.idle)
                return

    def _pause(self) -> float:
        if self._in_flight:
            return min(self._look_every, self._embedded.idle)
        return max(self._quiet_since + self._embedded.idle - asyncio.get_running_loop().time(), 0.0)


async def _whole(response: httpx.Response) -> httpx.Response:
    try:
        body = await response.aread()
    finally:
        await response.aclose()
    return httpx.Response(response.status_code, headers=response.headers, content=body)


def _unhurried(request: httpx.Request) -> httpx.Request:
    timeout = {**request.extensions.get("timeout", {}), "read": None}
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "timeout": timeout},
    )
