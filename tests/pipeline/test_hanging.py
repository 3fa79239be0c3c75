"""Storage that does not answer: a stop never waits for it."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time

import pytest

from tests.audio import clip
from tests.pipeline.world import World
from tests.servers.endpoint import Respond
from tests.waiting import eventually
from watcherd.inbox.storage import SIZE
from watcherd.inbox.touch import identity_of


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
