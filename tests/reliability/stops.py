"""Rounds stopped at random moments, as many as are asked for; their figures out."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.reliability.round import MEMORY, Round, Tally
from tests.servers.endpoint import LocalEndpoint

needs_memory = pytest.mark.skipif(not MEMORY.is_dir(), reason="needs a file system in memory")
STOPS = 2
"""Stops in one round: a file that is in hand at three fails, since it might be what ends the daemon."""


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
