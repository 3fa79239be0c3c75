from __future__ import annotations

from dataclasses import replace

from tests.inbox.test_settle import identity
from watcherd.inbox.reconcile import Found, Listing
from watcherd.inbox.rounds import Rounds, Scanned, below


def scanned_once() -> Rounds:
    rounds = Rounds(0)
    rounds.begin((), 1000)
    rounds.finish()
    rounds.plan(60)
    return rounds


def test_the_first_scan_is_due_at_once_and_not_by_the_timer() -> None:
    assert Rounds(7).due == 7
    assert not Rounds(7).by_timer


def test_after_a_scan_the_timer_asks_for_the_next() -> None:
    rounds = scanned_once()
    assert (rounds.due, rounds.by_timer) == (60, True)


def test_a_request_comes_before_the_timer() -> None:
    rounds = scanned_once()
    rounds.request(5)
    assert (rounds.due, rounds.by_timer) == (5, False)


def test_a_request_during_a_scan_makes_another_one() -> None:
    rounds = scanned_once()
    rounds.begin((), 1000)
    rounds.request(61)
    rounds.request(62)
    rounds.finish()
    rounds.plan(120)
    assert (rounds.due, rounds.by_timer) == (61, False)


def test_a_request_for_a_moment_after_the_next_scan_makes_another_one() -> None:
    rounds = scanned_once()
    rounds.request(60.5)
    assert rounds.due == 60
    rounds.begin((), 1000)
    rounds.finish()
    rounds.plan(120)
    assert rounds.due == 60.5


def test_what_was_found_is_counted_for_the_status() -> None:
    rounds = Rounds(0)
    rounds.begin((), 1000)
    rounds.visit(Listing(folder=b"", files=(Found(b"a", identity()),), ignored=3))
    rounds.visit(Listing(folder=b"x", error="Permission denied"))
    rounds.spend(0.25)
    rounds.spend(3600)  # silence, not work
    rounds.spend(0.25)
    assert rounds.under_way
    unread = ((b"x", "Permission denied"),)
    expected = Scanned(seconds=0.5, files=1, folders=2, unread=unread, began=1000)
    assert rounds.finish() == rounds.last == expected
    assert not rounds.under_way


def test_known_folders_that_the_walk_did_not_meet_have_vanished() -> None:
    rounds = Rounds(0)
    rounds.begin([b"a", b"b"], 1000)
    rounds.visit(Listing(folder=b"a"))
    assert rounds.vanished == {b"b"}


def test_where_the_walk_could_not_look_nothing_has_vanished() -> None:
    rounds = Rounds(0)
    rounds.begin([b"a", b"b/c"], 1000)
    rounds.visit(Listing(folder=b"b", error="Permission denied"))
    assert rounds.vanished == frozenset()


def test_an_interrupted_scan_starts_over() -> None:
    rounds = scanned_once()
    rounds.begin((), 1000)
    rounds.interrupt(99)
    assert (rounds.due, rounds.by_timer, rounds.under_way) == (99, False, False)


def test_marked_folders_are_told() -> None:
    rounds = Rounds(0)
    rounds.begin((), 1000)
    rounds.visit(Listing(folder=b"a"))
    rounds.visit(Listing(folder=b"b", marked=True))
    assert rounds.finish().marked == {b"b"}
    rounds.begin((), 2000)
    assert rounds.finish().marked == frozenset()


def test_only_what_came_since_the_last_scan_was_missed_by_events() -> None:
    late, early = (Found(b"a", replace(identity(), ctime_ns=at * 10**9)) for at in (1001, 999))
    rounds = Rounds(0)
    rounds.begin((), 1000)
    assert not rounds.tells_first_of(late), "the first scan tells of everything"
    rounds.finish()
    rounds.plan(60)
    rounds.begin((), 1060)
    assert rounds.tells_first_of(late)
    assert not rounds.tells_first_of(early)
    rounds.interrupt(5)
    assert not rounds.tells_first_of(late), "a scan for another reason: events may be on their way"


def test_a_folder_lies_below_others_at_any_depth_and_not_below_itself() -> None:
    assert below(b"a/b/c", {b"a"})
    assert below(b"a", {b""})
    assert not below(b"a", {b"a"})
    assert not below(b"ab/c", {b"a"})
    assert not below(b"", {b""})
