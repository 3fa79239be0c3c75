"""The one retry decision: a fault and its history in, what to do next out. Pure: `now` is an argument."""

from __future__ import annotations

from dataclasses import dataclass

from watcherd.faults import Fault, Remedy, Scope

STORAGE_PAUSE = 10.0  # seconds until an inbox's or the machine's trouble is looked at again


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a file is worth trying: `attempts` charged requests, backoff from `base` to `cap` seconds."""

    attempts: int = 5
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
class PauseEndpoint:
    """The endpoint, not the file, is in trouble."""


Decision = RetryAt | GiveUp | PauseEndpoint


def decide(fault: Fault, attempts: int, policy: Policy, *, now: float, uniform: float) -> Decision:
    """Decide what follows a fault; `uniform` is a draw from [0, 1) for the full jitter.

    An endpoint's fault never costs the file anything; an inbox's or the machine's waits and is looked at
    again; a file's own fault is retried with exponential backoff while it is retryable and attempts are left.
    """
    if fault.scope is Scope.ENDPOINT:
        return PauseEndpoint()
    if fault.scope in {Scope.INBOX, Scope.MACHINE}:
        return RetryAt(now + STORAGE_PAUSE, charged=False)
    if fault.remedy is not Remedy.RETRY or attempts >= policy.attempts:
        return GiveUp()
    ceiling = min(policy.cap, policy.base * 2.0 ** max(0, attempts - 1))
    wait = fault.retry_after if fault.retry_after is not None else ceiling * uniform
    return RetryAt(now + wait, charged=True)
