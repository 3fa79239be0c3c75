"""The doors: where the daemon can be asked. The state folder and `status` in; control socket and page out.

Both serve one application: the socket for its own user with no more questions, the page behind its guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import warnings
from collections.abc import Mapping
from pathlib import Path

import structlog
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.types import ASGIApp

from watcherd.clock import Clock
from watcherd.config.page import StatusPage
from watcherd.control import Control
from watcherd.inbox.storage import Storage
from watcherd.state import StateFolder
from watcherd.status.deferred import Deferred
from watcherd.status.listening import listen
from watcherd.status.metrics import Metrics
from watcherd.status.port import Port
from watcherd.status.server import Server

log = structlog.get_logger()


class Doors:
    """The daemon's; `control` is the socket, `page` the page's address, `problem` why there is none."""

    def __init__(self, state: StateFolder, page: StatusPage | None, clock: Clock) -> None:
        self.control: Path | None = None
        self.page: str | None = None
        self.problem = ""
        self.metrics = Metrics(clock)
        self._state = state
        self._settings = page
        self._clock = clock
        self._listener: socket.socket | None = None
        self._server: Server | None = None
        self._port: Port | None = None
        self._warming: asyncio.Task[None] | None = None

    def bind(self, environ: Mapping[str, str]) -> None:
        """Make the control socket, which answers later; raises ControlSocketError."""
        self._listener, self.control = listen(self._state, environ)

    def open(self, control: Control, records: Storage, tasks: asyncio.TaskGroup) -> None:
        """Serve, and say where; `records` are the threads that read the journal. Raises OSError."""
        assert self._listener is not None, "bound before"
        # FastAPI hushes it where it comes up, in a thread: then another thread's filters may take its place.
        warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)

        def make() -> ASGIApp:
            from watcherd.status.app import application  # noqa: PLC0415 - half a second that no start waits for

            return application(
                control, journal=self._state.journal, storage=records, clock=self._clock, metrics=self.metrics
            )

        app = Deferred(make)
        self._warming = tasks.create_task(app.warm())
        self._server = Server(app, self._listener)
        self._port = Port(app, self._settings, clock=self._clock, told=self._tell)
        self._announce()
        tasks.create_task(self._server.run_to_the_end())
        tasks.create_task(self._port.run())

    def adopt(self, page: StatusPage | None) -> None:
        """Go by a new configuration, as far as that can be done while running."""
        if self._port is not None and not self._port.adopt(page):
            hint = "Restart watcherd to serve the page elsewhere."
            log.warning("configuration.postponed", key="status.listen", hint=hint)

    def stop(self) -> None:
        """Accept nothing more, and end soon."""
        assert self._server is not None, "opened before"
        assert self._port is not None, "opened before"
        assert self._warming is not None, "opened before"
        self._warming.cancel()
        self._server.stop()
        self._port.stop()

    def close(self) -> None:
        """Take the control socket away: who asks then hears at once that nobody is there."""
        assert self._listener is not None, "bound before"
        assert self.control is not None, "bound before"
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self.control)

    def _tell(self, page: str | None, problem: str) -> None:
        self.page, self.problem = page, problem
        try:
            self._announce()
        except OSError as error:  # asked, the daemon still says it
            log.warning("page.unannounced", why=error.strerror or str(error))

    def _announce(self) -> None:
        assert self.control is not None, "bound before"
        self._state.announce(control=self.control, page=self.page)
