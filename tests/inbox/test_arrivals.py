from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.inbox.test_settle import identity, seen
from watcherd.inbox.arrivals import UNHANDLED, Arrivals
from watcherd.inbox.settle import SPACING, Lease, Note, Settled


def missed(book: Arrivals) -> list[bool]:
    return [entry.missed for entry in book]


def test_a_noticed_path_is_due_at_once_and_only_once() -> None:
    book = Arrivals(5)
    book.notice(b"a", 10)
    assert book.next_due == 10
    assert book.take_due(9.9, 10) == []
    assert book.take_due(10, 10) == [b"a"]
    assert book.take_due(10, 10) == []


def test_a_look_that_is_never_entered_comes_again() -> None:
    book = Arrivals(5)
    book.notice(b"a", 10)
    book.take_due(10, 10)
    assert book.next_due == 10 + UNHANDLED
    assert book.take_due(10 + UNHANDLED, 10) == [b"a"]


def test_a_file_that_rests_settles_at_the_times_it_was_looked_at() -> None:
    book = Arrivals(5)
    book.notice(b"a", 0)
    assert book.enter(b"a", seen(), asked=0, now=0, held=False) is None
    assert book.next_due == 2.5
    assert book.enter(b"a", seen(), asked=2.5, now=2.5, held=False) is None
    assert book.next_due == 5
    assert book.enter(b"a", seen(), asked=5, now=5, held=False) == Settled(identity())
    assert len(book) == 1
    book.drop(b"a")
    assert len(book) == 0
    assert book.next_due is None


def test_a_storm_of_events_makes_ten_looks_a_second_at_most() -> None:
    book, looks, now = Arrivals(5), 0, 0.0
    for _ in range(1000):
        book.notice(b"a", now)
        for path in book.take_due(now, 10):
            book.enter(path, seen(looks), asked=now, now=now, held=False)
            looks += 1
        now += 0.001
    assert looks <= 1.0 / SPACING + 1


def test_an_event_brings_the_next_look_forward() -> None:
    book = Arrivals(5)
    book.notice(b"a", 0)
    book.enter(b"a", seen(), asked=0, now=0, held=False)
    book.notice(b"a", 1)
    assert book.take_due(1, 10) == [b"a"]


def test_a_rename_over_a_known_path_starts_a_quick_clock() -> None:
    book = Arrivals(5)
    book.notice(b"a", 0)
    book.enter(b"a", seen(1, size=0), asked=0, now=0, held=False)
    book.notice(b"a", 100, renamed=True)
    assert book.take_due(100, 10) == [b"a"]
    assert book.enter(b"a", seen(2), asked=100, now=100, held=False) is None
    assert book.enter(b"a", seen(2), asked=100.5, now=100.5, held=False) == Settled(identity(2))
    entry = book.get(b"a")
    assert entry is not None
    assert entry.arrival.since == 0


def test_an_event_after_the_scan_clears_the_suspicion_that_it_was_lost() -> None:
    book = Arrivals(5)
    book.notice(b"a", 0, missed=True)
    book.notice(b"a", 0.1, missed=True)
    assert missed(book) == [True]
    book.notice(b"a", 0.2)
    assert missed(book) == [False]


def test_only_what_may_settle_by_itself_is_passing() -> None:
    book = Arrivals(5)
    states = [book.passing]
    book.notice(b"a", 0)
    states.append(book.passing)
    book.enter(b"a", seen(size=0), asked=0, now=0, held=False)
    book.enter(b"a", seen(size=0), asked=5, now=5, held=False)
    assert [entry.note for entry in book] == [Note.EMPTY]
    states.append(book.passing)
    book.enter(b"a", seen(size=0, lease=Lease.BUSY), asked=6, now=6, held=False)
    states.append(book.passing)
    assert states == [False, True, False, True]


def test_what_was_looked_at_before_does_not_wait_for_all_that_came_with_it() -> None:
    book = Arrivals(5)
    paths = [b"%03d" % number for number in range(100)]
    for path in paths:
        book.notice(path, 0)
    for path in book.take_due(0, 10):
        book.enter(path, seen(), asked=0, now=0, held=False)
    taken = book.take_due(60, 10)
    assert sorted(taken) == [*paths[:5], *paths[10:15]], "half and half"
    rest = set(book.take_due(60, 1000))
    assert rest == set(paths) - set(taken), "either half may take what the other leaves"


def test_a_path_that_was_dropped_is_not_entered_again() -> None:
    book = Arrivals(5)
    assert book.enter(b"a", seen(), asked=0, now=0, held=False) is None
    assert len(book) == 0


def test_clearing_forgets_everything() -> None:
    book = Arrivals(5)
    book.notice(b"a", 0)
    book.clear()
    assert book.next_due is None
    assert book.take_due(1000, 10) == []


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["notice", "enter", "drop", "take"]), st.integers(0, 3), st.floats(0, 5)),
        max_size=40,
    )
)
def test_nothing_in_the_book_is_ever_without_a_look_to_come(steps: list[tuple[str, int, float]]) -> None:
    book, now = Arrivals(2), 0.0
    for what, number, passed in steps:
        now += passed
        path = b"%d" % number
        if what == "notice":
            book.notice(path, now)
        elif what == "drop" or (
            what == "enter" and book.enter(path, seen(number), asked=now, now=now, held=False)
        ):
            book.drop(path)
        elif what == "take":
            book.take_due(now, 2)
        assert (book.next_due is None) == (len(book) == 0)
    far = now + 2 * UNHANDLED
    assert set(book.take_due(far, 100)) == {entry.arrival.path for entry in book}
