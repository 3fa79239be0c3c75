"""The state machine: total, and every way through it ends."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.faults import Fault, Remedy, Scope
from watcherd.job import (
    ACTIVE,
    FINAL,
    Chosen,
    Cut,
    Delivered,
    Divided,
    Due,
    Event,
    Identity,
    IllegalMoveError,
    Interrupted,
    Job,
    Listened,
    Outcome,
    Part,
    Plan,
    Planned,
    Postponed,
    Recognised,
    Refused,
    Replied,
    Reused,
    Sending,
    Started,
    State,
    Unanswered,
    WaitReason,
    Withdrawn,
    step,
)
from watcherd.settings import Settings

FAULT = Fault(
    scope=Scope.FILE, code="undecodable", message="no sound in it", hint="Look at it.", remedy=Remedy.FAIL
)
DONE = Plan(outcome=Outcome.DONE, folder=b"", original=b"a.mp3", sidecars=())
LOST = Plan(outcome=Outcome.FAILED, folder=b"", original=b"a.mp3", sidecars=())
SETTINGS = Settings(base_url="http://h/v1", model="m", prompt="", temperature=0.0, track="default", fields=())
EVENTS: tuple[Event, ...] = (
    Started(),
    Chosen(SETTINGS),
    Cut(Part(number=1, start=0, end=5)),
    Divided(1, (Part(number=2, start=0, end=2), Part(number=3, start=2, end=5))),
    Listened(5.0, ((1.0, 2.0),), ("w",)),
    Sending("e", 1000),
    Unanswered(FAULT),
    Replied(b"{}", "verbose_json"),
    Reused(b"{}", "verbose_json"),
    Recognised("1-a", "b", "c"),
    Refused(FAULT),
    Planned(DONE),
    Planned(LOST, fault=FAULT),
    Delivered(),
    Postponed(WaitReason.BACKOFF, 10.0, FAULT, charged=True),
    Postponed(WaitReason.ENDPOINT_PAUSED, 10.0, FAULT),
    Due(),
    Interrupted(charged=True),
    Interrupted(charged=False),
    Withdrawn("changed"),
)
# Which events may happen in which state; everything else must raise.
LEGAL: dict[State, set[type]] = {
    State.QUEUED: {Started, Withdrawn},
    State.PREPARING: {
        Chosen,
        Cut,
        Divided,
        Listened,
        Sending,
        Reused,
        Recognised,
        Refused,
        Planned,
        Postponed,
        Interrupted,
        Withdrawn,
    },
    State.TRANSLATING: {
        Chosen,
        Cut,
        Divided,
        Listened,
        Sending,
        Unanswered,
        Replied,
        Reused,
        Recognised,
        Refused,
        Planned,
        Postponed,
        Interrupted,
        Withdrawn,
    },
    State.DELIVERING: {Planned, Delivered, Postponed, Interrupted, Withdrawn},
    State.WAITING: {Due, Withdrawn},
    State.DONE: set(),
    State.FAILED: set(),
    State.SKIPPED: set(),
}


def job(state: State = State.QUEUED, **fields: object) -> Job:
    defaults: dict[str, object] = {
        "id": 1,
        "inbox": "in",
        "path": b"a.mp3",
        "identity": Identity(1, 2, 3, 4, 5),
        "settled_at": 0.0,
        "state": state,
        "plan": DONE if state is State.DELIVERING else None,
    }
    return Job(**(defaults | fields))  # type: ignore[arg-type]  # a table of fields, checked by the dataclass


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, EVENTS)), ids=str)
def test_every_event_in_every_state_either_moves_or_is_refused(state: State, event: Event) -> None:
    if type(event) in LEGAL[state]:
        assert step(job(state), event).state in set(State)
    else:
        with pytest.raises(IllegalMoveError, match=f"job 1 is {state}"):
            step(job(state), event)


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_no_history_leaves_the_machine_inconsistent(history: list[Event]) -> None:
    now = job()
    for event in history:
        try:
            now = step(now, event)
        except IllegalMoveError:
            continue
        assert now.attempts >= 0
        assert (now.state is State.WAITING) == (now.reason is not None) == (now.until is not None)
        assert now.state is not State.DELIVERING or now.plan is not None
        assert now.state is not State.FAILED or now.fault is not None
        assert now.state is not State.DONE or now.fault is None


def _paths_from(start: Job, seen: dict[tuple[State, bool], bool]) -> bool:
    """Whether a final state can be reached from here, whatever happened before."""
    key = (start.state, start.plan is None)
    if start.state in FINAL:
        return True
    if key in seen:
        return seen[key]
    seen[key] = False
    for event in EVENTS:
        if type(event) in LEGAL[start.state] and not isinstance(event, Withdrawn):
            seen[key] |= _paths_from(step(start, event), seen)
    return seen[key]


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
def test_every_state_has_a_way_to_an_end_without_losing_the_file(state: State) -> None:
    waiting = {"reason": WaitReason.BACKOFF, "until": 1.0} if state is State.WAITING else {}
    assert _paths_from(job(state, **waiting), {})


def test_a_planned_delivery_is_finished_after_a_restart_and_anything_else_begins_again() -> None:
    assert step(job(State.DELIVERING), Interrupted(charged=True)).state is State.DELIVERING
    for state in ACTIVE - {State.DELIVERING}:
        assert step(job(state), Interrupted(charged=True)).state is State.QUEUED
    waiting = step(job(State.DELIVERING), Postponed(WaitReason.DISK_FULL, 5.0, FAULT))
    assert step(waiting, Due()).state is State.DELIVERING


def test_only_a_charged_wait_counts_against_the_file() -> None:
    sent = step(step(job(), Started()), Sending("e", 1000))
    assert sent.attempts == 1
    assert step(sent, Postponed(WaitReason.BACKOFF, 1.0, FAULT, charged=True)).attempts == 1
    assert step(sent, Postponed(WaitReason.ENDPOINT_PAUSED, 1.0, FAULT)).attempts == 0
    assert step(sent, Interrupted(charged=True)).attempts == 1
    assert step(sent, Interrupted(charged=False)).attempts == 0


def test_a_death_of_the_daemon_counts_and_an_orderly_stop_does_not() -> None:
    sent = step(step(job(), Started()), Sending("e", 1000))
    assert step(sent, Interrupted(charged=True)).crashes == 1
    assert step(sent, Interrupted(charged=False)).crashes == 0
    assert step(replace(sent, crashes=2), Replied(b"", "text")).crashes == 0
    delivering = step(sent, Planned(DONE))
    assert step(delivering, Interrupted(charged=True)).crashes == 0


def test_a_wait_during_delivery_keeps_why_the_file_failed() -> None:
    delivering = step(step(job(), Started()), Planned(LOST, fault=FAULT))
    disk = Fault(scope=Scope.INBOX, code="disk_full", message="m", hint="h", remedy=Remedy.PAUSE)
    waiting = step(delivering, Postponed(WaitReason.DISK_FULL, 9.0, disk))
    assert waiting.fault == FAULT
    assert step(step(waiting, Due()), Delivered()).state is State.FAILED
