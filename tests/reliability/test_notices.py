"""Killed at random moments: every file that is done or failed is told of, under one name each."""

from __future__ import annotations

import random
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.audio import need_tools
from tests.notify.receiver import Receiver
from tests.reliability import round as rounds
from tests.reliability.round import MEDIA, Round
from tests.running import configuration
from tests.servers.endpoint import LocalEndpoint
from tests.waiting import wait_until

pytestmark = [need_tools, pytest.mark.slow]

ROUNDS, STOPS = 4, 2


def test_kills_lose_no_event(
    tmp_path: Path, endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, heard = random.Random(11), 0
    for number in range(ROUNDS):
        with Receiver() as receiver:
            monkeypatch.setattr(rounds, "configuration", partial(_told, receiver))
            with Round(tmp_path / f"round {number}", endpoint, seed=draw.randrange(1 << 32)) as one:
                for _ in range(STOPS):
                    one.stop_at(one.drawn_moment())
                one.finish()
                one.daemon.start()
                wait_until(partial(_all_told, receiver), timeout=30)
                assert one.daemon.stop() in {0, -signal.SIGTERM}, (
                    "it may come before the daemon listens for it"
                )
            names: dict[str, set[int]] = {}
            for got in receiver.received:
                names.setdefault(got.headers["X-Watcherd-Id"], set()).add(got.letter["job"]["id"])
            assert len(names) == len(MEDIA) + 1
            assert all(len(jobs) == 1 for jobs in names.values())
            heard += len(receiver.received)
    print(f"\n{ROUNDS * STOPS} kills: {ROUNDS * (len(MEDIA) + 1)} events, told {heard} times")


def _told(receiver: Receiver, home: Path, *, folder_keys: dict[str, Any], **keys: Any) -> dict[str, Any]:  # noqa: ANN401 - as it is called
    told = folder_keys | {"notify": [{"url": receiver.url}]}
    return configuration(home, folder_keys=told, **keys)


def _all_told(receiver: Receiver) -> bool:
    told = Counter({got.letter["id"]: got.letter["event"] for got in receiver.received}.values())
    return told == {"done": len(MEDIA), "failed": 1}
