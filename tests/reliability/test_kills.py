"""Killed at random moments: each original once, its sidecars whole, nothing replaced, nothing paid twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.audio import need_tools
from tests.reliability.stops import stopped_at_random
from tests.servers.endpoint import LocalEndpoint

pytestmark = need_tools


def test_thirty_kills_lose_nothing_and_pay_nothing_twice(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    total = stopped_at_random(tmp_path, endpoint, seed=1, stops=30, other_device=False)
    assert total.stops == 30


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_kills_lose_nothing_and_pay_nothing_twice(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    total = stopped_at_random(tmp_path, endpoint, seed=5, stops=100, other_device=False)
    assert total.stops == 100


def test_stop_signals_at_random_moments_lose_nothing(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    sigterm = signal.SIGTERM
    total = stopped_at_random(tmp_path, endpoint, seed=3, stops=3, other_device=False, number=sigterm)
    assert total.stops == 3
