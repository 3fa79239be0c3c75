"""What the inbox's tests share: a desk that remembers, an inbox at work, waiting with a deadline."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from structlog.typing import EventDict

from watcherd.clock import SystemClock
from watcherd.config.model import Folder
from watcherd.inbox.intake import Intake
from watcherd.inbox.storage import Storage
from watcherd.job import FINAL, Identity, Job, State
from watcherd.notify.news import News

DEADLINE = 30.0
QUICK = 0.2  # seconds of settling in tests


class Logged:
    """What was logged so far."""

    def __init__(self, entries: list[EventDict]) -> None:
        self._entries = entries

    def times(self, event: str) -> int:
        return len(self.all(event))

    def all(self, event: str) -> list[EventDict]:
        return [entry for entry in self._entries if entry["event"] == event]


class FakeDesk:
    """A queue that only remembers. `slow` withdraws when told to, as the real one does in its own time."""

    def __init__(self, *, slow: bool = False) -> None:
        self.jobs: dict[int, Job] = {}
        self.admitted: list[bytes] = []
        self.withdrawn: list[tuple[int, str]] = []
        self.asked: list[bytes] = []
        self.heard: list[News] = []
        self.known: dict[bytes, tuple[int, int]] = {}
        self.asked_for_kept: list[bytes] = []
        self.fault: Exception | None = None
        self.plenty = False
        self._slow = slow

    async def open_folders(self, inbox: str) -> set[bytes]:
        self._fail()
        assert inbox == "inbox"
        return {folder_of(job.path) for job in self.jobs.values()}

    def has_plenty(self, inbox: str) -> bool:
        assert inbox == "inbox"
        return self.plenty

    async def open_jobs(self, inbox: str, folder: bytes) -> list[Job]:
        self._fail()
        assert inbox == "inbox"
        self.asked.append(folder)
        return [job for job in self.jobs.values() if folder_of(job.path) == folder]

    async def kept(self, inbox: str, folder: bytes) -> dict[bytes, tuple[int, int]]:
        self._fail()
        assert inbox == "inbox"
        self.asked_for_kept.append(folder)
        return {path: mark for path, mark in self.known.items() if folder_of(path) == folder}

    async def admit(self, inbox: str, path: bytes, identity: Identity) -> None:
        self._fail()
        assert inbox == "inbox"
        if all(job.path != path for job in self.jobs.values()):
            self.admitted.append(path)
            self.put(path, identity)

    async def withdraw(self, job_id: int, why: str) -> None:
        self._fail()
        self.withdrawn.append((job_id, why))
        if not self._slow:
            self.jobs.pop(job_id, None)

    def hear(self, news: News) -> None:
        self.heard.append(news)

    def put(self, path: bytes, identity: Identity, state: State = State.QUEUED) -> Job:
        assert state not in FINAL
        number = len(self.jobs) + len(self.admitted) + len(self.withdrawn) + 1
        self.jobs[number] = Job(
            id=number, inbox="inbox", path=path, identity=identity, settled_at=0, state=state
        )
        return self.jobs[number]

    def keep(self, path: bytes) -> None:
        """The path's job ends, and its file stays."""
        job = self.job(path)
        del self.jobs[job.id]
        self.known[path] = (job.identity.size, job.identity.mtime_ns)

    def job(self, path: bytes) -> Job:
        return next(job for job in self.jobs.values() if job.path == path)

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault


def folder_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def folder_at(inbox: Path, **settings: object) -> Folder:
    """A folder with quick settling whose scans come only when asked for."""
    quick = {"settle": QUICK, "rescan": 3600, "poll_interval": 3600}
    fixed = {"inbox": inbox, "name": "inbox", "endpoint": "any"}
    return Folder.model_validate({**fixed, **quick, **settings})


@asynccontextmanager
async def at_work(
    folder: Folder, desk: FakeDesk, *, storage: Storage | None = None, wait: bool = True
) -> AsyncIterator[Intake]:
    """An intake that runs, its first scan done (`wait`); afterwards everything of it is gone."""
    own = storage or Storage("test", idle=0.5)
    intake = Intake(folder, storage=own, desk=desk, clock=SystemClock())
    task = asyncio.create_task(intake.run())
    try:
        if wait:
            await eventually(lambda: intake.state.scanned is not None)
        yield intake
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        own.close()


async def eventually(condition: Callable[[], object], *, within: float = DEADLINE) -> None:
    """Wait for a condition; a wait that ends without it is a failure."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)


async def never(condition: Callable[[], object], *, for_: float) -> None:
    """See that something does not happen for a while; only for what must not happen at any time."""
    deadline = time.monotonic() + for_
    while time.monotonic() < deadline:
        assert not condition(), "it happened"
        await asyncio.sleep(0.01)


def notes(intake: Intake) -> dict[bytes, str]:
    return {waiting.path: waiting.note for waiting in intake.state.arrivals}


async def run(*command: str | Path) -> None:
    """Run a real program to its end without blocking the loop."""
    program = shutil.which(str(command[0]))
    assert program, f"{command[0]} is not installed"
    process = await asyncio.create_subprocess_exec(
        program, *map(str, command[1:]), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors
