from __future__ import annotations

import time

from watcherd.clock import Clock, SystemClock


def test_the_system_clock_waits_by_one_time_and_shows_another() -> None:
    clock: Clock = SystemClock()
    first = clock.monotonic()
    assert clock.monotonic() >= first
    assert abs(first - time.monotonic()) < 5
    assert abs(clock.now() - time.time()) < 5
