"""Stream: the daemon's side of one pass through a file: parts as they are finished, then what was heard.

A pass whose worker dies goes on with another one, from the part after the last that came. So does one
that others wait for while nobody takes its parts: it would hold up files that have nothing to do with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import astuple
from types import TracebackType
from typing import Any, Self

from watcherd.children import ChildDiedError, Message
from watcherd.faults import FaultError
from watcherd.media.cut import Silences, Stretch
from watcherd.media.findings import Heard, Part, Refusal, Warned, file_fault

STALL = 120.0  # seconds in which a decoder has to come further, in the file or in its sound
TRIES = 2

_LONGEST_DATAGRAM = 1 << 18


Begun = Callable[[], None]
Ask = Callable[[Message, tuple[int, ...], Begun], Awaitable[dict[str, Any]]]


class Pass:
    """Use it as a context, and iterate over it for the parts; each part's descriptor is the receiver's.

    `ask` waits for a worker, says that it has begun, and gives its findings; `wanted` says whether others
    wait for one. When the iteration has ended, `heard` is there.

    Iterating raises FaultError (scope file: no audio to be had, or too much of it; scope machine: no room
    for the parts, no worker), and OSError when the file cannot be read.
    """

    def __init__(
        self,
        question: Message,
        *fds: int,
        ask: Ask,
        wanted: Callable[[], bool],
        given: Sequence[Stretch] = (),
        answered: Collection[int] = (),
        most_waiting: int = 2,
        stall: float = STALL,
        grace: float = 5.0,
    ) -> None:
        self._ask_worker = ask
        self._wanted = wanted
        self._question = question
        self._fds = fds
        self._known = list(given)
        self._answered = set(answered)
        self._most_waiting = most_waiting
        self._stall = stall
        self._grace = grace
        self._ready: deque[Part] = deque()
        self._silences: list[tuple[float, float]] = []
        self._news = asyncio.Event()
        self._run: asyncio.Task[dict[str, Any]] | None = None
        self._link: socket.socket | None = None
        self._running = False
        self._letting_go: asyncio.TimerHandle | None = None
        self._ended: set[asyncio.Task[dict[str, Any]]] = set()
        self._parts = self._take_all()
        self.heard: Heard | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Part]:
        return self._parts

    async def close(self) -> None:
        """End the worker's work on it, and close the descriptors of the parts that nobody has taken."""
        self._stop()
        if self._letting_go:
            self._letting_go.cancel()
        if self._ended:
            await asyncio.wait(self._ended)
        while self._ready:
            os.close(self._ready.popleft().fd)

    async def _take_all(self) -> AsyncIterator[Part]:
        deaths = 0
        while self.heard is None or self._ready:
            if self._ready:
                yield self._taken()
                continue
            if self._run is None:
                self._start()
            await self._news_came()
            if self._run is None or not self._run.done():
                continue
            self._read()  # what it sent before its answer
            try:
                found = self._run.result()
            except ChildDiedError:
                deaths += 1
                if deaths == TRIES:
                    raise FaultError(file_fault(Refusal.CRASHED)) from None
            else:
                self.heard = self._what_was_heard(found)
            finally:
                self._stop()

    async def _news_came(self) -> None:
        """Wait until there is something new; a worker that comes no further is given up."""
        self._news.clear()
        if self._ready or (self._run is not None and self._run.done()):
            return
        try:
            async with asyncio.timeout(self._stall):
                await self._news.wait()
        except TimeoutError:
            if self._running:
                self._stop()
                raise FaultError(
                    file_fault(Refusal.TOO_SLOW, f"it came no further for {self._stall:g} s")
                ) from None

    # One worker's run.

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._link, self._silences, self._running = ours, [], False
        asyncio.get_running_loop().add_reader(ours, self._read)
        question = self._question | {
            "given": [astuple(stretch) for stretch in self._known],
            "answered": sorted(self._answered),
            "wanted": self._most_waiting - len(self._ready),
        }
        self._run = asyncio.create_task(self._ask(question, theirs), name="media pass")
        self._run.add_done_callback(lambda _: self._news.set())

    async def _ask(self, question: Message, theirs: socket.socket) -> dict[str, Any]:
        def begun() -> None:
            self._running = True
            self._news.set()

        with theirs:
            fds = (self._fds[0], theirs.fileno(), *self._fds[1:])
            return await self._ask_worker(question, fds, begun)

    def _stop(self) -> None:
        if self._run is not None:
            if not self._run.done():
                self._run.cancel()
                self._ended.add(self._run)
            self._run = None
        if self._link is not None:
            asyncio.get_running_loop().remove_reader(self._link)
            self._link.close()
            self._link = None

    def _read(self) -> None:
        """Take in all that the worker has sent."""
        while self._link is not None:
            try:
                data, fds, _flags, _address = socket.recv_fds(self._link, _LONGEST_DATAGRAM, 1)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                asyncio.get_running_loop().remove_reader(self._link)
                return
            self._heed(json.loads(data), fds)
            self._news.set()

    def _heed(self, message: Message, fds: Sequence[int]) -> None:
        self._silences.extend((start, end) for start, end in message.get("silences", ()))
        if "part" not in message:
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        stretch = Stretch(*message["stretch"])
        going_on = [tuple(message["open"])] if message["open"] else []
        part = Part(
            index=message["part"],
            stretch=stretch,
            bytes=message["bytes"],
            silent=message["silent"],
            silences=_touching(stretch, [*self._silences, *going_on]),
            fd=fds[0],
        )
        self._answered.add(part.index)
        if part.index >= len(self._known):
            self._known.append(stretch)
        self._ready.append(part)
        if len(self._ready) >= self._most_waiting:
            self._let_go_in_time()

    def _taken(self) -> Part:
        part = self._ready.popleft()
        if self._letting_go:
            self._letting_go.cancel()
            self._letting_go = None
        if self._link is not None:
            with suppress(OSError):  # it has gone, and will be missed elsewhere
                self._link.send(b"+")
        return part

    def _let_go_in_time(self) -> None:
        if self._letting_go:
            self._letting_go.cancel()
        self._letting_go = asyncio.get_running_loop().call_later(self._grace, self._let_go)

    def _let_go(self) -> None:
        if self._wanted():
            self._stop()
        elif self._run is not None and not self._run.done():
            self._let_go_in_time()

    def _what_was_heard(self, found: dict[str, Any]) -> Heard:
        return Heard(
            duration=found["duration"],
            start=found["start"],
            silences=tuple(self._silences),
            warnings=tuple(Warned(warned) for warned in found["warnings"]),
        )


def _touching(stretch: Stretch, silences: Sequence[tuple[float, float]]) -> Silences:
    return tuple((start, end) for start, end in silences if start < stretch.end and end > stretch.start)
