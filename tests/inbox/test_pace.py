"""Looks at arrivals give way to files in hand, once plenty of them are queued."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watcherd.inbox.pace import LONGEST, REST, Pace

SECONDS = st.floats(0, 1000)


@given(began=SECONDS, took=SECONDS)
def test_looks_follow_each_other_at_once_while_a_further_job_may_be_needed(began: float, took: float) -> None:
    pace = Pace()
    pace.looked(began=began, now=began + took, plenty=False)
    assert pace.due == began + took


@given(began=SECONDS, took=st.floats(0.001, LONGEST / REST))
def test_with_plenty_of_jobs_looks_take_a_tenth_of_the_time(began: float, took: float) -> None:
    pace = Pace()
    pace.looked(began=began, now=began + took, plenty=True)
    assert abs(took / (pace.due - began) - 0.1) < 0.001


@given(began=SECONDS, took=SECONDS, plenty=st.booleans())
def test_no_storage_is_so_slow_that_arrivals_wait_for_long(began: float, took: float, plenty: bool) -> None:
    pace = Pace()
    assert pace.due < began, "the first looks wait for nothing"
    pace.looked(began=began, now=began + took, plenty=plenty)
    assert 0 <= pace.due - (began + took) <= LONGEST + 1e-9
