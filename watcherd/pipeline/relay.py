"""The relay: what several tasks tell in, one event after the other out.

Who tells waits for the record, unless nothing outside hangs on the event.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine

from watcherd.job import Chosen, Cut, Event, Recognised

Tell = Callable[[Event], Awaitable[None]]


class Relay:
    """One piece of work that tells events from any of its tasks, as an iteration over them."""

    def __init__(self) -> None:
        self._told: deque[tuple[Event, asyncio.Future[None] | None]] = deque()
        self._news = asyncio.Event()

    async def tell(self, event: Event) -> None:
        """Hand an event over; comes back once whoever iterates has asked for the next one.

        At once where it can wait: then it comes with the next.
        """
        recorded = None if can_wait(event) else asyncio.get_running_loop().create_future()
        self._told.append((event, recorded))
        if recorded is not None:
            self._news.set()
            await recorded

    async def events(self, work: Coroutine[None, None, None]) -> AsyncGenerator[Event, None]:
        """Do the work, and yield what it tells; raises what it raises. It ends with the iteration."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._news.set())
        try:
            while self._told or not task.done():
                if self._told:
                    event, recorded = self._told.popleft()
                    yield event
                    if recorded is not None and not recorded.done():
                        recorded.set_result(None)
                else:
                    self._news.clear()
                    await self._news.wait()
            task.result()
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # seen, if it was not raised above


def can_wait(event: Event) -> bool:
    """Whether nothing outside hangs on an event: it may be recorded with the next one, or never."""
    match event:
        case Chosen() | Recognised():
            return True
        case Cut():  # a file that is sent as it is; bounds of parts are worth keeping
            return math.isinf(event.part.end)
        case _:
            return False
