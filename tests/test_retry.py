"""The retry decision: who is charged, how long it waits, when it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.faults import Fault, Remedy, Scope
from watcherd.retry import GiveUp, PauseEndpoint, Policy, RetryAt, decide

draws = st.floats(0, 1, exclude_max=True)


def fault(scope: Scope, remedy: Remedy, retry_after: float | None = None) -> Fault:
    return Fault(scope=scope, code="c", message="m", hint="h", remedy=remedy, retry_after=retry_after)


@given(st.sampled_from(Remedy), st.integers(0, 1000), draws)
def test_an_endpoints_fault_pauses_the_endpoint_however_often_it_happened(
    remedy: Remedy, attempts: int, uniform: float
) -> None:
    decision = decide(fault(Scope.ENDPOINT, remedy), attempts, Policy(), now=100.0, uniform=uniform)
    assert decision == PauseEndpoint()


@given(st.sampled_from([Scope.INBOX, Scope.MACHINE]), st.sampled_from(Remedy), st.integers(0, 1000), draws)
def test_a_fault_of_storage_or_machine_never_gives_a_file_up(
    scope: Scope, remedy: Remedy, attempts: int, uniform: float
) -> None:
    decision = decide(fault(scope, remedy), attempts, Policy(), now=100.0, uniform=uniform)
    assert isinstance(decision, RetryAt)
    assert decision.time > 100.0
    assert not decision.charged


@given(st.integers(1, 4), draws)
def test_backoff_is_jittered_below_a_doubling_ceiling_with_a_cap(attempts: int, uniform: float) -> None:
    policy = Policy(attempts=5, base=1.0, cap=4.0)
    decision = decide(fault(Scope.FILE, Remedy.RETRY), attempts, policy, now=0.0, uniform=uniform)
    assert decision == RetryAt(min(4.0, 2.0 ** (attempts - 1)) * uniform, charged=True)


def test_the_servers_own_wish_is_honoured() -> None:
    decision = decide(fault(Scope.FILE, Remedy.RETRY, 7.0), 1, Policy(), now=10.0, uniform=0.0)
    assert decision == RetryAt(17.0, charged=True)


def test_a_file_is_given_up_after_its_attempts() -> None:
    assert decide(fault(Scope.FILE, Remedy.RETRY), 5, Policy(), now=0.0, uniform=0.5) == GiveUp()
    assert isinstance(decide(fault(Scope.FILE, Remedy.RETRY), 4, Policy(), now=0.0, uniform=0.5), RetryAt)


@pytest.mark.parametrize("remedy", [remedy for remedy in Remedy if remedy is not Remedy.RETRY])
def test_a_files_fault_that_waiting_cannot_cure_is_given_up_at_once(remedy: Remedy) -> None:
    assert decide(fault(Scope.FILE, remedy), 1, Policy(), now=0.0, uniform=0.5) == GiveUp()
