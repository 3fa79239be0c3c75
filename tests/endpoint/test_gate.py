"""The gate: slots, the pause after an endpoint's fault, and the one probe that ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.waiting import eventually
from watcherd.clock import SystemClock
from watcherd.config.model import Budget, Endpoint
from watcherd.endpoint.client import Client
from watcherd.endpoint.gate import CONFIGURE_PAUSE, ClosedError, Gate, OverBudgetError, pause_seconds
from watcherd.endpoint.past import Past, day_of
from watcherd.endpoint.reply import ReplyFormat
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.journal.store import Journal


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
    return Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock, past=Past())


def test_an_open_gate_allows_twice_its_concurrency(gate: Gate) -> None:
    assert gate.allowance() == 4


async def test_a_paused_gate_allows_nothing_then_one_probe_then_everything(
    gate: Gate, clock: HandClock
) -> None:
    pause = await gate.close_for(fault())
    assert gate.allowance() == 0
    clock.time = pause.until
    assert gate.allowance() == 1
    await gate.answered()
    assert gate.allowance() == 4
    assert gate.pause is None


async def test_a_failed_probe_pauses_for_longer(gate: Gate, clock: HandClock) -> None:
    first = await gate.close_for(fault())
    clock.time = first.until
    second = await gate.close_for(fault())
    assert second.until - clock.time > first.until - first.since
    assert second.since == first.since


async def test_requests_that_fail_while_it_is_paused_do_not_lengthen_the_pause(
    gate: Gate, clock: HandClock
) -> None:
    first = await gate.close_for(fault())
    clock.time += 0.5
    assert await gate.close_for(fault()) is first


async def test_an_answer_wakes_the_queue(clock: HandClock) -> None:
    wake = asyncio.Event()
    endpoint = Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1")
    gate = Gate(endpoint, client=lambda: Client(endpoint), wake=wake, clock=clock, past=Past())
    await gate.answered()
    assert not wake.is_set()
    pause = await gate.close_for(fault())
    await gate.answered()
    assert not wake.is_set(), "it was asked before the pause"
    clock.time = pause.until
    await gate.answered()
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


async def test_a_format_that_worked_is_asked_for_first_from_then_on(gate: Gate) -> None:
    assert gate.format_for("whisper-1") is ReplyFormat.VERBOSE_JSON
    await gate.learn_format("whisper-1", ReplyFormat.SRT)
    assert gate.format_for("whisper-1") is ReplyFormat.SRT
    assert gate.format_for("other") is ReplyFormat.VERBOSE_JSON


def limited() -> Fault:
    return fault(code="rate_limited", retry_after=1.0)


async def test_too_many_requests_halve_the_concurrency_and_answers_give_it_back(clock: HandClock) -> None:
    endpoint = Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1", concurrency=8)
    gate = Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock, past=Past())
    for expected in (4, 2, 1, 1):
        await gate.close_for(limited())
        assert gate.concurrency == expected
        clock.time += 2
    answers = 0
    while gate.concurrency < 8:
        await gate.answered()
        answers += 1
    assert 8 <= answers <= 40
    for _ in range(50):
        await gate.answered()
    assert gate.concurrency == 8


async def test_another_fault_leaves_the_concurrency(gate: Gate) -> None:
    await gate.close_for(fault())
    assert gate.concurrency == 2


async def test_fewer_slots_are_given_out_after_too_many_requests(clock: HandClock) -> None:
    endpoint = Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1", concurrency=8)
    gate = Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock, past=Past())
    clock.time = (await gate.close_for(limited())).until
    await gate.answered()
    entered = 0

    async def use() -> None:
        nonlocal entered
        async with gate.client():
            entered += 1
            await leave.wait()

    leave = asyncio.Event()
    users = [asyncio.create_task(use()) for _ in range(8)]
    await eventually(lambda: entered == 4)
    for _ in range(10):
        await asyncio.sleep(0)
    assert entered == 4
    leave.set()
    await asyncio.gather(*users)
    assert entered == 8
    await gate.close()


async def test_what_waits_for_a_slot_as_the_endpoint_is_paused_is_not_sent(gate: Gate) -> None:
    entered = 0

    async def use() -> None:
        nonlocal entered
        async with gate.client():
            entered += 1
            await leave.wait()

    leave = asyncio.Event()
    users = [asyncio.create_task(use()) for _ in range(4)]
    await eventually(lambda: entered == 2)
    pause = await gate.close_for(fault())
    leave.set()
    results = await asyncio.gather(*users, return_exceptions=True)
    assert results[:2] == [None, None]
    assert [(type(one), getattr(one, "until", None)) for one in results[2:]] == [
        (ClosedError, pause.until)
    ] * 2
    assert entered == 2
    await gate.close()


async def test_a_pause_that_is_over_lets_one_probe_through_at_a_time(gate: Gate, clock: HandClock) -> None:
    clock.time = (await gate.close_for(fault())).until
    async with gate.client():
        with pytest.raises(ClosedError):
            async with gate.client():
                pytest.fail("a second probe")
    await gate.close()


async def test_a_request_from_before_the_pause_does_not_keep_the_probe_waiting(
    gate: Gate, clock: HandClock
) -> None:
    async with gate.client():
        clock.time = (await gate.close_for(fault())).until
        assert gate.allowance() == 2, "the job whose request hangs, and the probe"
        async with gate.client():
            assert gate.in_flight == 2
    assert gate.in_flight == 0
    await gate.close()


# By a person's word.


async def test_what_a_person_paused_stays_so_until_that_person_ends_it(gate: Gate, clock: HandClock) -> None:
    await gate.hold()
    assert gate.held_since == clock.time
    clock.time += 10 * 24 * 3600
    await gate.answered()
    gate.reopen()
    assert gate.allowance() == 0
    with pytest.raises(ClosedError):
        await send(gate, 1)
    await gate.resume()
    assert gate.allowance() == 4
    await gate.close()


async def test_resume_lets_a_paused_endpoint_be_probed_at_once(gate: Gate) -> None:
    await gate.close_for(fault(Remedy.CONFIGURE))
    assert gate.allowance() == 0
    await gate.resume()
    assert gate.allowance() == 1


# Over a restart.


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "journal.sqlite3", SystemClock())
    yield opened
    await opened.close()


async def reborn(journal: Journal, clock: HandClock, **settings: object) -> Gate:
    """The gate as the next daemon has it."""
    past = Past(journal.ledger)
    await past.recall(clock.now())
    fixed = {"name": "e", "base_url": "http://127.0.0.1:9/v1", "model": "whisper-1", "concurrency": 2}
    endpoint = Endpoint.model_validate({**fixed, **settings})
    return Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock, past=past)


async def test_a_faults_pause_is_half_open_after_a_restart(journal: Journal, clock: HandClock) -> None:
    first = await (await reborn(journal, clock)).close_for(fault(Remedy.CONFIGURE))
    clock.time += 10
    gate = await reborn(journal, clock)
    assert gate.pause is not None
    assert (gate.pause.fault, gate.pause.since) == (first.fault, first.since)
    assert gate.allowance() == 1
    await gate.answered()
    assert (await reborn(journal, clock)).pause is None


async def test_a_persons_pause_holds_over_a_restart(journal: Journal, clock: HandClock) -> None:
    await (await reborn(journal, clock)).hold()
    gate = await reborn(journal, clock)
    assert gate.held_since == clock.time
    assert gate.allowance() == 0
    await gate.resume()
    assert (await reborn(journal, clock)).allowance() == 4


async def test_what_a_server_taught_is_known_after_a_restart(journal: Journal, clock: HandClock) -> None:
    gate = await reborn(journal, clock)
    assert gate.max_seconds("m") is None
    await gate.learn_format("m", ReplyFormat.SRT)
    await gate.learn_size("m", 20_000_000)
    await gate.learn_length("m", 1260)
    await gate.learn_length("m", 2000)
    gate = await reborn(journal, clock)
    assert gate.format_for("m") is ReplyFormat.SRT
    assert gate.max_upload("m") == 10_000_000
    assert gate.max_seconds("m") == 1260
    assert (gate.max_upload("other"), gate.max_seconds("other")) == (25_000_000, None)
    elsewhere = await reborn(journal, clock, base_url="http://127.0.0.1:10/v1")
    assert elsewhere.max_upload("m") == 25_000_000


@given(st.lists(st.integers(1, 30_000_000), max_size=8))
def test_each_refused_size_at_least_halves_what_is_tried(sizes: list[int]) -> None:
    async def refuse() -> None:
        clock = HandClock()
        endpoint = Endpoint(name="e", base_url="http://127.0.0.1:9/v1", model="m")
        gate = Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock, past=Past())
        for size in sizes:
            before = gate.max_upload("m")
            await gate.learn_size("m", size)
            assert 1 <= gate.max_upload("m") <= (max(1, size / 2) if size <= before else before)

    asyncio.run(refuse())


# Budget.


async def send(gate: Gate, minutes: float, failing: Fault | None = None) -> None:
    async with gate.client(60 * minutes):
        if failing is not None:
            raise FaultError(failing)


async def test_a_days_minutes_are_not_passed_and_the_next_day_has_its_own(clock: HandClock) -> None:
    endpoint = Endpoint(
        name="e", base_url="http://127.0.0.1:9/v1", model="m", budget=Budget(minutes_per_day=10)
    )
    gate = Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock, past=Past())
    await send(gate, 6)
    with pytest.raises(OverBudgetError) as raised:
        await send(gate, 5)
    assert raised.value.until == day_of(clock.time)[1]
    await send(gate, 4)
    assert gate.minutes_today == 10
    with pytest.raises(OverBudgetError):
        await send(gate, 0.1)
    clock.time = raised.value.until
    assert gate.minutes_today == 0
    await send(gate, 25)  # longer than any day's minutes: it goes first or never
    with pytest.raises(OverBudgetError):
        await send(gate, 0.1)
    await gate.close()


async def test_what_nobody_heard_costs_no_minutes(gate: Gate) -> None:
    with pytest.raises(FaultError):
        await send(gate, 5, fault())
    assert gate.minutes_today == 0
    gate.reopen()
    own = Fault(scope=Scope.FILE, code="c", message="m", hint="h", remedy=Remedy.RETRY)
    with pytest.raises(FaultError):
        await send(gate, 5, own)
    assert gate.minutes_today == 5
    await gate.close()


@given(st.floats(0, 4e9))
def test_a_local_day_holds_the_moment_and_begins_and_ends_at_midnight(now: float) -> None:
    begin, end = day_of(now)
    assert begin <= now < end
    assert 22 * 3600 <= end - begin <= 26 * 3600
    for edge in (begin, end):
        assert time.localtime(edge)[3:6] == (0, 0, 0)


async def test_requests_per_minute_space_the_starts_evenly() -> None:
    endpoint = Endpoint(
        name="e", base_url="http://127.0.0.1:9/v1", model="whisper-1", requests_per_minute=1200, concurrency=9
    )
    gate = Gate(
        endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=SystemClock(), past=Past()
    )
    starts: list[float] = []

    async def use() -> None:
        async with gate.client():
            starts.append(time.monotonic())

    await asyncio.gather(*(use() for _ in range(5)))
    starts.sort()
    assert starts[-1] - starts[0] >= 4 * 0.05 - 0.005, "1200 a minute are 50 ms apart"
    await gate.close()


# What is said of it.


def told(lines: list[EventDict], event: str) -> list[EventDict]:
    return [line for line in lines if line["event"] == event and line["log_level"] != "debug"]


async def test_a_server_that_is_busy_all_day_is_not_said_all_day(gate: Gate, clock: HandClock) -> None:
    busy = fault(code="rate_limited", retry_after=5)
    with capture_logs() as lines:
        for _ in range(720):  # two hours, a pause every ten seconds
            pause = await gate.close_for(busy)
            clock.time = pause.until
            await gate.answered()
            clock.time = max(clock.time, pause.since + 10)
    pauses = told(lines, "endpoint.paused")
    assert len([line for line in lines if line["event"] == "endpoint.paused"]) == 720
    assert 5 < len(pauses) < 12
    assert [line["times"] for line in pauses[:3]] == [1, 4, 10]
    assert len(told(lines, "endpoint.resumed")) == len(pauses), "each line has its end"


async def test_another_fault_of_it_is_said_at_once(gate: Gate, clock: HandClock) -> None:
    with capture_logs() as lines:
        for code in ("rate_limited", "key_refused", "rate_limited"):
            pause = await gate.close_for(fault(code=code))
            clock.time = pause.until
            await gate.answered()
    assert [line["fault"] for line in told(lines, "endpoint.paused")][:2] == ["rate_limited", "key_refused"]


async def test_a_pause_that_was_said_is_said_to_be_over_though_its_last_probe_failed_in_silence(
    gate: Gate, clock: HandClock
) -> None:
    with capture_logs() as lines:
        for _ in range(2):
            pause = await gate.close_for(fault(code="rate_limited", retry_after=1))
            clock.time = pause.until
        await gate.answered()
    assert len(told(lines, "endpoint.paused")) == 1
    assert len(told(lines, "endpoint.resumed")) == 1


async def test_a_days_spent_budget_is_said_once(clock: HandClock) -> None:
    endpoint = Endpoint(
        name="e", base_url="http://127.0.0.1:9/v1", model="m", budget=Budget(minutes_per_day=1)
    )
    gate = Gate(endpoint, client=lambda: Client(endpoint), wake=asyncio.Event(), clock=clock, past=Past())
    with capture_logs() as lines:
        for _ in range(2):
            async with gate.client(60):
                pass
            for _ in range(1000):
                with pytest.raises(OverBudgetError) as over:
                    async with gate.client(30):
                        pass
            clock.time = over.value.until + 1
    assert [line["endpoint"] for line in told(lines, "endpoint.budget_spent")] == ["e", "e"]
