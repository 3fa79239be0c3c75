"""Health: the daemon as it is in, whether it can do its work, and if not, why, out.

Anybody may ask, with no token: so the reasons name no folder and no inbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from watcherd.clock import Clock
from watcherd.control import Control
from watcherd.faults import FaultError
from watcherd.inbox.condition import Condition
from watcherd.status.shapes import Shape

TRUSTED = 5.0  # seconds in which the journal is not tried again: anybody may ask
PATIENCE = 5.0  # seconds in which the journal answers


class Alive(Shape):
    """The daemon answers."""

    alive: bool = True


class Ready(Shape):
    """Whether files are translated now; `reasons` say why not."""

    ready: bool
    reasons: list[str]


class Health:
    """Asks the daemon, and tries the journal."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._trying = asyncio.Lock()
        self._tried_at = float("-inf")
        self._trouble = ""

    async def ready(self) -> Ready:
        """Whether any inbox is watched and the journal can be written."""
        reasons = [*self._reasons(), *([trouble] if (trouble := await self._journal()) else [])]
        return Ready(ready=not reasons, reasons=reasons)

    def _reasons(self) -> Iterator[str]:
        live = self._control.live()
        if live.stopping:
            yield "watcherd is stopping"
        if not any(inbox.condition == Condition.WATCHING for inbox in live.inboxes):
            yield "no inbox is watched"

    async def _journal(self) -> str:
        async with self._trying:
            if self._clock.monotonic() >= self._tried_at + TRUSTED:
                self._trouble = await self._tried()
                self._tried_at = self._clock.monotonic()
        return self._trouble

    async def _tried(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._control.see_journal()
        except FaultError:
            return "the journal cannot be written"
        except TimeoutError:
            return "the journal does not answer"
        return ""
