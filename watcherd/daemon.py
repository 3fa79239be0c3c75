"""The daemon: lifetime of everything. A configuration in; start, signals, orderly stop; an exit code out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from watcherd import logs
from watcherd.clock import SystemClock
from watcherd.config.load import ConfigError, load
from watcherd.config.model import Config
from watcherd.control import Rejected
from watcherd.delivery import files
from watcherd.endpoint.gates import Gates
from watcherd.endpoint.past import Past
from watcherd.faults import FaultError
from watcherd.inbox.intake import Intake
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import ignore_lease_signal
from watcherd.job import State
from watcherd.journal.store import Journal
from watcherd.media.pool import MediaPool
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.stock import take_stock
from watcherd.queue import Listener, Queue
from watcherd.retry import Policy
from watcherd.state import StateFolder, cache_folder
from watcherd.status.app import application
from watcherd.status.listening import listen
from watcherd.status.server import Server
from watcherd.steering import Helm, Steering
from watcherd.systemd import notify

log = structlog.get_logger()

PATIENCE = 300.0  # seconds that --once waits for a pause or a backoff
ONCE_TICK = 0.1
PRUNE_EVERY = 24 * 3600.0
TEMPORARY = 75  # EX_TEMPFAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rooms:
    """What lasts as long as the daemon; `stack` closes it."""

    journal: Journal
    media: MediaPool
    gates: Gates
    queue: Queue
    stack: AsyncExitStack


class Daemon:
    """One run of the program over one state folder, which the caller has locked."""

    def __init__(self, config: Config, state: StateFolder, *, listener: Listener | None = None) -> None:
        self.started = asyncio.Event()
        self._state = state
        self._listener = listener
        self._clock = SystemClock()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._reloads: asyncio.Queue[asyncio.Future[tuple[str, ...]] | None] = asyncio.Queue()
        self._benches: dict[str, Bench] = {}  # by inbox; the queue's too
        self._intakes: dict[str, Intake] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._helm = Helm(
            config=config,
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
        async with self._running() as queue:
            while not self._stopping.is_set() and not await self._worked_off(queue):  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(ONCE_TICK)
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
    async def _running(self) -> AsyncIterator[Queue]:
        """Everything started and READY said; afterwards everything stopped, what is in hand first."""
        ignore_lease_signal()
        with self._signals():
            async with AsyncExitStack() as stack:
                listener, control = listen(self._state, os.environ)
                stack.callback(_remove, control, listener)
                rooms = await self._assemble(stack)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(rooms.queue.run())
                    server = self._application(rooms, listener)
                    tasks.create_task(server.run_to_the_end())
                    background = [
                        tasks.create_task(self._obey_reloads(rooms, tasks)),
                        tasks.create_task(self._prune(rooms.queue)),
                    ]
                    self._watch(rooms.queue, tasks)
                    self._helm.control = control
                    self._state.announce(control=control)
                    log.info("daemon.started", inboxes=len(self._intakes), state=str(self._state.path))
                    notify("READY=1", f"STATUS=watching {len(self._intakes)} inboxes")
                    self.started.set()
                    yield rooms.queue
                    notify("STOPPING=1")
                    log.info("daemon.stopping", in_hand=len(rooms.queue.active))
                    for task in (*background, *self._watching.values()):
                        task.cancel()
                    await self._finish(rooms.queue)
                    server.stop()
        log.info("daemon.stopped")

    def _application(self, rooms: _Rooms, listener: socket.socket) -> Server:
        """What answers on the control socket; reading the journal for it must not wait for a dead disk."""
        records = Storage("records")
        rooms.stack.callback(records.close)
        journal = self._state.journal
        steering = Steering(
            self._helm,
            gates=rooms.gates,
            queue=rooms.queue,
            journal=rooms.journal,
            path=journal,
            records=records,
        )
        return Server(application(steering, journal=journal, storage=records, clock=self._clock), listener)

    async def _assemble(self, stack: AsyncExitStack) -> _Rooms:
        """Build what lasts as long as the daemon, in the order in which a file passes through it."""
        journal = await Journal.open(self._state.journal, self._clock)
        stack.push_async_callback(journal.close)
        media = MediaPool()
        stack.push_async_callback(media.close)
        cache = cache_folder(os.environ)
        past = Past(journal.ledger)
        await past.recall(self._clock.now())
        gates = await stack.enter_async_context(
            Gates(wake=self._wake, clock=self._clock, cache=cache, past=past)
        )
        queue = Queue(journal, self._benches, wake=self._wake, clock=self._clock, listener=self._listener)
        rooms = _Rooms(journal=journal, media=media, gates=gates, queue=queue, stack=stack)
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
                )
                self._intakes[name] = intake
                self._watching[name] = tasks.create_task(_attend(intake, bench))

    # Reload.

    async def reload(self) -> tuple[str, ...]:
        """Apply the configuration file as it is now; returns the problems for which nothing was changed."""
        applied: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._reloads.put_nowait(applied)
        return await applied

    async def _obey_reloads(self, rooms: _Rooms, tasks: asyncio.TaskGroup) -> None:
        """Serve all who asked for a reload by now, SIGHUP or command, with one."""
        while True:
            asking = [await self._reloads.get()]
            while not self._reloads.empty():
                asking.append(self._reloads.get_nowait())
            problems = await self._reload(rooms, tasks)
            for applied in asking:
                if applied is not None and not applied.done():
                    applied.set_result(problems)

    async def _reload(self, rooms: _Rooms, tasks: asyncio.TaskGroup) -> tuple[str, ...]:
        """Apply the file as it is now, whole or not at all. What is in hand goes on with the old settings."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notify("RELOADING=1", f"MONOTONIC_USEC={usec}")
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
        notify("READY=1", f"STATUS=watching {len(self._intakes)} inboxes")
        return problems

    async def _apply(self, config: Config, rooms: _Rooms, tasks: asyncio.TaskGroup) -> None:
        if config.state != self._config.state:
            log.warning(
                "configuration.postponed", key="state", hint="Restart watcherd to use another folder."
            )
        self._helm.config = config
        logs.configure(level=config.log.level, form=config.log.format)
        before = dict(self._benches)
        self._furnish(rooms)
        for name in [name for name in self._watching if self._benches.get(name) is not before.get(name)]:
            task = self._watching.pop(name)
            task.cancel()
            await asyncio.wait({task})  # it lets go of the inbox's lock
            del self._intakes[name]
        self._watch(rooms.queue, tasks)
        rooms.queue.retry_held_up()
        log.info("configuration.reloaded", inboxes=len(self._benches))

    # The end.

    async def _worked_off(self, queue: Queue) -> bool:
        with contextlib.suppress(FaultError):  # the queue says it, and waits for the journal
            intakes = self._intakes.values()
            return all(intake.idle for intake in intakes) and await queue.resting(PATIENCE)
        return False

    async def _prune(self, queue: Queue) -> None:
        """Forget once a day what is older than the configuration wants to keep."""
        while True:
            for bench in [bench for bench in self._benches.values() if bench.folder.stays]:
                await take_stock(bench)
            await queue.forget(self._config.keep)
            await asyncio.sleep(PRUNE_EVERY)

    async def _finish(self, queue: Queue) -> None:
        """Give what is in hand `stop_grace` seconds, or until somebody asks a second time."""
        orderly = asyncio.create_task(queue.stop(self._config.stop_grace))
        hurried = asyncio.create_task(self._hurrying.wait())
        await asyncio.wait({orderly, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not orderly.done():
            await queue.stop(0)
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


def _remove(control: Path, listener: socket.socket) -> None:
    """Take the control socket away: who asks then hears at once that nobody is there."""
    listener.close()
    with contextlib.suppress(OSError):
        os.unlink(control)


async def _attend(intake: Intake, bench: Bench) -> None:
    """Watch one inbox until cancelled, whatever the storage of its targets does."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_look_at_targets(bench))
        await intake.run()


async def _look_at_targets(bench: Bench) -> None:
    """Say at the start which done or failed folder is missing, and clear up what a lost move left."""
    folder = bench.folder
    targets = () if folder.stays else (bench.places.done, bench.places.failed)
    for place in targets:
        target = place.path
        inside = target.is_relative_to(folder.inbox)  # then it is made when it is first needed
        if not inside and not await bench.storage.call(os.path.isdir, target):
            hint = f"Create it: mkdir -p {target}, or mount what belongs there."
            log.warning("folder.missing", inbox=folder.name, path=str(target), hint=hint)
    for place in (*targets, bench.places.inbox):
        with contextlib.suppress(OSError, FaultError):  # a delivery that needs the folder says what is wrong
            is_over = await bench.journal.what_is_over()
            swept = await bench.storage.call(files.sweep, place, is_over=is_over)
            log.debug("folder.swept", inbox=folder.name, path=str(place.path), files=swept)
