"""The queue: what runs next. Settled files in, finished jobs out; the one caller of `step` and of job moves.

Jobs that wait are rows, not tasks: at most 2 x an endpoint's concurrency jobs are past `queued`. Inboxes take
turns, the oldest settled file of an inbox goes first. Everything here runs in one event loop, so no locks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import assert_never

import structlog

from watcherd.clock import Clock
from watcherd.config.model import Keep
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.inbox.trouble import Trouble
from watcherd.job import (
    ACTIVE,
    FINAL,
    Delivered,
    Due,
    Event,
    Identity,
    Interrupted,
    Job,
    Planned,
    Postponed,
    Recognised,
    Refused,
    Replied,
    Reused,
    Sending,
    Started,
    State,
    WaitReason,
    Withdrawn,
    step,
)
from watcherd.journal.store import Journal, StaleMoveError
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.journey import Journey

log = structlog.get_logger()

Listener = Callable[[Job, Event], None]
JOURNAL_WAIT = 5.0  # seconds between two tries of a journal that fails
CRASH_WAIT = 60.0  # seconds until a job that met a bug is tried again


class Queue:
    """The one owner of job states. `benches` are the inboxes by name; `listener` hears of every move.

    `wake` is the event that the gates set too: whatever may let a job run sets it.
    """

    def __init__(
        self,
        journal: Journal,
        benches: Mapping[str, Bench],
        *,
        wake: asyncio.Event,
        clock: Clock,
        listener: Listener | None = None,
    ) -> None:
        self.finished: Counter[State] = Counter()  # final states reached since the start
        self._journal = journal
        self._benches = benches
        self._wake = wake
        self._clock = clock
        self._listener = listener
        self._active: dict[int, asyncio.Task[None]] = {}
        self._in_hand: dict[int, Job] = {}
        self._bench_of: dict[int, Bench] = {}  # as it was when the job was taken up; a reload changes others
        self._open: Counter[tuple[str, bytes]] = Counter()
        self._withdrawals: list[tuple[int, str]] = []
        self._turn = 0
        self._release_held_up = False
        self._stopped = asyncio.Event()
        self._ended = asyncio.Event()  # whether the loop is over, or has not begun
        self._ended.set()
        self._stranded: list[Job] = []  # cut off by a failing journal; they go on from what it holds
        self._trouble = Trouble()

    async def recover(self) -> None:
        """Take over what the last daemon left: what was in hand goes on from what the journal holds.

        Jobs that wait for an endpoint or for storage are tried at once: a restart is how people mend things.
        """
        for job in await self._journal.mid_flight():
            await self._move(job, Interrupted(charged=True))
        self._release_held_up = True
        self._open = Counter(await self._journal.open_folders())

    async def run(self) -> None:
        """Take jobs up as their endpoints allow, until `stop`. Idle jobs are moved here and nowhere else."""
        self._ended.clear()
        try:
            while not self._stopped.is_set():
                self._wake.clear()
                try:
                    await self._turn_round()
                except FaultError as error:
                    await self._wait_for_journal(error.fault)
        finally:
            self._ended.set()

    async def _turn_round(self) -> None:
        """Move what is idle, start what may start, then sleep until something changes."""
        while self._stranded:
            await self._move(self._stranded[-1], Interrupted(charged=False))
            self._stranded.pop()
        await self._withdraw_idle()
        due = await self._journal.due(self._clock.now())
        if self._release_held_up:
            due += [job for job in await self._journal.held_up() if job not in due]
            self._release_held_up = False
        for job in due:
            await self._move(job, Due())
        await self._fill()
        if self._trouble.over():
            log.info("journal.recovered")
        await self._sleep()

    async def _wait_for_journal(self, fault: Fault) -> None:
        """Nothing can be recorded, so nothing is started: say so, and try again in a while."""
        if self._trouble.met(self._clock.monotonic()):
            log.error(
                "journal.failing",
                fault=fault.code,
                message=fault.message,
                hint=fault.hint,
                times=self._trouble.count,
            )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOURNAL_WAIT):
                await self._stopped.wait()

    def retry_held_up(self) -> None:
        """Try the jobs that wait for an endpoint or for storage at once: something was mended."""
        self._release_held_up = True
        self._wake.set()

    async def stop(self, grace: float) -> None:
        """Start nothing more; give what is in hand `grace` seconds, then leave it resumable."""
        self._stopped.set()
        self._wake.set()
        await self._ended.wait()  # a job that the loop is just starting is in hand only afterwards
        if self._active:
            await asyncio.wait(self._active.values(), timeout=grace)
        tasks = list(self._active.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def active(self) -> Sequence[Job]:
        """The jobs in hand."""
        return tuple(self._in_hand.values())

    @property
    def open_count(self) -> int:
        """How many jobs are not final yet."""
        return self._open.total()

    async def resting(self, patience: float) -> bool:
        """Whether nothing is in hand and nothing left can run within `patience` seconds."""
        if self._active or self._stranded or self._withdrawals or self._release_held_up:
            return False
        if self._wake.is_set():
            return False
        horizon = self._clock.now() + patience
        due = await self._journal.next_due()
        if due is not None and due <= horizon:
            return False
        for name, bench in list(self._benches.items()):
            pause = bench.gate.pause
            blocked = pause is not None and pause.until > horizon
            if not blocked and await self._journal.startable(name, limit=1):
                return False
        return True

    async def forget(self, keep: Keep) -> None:
        """Prune the journal; a journal that fails is the loop's to say."""
        now = self._clock.now()
        with contextlib.suppress(FaultError):
            rows = await self._journal.prune(jobs_before=now - keep.jobs, replies_before=now - keep.replies)
            log.debug("journal.pruned", rows=rows)

    # The desk: what an inbox tells.

    async def open_jobs(self, inbox: str, folder: bytes) -> Sequence[Job]:
        """The open jobs whose file lies directly in `folder` of an inbox."""
        if not self._open[inbox, folder]:
            return ()
        return await self._journal.open_jobs(inbox, folder)

    async def admit(self, inbox: str, path: bytes, identity: Identity) -> None:
        """A file has settled: make it a job, unless its path has an open one."""
        job = await self._journal.add(inbox, path, identity)
        if job is not None:
            self._open[_folder_of(job)] += 1
            log.info("job.settled", job=job.id, inbox=inbox, file=path, bytes=identity.size)
            self._wake.set()

    async def withdraw(self, job_id: int, why: str) -> None:
        """The file of a job that is not in hand went away or changed."""
        self._withdrawals.append((job_id, why))
        self._wake.set()

    # The loop.

    async def _withdraw_idle(self) -> None:
        while self._withdrawals:
            job_id, why = self._withdrawals[0]
            if job_id not in self._active:  # else its journey sees for itself
                job = await self._journal.job(job_id)
                if job is not None and job.state not in FINAL:
                    await self._move(job, Withdrawn(why))
            self._withdrawals.pop(0)

    async def _sleep(self) -> None:
        """Sleep until something changed, a job is due, or an endpoint's pause is over."""
        now = self._clock.now()
        pauses = [bench.gate.pause for bench in self._benches.values()]
        times = [pause.until for pause in pauses if pause is not None and pause.until > now]
        due = await self._journal.next_due()
        if due is not None:
            times.append(due)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(times) - now) if times else None):
                await self._wake.wait()

    async def _fill(self) -> None:
        """Start jobs while any inbox has one and its endpoint allows it, the inboxes in turn."""
        names = list(self._benches)
        started = True
        while started and not self._stopped.is_set():
            started = False
            for offset in range(len(names)):
                name = names[(self._turn + offset) % len(names)]
                bench = self._benches.get(name)  # a reload may have taken it away
                job = None if bench is None else await self._next(name, bench)
                if job is not None and job.suspect and self._in_hand:
                    return  # a suspect travels alone, so that the next death tells who it was
                if job is not None and bench is not None:
                    await self._start(job, bench)
                    self._turn = (self._turn + offset + 1) % len(names)
                    started = True
                    break

    async def _next(self, inbox: str, bench: Bench) -> Job | None:
        if any(job.suspect for job in self._in_hand.values()):
            return None
        load = sum(1 for other in self._bench_of.values() if other.gate is bench.gate)
        if load >= bench.gate.allowance():
            return None
        in_hand = set(self._active)  # a job that ends while the journal is read would come back as it was
        candidates = await self._journal.startable(inbox, limit=len(in_hand) + 1)
        return next((job for job in candidates if job.id not in in_hand), None)

    async def _start(self, job: Job, bench: Bench) -> None:
        if job.state is State.QUEUED:
            job = await self._move(job, Started())
        self._in_hand[job.id] = job
        self._bench_of[job.id] = bench
        self._active[job.id] = asyncio.create_task(self._travel(job), name=f"job {job.id}")

    async def _travel(self, job: Job) -> None:
        """One journey, each event recorded before it goes on. A bug costs this job a wait, nothing else."""
        try:
            async with aclosing(Journey(job, self._bench_of[job.id]).events()) as events:
                async for event in events:
                    job = await self._move(job, event)
                    self._in_hand[job.id] = job
        except asyncio.CancelledError:
            if job.state in ACTIVE:
                # The stop came while a move was being recorded, or cannot be: the next start takes care.
                with contextlib.suppress(StaleMoveError, FaultError):
                    await self._move(job, Interrupted(charged=False))
            raise
        except FaultError:
            self._stranded.append(job)  # the loop meets the same fault and says it
        except Exception:
            log.exception("job.crashed", job=job.id, file=job.path)
            await self._put_aside(job)
        finally:
            del self._active[job.id], self._in_hand[job.id], self._bench_of[job.id]
            self._wake.set()

    async def _put_aside(self, job: Job) -> None:
        until = self._clock.now() + CRASH_WAIT
        try:
            await self._move(job, Postponed(WaitReason.BACKOFF, until, _crash_fault()))
        except FaultError:
            self._stranded.append(job)

    async def _move(self, job: Job, event: Event) -> Job:
        after = step(job, event)
        await self._journal.record(job, after, event)
        if after.state in FINAL:
            self._open[_folder_of(after)] -= 1
            self.finished[after.state] += 1
        _tell(after, event)
        if self._listener is not None:
            self._listener(after, event)
        return after


def _folder_of(job: Job) -> tuple[str, bytes]:
    return job.inbox, job.path.rpartition(b"/")[0]


def _crash_fault() -> Fault:
    return Fault(
        scope=Scope.MACHINE,
        code="internal_error",
        message="watcherd made a mistake with this file",
        hint="The log holds the traceback: please report it. The file is tried again by itself.",
        remedy=Remedy.RETRY,
    )


def _tell(job: Job, event: Event) -> None:  # noqa: C901 - a line for each event
    """One log line for each step that a person would want to see."""
    line = log.bind(job=job.id, inbox=job.inbox, file=job.path)
    match event:
        case Started() | Due() | Interrupted():
            line.debug(f"job.{type(event).__name__.lower()}", state=job.state)
        case Sending():
            line.info("part.sent", attempt=job.attempts)
        case Replied():
            line.info("part.translated", bytes=len(event.body), format=event.format)
        case Reused():
            line.info("part.reused", bytes=len(event.body), format=event.format)
        case Recognised():
            line.debug("job.recognised", sha256=event.sha256)
        case Refused():
            line.warning("reply.refused", fault=event.fault.code, message=event.fault.message)
        case Planned():
            line.debug("delivery.planned", name=event.plan.original, folder=event.plan.folder)
        case Delivered() if job.fault is not None:
            fault = job.fault
            line.error("job.failed", fault=fault.code, message=fault.message, hint=fault.hint)
        case Delivered():
            line.info("job.done", warnings=list(job.warnings))
        case Postponed():
            fault = event.fault
            line.warning(
                "job.waiting", reason=event.reason, until=event.until, fault=fault.code, message=fault.message
            )
        case Withdrawn():
            line.info("job.skipped", why=event.why)
        case _ as unreachable:
            assert_never(unreachable)
