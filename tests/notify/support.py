"""What the room's tests share: folders, jobs that ended, and a sender over a real journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.waiting import eventually
from watcherd.clock import SystemClock
from watcherd.config.model import Folder
from watcherd.faults import Fault, Remedy, Scope
from watcherd.job import (
    Delivered,
    Identity,
    Job,
    Outcome,
    Plan,
    Planned,
    Sidecar,
    Started,
    State,
    step,
)
from watcherd.journal.notices import Notice, notice_from
from watcherd.journal.reader import reading
from watcherd.journal.store import Journal, Move
from watcherd.notify.announcer import Announcer
from watcherd.notify.sender import Sender

IDENTITY = Identity(1, 2, 4096, 5, 6)
FAULT = Fault(
    scope=Scope.FILE,
    code="no_audio",
    message="The file has no audio track.",
    hint="Add one.",
    remedy=Remedy.FAIL,
)
PAUSE = replace(FAULT, scope=Scope.ENDPOINT, code="key_refused", message="The key is refused.")
PLAN = Plan(
    outcome=Outcome.DONE,
    folder=b"show",
    original=b"caf\xe9 (2).mp3",
    sidecars=(Sidecar(b"caf\xe9 (2).srt", "srt"), Sidecar(b"caf\xe9 (2).txt", "txt")),
    at=1.0,
)
REPORT = replace(PLAN, outcome=Outcome.FAILED, sidecars=(Sidecar(b"caf\xe9 (2).mp3.error.json", "report"),))
DONE = Job(
    id=7,
    inbox="talks",
    path=b"show/caf\xe9.mp3",
    identity=IDENTITY,
    settled_at=0.0,
    state=State.DONE,
    plan=PLAN,
    warnings=("untimed",),
)
FAILED = replace(DONE, state=State.FAILED, plan=REPORT, fault=FAULT, warnings=())


def folder(name: str = "talks", **keys: object) -> Folder:
    """A folder below /srv at the endpoint `here`."""
    fixed = {"name": name, "inbox": f"/srv/{name}", "done": "/srv/done", "failed": "/srv/failed"}
    return Folder.model_validate({**fixed, "endpoint": "here", **keys})


@dataclass
class Office:
    """A sender and an announcer over one journal; `folders` may be changed as a reload does."""

    path: Path
    journal: Journal
    announcer: Announcer
    sender: Sender
    folders: list[Folder]

    async def end(self, name: bytes = b"a.mp3", inbox: str = "talks", *, fault: Fault | None = None) -> Job:
        """A file is done, or failed: its job goes through the journal with its notices."""
        job = await self.journal.add(inbox, name, IDENTITY)
        assert job is not None
        plan = replace(PLAN if fault is None else REPORT, original=name, sidecars=())
        folder = next((one for one in self.folders if one.name == inbox), self.folders[0])
        for event in (Started(), Planned(plan, (), fault), Delivered()):
            after = step(job, event)
            notices = await self.announcer.of_move(after, event, folder)
            await self.journal.record(Move(job, after, event, notices))
            job = after
        self.announcer.recorded()
        return job

    def notices(self) -> list[Notice]:
        """Every notice, by a reader beside the daemon."""
        with reading(self.path) as reader:
            rows = reader._connection.execute("SELECT * FROM notices ORDER BY id").fetchall()
        return [notice_from(row) for row in rows]

    async def settled(self) -> list[Notice]:
        """Wait until no notice is open."""
        await eventually(lambda: all(notice.ended_at is not None for notice in self.notices()))
        return self.notices()


@asynccontextmanager
async def office(path: Path, *folders: Folder, grace: float = 0, run: bool = True) -> AsyncIterator[Office]:
    """An office at work; stopped in order at the end."""
    journal = await Journal.open(path, SystemClock())
    configured = list(folders)
    announcer = Announcer(journal, folders=lambda: configured, clock=SystemClock())
    await announcer.recall()
    sender = Sender(journal.notices, announcer, clock=SystemClock())
    running = asyncio.create_task(sender.run()) if run else None
    try:
        yield Office(path, journal, announcer, sender, configured)
    finally:
        await sender.stop(grace)
        if running is not None:
            await running
        await journal.close()
