"""Pool: the daemon's side of the media workers. Open descriptors in, findings or a fault out.

Workers start when they are needed, are kept between jobs, and are replaced after a crash, a missed
deadline or 200 jobs; after five idle minutes they leave and free their memory.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import structlog

from watcherd import children
from watcherd.children import Child, ChildDiedError, ChildTimeoutError, Message
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.media.codec import Codec
from watcherd.media.cut import Cutting, Stretch
from watcherd.media.findings import Heard, Probe, Refusal, file_fault
from watcherd.media.stream import STALL, TRIES, Pass

# A movie's index costs 100 bytes a sample while it is read: a day of AAC in one file takes 480 MiB of address
# space. An ordinary file needs 150 MiB of it, and 50 MiB of memory.
MEMORY = 1 << 30
PROBE_DEADLINE = 90.0  # longer than it takes to see that the worker does not run at all
PATIENCE = 30.0  # seconds that a worker may sleep: it only ever waits for the file's storage
JOBS_PER_WORKER = 200
IDLE = 300.0

MOST_SECONDS = 48 * 3600.0  # of audio in one file: the longest audiobooks have as much
MOST_BYTES = 6 << 30  # of parts made of one file: as much as that takes when FLAC cannot compress it
MOST_WORK = 4 * 3600.0  # seconds that a worker works on one file: slow machines play 12 times as fast

_STOP_GRACE = 2.0
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}

log = structlog.get_logger()


class MediaPool:
    """At most `size` workers; more questions wait their turn. `close` it before the loop ends.

    The other arguments are the figures that tests lower.
    """

    def __init__(
        self,
        size: int = 2,
        *,
        memory: int = MEMORY,
        jobs_per_worker: int = JOBS_PER_WORKER,
        idle: float = IDLE,
        probe_deadline: float = PROBE_DEADLINE,
        stall: float = STALL,
        most_seconds: float = MOST_SECONDS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._turns = asyncio.Semaphore(size)
        self._waiting = 0  # for a turn
        self._memory = memory
        self._jobs_per_worker = jobs_per_worker
        self._idle_for = idle
        self._probe_deadline = probe_deadline
        self._stall = stall
        self.most_seconds = most_seconds
        self._bounds = {"most_seconds": most_seconds, "most_bytes": most_bytes, "most_work": MOST_WORK}
        self._jobs: dict[Child, int] = {}  # every worker that is kept or busy, and how many jobs it has done
        self._idle: dict[Child, asyncio.TimerHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = False

    async def probe(self, fd: int) -> Probe:
        """What the file behind `fd` says of itself.

        Raises FaultError (scope file: no media; scope machine: no worker can be had), and OSError when
        the file cannot be read.
        """
        async with self._turn():
            for _ in range(TRIES):
                try:
                    found = await self._ask_once({"do": "probe"}, (fd,), deadline=self._probe_deadline)
                except ChildDiedError:
                    continue  # it may be the machine's doing (memory, a stray kill): once more, afresh
                return Probe.read(found)
            raise FaultError(file_fault(Refusal.CRASHED))

    def parts(
        self,
        fd: int,
        folder_fd: int,
        cutting: Cutting,
        *,
        codec: Codec = Codec.FLAC,
        track: int | None = None,
        given: Sequence[Stretch] = (),
        answered: Collection[int] = (),
        most_waiting: int = 2,
    ) -> Pass:
        """The audio of `fd` in parts, as files without names in the folder behind `folder_fd`.

        `track` is the index of a track of the probe's, the default one if None. Parts that were `given`, in
        order, are made exactly as they were, but for those whose index is among `answered`; after them it is
        cut further. At most `most_waiting` parts wait to be taken.
        """
        question = {"codec": codec, "track": track, "goes_on": True} | asdict(cutting)
        return self._pass(
            {"do": "parts"} | question,
            *(fd, folder_fd),
            given=given,
            answered=answered,
            most_waiting=most_waiting,
        )

    def slice(
        self,
        fd: int,
        folder_fd: int,
        stretches: Sequence[Stretch],
        *,
        codec: Codec = Codec.FLAC,
        track: int | None = None,
        most_waiting: int = 2,
    ) -> Pass:
        """Exactly these parts, in the order of their starts: the same samples as the first time.

        `heard` then tells of the audio up to the end of the last.
        """
        question = {"codec": codec, "track": track, "goes_on": False} | asdict(Cutting())
        return self._pass(
            {"do": "parts"} | question, *(fd, folder_fd), given=stretches, most_waiting=most_waiting
        )

    async def listen(self, fd: int, *, track: int | None = None) -> Heard:
        """Decode it without making parts: how long it is, and where it is silent. Raises as a Pass does."""
        async with self._pass({"do": "listen", "track": track}, fd) as heard:
            async for _ in heard:
                raise AssertionError("nobody asked for parts")
        assert heard.heard is not None
        return heard.heard

    async def close(self) -> None:
        """End all workers, in a few seconds at most; a question still open fails with a machine fault."""
        self._closing = True
        for worker in list(self._jobs):
            if worker not in self._idle:
                worker.kill()
            self._dismiss(worker)
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _pass(
        self,
        question: Message,
        *fds: int,
        given: Sequence[Stretch] = (),
        answered: Collection[int] = (),
        most_waiting: int = 1,
    ) -> Pass:
        return Pass(
            question | self._bounds,
            *fds,
            ask=self._ask_for_long,
            wanted=lambda: self._waiting > 0,
            given=given,
            answered=answered,
            most_waiting=most_waiting,
            stall=self._stall,
        )

    async def _ask_for_long(
        self, message: Message, fds: tuple[int, ...], begun: Callable[[], None]
    ) -> dict[str, Any]:
        """One answer that has no deadline but the asker's patience."""
        async with self._turn():
            begun()
            return await self._ask_once(message, fds, deadline=math.inf)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def _ask_once(self, message: Message, fds: tuple[int, ...], *, deadline: float) -> dict[str, Any]:
        worker = await self._take()
        try:
            answer = await worker.ask(message, fds=fds, deadline=deadline, patience=PATIENCE)
        except ChildTimeoutError as error:
            log.warning("media.worker_timed_out", pid=worker.pid, seconds=error.seconds, stuck=error.stuck)
            raise _too_slow(error) from error
        except ChildDiedError as error:
            if not self._closing:
                log.warning(
                    "media.worker_died",
                    pid=worker.pid,
                    returncode=error.returncode,
                    last_words=error.last_words,
                )
            raise
        finally:
            self._give_back(worker)
        if answer.pop("spent"):
            self._dismiss(worker)
        return _found(answer)

    async def _take(self) -> Child:
        """An idle worker, the last used first, or a new one."""
        if self._closing:
            raise FaultError(_STOPPING)
        while self._idle:
            worker, leaving = self._idle.popitem()
            leaving.cancel()
            if worker.alive:
                return worker
            self._dismiss(worker)
        try:
            worker = await children.start("watcherd.media.worker", memory=self._memory)
        except OSError as error:
            raise FaultError(_no_worker(error)) from error
        self._jobs[worker] = 0
        return worker

    def _give_back(self, worker: Child) -> None:
        if worker not in self._jobs:
            return
        self._jobs[worker] += 1
        if self._jobs[worker] >= self._jobs_per_worker:
            self._dismiss(worker)
        else:
            loop = asyncio.get_running_loop()
            self._idle[worker] = loop.call_later(self._idle_for, self._dismiss, worker)

    def _dismiss(self, worker: Child) -> None:
        """Let it leave, and see to it that it is gone before `close` returns."""
        self._jobs.pop(worker, None)
        if leaving := self._idle.pop(worker, None):
            leaving.cancel()
        task = asyncio.create_task(worker.stop(_STOP_GRACE if worker.alive else 0))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _found(answer: Message) -> dict[str, Any]:
    """The findings of an answer, or the trouble it tells of, raised."""
    if "refused" in answer:
        raise FaultError(file_fault(Refusal(answer["refused"]), answer["said"]))
    if "errno" in answer:
        error = OSError(answer["errno"], os.strerror(answer["errno"]))
        raise error if answer["side"] == "input" else FaultError(_no_room(error))
    found: dict[str, Any] = answer["found"]
    return found


def _too_slow(error: ChildTimeoutError) -> Exception:
    """A worker that hangs inside the kernel waits for the file's storage; else the file is to blame."""
    if error.stuck:
        return OSError(errno.ETIMEDOUT, "the storage does not answer")
    return FaultError(file_fault(Refusal.TOO_SLOW, f"after {error.seconds:g} s"))


def _no_room(error: OSError) -> Fault:
    full = error.errno in _DISK_FULL
    return Fault(
        scope=Scope.MACHINE,
        code="disk_full" if full else "scratch_failed",
        message=f"The decoded audio could not be written to the state folder: {error.strerror}",
        hint="Free some space there; watcherd goes on by itself." if full else "Look at the disk it lies on.",
        remedy=Remedy.PAUSE,
    )


def _no_worker(error: OSError) -> Fault:
    return Fault(
        scope=Scope.MACHINE,
        code="worker_not_started",
        message=f"No process could be started to decode audio: {error.strerror}",
        hint="The machine has no memory, process or open file left; watcherd goes on by itself.",
        remedy=Remedy.PAUSE,
    )


_STOPPING = Fault(
    scope=Scope.MACHINE,
    code="stopping",
    message="watcherd stopped while the file was being decoded.",
    hint="It is decoded again at the next start.",
    remedy=Remedy.PAUSE,
)
