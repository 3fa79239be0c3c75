"""Promptness: calls that storage may never answer in, their answers within seconds or a TimeoutError out."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

PATIENCE = 5.0  # seconds, of a person who waits for a command


def promptly(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `fn` where no event loop runs; raises TimeoutError, an OSError, where storage does not answer."""
    return _answer(_begun(partial(fn, *args, **kwargs)), time.monotonic() + PATIENCE)


def side_by_side(fn: Callable[[K], T], keys: Iterable[K], *, patience: float) -> dict[K, T | OSError]:
    """Call `fn` with each of the keys at once; all have `patience` seconds together.

    For each there is what it returned, or the OSError it raised: a TimeoutError where storage did not answer.
    """
    begun = {key: _begun(partial(fn, key)) for key in keys}
    deadline = time.monotonic() + patience
    answers: dict[K, T | OSError] = {}
    for key, outcome in begun.items():
        try:
            answers[key] = _answer(outcome, deadline)
        except OSError as error:
            answers[key] = error
    return answers


def _begun(call: Callable[[], T]) -> Future[T]:
    """Begin a call in a thread that nobody ever waits for, the program's end neither."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as raised:  # noqa: BLE001 - a thread's outermost frame; the caller gets it
            outcome.set_exception(raised)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def _answer(outcome: Future[T], deadline: float) -> T:
    try:
        return outcome.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise TimeoutError(errno.ETIMEDOUT, "its storage does not answer") from None
