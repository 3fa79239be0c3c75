"""The API over a real socket, with a Control that does what a test wants."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from watcherd.cli.asking import Answer, ask
from watcherd.clock import SystemClock
from watcherd.control import Live, RefusedError, Retried, Target
from watcherd.delivery.pieces import Piece
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.inbox.storage import Storage
from watcherd.job import Job
from watcherd.journal.ledger import Kind
from watcherd.journal.store import Journal
from watcherd.state import StateFolder
from watcherd.status.app import LARGEST_REQUEST, application
from watcherd.status.listening import listen
from watcherd.status.server import Server

FAULT = Fault(
    scope=Scope.MACHINE, code="disk_full", message="It is full.", hint="Free it.", remedy=Remedy.PAUSE
)


@dataclass
class Fake:
    """A Control that records what it was asked, and raises `error` where there is one."""

    error: Exception | None = None
    asked: list[Any] = field(default_factory=list)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def live(self) -> Live:
        return Live(
            pid=4711, started_at=0, control=None, stopping=False, inboxes=(), endpoints=(), rejected=None
        )

    async def retry(self, files: Sequence[bytes] | None, *, fresh: bool) -> list[Retried]:
        self.asked.append((files, fresh))
        return [Retried(file=b"/f/a\x1b.mp3", inbox="in", back_as=b"a\x1b.mp3")]

    async def pause(self, name: str) -> Target:
        self.asked.append(name)
        if self.error is not None:
            raise self.error
        return Target(Kind.INBOX, name)

    async def resume(self, name: str) -> Target:
        self.waiting.set()
        await asyncio.Event().wait()
        raise AssertionError(name)

    async def reload(self) -> tuple[str, ...]:
        return ("watcherd.yaml:3: wrong",)

    async def piece(self, job: Job, name: bytes, *, offset: int = 0, size: int = 0) -> Piece | None:
        raise AssertionError(job, name, offset, size)

    async def see_journal(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class Running:
    """An application that is served on a socket."""

    control: Path
    fake: Fake
    server: Server
    serving: asyncio.Task[None]

    async def ask(self, method: str, route: str, body: object = None) -> Answer:
        return await asyncio.to_thread(ask, self.control, method, route, body)


@asynccontextmanager
async def served(tmp_path: Path, fake: Fake | None = None) -> AsyncIterator[Running]:
    state = StateFolder(tmp_path)
    state.create()
    journal = await Journal.open(state.journal, SystemClock())
    fake, storage = fake or Fake(), Storage("records")
    listener, control = listen(state, {})
    app = application(fake, journal=state.journal, storage=storage, clock=SystemClock())
    server = Server(app, listener)
    serving = asyncio.create_task(server.run_to_the_end())
    try:
        yield Running(control, fake, server, serving)
    finally:
        server.stop()
        async with asyncio.timeout(20):
            await serving
        storage.close()
        await journal.close()


async def test_it_takes_no_signals(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with served(tmp_path) as running:
        await running.ask("GET", "status")
        assert signal.getsignal(signal.SIGTERM) is before


async def test_the_status_comes_with_every_documented_field(tmp_path: Path) -> None:
    async with served(tmp_path) as running:
        answer = await running.ask("GET", "status")
        document = (await running.ask("GET", "openapi.json")).body
    assert answer.status == 200
    assert answer.body["daemon"] | {"started_at": None} == {
        "state": "running", "pid": 4711, "started_at": None, "control": None, "page": None,
        "page_problem": "", "rejected": None,
    }  # fmt: skip
    assert set(answer.body) == set(document["components"]["schemas"]["Status"]["properties"])
    assert {f"/api/v1/{name}" for name in ("status", "retry", "pause", "resume", "reload")} <= set(
        document["paths"]
    )
    assert document["components"]["schemas"]["JobStatus"]["properties"]["until"]["description"]


async def test_requests_reach_control_and_its_answers_come_back(tmp_path: Path) -> None:
    async with served(tmp_path) as running:
        files = ["/f/plain é.mp3", "file:///f/a%FF.mp3"]
        moved = await running.ask("POST", "retry", {"files": files, "fresh": True})
        everything = await running.ask("POST", "retry", {"files": None})
        paused = await running.ask("POST", "pause", {"name": "in"})
        reloaded = await running.ask("POST", "reload")
    assert running.fake.asked == [(["/f/plain é.mp3".encode(), b"/f/a\xff.mp3"], True), (None, False), "in"]
    result = {"file": r"/f/a\x1b.mp3", "inbox": "in", "back_as": r"a\x1b.mp3", "text": ""}
    assert moved.body == everything.body == {"results": [result]}
    assert paused.body == {"kind": "inbox", "name": "in"}
    assert reloaded.body == {"applied": False, "problems": ["watcherd.yaml:3: wrong"]}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RefusedError("unknown_name", "none", "look"), 404, "unknown_name"),
        (RefusedError("ambiguous_name", "two", "choose"), 409, "ambiguous_name"),
        (FaultError(FAULT), 503, "disk_full"),
        (ZeroDivisionError("secret thing"), 500, "internal_error"),
    ],
)
async def test_what_goes_wrong_is_answered_in_words_and_the_server_goes_on(
    tmp_path: Path, error: Exception, status: int, code: str
) -> None:
    async with served(tmp_path, Fake(error=error)) as running:
        answer = await running.ask("POST", "pause", {"name": "in"})
        assert (await running.ask("GET", "status")).status == 200
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.body["message"]
    assert answer.body["hint"]
    assert "secret thing" not in json.dumps(answer.body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"files": ["talk.mp3"]}, 422),
        ({"files": ["file:///a%00b"]}, 422),
        ({"files": [7]}, 422),
        ({}, 422),
        ([], 422),
        ({"files": ["/" + "x" * LARGEST_REQUEST]}, 413),
    ],
)
async def test_a_request_that_makes_no_sense_or_is_too_large_reaches_nobody(
    tmp_path: Path, body: object, status: int
) -> None:
    async with served(tmp_path) as running:
        assert (await running.ask("POST", "retry", body)).status == status
    assert not running.fake.asked


async def test_a_request_that_never_ends_holds_up_no_stop(tmp_path: Path) -> None:
    async with served(tmp_path) as running:
        asking = asyncio.create_task(running.ask("POST", "resume", {"name": "in"}))
        await running.fake.waiting.wait()
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(running.control))
            running.server.stop()
            async with asyncio.timeout(20):
                await running.serving
        await asyncio.wait({asking})
        assert asking.exception() is not None or asking.result().status == 500


async def test_a_server_that_fails_is_said_and_ends_nothing_else(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.create()
    listener, _ = listen(state, {})
    listener.close()
    with structlog.testing.capture_logs() as logged:
        await Server(lambda *_: None, listener).run_to_the_end()  # type: ignore[arg-type]  # never called
    assert [line["event"] for line in logged] == ["control.crashed"]
