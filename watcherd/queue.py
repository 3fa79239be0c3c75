"""The queue: what runs next. Settled files in, finished jobs out; the one that moves jobs.

Jobs that wait are rows, not tasks: at most 2 x an endpoint's concurrency jobs are past `queued`. Inboxes take
turns, the oldest settled file of an inbox goes first. Everything here runs in one event loop, so no locks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing

import structlog

from watcherd.backlog import Backlog
from watcherd.clock import Clock
from watcherd.config.model import Keep
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.job import (
    ACTIVE,
    FINAL,
    Due,
    Event,
    Identity,
    Interrupted,
    Job,
    Postponed,
    Started,
    State,
    WaitReason,
    Withdrawn,
)
from watcherd.journal.ledger import Kind, StoredPause
from watcherd.journal.store import Journal, StaleMoveError
from watcherd.moving import Listener, Mover
from watcherd.notify.announcer import Announcer
from watcherd.notify.news import News
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.journey import Journey
from watcherd.pipeline.relay import can_wait
from watcherd.trouble import Trouble

log = structlog.get_logger()

JOURNAL_WAIT = 5.0  # seconds between two tries of a journal that fails
PLENTY = 256  # open jobs of an inbox, at the least; they last for some rests of its arrivals (inbox.pace)
CRASH_WAIT = 60.0  # seconds until a job that met a bug is tried again
LOOK = 5.0  # seconds between two looks at whether an inbox's storage has fallen silent, or answers again


class Queue:
    """The one owner of job states. `benches` are the inboxes by name; `listener` hears of every move.

    `wake` is the event that the gates set too: whatever may let a job run sets it. Without an `announcer` no
    hook and no webhook hears of anything.
    """

    def __init__(
        self,
        journal: Journal,
        benches: Mapping[str, Bench],
        *,
        wake: asyncio.Event,
        clock: Clock,
        listener: Listener | None = None,
        announcer: Announcer | None = None,
    ) -> None:
        self.held: dict[str, float] = {}  # inboxes that a person paused, and since when (UTC seconds)
        self._journal = journal
        self._benches = benches
        self._wake = wake
        self._clock = clock
        self._announcer = announcer
        self._mover = Mover(journal, clock, listener=listener, announcer=announcer)
        self._active: dict[int, asyncio.Task[None]] = {}
        self._in_hand: dict[int, Job] = {}
        self._bench_of: dict[int, Bench] = {}  # as it was when the job was taken up; a reload changes others
        self._backlog = Backlog()
        self._withdrawals: list[tuple[int, str]] = []
        self._turn = 0
        self._release_held_up = False
        self._next_due: float | None = None  # UTC seconds; of the jobs that wait, once that is known
        self._knows_due = False
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
        self._backlog.recall(await self._journal.open_folders())
        pauses = await self._journal.ledger.pauses()
        self.held = {pause.name: pause.since for pause in pauses if pause.kind is Kind.INBOX}

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
        next_due = await self._release()
        await self._fill()
        if self._trouble.over():
            log.info("journal.recovered")
        await self._sleep(next_due)

    async def _release(self) -> float | None:
        """Let the jobs go on whose wait is over; when the next one's is, UTC seconds."""
        if not self._knows_due:
            self._knows_due = True  # until a job waits, or waits no more
            try:
                self._next_due = await self._journal.next_due()
            except FaultError:
                self._knows_due = False
                raise
        now, next_due = self._clock.now(), self._next_due
        due = [] if next_due is None or next_due > now else await self._journal.due(now)
        if self._release_held_up:
            due += [job for job in await self._journal.held_up() if job not in due]
            self._release_held_up = False
        for job in due:
            await self._move(job, Due())
        return await self._release() if due else next_due

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

    async def hold(self, inbox: str) -> None:
        """Start no more jobs of an inbox by a person's word, until `release`. Files go on settling."""
        since = self.held.setdefault(inbox, self._clock.now())
        log.warning("inbox.held", inbox=inbox)
        pause = StoredPause(kind=Kind.INBOX, name=inbox, since=since, until=None, fault=None)
        await self._journal.ledger.pause(pause)

    async def release(self, inbox: str) -> None:
        """End a person's pause of an inbox."""
        if self.held.pop(inbox, None) is not None:
            log.info("inbox.released", inbox=inbox)
            self._wake.set()
        await self._journal.ledger.end_pause(Kind.INBOX, inbox, by_hand=True)

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
    def finished(self) -> Mapping[State, int]:
        """How often each final state was reached since the start."""
        return self._mover.finished

    @property
    def open_count(self) -> int:
        """How many jobs are not final yet."""
        return self._backlog.total

    async def resting(self, patience: float) -> bool:
        """Whether nothing is in hand and nothing left can run within `patience` seconds.

        Storage that has fallen silent may never answer: nobody waits for what is in hand there.
        """
        if self._working() or self._stranded or self._withdrawals or self._release_held_up:
            return False
        if self._wake.is_set():
            return False
        horizon = self._clock.now() + patience
        due = await self._journal.next_due()
        if due is not None and due <= horizon:
            return False
        for name, bench in list(self._benches.items()):
            pause = bench.gate.pause
            held = name in self.held or bench.gate.held_since is not None or bench.storage.silent
            blocked = held or (pause is not None and pause.until > horizon)
            if not blocked and await self._journal.startable(name, 1):
                return False
        return True

    async def forget(self, keep: Keep) -> None:
        """Prune the journal; a journal that fails is the loop's to say."""
        now = self._clock.now()
        with contextlib.suppress(FaultError):
            rows = await self._journal.prune(jobs_before=now - keep.jobs, replies_before=now - keep.replies)
            log.debug("journal.pruned", rows=rows)

    # The desk: what an inbox tells.

    async def open_folders(self, inbox: str) -> Collection[bytes]:
        """The folders of an inbox in which files with open jobs lie."""
        return self._backlog.folders(inbox)

    def has_plenty(self, inbox: str) -> bool:
        """Whether an inbox has more open jobs than can be taken up soon, beside those in hand."""
        return self._backlog.of(inbox) >= PLENTY + len(self._active)

    async def open_jobs(self, inbox: str, folder: bytes) -> Sequence[Job]:
        """The open jobs whose file lies directly in `folder` of an inbox."""
        if not self._backlog.within(inbox, folder):
            return ()
        return await self._journal.open_jobs(inbox, folder)

    async def kept(self, inbox: str, folder: bytes) -> Mapping[bytes, tuple[int, int]]:
        """Size and mtime_ns of the files directly in `folder` that stay there and need nothing, by path."""
        return await self._journal.kept.marks(inbox, folder)

    async def admit(self, inbox: str, path: bytes, identity: Identity) -> None:
        """A file has settled: make it a job, unless its path has an open one."""
        job = await self._journal.add(inbox, path, identity)
        if job is not None:
            self._backlog.add(job)
            log.info("job.settled", job=job.id, inbox=inbox, file=path, bytes=identity.size)
            self._wake.set()

    async def withdraw(self, job_id: int, why: str) -> None:
        """The file of a job that is not in hand went away or changed."""
        self._withdrawals.append((job_id, why))
        self._wake.set()

    def hear(self, news: News) -> None:
        """The inbox is missing, or back."""
        if self._announcer is not None:
            self._announcer.hear(news)

    # The loop.

    async def _withdraw_idle(self) -> None:
        while self._withdrawals:
            job_id, why = self._withdrawals[0]
            if job_id not in self._active:  # else its journey sees for itself
                job = await self._journal.job(job_id)
                if job is not None and job.state not in FINAL:
                    await self._move(job, Withdrawn(why))
            self._withdrawals.pop(0)

    async def _sleep(self, due: float | None) -> None:
        """Sleep until something changed, the next waiting job is due, or an endpoint's pause is over."""
        now = self._clock.now()
        pauses = [bench.gate.pause for bench in self._benches.values()]
        times = [pause.until for pause in pauses if pause is not None and pause.until > now]
        if due is not None:
            times.append(due)
        if self._active or any(bench.storage.silent for bench in self._benches.values()):
            times.append(now + LOOK)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(times) - now) if times else None):
                await self._wake.wait()

    async def _fill(self) -> None:
        """Start jobs while any inbox has one and its endpoint allows it, the inboxes in turn."""
        names = list(self._benches)
        ready: dict[str, list[Job]] = {}  # inboxes' jobs to come, each inbox asked for once
        started = True
        while started and not self._stopped.is_set():
            started = False
            for offset in range(len(names)):
                name = names[(self._turn + offset) % len(names)]
                bench = self._benches.get(name)  # a reload may have taken it away
                job = None if bench is None else await self._next(name, bench, ready)
                if job is not None and job.suspect and self._working():
                    return  # a suspect travels alone, so that the next death tells who it was
                if job is not None and bench is not None:
                    self._start(job, bench)
                    self._turn = (self._turn + offset + 1) % len(names)
                    started = True
                    break

    async def _next(self, inbox: str, bench: Bench, ready: dict[str, list[Job]]) -> Job | None:
        working = self._working()
        if inbox in self.held or bench.storage.silent or any(job.suspect for job in working):
            return None
        load = sum(1 for job in working if self._bench_of[job.id].gate is bench.gate)
        in_hand = set(self._active)  # a job that ends while the journal is read would come back as it was
        room = bench.gate.allowance() - load
        if bench.gate.is_open:
            if room > 0 and inbox not in ready:
                ready[inbox] = await self._journal.startable(inbox, room, besides=in_hand)
            return ready[inbox].pop(0) if room > 0 and ready[inbox] else None
        ready.pop(inbox, None)  # a probe may take one of them
        delivery = await self._journal.unfinished(inbox, besides=in_hand)  # which needs no endpoint
        if delivery is not None or room <= 0:
            return delivery
        return await self._journal.probing(inbox, besides=in_hand)

    def _working(self) -> list[Job]:
        """The jobs in hand but those whose storage is silent: they send nothing, and keep nobody waiting."""
        return [job for job in self._in_hand.values() if not self._bench_of[job.id].storage.silent]

    def _start(self, job: Job, bench: Bench) -> None:
        self._in_hand[job.id] = job
        self._bench_of[job.id] = bench
        self._active[job.id] = asyncio.create_task(self._travel(job), name=f"job {job.id}")

    async def _travel(self, job: Job) -> None:
        """One journey, each event recorded before it goes on. A bug costs this job a wait, nothing else.

        Events that nothing outside hangs on are recorded with the next one.
        """
        held: list[Event] = []
        try:
            if job.state is State.QUEUED:
                job = self._in_hand[job.id] = await self._move(job, Started())
            async with aclosing(Journey(job, self._bench_of[job.id]).events()) as events:
                async for event in events:
                    held.append(event)
                    if not can_wait(event):
                        job = self._in_hand[job.id] = await self._move(job, *held)
                        held = []
        except asyncio.CancelledError:
            with contextlib.suppress(StaleMoveError, FaultError):  # the next start takes care
                await self._interrupt(job.id)
            raise
        except FaultError:  # the loop meets the same fault and says it
            if job.state is not State.QUEUED:
                self._stranded.append(job)
        except Exception:
            log.exception("job.crashed", job=job.id, inbox=job.inbox, file=job.path)
            await self._put_aside(job)
        finally:
            del self._active[job.id], self._in_hand[job.id], self._bench_of[job.id]
            self._wake.set()

    async def _interrupt(self, job_id: int) -> None:
        """Leave a job resumable. Its row tells where it stands: the stop may have come during a move."""
        job = await self._journal.job(job_id)
        if job is not None and job.state in ACTIVE:
            await self._move(job, Interrupted(charged=False))

    async def _put_aside(self, job: Job) -> None:
        until = self._clock.now() + CRASH_WAIT
        try:
            await self._move(job, Postponed(WaitReason.BACKOFF, until, _crash_fault()))
        except FaultError:
            self._stranded.append(job)

    async def _move(self, job: Job, *events: Event) -> Job:
        bench = self._bench_of.get(job.id)
        moved = await self._mover.move(job, *events, folder=None if bench is None else bench.folder)
        if State.WAITING in {job.state, moved.state}:
            self._knows_due = False
        if moved.state in FINAL:
            self._backlog.remove(moved)
        return moved


def _crash_fault() -> Fault:
    return Fault(
        scope=Scope.MACHINE,
        code="internal_error",
        message="watcherd made a mistake with this file",
        hint="The log holds the traceback: please report it. The file is tried again by itself.",
        remedy=Remedy.RETRY,
    )
