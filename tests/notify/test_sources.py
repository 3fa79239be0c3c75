"""Where news comes from: the queue's moves, a gate's pauses, an inbox that is missing and back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.endpoint.test_gate import HandClock, fault
from tests.inbox.support import FakeDesk, at_work, folder_at
from tests.notify.support import folder
from tests.pipeline.world import running_world
from tests.servers.endpoint import error
from tests.waiting import eventually
from watcherd.clock import SystemClock
from watcherd.config.model import Endpoint
from watcherd.endpoint.client import Client
from watcherd.endpoint.gate import Gate
from watcherd.endpoint.gates import Gates
from watcherd.endpoint.past import Past
from watcherd.inbox import intake
from watcherd.journal.reader import reading
from watcherd.notify.announcer import Announcer
from watcherd.notify.news import EndpointPaused, EndpointResumed, InboxBack, InboxMissing, News

ENDPOINT = Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1")


async def test_the_queue_records_who_hears_with_the_move_itself(tmp_path: Path) -> None:
    async with running_world(tmp_path) as world:
        told = folder("inbox", inbox=str(tmp_path / "inbox"), hooks={"done": [["d"]], "failed": [["f"]]})
        announcer = Announcer(world.journal, folders=lambda: [told], clock=SystemClock())
        world.queue._mover._announcer = announcer
        world.endpoint.script(error(400, "No.", code="x"))
        await world.drop("a.mp3", b"no audio at all\n" * 50)
        await world.drop("b.mp3")
        await world.serve(lambda: world.rest(2))
        assert announcer.wake.is_set()
        with reading(tmp_path / "journal.sqlite3") as reader:
            ((failed,), (done,)) = reader.notices(1), reader.notices(2)
    assert [failed.draft.target, done.draft.target] == ["f", "d"]
    letter = json.loads(done.draft.body)
    assert letter["job"]["file"]["path"] == str(tmp_path / "done" / "b.mp3")
    assert letter["job"]["seconds"] == pytest.approx(5.2, abs=3)
    assert json.loads(failed.draft.body)["fault"]["hint"]


@pytest.fixture
def heard() -> list[News]:
    return []


def gate(clock: HandClock, past: Past, heard: list[News]) -> Gate:
    return Gate(
        ENDPOINT,
        client=lambda: Client(ENDPOINT),
        wake=asyncio.Event(),
        clock=clock,
        past=past,
        hear=heard.append,
    )


async def test_a_gate_says_that_it_is_paused_and_that_it_is_open_again(heard: list[News]) -> None:
    clock = HandClock()
    one = gate(clock, Past(), heard)
    pause = await one.close_for(fault())
    assert heard == [EndpointPaused("e", fault(), pause.until)]
    clock.time = pause.until
    await one.answered()
    assert heard[1:] == [EndpointResumed("e")]
    await one.answered()
    assert len(heard) == 2


async def test_a_pause_by_hand_goes_first_and_ends_in_what_is_left(heard: list[News]) -> None:
    one = gate(HandClock(), Past(), heard)
    await one.close_for(fault())
    await one.hold()
    await one.resume()
    codes = [news.fault.code for news in heard if isinstance(news, EndpointPaused)]
    assert codes == ["outage", "paused_by_hand", "outage"]
    other = gate(HandClock(), Past(), heard)
    await other.hold()
    await other.resume()
    assert heard[3:] == [heard[1], EndpointResumed("e")]
    assert isinstance(heard[1], EndpointPaused)
    assert heard[1].until is None


async def test_gates_say_at_their_making_how_they_stand(tmp_path: Path, heard: list[News]) -> None:
    past = Past()
    await past.held("e", since=1.0)
    async with Gates(
        wake=asyncio.Event(), clock=HandClock(), cache=tmp_path, past=past, hear=heard.append
    ) as gates:
        gates.furnish({"e": ENDPOINT, "f": replace_name(ENDPOINT, "f")})
    assert isinstance(heard[0], EndpointPaused)
    assert heard[1:] == [EndpointResumed("f")]


def replace_name(endpoint: Endpoint, name: str) -> Endpoint:
    return endpoint.model_copy(update={"name": name})


async def test_an_inbox_says_that_it_is_missing_and_that_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "TICK", 0.02)
    desk, inbox = FakeDesk(), tmp_path / "inbox"
    async with at_work(folder_at(inbox), desk, wait=False):
        await eventually(lambda: desk.heard)
        inbox.mkdir()
        await eventually(lambda: desk.heard[-1] == InboxBack("inbox"))
    missing = desk.heard[0]
    assert isinstance(missing, InboxMissing)
    assert (missing.inbox, missing.condition) == ("inbox", "missing")
    assert f"mkdir -p {inbox}" in missing.hint


async def test_an_inbox_whose_storage_is_silent_for_a_while_is_missing_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "TICK", 0.02)
    desk, inbox = FakeDesk(), tmp_path / "inbox"
    inbox.mkdir()
    async with at_work(folder_at(inbox), desk) as running:
        warden, silent = running._warden, [True, True, False]
        monkeypatch.setattr("watcherd.inbox.warden.LISTEN", 0.01)
        monkeypatch.setattr(
            type(warden._storage), "silent", property(lambda _: silent.pop(0) if silent else False)
        )
        await eventually(lambda: len(desk.heard) == 3)
    (_, missing, back) = desk.heard
    assert isinstance(missing, InboxMissing)
    assert (missing.condition, back) == ("storage not answering", InboxBack("inbox"))
