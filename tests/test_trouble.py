from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from watcherd.trouble import Trouble


def test_the_first_failure_is_said_at_once() -> None:
    assert Trouble().met(0)


def test_then_not_within_thirty_seconds() -> None:
    trouble = Trouble()
    trouble.met(0)
    assert not trouble.met(29.9)
    assert trouble.met(30)
    assert trouble.count == 3


def test_a_trouble_that_lasts_is_said_ever_more_rarely_but_said() -> None:
    trouble = Trouble()
    said = [second for second in range(24 * 3600) if trouble.met(second)]
    assert said[:4] == [0, 30, 90, 210]
    assert max(later - earlier for earlier, later in pairwise(said)) == 3600


def test_its_end_is_said_once_and_the_next_failure_at_once() -> None:
    trouble = Trouble()
    assert not trouble.over()
    trouble.met(0)
    trouble.met(1)
    assert trouble.over()
    assert not trouble.over()
    assert trouble.met(2)
    assert trouble.count == 1


def test_what_has_not_failed_for_an_hour_starts_afresh() -> None:
    trouble = Trouble()
    for second in (0, 1, 30):
        trouble.met(second)
    assert trouble.met(3631)
    assert trouble.count == 1
    assert trouble.met(3661)


@given(passed=st.lists(st.floats(0, 100), max_size=50))
def test_two_lines_are_never_closer_than_thirty_seconds(passed: list[float]) -> None:
    trouble, now, said = Trouble(), 0.0, []
    for step in passed:
        now += step
        if trouble.met(now):
            said.append(now)
    assert all(later - earlier > 30 - 1e-6 for earlier, later in pairwise(said))
