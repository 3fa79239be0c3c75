"""A state folder whose journal holds jobs, the files that they left behind, and the application over both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import httpx
from fastapi import FastAPI

from tests.status.test_app import Fake
from watcherd.clock import SystemClock
from watcherd.config.model import Folder
from watcherd.control import InboxLive, Live
from watcherd.delivery.pieces import Piece
from watcherd.faults import Fault, Remedy, Scope
from watcherd.inbox.storage import Storage
from watcherd.job import (
    Delivered,
    Event,
    Identity,
    Job,
    Outcome,
    Plan,
    Planned,
    Replied,
    Sending,
    Sidecar,
    Started,
    step,
)
from watcherd.journal.store import Journal, Move
from watcherd.pipeline.bench import Bench
from watcherd.status.app import application
from watcherd.status.metrics import Metrics
from watcherd.steering import Helm, Steering

NOW = 1_700_000_000.0
REFUSED = Fault(
    scope=Scope.FILE,
    code="refused",
    message="It is\x1b refused",
    hint="Mend it",
    remedy=Remedy.FAIL,
    said="We do not like it",
    status=400,
    request_id="req_1",
)


class Hands(SystemClock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at - NOW


@dataclass
class Desk(Fake):
    """A Control whose files are real."""

    inboxes: tuple[InboxLive, ...] = ()
    steering: Steering | None = None
    files: list[bytes] = field(default_factory=list)
    left_open: int = 0

    def live(self) -> Live:
        return replace(super().live(), inboxes=self.inboxes)

    async def piece(self, job: Job, name: bytes, *, offset: int = 0, size: int = 0) -> Piece | None:
        self.files.append(name)
        if self.error is not None:
            raise self.error
        assert self.steering is not None
        found = await self.steering.piece(job, name, offset=offset, size=size)
        self.left_open += sum(os.path.basename(path) == name for path in open_files())
        return found


def open_files() -> Sequence[bytes]:
    """What this process has open."""
    return [os.path.realpath(b"/proc/self/fd/" + number) for number in os.listdir(b"/proc/self/fd")]


@dataclass
class Records:
    """All of it; `home` has inbox, done, failed and reports."""

    home: Path
    clock: Hands
    journal: Journal
    control: Desk
    app: FastAPI
    metrics: Metrics
    client: httpx.AsyncClient

    async def add(self, path: str | bytes, *events: Event, inbox: str = "inbox") -> Job:
        """Record a job and what happens to it, a second after the other."""
        self.clock.at += 1
        job = await self.journal.add(inbox, os.fsencode(path), Identity(1, 2, 3_000, 4, 5))
        assert job is not None
        for event in events:
            job = await self.move(job, event)
        return job

    async def move(self, job: Job, event: Event) -> Job:
        self.clock.at += 1
        after = step(job, event)
        await self.journal.record(Move(job, after, event))
        self.metrics.listening(None)(after, event)
        return after

    async def done(
        self, path: str | bytes, *formats: str, stays: bool = False, warnings: Sequence[str] = ()
    ) -> Job:
        """A job that was translated, and its files, each holding its own name."""
        name = os.fsencode(path)
        stem = name.rpartition(b".")[0]
        sidecars = tuple(Sidecar(stem + b"." + form.encode(), form) for form in formats)
        plan = Plan(
            outcome=Outcome.DONE, folder=b"", original=name, sidecars=sidecars, stays=stays, at=self.clock.at
        )
        for one in (name, *(sidecar.name for sidecar in sidecars)):
            self.write("inbox" if stays else "done", one)
        return await self.add(name, *asked(), Planned(plan, tuple(warnings)), Delivered())

    async def failed(self, path: str, *, stays: bool = False) -> Job:
        """A job that was refused, with its report."""
        report = os.fsencode(f"{path}.error.json")
        plan = Plan(
            outcome=Outcome.FAILED,
            folder=b"",
            original=os.fsencode(path),
            sidecars=(Sidecar(report, "report"),),
            stays=stays,
        )
        self.write("inbox" if stays else "failed", os.fsencode(path))
        self.write("reports" if stays else "failed", report)
        return await self.add(path, Started(), Planned(plan, fault=REFUSED), Delivered())

    def write(self, folder: str, name: bytes) -> None:
        with open(bytes(self.home / folder) + b"/" + name, "wb") as file:
            file.write(name)

    async def get(self, route: str, **asked: Any) -> Any:  # noqa: ANN401 - JSON, and a query of any types
        """The JSON of an answer that must be well."""
        answer = await self.client.get(f"/api/v1/{route}", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()


def asked(seconds: float | None = 60.0) -> tuple[Event, ...]:
    """The way to a whole answer."""
    return Started(), Sending("here", 1000, seconds), Replied(b"{}", "verbose_json")


@asynccontextmanager
async def records(home: Path, control: Desk | None = None) -> AsyncIterator[Records]:
    for name in ("inbox", "done", "failed", "reports"):
        (home / name).mkdir()
    clock, storage, own = Hands(), Storage("records"), Storage("inbox")
    journal = await Journal.open(home / "journal.sqlite3", clock)
    folder = Folder(
        name="inbox", inbox=home / "inbox", done=home / "done", failed=home / "failed", endpoint="here"
    )
    nothing = cast("Any", None)
    bench = Bench(
        folder=folder,
        gate=nothing,
        storage=own,
        media=nothing,
        journal=journal,
        clock=clock,
        work=home,
        reports=home / "reports",
        planning=asyncio.Lock(),
    )
    helm = Helm(
        config=nothing,
        doors=nothing,
        started_at=0,
        stopping=asyncio.Event(),
        benches={"inbox": bench},
        intakes={},
        reload=nothing,
    )
    steering = Steering(helm, gates=nothing, queue=nothing, journal=journal, path=home, records=storage)
    live = InboxLive(name="inbox", path=bytes(home / "inbox"), endpoint="here", condition="watching")
    control, metrics = control or Desk(), Metrics(clock)
    control.inboxes, control.steering = (live,), steering
    app = application(
        control, journal=home / "journal.sqlite3", storage=storage, clock=clock, metrics=metrics
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield Records(home, clock, journal, control, app, metrics, client)
    storage.close()
    own.close()
    if (home / "journal.sqlite3").exists():
        await journal.close()
