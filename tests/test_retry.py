"""The retry decision: who is charged, how long it waits, when it ends."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.faults import Fault, Remedy, Scope
from watcherd.retry import LOST, GiveUp, PauseEndpoint, Policy, RetryAt, Split, bearable, decide, tried_for

draws = st.floats(0, 1, exclude_max=True)


def fault(scope: Scope, remedy: Remedy, retry_after: float | None = None) -> Fault:
    return Fault(scope=scope, code="c", message="m", hint="h", remedy=remedy, retry_after=retry_after)


@given(st.sampled_from(Remedy), st.integers(0, 1000), draws)
def test_an_endpoints_fault_pauses_the_endpoint_however_often_it_happened(
    remedy: Remedy, attempts: int, uniform: float
) -> None:
    decision = decide(
        fault(Scope.ENDPOINT, remedy), attempts, Policy(), tried=0.0, now=100.0, uniform=uniform
    )
    assert decision == PauseEndpoint()


@given(st.sampled_from([Scope.INBOX, Scope.MACHINE]), st.sampled_from(Remedy), st.integers(0, 1000), draws)
def test_a_fault_of_storage_or_machine_never_gives_a_file_up(
    scope: Scope, remedy: Remedy, attempts: int, uniform: float
) -> None:
    decision = decide(fault(scope, remedy), attempts, Policy(), tried=0.0, now=100.0, uniform=uniform)
    assert isinstance(decision, RetryAt)
    assert decision.time > 100.0
    assert not decision.charged


@given(st.integers(1, 4), draws)
def test_backoff_is_jittered_below_a_doubling_ceiling_with_a_cap(attempts: int, uniform: float) -> None:
    policy = Policy(attempts=5, base=1.0, cap=4.0)
    decision = decide(fault(Scope.FILE, Remedy.RETRY), attempts, policy, tried=0.0, now=0.0, uniform=uniform)
    assert decision == RetryAt(min(4.0, 2.0 ** (attempts - 1)) * uniform, charged=True)


def test_the_servers_own_wish_is_honoured() -> None:
    decision = decide(fault(Scope.FILE, Remedy.RETRY, 7.0), 1, Policy(), tried=0.0, now=10.0, uniform=0.0)
    assert decision == RetryAt(17.0, charged=True)


def test_a_file_is_given_up_after_its_attempts() -> None:
    assert decide(fault(Scope.FILE, Remedy.RETRY), 5, Policy(), tried=0.0, now=0.0, uniform=0.5) == GiveUp()
    assert isinstance(
        decide(fault(Scope.FILE, Remedy.RETRY), 4, Policy(), tried=0.0, now=0.0, uniform=0.5), RetryAt
    )


def test_a_file_is_given_up_when_it_was_tried_for_its_period() -> None:
    policy = Policy(attempts=100, period=60.0)
    own = fault(Scope.FILE, Remedy.RETRY)
    assert decide(own, 2, policy, tried=60.0, now=0.0, uniform=0.5) == GiveUp()
    assert isinstance(decide(own, 2, policy, tried=59.9, now=0.0, uniform=0.5), RetryAt)


def test_what_is_too_much_in_one_piece_is_split_and_never_sent_again_as_it_is() -> None:
    assert decide(fault(Scope.FILE, Remedy.SPLIT), 1, Policy(), tried=0.0, now=0.0, uniform=0.5) == Split()


def test_only_a_files_own_faults_count_as_time_that_it_was_tried() -> None:
    own, foreign = fault(Scope.FILE, Remedy.RETRY), fault(Scope.ENDPOINT, Remedy.PAUSE)
    rounds = [(100.0, own), (110.0, foreign), (5000.0, own), (5003.0, None)]
    assert tried_for(rounds, now=5010.0) == 10 + 3 + 7
    assert tried_for([], now=5.0) == 0


@given(st.lists(st.tuples(st.floats(0, 1e9), st.sampled_from(Scope)), max_size=9), st.floats(0, 1e9))
def test_a_file_is_never_tried_for_less_than_no_time_nor_for_longer_than_it_is_known(
    drawn: list[tuple[float, Scope]], now: float
) -> None:
    rounds = [(at, fault(scope, Remedy.RETRY)) for at, scope in sorted(drawn)]
    assert 0 <= tried_for(rounds, now=now) <= max([now, *(at for at, _ in rounds)])


def lost(part: int, seconds: float | None, code: str = "read_timeout") -> tuple[int, float | None, Fault]:
    return part, seconds, replace(fault(Scope.FILE, Remedy.RETRY), code=code)


@pytest.mark.parametrize(
    ("faults", "longest"),
    [
        ([], math.inf),
        ([lost(1, 40)], math.inf),
        ([lost(1, 40), lost(2, 60)], math.inf),
        ([lost(1, 40), lost(1, 40)], 20),
        ([lost(1, 40), lost(1, 40, "server_error")], math.inf),
        ([lost(0, None), lost(0, 50)], 25),
        ([lost(0, None), lost(0, None)], math.inf),
        ([lost(1, 60), lost(2, 40), lost(1, 60), lost(2, 40)], 20),
        ([lost(1, 60), lost(2, 16), lost(1, 60), lost(2, 16)], 30),
    ],
    ids=[
        "nothing lost",
        "once",
        "two parts once",
        "twice",
        "another fault",
        "its length known later",
        "its length unknown",
        "the shortest",
        "too short to be divided",
    ],
)
def test_what_is_lost_twice_halves_the_longest_audio_of_a_request(
    faults: list[tuple[int, float | None, Fault]], longest: float
) -> None:
    assert bearable(faults, shortest=16) == longest


@pytest.mark.parametrize("code", sorted(LOST))
def test_answers_are_lost_in_several_ways(code: str) -> None:
    assert bearable([lost(1, 40, code), lost(1, 40, "connection_lost")], shortest=16) == 20


UNCURABLE = [remedy for remedy in Remedy if remedy not in {Remedy.RETRY, Remedy.SPLIT}]


@pytest.mark.parametrize("remedy", UNCURABLE)
def test_a_files_fault_that_waiting_cannot_cure_is_given_up_at_once(remedy: Remedy) -> None:
    assert decide(fault(Scope.FILE, remedy), 1, Policy(), tried=0.0, now=0.0, uniform=0.5) == GiveUp()
