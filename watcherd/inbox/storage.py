"""An inbox's own threads: blocking calls in, asyncio futures out. A dead mount blocks these and no others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from watcherd import pulse
from watcherd.faults import Fault, FaultError, Remedy, Scope

P = ParamSpec("P")
T = TypeVar("T")

SIZE = 4
IDLE = 60.0  # seconds after which a thread with nothing to do ends
LISTEN = 1.0  # seconds between two looks at whether a call gets on
PATIENCE = 30.0  # seconds without any progress that no working storage takes


@dataclass(slots=True)
class _Errand:
    """One call: what to do, and whom to tell on which loop."""

    work: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Storage:
    """A small pool of daemon threads for everything that touches one inbox's, done's or failed's files.

    Not concurrent.futures, whose threads are joined when the program ends: a call on a dead mount never
    comes back, and neither a cancelled await nor `close` nor the program's end may wait for it.
    """

    def __init__(
        self, name: str = "storage", *, size: int = SIZE, idle: float = IDLE, patience: float = PATIENCE
    ) -> None:
        self._name = name
        self._size = size
        self._idle = idle
        self._patience = patience
        self._busy: set[int] = set()
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting = 0  # threads that no errand in the queue counts on
        self._backlog = 0  # errands in the queue that no thread was free for
        self._closed = False
        self._asked: set[asyncio.Future[Any]] = set()
        self._listening: asyncio.TimerHandle | None = None

    def submit(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Queue a call; the future is its result on the running loop. Raises RuntimeError after `close`.

        A cancelled future leaves the call behind: not begun, it is skipped; begun, nobody hears of it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"storage {self._name} is closed")
            self._errands.put(_Errand(partial(fn, *args, **kwargs), future, loop))
            if self._waiting:
                self._waiting -= 1
            elif self._threads == self._size:
                self._backlog += 1
            else:
                self._threads += 1
                threading.Thread(target=self._serve, name=f"storage {self._name}", daemon=True).start()
        return future

    async def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` in a thread and return or raise what it does; cancelling leaves the thread behind."""
        return await self.submit(fn, *args, **kwargs)

    async def ask(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `call`, for what changes nothing: it is given up, by a FaultError, when storage falls silent."""
        future = self.submit(fn, *args, **kwargs)
        self._asked.add(future)
        future.add_done_callback(self._asked.discard)
        self._keep_listening()
        return await future

    def _keep_listening(self) -> None:
        """Look in a while whether what was asked is still worth waiting for."""
        if self._listening is None and self._asked:
            loop = asyncio.get_running_loop()
            self._listening = loop.call_later(min(LISTEN, self._patience), self._listen)

    def _listen(self) -> None:
        self._listening = None
        if self.silent:
            for future in [future for future in self._asked if not future.done()]:
                future.set_exception(FaultError(_not_answering(self._name)))
        self._keep_listening()

    @property
    def silent(self) -> bool:
        """Whether any call has been under way without progress for longer than working storage takes."""
        now = time.monotonic()
        beats = [pulse.last(thread) for thread in self._busy.copy()]
        return any(beat is not None and now - beat >= self._patience for beat in beats)

    def release(self, *descriptors: int) -> None:
        """Close descriptors in a thread, and wait for nothing: storage may never answer even that.

        A negative one stands for none.
        """
        with contextlib.suppress(RuntimeError):  # closed already: the program is ending
            self.submit(_close, descriptors)

    def close(self) -> None:
        """Accept nothing more. Returns at once; threads end when they have nothing to do."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._errands.put(None)

    def _serve(self) -> None:
        thread = threading.get_ident()
        while (errand := self._next()) is not None:
            pulse.beat()
            self._busy.add(thread)
            outcome = _run(errand)
            self._busy.discard(thread)
            with self._lock:  # is there an errand for it, or may the next one count on it?
                if self._backlog:
                    self._backlog -= 1
                else:
                    self._waiting += 1
            # Last, since the loop wakes up by it, and two threads that both have work wait for each other.
            _tell(errand, *outcome)
            del errand, outcome  # an idle thread keeps neither arguments nor results alive
        pulse.end()

    def _next(self) -> _Errand | None:
        """The next errand, for a thread that an errand is meant for; None when it is to end."""
        while True:
            try:
                errand = self._errands.get(timeout=self._idle)
            except Empty:
                errand = None
            if errand is not None:
                return errand
            with self._lock:
                if self._closed or self._waiting:  # else one is on its way, and counts on a thread
                    self._waiting = max(0, self._waiting - 1)
                    self._threads -= 1
                    return None


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)


def _run(errand: _Errand) -> tuple[object, BaseException | None]:
    """The result, or the error; neither where nobody waits: cancelled, or given up."""
    if errand.future.done():
        return None, None
    try:
        return errand.work(), None
    except BaseException as raised:  # noqa: BLE001 - a thread's outermost frame; the caller gets it
        return None, raised


def _tell(errand: _Errand, result: object, error: BaseException | None) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
        errand.loop.call_soon_threadsafe(_settle, errand.future, result, error)


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _not_answering(name: str) -> Fault:
    return Fault(
        scope=Scope.INBOX,
        code="storage_silent",
        message=f"the storage of inbox {name} does not answer",
        hint="Look at the disk, the mount or the server behind it; watcherd goes on by itself.",
        remedy=Remedy.PAUSE,
    )
