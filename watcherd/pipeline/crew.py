"""The crew: parts to be asked for in, a few at a time under way; what went wrong with any of them out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Self

from watcherd.endpoint.gate import ClosedError
from watcherd.faults import FaultError, Scope


class Crew:
    """At most `size` pieces of work at once. One that fails stops none: what was sent is paid for.

    Leaving the context waits for all, and raises what went wrong: a file that is not what it was first, then
    what makes it wait, then what fails it. An exception in the context itself cancels all.
    """

    def __init__(self, size: int) -> None:
        self.trouble: list[Exception] = []
        self._size = size
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if error is None and self.trouble:
            raise min(self.trouble, key=_weight)

    async def start(self, work: Coroutine[None, None, None]) -> None:
        """Begin a piece of work, once there is room for it."""
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        while len(self._tasks) >= self._size:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a task's outermost frame; the context raises it
            self.trouble.append(error)


def _weight(error: Exception) -> int:
    if isinstance(error, ClosedError):
        return 1
    if isinstance(error, FaultError):
        return 2 if error.fault.scope is not Scope.FILE else 3 if error.fault.retryable else 4
    return 0
