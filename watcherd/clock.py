"""The clock: the two times that the program reads. Rim; every pure room gets `now` as an argument instead."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time; tests bring their own."""

    def monotonic(self) -> float:
        """Seconds that never jump: for waiting and for measuring."""
        ...

    def now(self) -> float:
        """Seconds since the epoch, UTC: only for what is stored or shown."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds since some moment in the past; sleep of the machine is not counted."""
        return time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()
