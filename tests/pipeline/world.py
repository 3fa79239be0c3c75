"""A queue over one inbox and one local endpoint, all real, in the test's own event loop."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.audio import clip
from tests.servers.endpoint import LocalEndpoint
from watcherd.clock import SystemClock
from watcherd.config.model import Folder
from watcherd.endpoint.client import Client
from watcherd.endpoint.gate import Gate
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import identity_of
from watcherd.job import Event, Job, State
from watcherd.journal.store import Journal
from watcherd.media.pool import MediaPool
from watcherd.pipeline.bench import Bench
from watcherd.queue import Queue
from watcherd.retry import Policy


def names(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir())


@dataclass
class World:
    """A queue over one inbox and one endpoint, with every event it made."""

    home: Path
    queue: Queue
    journal: Journal
    endpoint: LocalEndpoint
    events: list[tuple[Job, Event]]

    async def run(self, name: str) -> Job:
        """Put a file in and wait until it is final or waits."""
        path = self.home / "inbox" / name
        shutil.copyfile(clip("mp3"), path)
        await self.queue.admit("inbox", name.encode(), identity_of(path.stat()))
        serving = asyncio.create_task(self.queue.run())
        deadline = time.monotonic() + 30
        while not self._rests():
            assert time.monotonic() < deadline, self.events
            await asyncio.wait({serving}, timeout=0.01)
            assert not serving.done()
        await self.queue.stop(0)
        await serving
        job = await self.journal.job(1)
        assert job is not None
        return job

    def _rests(self) -> bool:
        return bool(self.events) and self.events[-1][0].state in {
            State.DONE,
            State.FAILED,
            State.SKIPPED,
            State.WAITING,
        }


@asynccontextmanager
async def running_world(tmp_path: Path) -> AsyncIterator[World]:
    for name in ("inbox", "done", "failed", "work"):
        (tmp_path / name).mkdir()
    clock, wake = SystemClock(), asyncio.Event()
    async with AsyncExitStack() as stack:
        local = stack.enter_context(LocalEndpoint())
        journal = await Journal.open(tmp_path / "journal.sqlite3", clock)
        stack.push_async_callback(journal.close)
        media = MediaPool()
        stack.push_async_callback(media.close)
        storage = Storage("inbox")
        stack.callback(storage.close)
        settings = local.settings(timeout={"connect": 2.0, "read": 1.0})
        gate = Gate(settings, client=partial(Client, settings), wake=wake, clock=clock)
        stack.push_async_callback(gate.close)
        folder = Folder(
            name="inbox",
            inbox=tmp_path / "inbox",
            done=tmp_path / "done",
            failed=tmp_path / "failed",
            endpoint="here",
            temperature=0.5,
        )
        bench = Bench(
            folder=folder,
            gate=gate,
            storage=storage,
            media=media,
            journal=journal,
            clock=clock,
            work=tmp_path / "work",
            planning=asyncio.Lock(),
            policy=Policy(base=60.0),
        )
        events: list[tuple[Job, Event]] = []
        queue = Queue(
            journal,
            {"inbox": bench},
            wake=wake,
            clock=clock,
            listener=lambda job, event: events.append((job, event)),
        )
        yield World(tmp_path, queue, journal, local, events)
