"""Storage that does not answer: a stop never waits for it, and no other inbox does."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.audio import clip
from tests.inbox.support import never
from tests.pipeline.world import World
from tests.servers.endpoint import Respond
from tests.waiting import eventually
from watcherd import queue as queue_module
from watcherd.inbox.storage import SIZE, Storage
from watcherd.inbox.touch import identity_of
from watcherd.job import State, WaitReason
from watcherd.pipeline import contents


@pytest.mark.parametrize("at", ["before it is opened", "while it is sent"])
async def test_a_stop_does_not_wait_for_storage_that_hangs_in_the_middle_of_a_job(
    world: World, at: str
) -> None:
    storage = world.queue._benches["inbox"].storage
    hang = threading.Event()
    world.endpoint.always(Respond(hold=True))
    path = world.home / "inbox" / "talk.mp3"
    shutil.copyfile(clip("mp3"), path)
    if at == "before it is opened":
        blocked = [storage.submit(hang.wait) for _ in range(SIZE)]
    await world.queue.admit("inbox", b"talk.mp3", identity_of(path.stat()))
    serving = asyncio.create_task(world.queue.run())
    if at == "while it is sent":
        await eventually(lambda: world.endpoint.held == 1)
        blocked = [storage.submit(hang.wait) for _ in range(SIZE)]
    else:
        await eventually(lambda: world.queue.active)
    try:
        began = time.monotonic()
        await world.queue.stop(0.1)
        await serving
        assert time.monotonic() - began < 20, "the stop waited for storage"
        assert path.exists()
    finally:
        hang.set()
        await asyncio.gather(*blocked)


async def admit(world: World, inbox: str, name: str, number: int) -> None:
    path = world.queue._benches[inbox].folder.inbox / name
    path.write_bytes(clip("mp3").read_bytes() + bytes(number))
    await world.queue.admit(inbox, name.encode(), identity_of(path.stat()))


@asynccontextmanager
async def hanging(storage: Storage) -> AsyncIterator[None]:
    """All of an inbox's threads hang; storage counts as silent once its patience is taken away."""
    hang = threading.Event()
    blocked = [storage.submit(hang.wait) for _ in range(SIZE)]
    try:
        yield
    finally:
        hang.set()
        await asyncio.gather(*blocked)


async def test_files_on_silent_storage_keep_no_other_inbox_from_the_endpoint(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "LOOK", 0.1)
    bench = world.queue._benches["inbox"]
    places = {key: world.home / f"other {key}" for key in ("inbox", "done", "failed")}
    for place in places.values():
        place.mkdir()
    other = replace(
        bench, folder=bench.folder.model_copy(update={"name": "other", **places}), storage=Storage("other")
    )
    assert isinstance(world.queue._benches, dict)
    world.queue._benches["other"] = other
    async with hanging(bench.storage):
        for number in range(bench.gate.allowance() + 1):
            await admit(world, "inbox", f"{number}.mp3", number)
        serving = asyncio.create_task(world.queue.run())
        await eventually(lambda: len(world.queue.active) == bench.gate.allowance())
        await admit(world, "other", "talk.mp3", 100)
        await never((places["done"] / "talk.mp3").exists, for_=0.2)
        bench.storage._patience = 0
        await eventually((places["done"] / "talk.mp3").exists)
        begun = [job for job in world.queue.active if job.inbox == "inbox"]
        assert len(begun) == bench.gate.allowance(), "no more is begun where nothing answers"
        await world.queue.stop(0)
        await serving
    other.storage.close()


async def test_what_is_on_silent_storage_is_not_waited_for(world: World) -> None:
    bench = world.queue._benches["inbox"]
    async with hanging(storage := bench.storage):
        for number in range(bench.gate.allowance() + 1):
            await admit(world, "inbox", f"{number}.mp3", number)
        serving = asyncio.create_task(world.queue.run())
        await eventually(lambda: len(world.queue.active) == bench.gate.allowance())
        assert not await world.queue.resting(300)
        storage._patience = 0
        assert await world.queue.resting(300)
        await world.queue.stop(0)
        await serving


async def test_an_upload_whose_storage_falls_silent_gives_its_place_at_the_endpoint_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, hang = world.queue._benches["inbox"], threading.Event()
    bench.storage._patience = 0.2

    def pread(fd: int, count: int, offset: int) -> bytes:
        if offset:
            hang.wait()
        return os.pread(fd, count, offset)

    monkeypatch.setattr(contents, "os", SimpleNamespace(**{**vars(os), "pread": pread}))
    await admit(world, "inbox", "talk.mp3", contents.BLOCK)
    serving = asyncio.create_task(world.queue.run())
    try:
        await eventually(lambda: world.events and world.events[-1][0].reason is WaitReason.STORAGE)
        assert bench.gate.in_flight == 0
        assert (await world.job(1)).attempts == 0, "the file is not charged"
    finally:
        hang.set()
    await world.queue.stop(0)
    await serving


async def test_what_was_in_hand_goes_on_when_storage_answers_again(world: World) -> None:
    async with hanging(storage := world.queue._benches["inbox"].storage):
        await admit(world, "inbox", "talk.mp3", 1)
        serving = asyncio.create_task(world.queue.run())
        await eventually(lambda: world.queue.active)
        storage._patience = 0
        assert storage.silent
        storage._patience = 60
    await eventually(lambda: any(job.state is State.DONE for job, _ in world.events))
    assert len(world.endpoint.requests) == 1
    await world.queue.stop(0)
    await serving
