"""What the daemon puts off: the folders of an inbox are looked after when its first scan is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.inbox.support import FakeDesk, folder_at
from tests.pipeline.world import running_world
from watcherd import daemon
from watcherd.clock import SystemClock
from watcherd.inbox.intake import Intake
from watcherd.inbox.storage import Storage

KEEP = {"after": "keep", "done": None, "failed": None}


async def test_leftovers_are_cleared_up_only_once_the_first_scan_is_over(tmp_path: Path) -> None:
    async with running_world(tmp_path, folder_keys=KEEP) as world:
        await world.drop("talk.mp3")
        await world.queue.withdraw(1, "vanished")
        await world.serve(lambda: world.rest(1))
        left = tmp_path / "inbox" / ".watcherd-1-1.tmp"
        left.touch()
        intake = Intake(
            folder_at(tmp_path / "inbox"), storage=Storage("test"), desk=FakeDesk(), clock=SystemClock()
        )
        preparing = asyncio.create_task(daemon._prepare(intake, world.queue._benches["inbox"]))
        await asyncio.wait({preparing}, timeout=0.2)
        assert left.exists()
        intake.surveyed.set()
        await preparing
        assert not left.exists()
