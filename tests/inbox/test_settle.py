from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.inbox import settle
from watcherd.inbox.settle import (
    GONE,
    LEASELESS,
    LONGEST,
    SPACING,
    Arrival,
    Kind,
    Lease,
    Look,
    LookAt,
    Note,
    Settled,
    noticed,
    observe,
    quiet_time,
    verdict,
)
from watcherd.job import Identity


def identity(version: int = 1, size: int = 10) -> Identity:
    return Identity(dev=1, ino=2, size=size, mtime_ns=version, ctime_ns=version)


def seen(version: int = 1, *, size: int = 10, lease: Lease = Lease.FREE, error: str = "") -> Look:
    return Look(kind=Kind.FILE, identity=identity(version, size), lease=lease, error=error)


def after(looks: list[tuple[float, Look]], *, renamed: bool = False, held: bool = False) -> Arrival:
    arrival = noticed(b"a.mp3", looks[0][0], renamed=renamed)
    for now, look in looks:
        arrival = observe(arrival, look, asked=now, now=now, held=held)
    return arrival


def test_the_first_look_starts_the_clock() -> None:
    assert verdict(after([(100, seen())]), 5) == LookAt(102.5, Note.SETTLING)


def test_an_unchanged_file_settles_after_the_quiet_time() -> None:
    assert verdict(after([(100, seen()), (104.9, seen())]), 5) == LookAt(105, Note.SETTLING)
    assert verdict(after([(100, seen()), (105, seen())]), 5) == Settled(identity())


def test_a_file_that_grows_never_settles() -> None:
    looks = [(float(second), seen(second)) for second in range(1000)]
    assert isinstance(verdict(after(looks), 5), LookAt)


@pytest.mark.parametrize(
    "other",
    [
        Identity(dev=9, ino=2, size=10, mtime_ns=1, ctime_ns=1),
        Identity(dev=1, ino=9, size=10, mtime_ns=1, ctime_ns=1),
        Identity(dev=1, ino=2, size=9, mtime_ns=1, ctime_ns=1),
        Identity(dev=1, ino=2, size=10, mtime_ns=9, ctime_ns=1),
        Identity(dev=1, ino=2, size=10, mtime_ns=1, ctime_ns=9),
    ],
)
def test_any_part_of_the_identity_restarts_the_clock(other: Identity) -> None:
    changed = Look(kind=Kind.FILE, identity=other, lease=Lease.FREE)
    assert verdict(after([(0, seen()), (5, changed)]), 5) == LookAt(7.5, Note.SETTLING)
    assert verdict(after([(0, seen()), (5, changed), (10, changed)]), 5) == Settled(other)


def test_a_writer_restarts_the_clock_though_nothing_changes() -> None:
    busy = seen(lease=Lease.BUSY)
    assert verdict(after([(0, busy), (60, busy)]), 5) == LookAt(62.5, Note.WRITING)
    assert verdict(after([(0, busy), (60, busy), (61, seen())]), 5) == LookAt(63.5, Note.SETTLING)
    assert verdict(after([(0, busy), (60, busy), (65, seen())]), 5) == Settled(identity())


def test_without_a_lease_it_takes_15_seconds() -> None:
    blind = seen(lease=Lease.UNKNOWN)
    assert isinstance(verdict(after([(0, blind), (14, blind)]), 5), LookAt)
    assert verdict(after([(0, blind), (15, blind)]), 5) == Settled(identity())
    assert isinstance(verdict(after([(0, blind), (15, blind)]), 20), LookAt)


def test_a_rename_from_a_partial_name_says_complete_if_the_lease_agrees() -> None:
    assert verdict(after([(0, seen()), (0.5, seen())], renamed=True), 5) == Settled(identity())
    assert isinstance(verdict(after([(0, seen()), (0.4, seen())], renamed=True), 5), LookAt)
    busy = after([(0, seen(lease=Lease.BUSY)), (0.5, seen(lease=Lease.BUSY))], renamed=True)
    assert isinstance(verdict(busy, 5), LookAt)
    blind = after([(0, seen(lease=Lease.UNKNOWN)), (5, seen(lease=Lease.UNKNOWN))], renamed=True)
    assert isinstance(verdict(blind, 5), LookAt)


def test_a_change_after_the_rename_takes_its_word_back() -> None:
    changed = after([(0, seen(1)), (0.5, seen(2)), (1, seen(2))], renamed=True)
    assert isinstance(verdict(changed, 5), LookAt)


def test_an_empty_file_never_settles_and_is_looked_at_ever_more_rarely() -> None:
    empty = seen(size=0)
    assert verdict(after([(0, empty)]), 5) == LookAt(2.5, Note.SETTLING)
    assert verdict(after([(0, empty), (5, empty)]), 5) == LookAt(10, Note.EMPTY)
    assert verdict(after([(0, empty), (10, empty)]), 5) == LookAt(20, Note.EMPTY)
    assert verdict(after([(0, empty), (5000, empty)]), 5) == LookAt(10_000, Note.EMPTY)


def test_an_empty_file_with_a_writer_is_being_written() -> None:
    assert verdict(after([(0, seen(size=0, lease=Lease.BUSY))]), 5) == LookAt(2.5, Note.WRITING)


def test_an_unreadable_file_gets_its_quiet_time_before_it_is_called_so() -> None:
    closed = seen(lease=Lease.UNKNOWN, error="Permission denied")
    assert verdict(after([(0, closed)]), 5) == LookAt(2.5, Note.SETTLING)
    assert verdict(after([(0, closed), (5, closed)]), 5) == LookAt(10, Note.UNREADABLE)


def test_a_file_that_cannot_even_be_named_is_unreadable() -> None:
    hidden = Look(kind=Kind.FILE, error="Permission denied")
    assert verdict(after([(0, hidden), (5, hidden)]), 5) == LookAt(10, Note.UNREADABLE)


def test_a_partial_file_beside_it_holds_it_however_quiet_it_is() -> None:
    assert verdict(after([(0, seen()), (500, seen())], held=True), 5) == LookAt(1000, Note.HELD)


def test_when_the_partial_file_goes_the_quiet_time_before_it_counts() -> None:
    arrival = after([(0, seen()), (500, seen())], held=True)
    assert verdict(observe(arrival, seen(), asked=501, now=501, held=False), 5) == Settled(identity())


def test_what_keeps_changing_for_six_hours_is_said_to() -> None:
    arrival = after([(0, seen(0)), (LONGEST - 1, seen(1))])
    assert verdict(arrival, 5) == LookAt(LONGEST + 1.5, Note.SETTLING)
    arrival = observe(arrival, seen(2), asked=LONGEST, now=LONGEST, held=False)
    assert verdict(arrival, 5) == LookAt(LONGEST + 2.5, Note.GROWING)
    assert isinstance(
        verdict(observe(arrival, seen(2), asked=LONGEST + 5, now=LONGEST + 5, held=False), 5), Settled
    )


def test_a_slow_answer_counts_as_the_earliest_look_and_the_latest_change() -> None:
    arrival = observe(noticed(b"a", 0), seen(), asked=0, now=60, held=False)
    assert verdict(arrival, 5) == LookAt(62.5, Note.SETTLING)
    unchanged = observe(arrival, seen(), asked=64, now=124, held=False)
    assert verdict(unchanged, 5) == LookAt(65, Note.SETTLING)
    assert verdict(observe(unchanged, seen(), asked=125, now=185, held=False), 5) == Settled(identity())


def test_time_spent_held_is_not_time_spent_growing() -> None:
    arrival = after([(0, seen()), (2 * LONGEST, seen())], held=True)
    arrival = observe(arrival, seen(2), asked=2 * LONGEST + 1, now=2 * LONGEST + 1, held=False)
    assert verdict(arrival, 5) == LookAt(2 * LONGEST + 3.5, Note.SETTLING)


LOOKS = st.lists(
    st.tuples(
        st.floats(0.01, 20),
        st.builds(
            seen,
            st.integers(0, 1),
            size=st.sampled_from([0, 10]),
            lease=st.sampled_from(Lease),
            error=st.sampled_from(["", "", "", "Permission denied"]),
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(steps=LOOKS, renamed=st.booleans(), quiet=st.floats(0.1, 60))
def test_settled_means_what_it_promises_and_nothing_less(
    steps: list[tuple[float, Look, bool]], renamed: bool, quiet: float
) -> None:
    now, arrival, history = 0.0, noticed(b"a", 0.0, renamed=renamed), []
    for passed, look, held in steps:
        now += passed
        arrival = observe(arrival, look, asked=now, now=now, held=held)
        history.append((now, look))
        outcome = verdict(arrival, quiet)
        restarts = [
            when
            for index, (when, past) in enumerate(history)
            if index == 0 or past.lease is Lease.BUSY or past.identity != history[index - 1][1].identity
        ]
        still_renamed = renamed and all(past.identity == history[0][1].identity for _, past in history)
        needed = quiet_time(look, quiet, renamed=still_renamed)
        rested = now >= restarts[-1] + needed
        clean = not held and not look.error and look.lease is not Lease.BUSY
        whole = look.identity is not None and look.identity.size > 0
        assert isinstance(outcome, Settled) == (rested and clean and whole)
        if isinstance(outcome, LookAt):
            assert outcome.when > now
            assert math.isfinite(outcome.when)


@given(steps=LOOKS, quiet=st.floats(1, 60))
def test_looking_when_told_to_is_never_busy_polling(
    steps: list[tuple[float, Look, bool]], quiet: float
) -> None:
    now, arrival = 0.0, noticed(b"a", 0.0)
    for _, look, held in steps:
        arrival = observe(arrival, look, asked=now, now=now, held=held)
        first = verdict(arrival, quiet)
        if isinstance(first, Settled):
            return
        then = verdict(observe(arrival, look, asked=first.when, now=first.when, held=held), quiet)
        if isinstance(then, LookAt):
            assert then.when - now >= min(quiet / 2, settle.RENAMED) - 1e-6
        now = first.when


def test_gone_is_no_file_and_unlooked_arrivals_are_due_at_once() -> None:
    assert GONE.kind is Kind.GONE
    assert verdict(noticed(b"a", 7), 5) == LookAt(7, Note.SETTLING)
    assert SPACING < settle.RENAMED < LEASELESS
