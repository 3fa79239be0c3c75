"""Killed at random moments: each original once, its sidecars whole, nothing replaced, nothing paid twice."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.audio import need_tools
from tests.reliability.round import MEMORY, Round, Tally
from tests.servers.endpoint import LocalEndpoint

pytestmark = need_tools

needs_memory = pytest.mark.skipif(not MEMORY.is_dir(), reason="needs a file system in memory")
another_device = pytest.param(True, id="across devices", marks=needs_memory)
STOPS = 2
"""Stops in one round: a file that is in hand at three fails, since it might be what ends the daemon."""

devices = pytest.mark.parametrize("other_device", [pytest.param(False, id="one device"), another_device])


def stopped_at_random(
    home: Path,
    endpoint: LocalEndpoint,
    *,
    seed: int,
    stops: int,
    other_device: bool,
    number: signal.Signals = signal.SIGKILL,
) -> Tally:
    """Rounds with two stops each until there were `stops` of them; returns their figures."""
    total = Tally()
    draw = random.Random(seed)
    while total.stops < stops:
        place = home / f"round {total.rounds}"
        with Round(place, endpoint, seed=draw.randrange(1 << 32), other_device=other_device) as one:
            for _ in range(min(STOPS, stops - total.stops)):
                one.stop_at(one.drawn_moment(number=number))
            total.add(one.finish())
    print(f"\n{total}")
    return total


@devices
def test_thirty_kills_lose_nothing_and_pay_nothing_twice(
    tmp_path: Path, endpoint: LocalEndpoint, other_device: bool
) -> None:
    total = stopped_at_random(tmp_path, endpoint, seed=1 + other_device, stops=30, other_device=other_device)
    assert total.stops == 30


@pytest.mark.slow
@pytest.mark.timeout(1800)
@devices
def test_a_hundred_kills_lose_nothing_and_pay_nothing_twice(
    tmp_path: Path, endpoint: LocalEndpoint, other_device: bool
) -> None:
    total = stopped_at_random(tmp_path, endpoint, seed=5 + other_device, stops=100, other_device=other_device)
    assert total.stops == 100


@devices
def test_stop_signals_at_random_moments_lose_nothing(
    tmp_path: Path, endpoint: LocalEndpoint, other_device: bool
) -> None:
    sigterm = signal.SIGTERM
    total = stopped_at_random(
        tmp_path, endpoint, seed=3 + other_device, stops=3, other_device=other_device, number=sigterm
    )
    assert total.stops == 3
