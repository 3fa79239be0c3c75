"""What an answer is kept for is what was asked for, and names that others took keep nobody waiting."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.audio import need_tools
from tests.pipeline.world import World, names
from watcherd.inbox import content
from watcherd.job import (
    Chosen,
    Cut,
    Interrupted,
    Outcome,
    Part,
    Plan,
    Recognised,
    Replied,
    Sending,
    Sidecar,
    Started,
    State,
    Withdrawn,
)

pytestmark = need_tools


async def test_an_answer_on_record_is_not_kept_for_what_the_file_holds_by_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.drop("talk.mp3")
    job = await world.job(1)
    reply = Replied(b'{"text": "", "segments": []}', "verbose_json")
    chosen = Chosen(world.queue._benches["inbox"].settings)
    asked = (chosen, Cut(Part(number=0)), Sending("e", 1))
    for event in (Started(), *asked, reply, Interrupted(charged=False)):
        job = await world.queue._move(job, event)
    path, real = world.home / "inbox" / "talk.mp3", content.keys

    def late(fd: int, size: int) -> tuple[str, str | None]:
        with path.open("r+b") as file:
            file.seek(size // 2)
            file.write(b"another talk")
        os.utime(path, ns=(1, 1))
        return real(fd, size)

    monkeypatch.setattr(content, "keys", late)
    world.events.clear()
    await world.serve(lambda: bool(world.events) and world.events[-1][0].state is State.SKIPPED)
    told = [event for _, event in world.events]
    assert Withdrawn("changed") in told
    assert not [event for event in told if isinstance(event, Recognised)]


async def test_a_name_that_waits_in_one_folder_is_free_in_another_beside_its_file(world: World) -> None:
    beside = world.home / "beside"
    beside.mkdir()
    benches = world.queue._benches
    assert isinstance(benches, dict)
    benches["inbox"] = replace(benches["inbox"], beside=beside)
    waiting = Plan(
        outcome=Outcome.DONE, folder=b"", original=b"talk.mp3", sidecars=(Sidecar(b"talk.srt", "srt"),)
    )
    assert world.journal.names.take(99, waiting)
    await world.run("talk.mp3")
    assert "talk.srt" in names(beside)
