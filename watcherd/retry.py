"""The one retry decision: a fault and its history in, what to do next out. Pure: `now` is an argument."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from watcherd.faults import Fault, Remedy, Scope

STORAGE_PAUSE = 10.0  # seconds until an inbox's or the machine's trouble is looked at again
# The request was through, and no whole answer came: perhaps the audio is more than the server, or something
# on the way, has the patience for.
LOST = frozenset({"read_timeout", "connection_lost", "garbled_reply"})


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a file is worth trying: `attempts` charged requests within `period` seconds.

    Between them is a backoff from `base` to `cap` seconds; what else holds a file up does not count.
    """

    attempts: int = 5
    period: float = 24 * 3600.0
    base: float = 1.0
    cap: float = 60.0


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try the same file again at `time`; `charged` says whether this attempt counts."""

    time: float
    charged: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The file fails, with a report."""


@dataclass(frozen=True, slots=True)
class Split:
    """The same audio must not be sent again in one piece."""


@dataclass(frozen=True, slots=True)
class PauseEndpoint:
    """The endpoint, not the file, is in trouble."""


Decision = RetryAt | GiveUp | Split | PauseEndpoint


def decide(
    fault: Fault, attempts: int, policy: Policy, *, tried: float, now: float, uniform: float
) -> Decision:
    """Decide what follows a fault; `uniform` is a draw from [0, 1) for the full jitter.

    `attempts` are the charged ones, `tried` for how long the file was tried (`tried_for`).

    An endpoint's fault never costs the file anything; an inbox's or the machine's waits and is looked at
    again; a file's own fault is retried with exponential backoff while it is retryable and attempts are left.
    """
    if fault.scope is Scope.ENDPOINT:
        return PauseEndpoint()
    if fault.scope in {Scope.INBOX, Scope.MACHINE}:
        return RetryAt(now + STORAGE_PAUSE, charged=False)
    if fault.remedy is Remedy.SPLIT:
        return Split()
    if fault.remedy is not Remedy.RETRY or attempts >= policy.attempts or tried >= policy.period:
        return GiveUp()
    ceiling = min(policy.cap, policy.base * 2.0 ** max(0, attempts - 1))
    wait = fault.retry_after if fault.retry_after is not None else ceiling * uniform
    return RetryAt(now + wait, charged=True)


def bearable(faults: Iterable[tuple[int, float | None, Fault]], *, shortest: float) -> float:
    """The longest audio, in seconds, to be asked for in one request for this file from now on.

    `faults` ended its requests: part, seconds of its audio where they are known, fault. Half of the shortest
    part whose answer was lost twice, infinite if there is none; a part of `shortest` or less is left alone.
    """
    lost: Counter[int] = Counter()
    lengths: dict[int, float] = {}
    for part, seconds, fault in faults:
        if fault.code in LOST:
            lost[part] += 1
            if seconds is not None:
                lengths[part] = seconds
    twice = (length for part, length in lengths.items() if lost[part] > 1 and length > shortest)
    return min(twice, default=math.inf) / 2


def tried_for(attempts: Sequence[tuple[float, Fault | None]], *, now: float) -> float:
    """For how many seconds a file was tried, pauses of its endpoint and waits for storage left out.

    `attempts` are the times of its requests and the faults that ended them, oldest first.
    """
    starts = [*attempts, (now, None)]
    return sum(
        max(0.0, after - at)
        for (at, fault), (after, _) in pairwise(starts)
        if fault is None or fault.scope is Scope.FILE
    )
