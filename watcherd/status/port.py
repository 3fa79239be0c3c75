"""The port: the application and where the page shall be in, the page served there behind its guard out.

Whatever is wrong with the address, the daemon goes on: it says so once, and tries again each minute.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from starlette.types import ASGIApp

from watcherd.clock import Clock
from watcherd.config.page import StatusPage
from watcherd.status.address import bind, trouble, url_of
from watcherd.status.connection import Connection
from watcherd.status.guard import Guard
from watcherd.status.server import Server

log = structlog.get_logger()

RETRY = 60.0  # seconds
LOOK_EVERY = 1.0  # seconds between two looks at all connections


class Port:
    """Run it as a task; `told` hears the page's address, or None and why there is none."""

    def __init__(
        self, app: ASGIApp, page: StatusPage | None, *, clock: Clock, told: Callable[[str | None, str], None]
    ) -> None:
        self._page = page
        self._guard = None if page is None else Guard(app, page, clock)
        self._told = told
        self._stopping = asyncio.Event()
        self._server: PageServer | None = None

    def adopt(self, page: StatusPage | None) -> bool:
        """Go by other settings from now on; False if that takes a restart, and nothing was changed."""
        if self._guard is None or self._page is None or page is None:
            return page == self._page
        if page.listen != self._page.listen:
            return False
        self._page = page
        self._guard.adopt(page)
        return True

    def stop(self) -> None:
        """Accept nothing more, and end `run` soon."""
        self._stopping.set()
        if self._server is not None:
            self._server.stop()

    async def run(self) -> None:
        """Serve until `stop`; at once over where there shall be no page."""
        if self._guard is None or self._page is None:
            return
        said = ""
        while not self._stopping.is_set():
            try:
                listener = bind(self._page)
            except OSError as error:
                why, hint = trouble(self._page, error)
                if why != said:
                    log.warning("page.not_served", why=why, hint=f"{hint} It is tried again each minute.")
                    self._told(None, f"{why}; tried again each minute")
                said = why
            else:
                address = url_of(self._page, listener.getsockname()[1])
                log.info("page.served", address=address)
                self._told(address, "")
                said = ""
                self._server = PageServer(self._guard, listener, connections=Connection)
                await self._server.run_to_the_end()
                if not self._stopping.is_set():
                    self._told(None, "its server failed, as the log says; tried again each minute")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY):
                    await self._stopping.wait()


class PageServer(Server):
    """The server of the network's clients."""

    crashed = "page.crashed"

    async def main_loop(self) -> None:
        """Keep an eye on connections until the end."""
        looking = asyncio.create_task(self._look())
        try:
            await super().main_loop()
        finally:
            looking.cancel()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Connection)
                connection.look(loop.time())
