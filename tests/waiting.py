"""Waiting for a condition with a deadline, so that no test sleeps and hopes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 4
"""How many times its seconds a deadline lasts: they are those of a machine at rest, and CI's is not."""

_PAUSE = 0.01


def wait_until(condition: Callable[[], T], *, timeout: float = 10.0) -> T:
    """Wait, blocking, until the condition is true, and return what it said.

    Fails after PATIENCE times `timeout` seconds.
    """
    deadline = time.monotonic() + PATIENCE * timeout
    while not (said := condition()):
        assert time.monotonic() < deadline, f"still {said!r} after {PATIENCE * timeout:g} seconds"
        time.sleep(_PAUSE)
    return said


async def eventually(condition: Callable[[], T], *, timeout: float = 10.0) -> T:
    """Wait as `wait_until` does, with the event loop running."""
    deadline = time.monotonic() + PATIENCE * timeout
    while not (said := condition()):
        assert time.monotonic() < deadline, f"still {said!r} after {PATIENCE * timeout:g} seconds"
        await asyncio.sleep(_PAUSE)
    return said
