"""The server: an application and a bound socket in, requests answered in the running event loop. uvicorn.

It is the daemon's guest: it takes no signals, logs through the daemon's log, ends nothing with it when it
fails, and never holds up a stop for longer than GRACE.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger()

GRACE = 1  # seconds that requests under way have at a stop


class Server(uvicorn.Server):
    """One application on one socket, which must listen already and is closed at the end."""

    crashed = "control.crashed"
    """What the log calls its end by a fault."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, *, connections: type[H11Protocol] = H11Protocol
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=connections,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # what a client sends wrongly is not the daemon's trouble
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._listener = listener
        self._leaving = asyncio.Event()

    async def run_to_the_end(self) -> None:
        """Serve until `stop`. What goes wrong is said, and the daemon goes on without its guest."""
        try:
            await self.serve(sockets=[self._listener])
        except Exception:
            log.exception(self.crashed)
        finally:
            for server in getattr(self, "servers", ()):  # none before it has started
                server.close()
            self._listener.close()
            for connection in list(self.server_state.connections):
                connection.transport.abort()  # of a client that does not read its answer

    def stop(self) -> None:
        """Accept nothing more, and end `run_to_the_end` soon."""
        self._leaving.set()

    async def main_loop(self) -> None:
        """Wait to be told instead of asking ten times a second; then end what would never end by itself."""
        await self.on_tick(0)
        await self._leaving.wait()
        for connection in list(self.server_state.connections):
            assert isinstance(connection, H11Protocol)
            if connection.cycle is not None and connection.cycle.response_started:
                connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the daemon."""
        yield
