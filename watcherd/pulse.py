"""The pulse of long calls: work that gets on in one thread in, when each thread last did so out."""

from __future__ import annotations

import threading
import time

_beats: dict[int, float] = {}  # by thread; only Storage's threads are ever asked about, and they end theirs


def beat() -> None:
    """Say that this thread's call gets on: one that takes minutes is told from one that hangs by this."""
    _beats[threading.get_ident()] = time.monotonic()


def end() -> None:
    """Say that this thread has nothing to do any more."""
    _beats.pop(threading.get_ident(), None)


def last(thread: int) -> float | None:
    """When the thread's call last got on, in monotonic seconds; None where it has none."""
    return _beats.get(thread)
