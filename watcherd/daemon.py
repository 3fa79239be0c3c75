"""The daemon: lifetime of everything. A configuration in; start, signals, orderly stop; an exit code out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog

from watcherd import logs
from watcherd.clock import SystemClock
from watcherd.config.load import ConfigError, load
from watcherd.config.model import Config
from watcherd.control import Rejected
from watcherd.endpoint.gates import Gates
from watcherd.endpoint.past import Past
from watcherd.faults import FaultError
from watcherd.inbox.intake import Intake
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import ignore_lease_signal
from watcherd.job import State
from watcherd.journal.store import Journal
from watcherd.media.pool import MediaPool
from watcherd.moving import Listener
from watcherd.notify.announcer import Announcer
from watcherd.notify.news import both
from watcherd.notify.sender import Sender
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.stock import clear_up, look_at_targets, take_stock
from watcherd.queue import Queue
from watcherd.retry import Policy
from watcherd.state import StateFolder, cache_folder
from watcherd.status.doors import Doors
from watcherd.steering import Helm, Steering
from watcherd.systemd import reloading, stopping, taking_its_time
from watcherd.vigil import Glance, Vigil

log = structlog.get_logger()

PATIENCE = 300.0  # seconds that --once waits for a pause or a backoff
ONCE_TICK = 0.1
PRUNE_EVERY = 24 * 3600.0
FIRST_SCANS = 600.0  # seconds that the first pruning waits for them
TEMPORARY = 75  # EX_TEMPFAIL
TIDYING = 15.0  # seconds beyond stop_grace in which a stop is over, even with storage that hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rooms:
    """What lasts as long as the daemon; `stack` closes it."""

    journal: Journal
    media: MediaPool
    gates: Gates
    queue: Queue
    sender: Sender
    records: Storage  # reading the journal for others must not wait for a dead disk
    stack: AsyncExitStack


class Daemon:
    """One run of the program over one state folder, which the caller has locked."""

    def __init__(
        self,
        config: Config,
        state: StateFolder,
        *,
        listener: Listener | None = None,
        log_level: str | None = None,
    ) -> None:
        self.started = asyncio.Event()
        self._state = state
        self._listener = listener
        self._log_level = log_level  # said at the start: no reload changes it
        self._clock = SystemClock()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._reloads: asyncio.Queue[asyncio.Future[tuple[str, ...]] | None] = asyncio.Queue()
        self._benches: dict[str, Bench] = {}  # by inbox; the queue's too
        self._intakes: dict[str, Intake] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._doors = Doors(state, config.status, self._clock)
        self._helm = Helm(
            config=config,
            doors=self._doors,
            started_at=self._clock.now(),
            stopping=self._stopping,
            benches=self._benches,
            intakes=self._intakes,
            reload=self.reload,
        )

    async def run(self) -> int:
        """Serve until a signal or `stop`; returns 0."""
        async with self._running():
            await self._stopping.wait()
        return 0

    async def run_once(self) -> int:
        """Work off what is there; 0 all done, 1 some failed, 75 some still waiting."""
        async with self._running() as rooms:
            queue = rooms.queue
            while not self._stopping.is_set() and not await self._worked_off(rooms):  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(ONCE_TICK)
            await queue.forget(self._config.keep)  # the run may be over before its own turn to prune
            waiting = (
                self._stopping.is_set()
                or queue.open_count
                or any(intake.held for intake in self._intakes.values())
            )
        if waiting:
            return TEMPORARY
        return 1 if queue.finished[State.FAILED] else 0

    @property
    def _config(self) -> Config:
        """The configuration in force."""
        return self._helm.config

    def stop(self) -> None:
        """Stop in order; the second call leaves at once."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[_Rooms]:
        """Everything started and READY said; afterwards everything stopped, what is in hand first."""
        ignore_lease_signal()
        with self._signals():
            async with AsyncExitStack() as stack:
                self._doors.bind(os.environ)
                stack.callback(self._doors.close)
                async with taking_its_time("opening the journal"):
                    rooms = await self._assemble(stack)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(rooms.queue.run())
                    tasks.create_task(rooms.sender.run())
                    steering = self._steering(rooms)
                    vigil = self._vigil(steering, rooms)
                    self._watch(rooms.queue, tasks)
                    background = [
                        tasks.create_task(self._obey_reloads(rooms, tasks, vigil)),
                        tasks.create_task(self._prune(rooms.queue)),
                        tasks.create_task(vigil.run()),
                    ]
                    self._doors.open(steering, rooms.records, tasks)
                    log.info("daemon.started", inboxes=len(self._intakes), state=str(self._state.path))
                    self.started.set()
                    yield rooms
                    stopping(self._config.stop_grace + TIDYING)
                    log.info("daemon.stopping", in_hand=len(rooms.queue.active))
                    for task in (*background, *self._watching.values()):
                        task.cancel()
                    await self._finish(rooms)
                    self._doors.stop()
        log.info("daemon.stopped")

    def _steering(self, rooms: _Rooms) -> Steering:
        """What others may ask of us, and hear about us."""
        return Steering(
            self._helm,
            gates=rooms.gates,
            queue=rooms.queue,
            journal=rooms.journal,
            path=self._state.journal,
            records=rooms.records,
        )

    def _vigil(self, steering: Steering, rooms: _Rooms) -> Vigil:
        """What systemd hears about us."""

        def glance() -> Glance:
            in_hand = len(rooms.queue.active)
            return Glance(
                live=steering.live(),
                in_hand=in_hand,
                waiting=rooms.queue.open_count - in_hand,
                blind=[name for name, intake in self._intakes.items() if intake.state.blind],
            )

        return Vigil(glance, journal=rooms.journal, clock=self._clock)

    async def _assemble(self, stack: AsyncExitStack) -> _Rooms:
        """Build what lasts as long as the daemon, in the order in which a file passes through it."""
        journal = await Journal.open(self._state.journal, self._clock)
        stack.push_async_callback(journal.close)
        media = MediaPool()
        stack.push_async_callback(media.close)
        cache = cache_folder(os.environ)
        past = Past(journal.ledger)
        await past.recall(self._clock.now())
        announcer = Announcer(journal, folders=lambda: self._config.folders, clock=self._clock)
        await announcer.recall()
        hear = both(announcer.hear, self._doors.metrics.hear)
        gates = await stack.enter_async_context(
            Gates(wake=self._wake, clock=self._clock, cache=cache, past=past, hear=hear)
        )
        queue = Queue(
            journal,
            self._benches,
            wake=self._wake,
            clock=self._clock,
            listener=self._doors.metrics.listening(self._listener),
            announcer=announcer,
        )
        sender = Sender(journal.notices, announcer, clock=self._clock)
        records = Storage("records")
        stack.callback(records.close)
        rooms = _Rooms(
            journal=journal,
            media=media,
            gates=gates,
            queue=queue,
            sender=sender,
            records=records,
            stack=stack,
        )
        self._furnish(rooms)
        await queue.recover()
        return rooms

    def _furnish(self, rooms: _Rooms) -> None:
        """Make a bench for each inbox of the configuration that is new or changed, and drop the others."""
        rooms.gates.furnish(self._config.endpoints)
        old = dict(self._benches)
        self._benches.clear()
        for folder in self._config.folders:
            gate, kept = rooms.gates[folder.endpoint], old.get(folder.name)
            if kept is not None and kept.folder == folder and kept.gate is gate:
                self._benches[folder.name] = kept
                continue
            storage = Storage(folder.name)
            rooms.stack.callback(storage.close)
            self._benches[folder.name] = Bench(
                folder=folder,
                gate=gate,
                storage=storage,
                media=rooms.media,
                journal=rooms.journal,
                clock=self._clock,
                work=self._state.work,
                reports=self._state.reports,
                planning=asyncio.Lock(),
                policy=Policy(attempts=folder.retry.attempts, period=folder.retry.period),
            )

    def _watch(self, queue: Queue, tasks: asyncio.TaskGroup) -> None:
        """Start to watch every inbox that is not watched yet."""
        for name, bench in self._benches.items():
            if name not in self._watching:
                intake = Intake(
                    bench.folder,
                    storage=bench.storage,
                    desk=queue,
                    clock=self._clock,
                    inbox=bench.places.inbox,
                    meter=self._doors.metrics,
                )
                self._intakes[name] = intake
                self._watching[name] = tasks.create_task(_attend(intake, bench))

    # Reload.

    async def reload(self) -> tuple[str, ...]:
        """Apply the configuration file as it is now; returns the problems for which nothing was changed."""
        applied: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._reloads.put_nowait(applied)
        return await applied

    async def _obey_reloads(self, rooms: _Rooms, tasks: asyncio.TaskGroup, vigil: Vigil) -> None:
        """Serve all who asked for a reload by now, SIGHUP or command, with one."""
        while True:
            asking = [await self._reloads.get()]
            while not self._reloads.empty():
                asking.append(self._reloads.get_nowait())
            reloading()
            problems = await self._reload(rooms, tasks)
            vigil.ready()
            for applied in asking:
                if applied is not None and not applied.done():
                    applied.set_result(problems)

    async def _reload(self, rooms: _Rooms, tasks: asyncio.TaskGroup) -> tuple[str, ...]:
        """Apply the file as it is now, whole or not at all. What is in hand goes on with the old settings."""
        problems: tuple[str, ...] = ()
        try:
            if self._config.source is not None:
                await self._apply(await asyncio.to_thread(load, self._config.source), rooms, tasks)
            self._helm.rejected = None
        except ConfigError as error:
            problems = tuple(str(error).splitlines())
            self._helm.rejected = Rejected(self._clock.now(), problems)
            log.error(  # noqa: TRY400 - the problems are what there is to say
                "configuration.rejected", problems=problems, hint="The old one stays in force."
            )
        for intake in self._intakes.values():
            intake.rescan()
        return problems

    async def _apply(self, config: Config, rooms: _Rooms, tasks: asyncio.TaskGroup) -> None:
        if config.state != self._config.state:
            log.warning(
                "configuration.postponed", key="state", hint="Restart watcherd to use another folder."
            )
        self._doors.adopt(config.status)
        self._helm.config = config
        logs.configure(level=self._log_level or config.log.level, form=config.log.format)
        before = dict(self._benches)
        self._furnish(rooms)
        for name in [name for name in self._watching if self._benches.get(name) is not before.get(name)]:
            task = self._watching.pop(name)
            task.cancel()
            await asyncio.wait({task})  # it lets go of the inbox's lock
            del self._intakes[name]
        self._watch(rooms.queue, tasks)
        rooms.queue.retry_held_up()
        rooms.sender.retry()
        log.info("configuration.reloaded", inboxes=len(self._benches))

    # The end.

    async def _worked_off(self, rooms: _Rooms) -> bool:
        with contextlib.suppress(FaultError):  # the queue says it, and waits for the journal
            idle = all(intake.idle for intake in self._intakes.values())
            return idle and await rooms.queue.resting(PATIENCE) and await rooms.sender.resting()
        return False

    async def _prune(self, queue: Queue) -> None:
        """Forget once a day what is older than the configuration wants to keep.

        The first time waits for the first scans, which are in a hurry. Storage that hangs ends no scan.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SCANS):
                for intake in list(self._intakes.values()):
                    await intake.surveyed.wait()
        while True:
            for bench in [bench for bench in self._benches.values() if bench.folder.stays]:
                await take_stock(bench)
            await queue.forget(self._config.keep)
            await asyncio.sleep(PRUNE_EVERY)

    async def _finish(self, rooms: _Rooms) -> None:
        """Give what is in hand `stop_grace` seconds, or until somebody asks a second time."""
        orderly = asyncio.create_task(_stop(rooms, self._config.stop_grace))
        hurried = asyncio.create_task(self._hurrying.wait())
        await asyncio.wait({orderly, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not orderly.done():
            await _stop(rooms, 0)
        await orderly

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop; SIGHUP reads the configuration anew and looks through every inbox."""
        loop = asyncio.get_running_loop()
        handlers = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop,
            signal.SIGHUP: lambda: self._reloads.put_nowait(None),
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)


async def _stop(rooms: _Rooms, grace: float) -> None:
    await asyncio.gather(rooms.queue.stop(grace), rooms.sender.stop(grace))


async def _attend(intake: Intake, bench: Bench) -> None:
    """Watch one inbox until cancelled, whatever the storage of its targets does."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_prepare(intake, bench))
        await intake.run()


async def _prepare(intake: Intake, bench: Bench) -> None:
    """Look after the folders of an inbox; what takes long waits until it is known what lies there."""
    await look_at_targets(bench)
    await intake.surveyed.wait()
    await clear_up(bench)
