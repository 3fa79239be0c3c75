"""The vigil: what systemd hears, and what it does not hear while something is wrong."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.manager import Manager
from tests.waiting import eventually
from watcherd import vigil
from watcherd.clock import SystemClock
from watcherd.control import EndpointLive, InboxLive, Live, Rejected
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.inbox.condition import Condition
from watcherd.journal.store import Journal
from watcherd.vigil import Glance, Vigil, line

INTERVAL = 0.04  # seconds between two pings
FAULT = Fault(
    scope=Scope.ENDPOINT, code="out_of_credit", message="no credit\nis left", hint="", remedy=Remedy.PAUSE
)


def inbox(
    name: str = "talks", condition: Condition = Condition.WATCHING, *, held: float | None = None
) -> InboxLive:
    return InboxLive(name=name, path=b"/in", endpoint="e", condition=condition, held_since=held)


def endpoint(
    name: str, *, held: float | None = None, until: float | None = None, fault: Fault | None = None
) -> EndpointLive:
    return EndpointLive(
        name=name,
        base_url="http://there/v1",
        model="m",
        slots=1,
        concurrency=1,
        in_flight=0,
        minutes_today=0,
        minutes_per_day=None,
        held_since=held,
        paused_until=until,
        fault=fault,
    )


def glance(
    *inboxes: InboxLive,
    endpoints: Sequence[EndpointLive] = (),
    in_hand: int = 0,
    waiting: int = 0,
    blind: Sequence[str] = (),
    rejected: Rejected | None = None,
) -> Glance:
    live = Live(
        pid=1,
        started_at=0,
        control=None,
        stopping=False,
        inboxes=inboxes or (inbox(),),
        endpoints=tuple(endpoints),
        rejected=rejected,
    )
    return Glance(live=live, in_hand=in_hand, waiting=waiting, blind=blind)


class Scene:
    """A vigil over what a test says: `now` is what a glance sees."""

    def __init__(self, manager: Manager, journal: Journal, logged: list[EventDict]) -> None:
        self.manager = manager
        self.journal = journal
        self.logged = logged
        self.now = glance()
        self.glances = 0

    def look(self) -> Glance:
        self.glances += 1
        return self.now

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Vigil]:
        """The vigil at work."""
        keeping = Vigil(self.look, journal=self.journal, clock=SystemClock())
        task = asyncio.create_task(keeping.run())
        try:
            yield keeping
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def looks(self, times: int) -> None:
        """Wait until it has looked so many times more."""
        enough = self.glances + times
        await eventually(lambda: self.glances >= enough)

    async def pings(self, times: int = 2) -> None:
        """Wait for pings that are still to come."""
        enough = self.manager.heard("WATCHDOG=1") + times
        await eventually(lambda: self.manager.heard("WATCHDOG=1") >= enough)

    async def withheld(self) -> str:
        """Wait until no ping comes, see that none does, and return what is waited for."""
        await eventually(lambda: self._said("watchdog.withheld"))
        before = self.manager.heard("WATCHDOG=1")
        await asyncio.sleep(4 * INTERVAL)
        assert self.manager.heard("WATCHDOG=1") == before
        return str(self._said("watchdog.withheld")[-1]["waits_for"])

    async def resumed(self) -> None:
        """Wait until pings come again."""
        await self.pings()
        assert self._said("watchdog.resumed")

    def _said(self, event: str) -> list[EventDict]:
        return [entry for entry in self.logged if entry["event"] == event]


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    before = structlog.get_config()
    structlog.reset_defaults()
    with capture_logs() as entries:
        yield entries
    structlog.configure(**before)


@pytest.fixture
async def scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> AsyncIterator[Scene]:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", str(int(INTERVAL * 2e6)))
    for name, seconds in {"FIRST_LOOK": 0.001, "STATUS_EVERY": 0.005, "LOOK": 0.005}.items():
        monkeypatch.setattr(vigil, name, seconds)
    journal = await Journal.open(tmp_path / "journal.sqlite3", SystemClock())
    with Manager.at(tmp_path) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        yield Scene(manager, journal, logged)
    await journal.close()


# READY and STATUS.


async def test_ready_comes_when_every_inbox_has_been_looked_at(scene: Scene) -> None:
    scene.now = glance(inbox("a"), inbox("b", Condition.STARTING))
    async with scene.watched():
        await scene.looks(3)
        assert not scene.manager.hear()
        scene.now = glance(inbox("a"), inbox("b", Condition.MISSING))
        await eventually(scene.manager.hear)
    assert scene.manager.messages[0] == [
        "READY=1",
        "STATUS=watching 1 of 2 inboxes (b: missing); 0 jobs in hand, 0 waiting",
    ]


async def test_an_inbox_whose_storage_hangs_from_the_start_does_not_hold_ready_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vigil, "FIRST_WATCH", 0.01)
    scene.now = glance(inbox("a"), inbox("b", Condition.STARTING))
    async with scene.watched():
        await scene.pings()
    assert scene.manager.messages[0][0] == "READY=1"
    assert "b: starting" in scene.manager.messages[0][1]


async def test_a_status_is_said_when_it_changes_and_only_then(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC")
    async with scene.watched() as keeping:
        await eventually(scene.manager.hear)
        scene.now = glance(in_hand=1)
        await eventually(lambda: scene.manager.heard("STATUS=") == 2)
        assert scene.manager.status == "watching 1 inbox; 1 job in hand, 0 waiting"
        await scene.looks(5)
        scene.now = glance(waiting=7)
        keeping.ready()  # a reload's
        await scene.looks(5)
    assert [message[0].partition("=")[0] for message in scene.manager.hear()] == ["READY", "STATUS", "READY"]
    assert scene.manager.status == "watching 1 inbox; 0 jobs in hand, 7 waiting"


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (glance(inbox("a"), inbox("b")), "watching 2 inboxes; "),
        (glance(inbox("a", held=1.0)), "watching 1 inbox (a: paused by hand); "),
        (
            glance(*(inbox(name, Condition.MISSING) for name in "abcde")),
            "watching 0 of 5 inboxes (a: missing, b: missing, c: missing and 2 more); ",
        ),
        (glance(endpoints=[endpoint("x"), endpoint("y", held=1.0)]), "; endpoints paused (y: by hand)"),
        (
            glance(endpoints=[endpoint("x", until=9.0, fault=FAULT)]),
            "; endpoints paused (x: no credit\\x0ais left)",
        ),
        (glance(rejected=Rejected(1.0, ("line 3",))), "; the last reload was rejected"),
        (glance(inbox("a\nWATCHDOG=1", Condition.MISSING)), "(a\\x0aWATCHDOG=1: missing)"),
        (glance(inbox("a", Condition.SILENT)), "watching 0 of 1 inbox (a: storage not answering); "),
    ],
)
def test_the_line_tells_what_is_wrong(seen: Glance, said: str) -> None:
    assert said in line(seen)
    assert "\n" not in line(seen)


def test_the_line_fits_into_a_datagram() -> None:
    fault = Fault(scope=FAULT.scope, code="x", message="ü" * 9000, hint="", remedy=FAULT.remedy)
    assert len(line(glance(endpoints=[endpoint("x", until=1.0, fault=fault)])).encode()) < 4000


# WATCHDOG.


async def test_pings_come_while_all_is_well_and_after_ready(scene: Scene) -> None:
    async with scene.watched():
        await scene.pings(3)
    assert scene.manager.messages[0][0] == "READY=1"
    assert not scene.logged


async def test_nobody_is_pinged_who_does_not_ask(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    async with scene.watched():
        await scene.looks(20)
    assert not scene.manager.heard("WATCHDOG=1")


async def test_no_ping_comes_while_the_loop_is_blocked_and_some_do_afterwards(scene: Scene) -> None:
    async with scene.watched():
        await scene.pings()
        before = scene.manager.heard("WATCHDOG=1")
        time.sleep(4 * INTERVAL)  # noqa: ASYNC251 - this is what is tested
        assert scene.manager.heard("WATCHDOG=1") == before
        await scene.pings()


async def test_no_ping_comes_while_a_watch_is_dead_and_not_renewed(scene: Scene) -> None:
    async with scene.watched():
        await scene.pings()
        scene.now = glance(blind=["talks", "films"])
        assert await scene.withheld() == "the watch of talks, films"
        scene.now = glance()
        await scene.resumed()


async def test_a_watch_that_is_renewed_at_once_is_nothing_to_speak_of(scene: Scene) -> None:
    async with scene.watched():
        await scene.pings()
        scene.now = glance(blind=["talks"])
        await scene.looks(1)
        scene.now = glance()
        await scene.pings()
    assert not scene.logged


async def test_no_ping_comes_while_the_journal_hangs(scene: Scene) -> None:
    answering = threading.Event()
    try:
        async with scene.watched():
            await scene.pings()
            hanging = asyncio.create_task(scene.journal._connection.read(answering.wait))
            assert await scene.withheld() == "the journal"
            answering.set()
            await hanging
            await scene.resumed()
    finally:
        answering.set()


async def test_a_journal_that_answers_with_an_error_withholds_no_ping(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: int) -> None:
        raise FaultError(FAULT)

    monkeypatch.setattr(scene.journal, "job", full)
    async with scene.watched():
        await scene.pings(3)
    assert not scene.logged


@pytest.mark.parametrize("condition", [Condition.SILENT, Condition.MISSING, Condition.BUSY])
async def test_an_inbox_in_trouble_withholds_no_ping(scene: Scene, condition: Condition) -> None:
    scene.now = glance(inbox("a", condition))
    async with scene.watched():
        await scene.pings(3)
    assert not scene.logged
