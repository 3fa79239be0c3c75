"""What is said of files that wait: once for all of them where one thing keeps them all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from watcherd.faults import Fault, Remedy, Scope
from watcherd.job import Delivered, Identity, Job, Postponed, State, WaitReason, Withdrawn
from watcherd.pipeline.telling import Teller

FAULT = Fault(scope=Scope.INBOX, code="disk_full", message="m", hint="h", remedy=Remedy.RETRY)


IDENTITY = Identity(1, 2, 3, 4, 5)


class HandClock:
    """Time that a test moves."""

    time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


def job(number: int, state: State = State.WAITING, inbox: str = "inbox") -> Job:
    return Job(id=number, inbox=inbox, path=b"%d.mp3" % number, identity=IDENTITY, settled_at=0, state=state)


def wait(teller: Teller, number: int, reason: WaitReason, *, inbox: str = "inbox") -> None:
    teller.tell(job(number, inbox=inbox), Postponed(reason, 60.0, FAULT))


def loud(lines: list[EventDict]) -> list[EventDict]:
    return [line for line in lines if line["log_level"] != "debug"]


@pytest.mark.parametrize("reason", [WaitReason.ENDPOINT_PAUSED, WaitReason.BUDGET])
def test_a_thousand_files_that_wait_for_an_endpoint_are_no_news(
    clock: HandClock, lines: list[EventDict], reason: WaitReason
) -> None:
    teller = Teller(clock)
    for number in range(1000):
        wait(teller, number, reason)
    assert len(lines) == 1000
    assert loud(lines) == []


def test_a_files_own_trouble_is_always_said(clock: HandClock, lines: list[EventDict]) -> None:
    teller = Teller(clock)
    for number in range(3):
        wait(teller, number, WaitReason.BACKOFF)
    assert [(line["job"], line["inbox"], line["log_level"]) for line in lines] == [
        (0, "inbox", "warning"),
        (1, "inbox", "warning"),
        (2, "inbox", "warning"),
    ]


@pytest.mark.parametrize("reason", [WaitReason.DISK_FULL, WaitReason.STORAGE])
def test_of_a_full_disk_the_first_file_is_said_then_one_in_half_a_minute_then_its_end(
    clock: HandClock, lines: list[EventDict], reason: WaitReason
) -> None:
    teller = Teller(clock)
    for number in range(1, 61):
        clock.time = float(number)
        wait(teller, number, reason)
    wait(teller, 1, reason, inbox="other")
    assert [(line["inbox"], line["job"]) for line in loud(lines)] == [
        ("inbox", 1),
        ("inbox", 31),
        ("other", 1),
    ]
    lines.clear()
    for number in range(1, 60):
        teller.tell(job(number, State.DONE), Delivered())
    assert "inbox.recovered" not in {line["event"] for line in lines}, "one file waits still"
    teller.tell(job(60, State.SKIPPED), Withdrawn("vanished"))
    last = lines[-1]
    assert (last["event"], last["inbox"], last["after"]) == ("inbox.recovered", "inbox", reason)
    lines.clear()
    wait(teller, 61, reason)
    assert len(loud(lines)) == 1, "the next trouble is a new one"
