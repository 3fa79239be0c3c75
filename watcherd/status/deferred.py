"""Deferred: how to make the application in, an application out that is made when somebody first asks.

To load the web framework and describe every route takes as long as starting all the rest of the daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

WARM_AFTER = 5.0  # seconds: what was waiting for the daemon has begun by then


class Deferred:
    """An application made once, in a thread: at the first request, or when `warm` finds the time for it."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        app = await self._made()
        await app(scope, receive, send)

    async def warm(self) -> None:
        """Make it before anybody asks, but not while the daemon starts."""
        await asyncio.sleep(WARM_AFTER)
        await self._made()

    async def _made(self) -> ASGIApp:
        async with self._making:
            if self._app is None:
                self._app = await asyncio.to_thread(self._make)
            return self._app
