"""The daemon: lifetime of everything. A configuration in; start, signals, orderly stop; an exit code out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import structlog

from watcherd.clock import Clock, SystemClock
from watcherd.config.model import Config
from watcherd.endpoint.client import Client
from watcherd.endpoint.gate import Gate
from watcherd.faults import FaultError
from watcherd.inbox.intake import Intake
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import ignore_lease_signal
from watcherd.job import State
from watcherd.journal.store import Journal
from watcherd.media.pool import MediaPool
from watcherd.pipeline.bench import Bench
from watcherd.queue import Listener, Queue
from watcherd.state import StateFolder
from watcherd.systemd import notify
from watcherd.whisper.transport import EmbeddedTransport

log = structlog.get_logger()

PATIENCE = 300.0  # seconds that --once waits for a pause or a backoff
ONCE_TICK = 0.1
PRUNE_EVERY = 24 * 3600.0
TEMPORARY = 75  # EX_TEMPFAIL


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where what can be made again is kept: systemd's cache folder, else the XDG one."""
    if given := environ.get("CACHE_DIRECTORY"):
        return Path(given)
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "watcherd"


@asynccontextmanager
async def gates_for(config: Config, *, wake: asyncio.Event, clock: Clock) -> AsyncIterator[dict[str, Gate]]:
    """A gate for every endpoint; at the end all connections and an embedded endpoint's child are gone."""
    async with AsyncExitStack() as stack:
        gates = {}
        for name, endpoint in config.endpoints.items():
            new_client: Callable[[], Client] = partial(Client, endpoint)
            if endpoint.embedded is not None:
                transport = EmbeddedTransport(endpoint.embedded, cache=cache_folder(os.environ))
                stack.push_async_callback(transport.aclose)
                new_client = partial(Client, endpoint, transport=transport)
            gates[name] = Gate(endpoint, client=new_client, wake=wake, clock=clock)
            stack.push_async_callback(gates[name].close)
        yield gates


class Daemon:
    """One run of the program over one state folder, which the caller has locked."""

    def __init__(self, config: Config, state: StateFolder, *, listener: Listener | None = None) -> None:
        self._config = config
        self._state = state
        self._listener = listener
        self._clock = SystemClock()
        self.started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._intakes: list[Intake] = []
        self._benches: list[Bench] = []

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
            waiting = self._stopping.is_set() or queue.open_count or any(i.held for i in self._intakes)
        if waiting:
            return TEMPORARY
        return 1 if queue.finished[State.FAILED] else 0

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
                queue = await self._assemble(stack)
                async with asyncio.TaskGroup() as tasks:
                    watching = self._start(tasks, queue)
                    log.info("daemon.started", inboxes=len(self._intakes), state=str(self._state.path))
                    notify("READY=1", f"STATUS=watching {len(self._intakes)} inboxes")
                    self.started.set()
                    yield queue
                    notify("STOPPING=1")
                    log.info("daemon.stopping", in_hand=len(queue.active))
                    for task in watching:
                        task.cancel()
                    await self._finish(queue)
        log.info("daemon.stopped")

    async def _assemble(self, stack: AsyncExitStack) -> Queue:
        """Build every room, in the order in which a file passes through them."""
        config = self._config
        journal = await Journal.open(self._state.journal, self._clock)
        stack.push_async_callback(journal.close)
        media = MediaPool()
        stack.push_async_callback(media.close)
        wake = asyncio.Event()
        gates = await stack.enter_async_context(gates_for(config, wake=wake, clock=self._clock))
        for folder in config.folders:
            storage = Storage(folder.name)
            stack.callback(storage.close)
            bench = Bench(
                folder=folder,
                gate=gates[folder.endpoint],
                storage=storage,
                media=media,
                journal=journal,
                clock=self._clock,
                work=self._state.work,
                planning=asyncio.Lock(),
            )
            self._benches.append(bench)
        benches = {bench.folder.name: bench for bench in self._benches}
        queue = Queue(journal, benches, wake=wake, clock=self._clock, listener=self._listener)
        await queue.recover()
        self._intakes = [
            Intake(bench.folder, storage=bench.storage, desk=queue, clock=self._clock)
            for bench in self._benches
        ]
        return queue

    def _start(self, tasks: asyncio.TaskGroup, queue: Queue) -> list[asyncio.Task[None]]:
        """Start everything that runs for as long as the daemon; returns what is cancelled at the stop."""
        tasks.create_task(queue.run())
        return [
            *(tasks.create_task(intake.run()) for intake in self._intakes),
            *(tasks.create_task(_look_at_targets(bench)) for bench in self._benches),
            tasks.create_task(self._prune(queue)),
        ]

    async def _worked_off(self, queue: Queue) -> bool:
        with contextlib.suppress(FaultError):  # the queue says it, and waits for the journal
            return all(intake.idle for intake in self._intakes) and await queue.resting(PATIENCE)
        return False

    async def _prune(self, queue: Queue) -> None:
        """Forget once a day what is older than the configuration wants to keep."""
        while True:
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
        """SIGTERM and SIGINT stop; SIGHUP looks through every inbox at once."""
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self._rescan}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _rescan(self) -> None:
        for intake in self._intakes:
            intake.rescan()


async def _look_at_targets(bench: Bench) -> None:
    """Say at the start which done or failed folder is missing, before a file needs it."""
    folder = bench.folder
    for target in (folder.done, folder.failed):
        inside = target.is_relative_to(folder.inbox)  # then it is made when it is first needed
        if not inside and not await bench.storage.call(os.path.isdir, target):
            hint = f"Create it: mkdir -p {target}, or mount what belongs there."
            log.warning("folder.missing", inbox=folder.name, path=str(target), hint=hint)
