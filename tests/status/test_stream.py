"""Live updates: one picture for all who follow, sent only where something has changed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.status.network import network
from tests.status.records import records
from watcherd.job import Started
from watcherd.status import stream
from watcherd.status.stream import Camera, Picture, events


class Daemon:
    """What is to be seen, and how often somebody looked."""

    def __init__(self) -> None:
        self.sections = {"totals": "0", "waiting": "nothing"}
        self.looks = 0
        self.error: Exception | None = None

    async def look(self) -> Picture:
        self.looks += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return Picture(sections=dict(self.sections), marks={"7": "preparing"}, summary="all is well")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "EVERY", 0.01)
    monkeypatch.setattr(stream, "PING", 0.05)


async def following(camera: Camera) -> AsyncIterator[bytes]:
    """A client that has heard when to come back."""
    client = events(camera)
    assert await anext(client) == b"retry: 3000\n\n"
    return client


async def heard(client: AsyncIterator[bytes]) -> dict[str, Any]:
    """The next event that is no comment."""
    async with asyncio.timeout(20):
        while (said := await anext(client)).startswith(b":"):
            pass
    assert said.startswith(b"event: page\ndata: {")
    assert said.endswith(b"}\n\n")
    assert said.count(b"\n") == 3
    event: dict[str, Any] = json.loads(said.partition(b"data: ")[2])
    return event


async def test_many_clients_cost_one_look() -> None:
    daemon = Daemon()
    camera = Camera(daemon.look)
    clients = [await following(camera) for _ in range(50)]
    shown = await asyncio.gather(*map(heard, clients))
    assert daemon.looks == 1
    whole = {"sections": daemon.sections, "marks": {"7": "preparing"}, "summary": "all is well"}
    assert shown == [whole] * 50
    assert await camera.after(0) is await camera.after(0)


async def test_looks_are_never_closer_than_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon, slept = Daemon(), list[float]()
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    camera = Camera(daemon.look)
    shot = await camera.after(0)
    monkeypatch.setattr(asyncio, "sleep", noted)
    monkeypatch.setattr(stream, "EVERY", 1.0)
    daemon.sections["totals"] = "1"
    await camera.after(shot.number)
    assert 0.5 < slept[0] <= 1.0


async def test_only_what_has_changed_is_sent_and_to_a_slow_client_all_of_it_once() -> None:
    daemon = Daemon()
    camera = Camera(daemon.look)
    prompt, slow = await following(camera), await following(camera)
    for client in (prompt, slow):
        await heard(client)
    for count in range(1, 4):
        daemon.sections["totals"] = str(count)
        assert (await heard(prompt))["sections"] == {"totals": str(count)}
    assert (await heard(slow))["sections"] == {"totals": "3", "waiting": "nothing"}


async def test_while_nothing_changes_a_client_hears_that_somebody_is_there() -> None:
    daemon = Daemon()
    client = await following(Camera(daemon.look))
    await heard(client)
    for _ in range(2):
        assert await anext(client) == b": still here\n\n"
    assert daemon.looks > 1


async def test_a_client_that_leaves_ends_nobody_elses_look() -> None:
    daemon = Daemon()
    camera = Camera(daemon.look)
    stays, leaves = await following(camera), await following(camera)
    staying, leaving = asyncio.create_task(heard(stays)), asyncio.create_task(heard(leaves))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying)["sections"] == daemon.sections
    assert leaving.cancelled() or (await asyncio.wait({leaving}))
    assert daemon.looks == 1


async def test_a_picture_that_was_taken_for_others_long_ago_is_not_shown() -> None:
    daemon = Daemon()
    camera = Camera(daemon.look)
    await heard(await following(camera))
    daemon.sections["totals"] = "later"
    await asyncio.sleep(3 * stream.EVERY)
    assert daemon.looks == 1, "nobody follows, so nobody looks"
    assert (await heard(await following(camera)))["sections"]["totals"] == "later"


async def test_a_journal_that_cannot_be_read_for_a_while_ends_no_stream() -> None:
    daemon = Daemon()
    client = await following(Camera(daemon.look))
    daemon.error = sqlite3.OperationalError("disk I/O error")
    assert await anext(client) == b": still here\n\n"
    assert daemon.looks > 1
    daemon.error = None
    assert (await heard(client))["sections"] == daemon.sections


async def test_over_the_network_it_comes_as_events_and_ends_with_the_server(tmp_path: Path) -> None:
    async with records(tmp_path) as shelf, network(shelf.app) as net:
        await shelf.add("a<b>.mp3", Started())
        reader, writer = await net.connect()
        writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: {net.host}\r\n\r\n".encode())
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-type: text/event-stream" in head
            assert b"cache-control: no-store" in head
            assert b"content-security-policy: default-src 'none'" in head
            body = await reader.readuntil(b"}\n\n")
            event = json.loads(body.partition(b"data: ")[2])
            assert "a&lt;b&gt;.mp3" in event["sections"]["in-flight"]
            assert event["marks"] == {"1": "preparing"}
            assert event["summary"] == "1 in flight, 0 queued, 0 waiting, 0 done, 0 failed"
            net.served.stop()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readuntil(b"no such thing")
