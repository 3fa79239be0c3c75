"""The gate: slots, the pause after an endpoint's fault, and the one probe that ends it."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting import eventually
from watcherd.clock import SystemClock
from watcherd.config.model import Endpoint
from watcherd.endpoint.client import Client
from watcherd.endpoint.gate import CONFIGURE_PAUSE, Gate, pause_seconds
from watcherd.endpoint.reply import ReplyFormat
from watcherd.faults import Fault, Remedy, Scope


class HandClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def fault(remedy: Remedy = Remedy.PAUSE, code: str = "outage", retry_after: float | None = None) -> Fault:
    return Fault(
        scope=Scope.ENDPOINT, code=code, message="m", hint="h", remedy=remedy, retry_after=retry_after
    )


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def gate(clock: HandClock) -> Gate:
    endpoint = Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1", concurrency=2)
    return Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock)


def test_an_open_gate_allows_twice_its_concurrency(gate: Gate) -> None:
    assert gate.allowance() == 4


def test_a_paused_gate_allows_nothing_then_one_probe_then_everything(gate: Gate, clock: HandClock) -> None:
    pause = gate.close_for(fault())
    assert gate.allowance() == 0
    clock.time = pause.until
    assert gate.allowance() == 1
    gate.answered()
    assert gate.allowance() == 4
    assert gate.pause is None


def test_a_failed_probe_pauses_for_longer(gate: Gate, clock: HandClock) -> None:
    first = gate.close_for(fault())
    clock.time = first.until
    second = gate.close_for(fault())
    assert second.until - clock.time > first.until - first.since
    assert second.since == first.since


def test_requests_that_fail_while_it_is_paused_do_not_lengthen_the_pause(
    gate: Gate, clock: HandClock
) -> None:
    first = gate.close_for(fault())
    clock.time += 0.5
    assert gate.close_for(fault()) is first


def test_an_answer_wakes_the_queue(clock: HandClock) -> None:
    wake = asyncio.Event()
    endpoint = Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1")
    gate = Gate(endpoint, client=lambda: Client(endpoint), wake=wake, clock=clock)
    gate.answered()
    assert not wake.is_set()
    gate.close_for(fault())
    gate.answered()
    assert wake.is_set()


@given(st.integers(0, 1000))
def test_an_outage_is_probed_at_least_every_five_minutes(pauses: int) -> None:
    assert 0 < pause_seconds(fault(), pauses) <= 300


@given(st.integers(0, 1000))
def test_an_empty_account_is_probed_from_a_quarter_hour_to_six_hours(pauses: int) -> None:
    assert 900 <= pause_seconds(fault(code="quota_exhausted"), pauses) <= 6 * 3600


def test_a_wrong_setting_is_probed_after_a_quarter_hour() -> None:
    assert (
        pause_seconds(fault(Remedy.CONFIGURE), 0)
        == pause_seconds(fault(Remedy.CONFIGURE), 9)
        == CONFIGURE_PAUSE
    )


def test_the_servers_own_wish_goes_before_ours() -> None:
    assert pause_seconds(fault(retry_after=3.5), 7) == 3.5


async def test_no_more_clients_than_slots_and_the_warm_one_first(gate: Gate) -> None:
    entered: list[Client] = []
    leave = asyncio.Event()

    async def use() -> None:
        async with gate.client() as client:
            entered.append(client)
            await leave.wait()

    users = [asyncio.create_task(use()) for _ in range(3)]
    await eventually(lambda: len(entered) == 2)
    for _ in range(10):
        await asyncio.sleep(0)  # the third has every chance to get in
    assert len(set(entered)) == 2
    leave.set()
    await asyncio.gather(*users)
    assert len(set(entered)) == 2
    async with gate.client() as again:
        assert again is entered[-1]
    await gate.close()


def test_a_format_that_worked_is_asked_for_first_from_then_on(gate: Gate) -> None:
    assert gate.format_for("whisper-1") is ReplyFormat.VERBOSE_JSON
    gate.learn_format("whisper-1", ReplyFormat.SRT)
    assert gate.format_for("whisper-1") is ReplyFormat.SRT
    assert gate.format_for("other") is ReplyFormat.VERBOSE_JSON


def limited() -> Fault:
    return fault(code="rate_limited", retry_after=1.0)


def test_too_many_requests_halve_the_concurrency_and_answers_give_it_back(clock: HandClock) -> None:
    endpoint = Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1", concurrency=8)
    gate = Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock)
    for expected in (4, 2, 1, 1):
        gate.close_for(limited())
        assert gate.concurrency == expected
        clock.time += 2
    answers = 0
    while gate.concurrency < 8:
        gate.answered()
        answers += 1
    assert 8 <= answers <= 40
    for _ in range(50):
        gate.answered()
    assert gate.concurrency == 8


def test_another_fault_leaves_the_concurrency(gate: Gate) -> None:
    gate.close_for(fault())
    assert gate.concurrency == 2


async def test_fewer_slots_are_given_out_after_too_many_requests(gate: Gate) -> None:
    gate.close_for(limited())
    entered = 0

    async def use() -> None:
        nonlocal entered
        async with gate.client():
            entered += 1
            await leave.wait()

    leave = asyncio.Event()
    users = [asyncio.create_task(use()) for _ in range(2)]
    await eventually(lambda: entered == 1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert entered == 1
    leave.set()
    await asyncio.gather(*users)
    assert entered == 2
    await gate.close()


async def test_requests_per_minute_space_the_starts_evenly() -> None:
    endpoint = Endpoint(
        name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1", requests_per_minute=1200, concurrency=9
    )
    gate = Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=SystemClock())
    starts: list[float] = []

    async def use() -> None:
        async with gate.client():
            starts.append(time.monotonic())

    await asyncio.gather(*(use() for _ in range(5)))
    starts.sort()
    assert starts[-1] - starts[0] >= 4 * 0.05 - 0.005, "1200 a minute are 50 ms apart"
    await gate.close()
