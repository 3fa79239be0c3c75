"""Killed at each named step of a file's journey, the moment that the log says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audio import need_tools
from tests.reliability.round import Moment, Round
from tests.servers.endpoint import LocalEndpoint

pytestmark = need_tools

STEPS = (
    ("arrival.noticed", "inbox.watching"),
    ("job.settled", "inbox.scanned"),
    ("job.started", "daemon.started"),
    ("part.sent", "job.interrupted"),
    ("part.translated", "part.translated"),
    ("job.recognised", "job.failed"),
    ("delivery.planned", "job.done"),
)


@pytest.mark.parametrize(("first", "second"), STEPS)
def test_a_kill_at_each_step_loses_nothing(
    tmp_path: Path, endpoint: LocalEndpoint, first: str, second: str
) -> None:
    with Round(tmp_path / "round", endpoint, seed=STEPS.index((first, second))) as one:
        one.stop_at(Moment(event=first, after=1))
        one.stop_at(Moment(event=second, after=1))
        tally = one.finish()
    print(f"\n{first}, {second}: {tally}")
    assert not tally.idle, "a step was never logged"
