"""A queue over one inbox and one local endpoint, all real, in the test's own event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
from watcherd.endpoint.past import Past
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import identity_of
from watcherd.job import FINAL, Event, Job, State
from watcherd.journal.store import Journal
from watcherd.media.pool import MediaPool
from watcherd.pipeline.bench import Bench
from watcherd.queue import Queue
from watcherd.retry import Policy

RESTING = FINAL | {State.WAITING}


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
        await self.drop(name)
        await self.serve(lambda: bool(self.events) and self.events[-1][0].state in RESTING)
        return await self.job(1)

    async def drop(self, name: str, content: bytes | None = None) -> None:
        """Put a settled file in: the bundled clip as MP3, unless another content is given."""
        path = self.home / "inbox" / name
        path.write_bytes(clip("mp3").read_bytes() if content is None else content)
        await self.queue.admit("inbox", name.encode(), identity_of(path.stat()))

    async def serve(self, until: Callable[[], bool]) -> None:
        """Run the queue until a condition holds, then stop it; jobs in hand are left resumable."""
        self.queue._stopped.clear()
        serving = asyncio.create_task(self.queue.run())
        deadline = time.monotonic() + 30
        while not until():
            assert time.monotonic() < deadline, [
                (job.id, str(job.state), type(e).__name__) for job, e in self.events
            ]
            await asyncio.wait({serving}, timeout=0.01)
            assert not serving.done()
        await self.queue.stop(0)
        await serving

    async def job(self, number: int) -> Job:
        """A job as it is on record; they are numbered as they were dropped."""
        found = await self.journal.job(number)
        assert found is not None
        return found

    def rest(self, count: int) -> bool:
        """Whether so many jobs are final or wait."""
        return len({job.id for job, _ in self.events if job.state in RESTING}) >= count


@asynccontextmanager
async def running_world(
    tmp_path: Path,
    *,
    backoff: float = 60.0,
    folder_keys: Mapping[str, object] | None = None,
    local: LocalEndpoint | None = None,
    media: MediaPool | None = None,
    **endpoint_keys: object,
) -> AsyncIterator[World]:
    """A world in `tmp_path`, on the journal of the one before if there was one there.

    A `local` endpoint and a pool of workers that are given stay the caller's.
    """
    for name in ("inbox", "done", "failed", "work"):
        (tmp_path / name).mkdir(exist_ok=True)
    clock, wake = SystemClock(), asyncio.Event()
    async with AsyncExitStack() as stack:
        local = local or stack.enter_context(LocalEndpoint())
        journal = await Journal.open(tmp_path / "journal.sqlite3", clock)
        stack.push_async_callback(journal.close)
        if media is None:
            media = MediaPool()
            stack.push_async_callback(media.close)
        storage = Storage("inbox")
        stack.callback(storage.close)
        settings = local.settings(**{"timeout": {"connect": 2.0, "read": 1.0}} | endpoint_keys)
        gate = Gate(
            settings, client=partial(Client, settings), wake=wake, clock=clock, past=Past(journal.ledger)
        )
        stack.push_async_callback(gate.close)
        folder = Folder(
            name="inbox",
            inbox=tmp_path / "inbox",
            done=tmp_path / "done",
            failed=tmp_path / "failed",
            endpoint="here",
            temperature=0.5,
        ).model_copy(update=dict(folder_keys or {}))
        bench = Bench(
            folder=folder,
            gate=gate,
            storage=storage,
            media=media,
            journal=journal,
            clock=clock,
            work=tmp_path / "work",
            reports=tmp_path / "reports",
            planning=asyncio.Lock(),
            policy=Policy(base=backoff),
        )
        events: list[tuple[Job, Event]] = []
        queue = Queue(
            journal,
            {"inbox": bench},
            wake=wake,
            clock=clock,
            listener=lambda job, event: events.append((job, event)),
        )
        await queue.recover()
        yield World(tmp_path, queue, journal, local, events)
