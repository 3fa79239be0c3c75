"""Parts: every moment is owned once, no cap is passed, and cuts lie in silences wherever one is in reach."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from watcherd.media.cut import LEAST_CAP, Cutting, Planner, Silences, Stretch, divide, sound

NEAR = 1e-6


def silences_of(steps: Sequence[tuple[float, float]], end: float) -> Silences:
    """Silences from (seconds of sound, seconds of silence), as long as they lie before the end."""
    found, at = [], 0.0
    for loud, quiet in steps:
        start = at + loud
        at = start + quiet
        if at <= end:
            found.append((start, at))
    return tuple(found)


STEPS = st.lists(st.tuples(st.floats(0.05, 120), st.floats(0.3, 40)), max_size=60)
LENGTHS = st.floats(0.02, 2000)
RATES = st.lists(st.floats(0.05, 1), min_size=1, max_size=20)


@dataclass
class Run:
    parts: list[Stretch]
    sizes: list[float]
    open: list[float]  # how far each had been settled when it was cut


def run(
    planner: Planner, end: float, silences: Silences, *, most: float = math.inf, rates: Sequence[float] = (1,)
) -> Run:
    """Play the worker: two seconds at a time, with an encoder whose bytes a second change all the time."""
    done = Run([], [], [])
    encoded = size = 0.0
    pace = itertools.cycle(rates)

    def encode(until: float) -> None:
        nonlocal encoded, size
        while encoded < until:
            step = min(until - encoded, 1.0)
            size += step * next(pace)
            encoded += step

    for decoded in [*(2.0 * n for n in range(1, math.ceil(end / 2))), end]:
        ended = decoded == end
        known = [(a, min(b, decoded)) for a, b in silences if a < decoded]
        while not planner.done:
            begun = planner.start
            encoded = max(encoded, begun)
            full = encoded + (most - size)
            part = planner.next(decoded, known, encoded=encoded, full=full, ended=ended)
            if part is None:
                encode(min(planner.settled(decoded), decoded))
                break
            assert part.end >= encoded - NEAR, "that is encoded already, and cannot be taken back"
            encode(part.end)
            done.parts.append(part)
            done.sizes.append(size)
            encoded, size = planner.start, 0.0
    return done


def owns_all(parts: Sequence[Stretch], start: float, end: float) -> None:
    assert parts[0].own_start == start
    assert parts[-1].own_end == end
    for one, other in pairwise(parts):
        assert one.own_end == other.own_start
        assert one.start < other.start
    for part in parts:
        assert part.start <= part.own_start < part.own_end <= part.end


@given(STEPS, LENGTHS, st.floats(LEAST_CAP, 700), st.none() | st.floats(1, 700))
def test_every_moment_is_owned_by_one_part_and_none_is_too_long_or_short(
    steps: list[tuple[float, float]], end: float, max_part: float, target: float | None
) -> None:
    planner = Planner(Cutting(max_part=max_part, max_bytes=10**9, target=target), rate=1)
    parts = run(planner, end, silences_of(steps, end)).parts
    owns_all(parts, 0, end)
    assert all(part.end - part.start <= max_part + NEAR for part in parts)
    assert all(part.end - part.start >= min(3, max_part / 4, end) - 0.01 for part in parts)


@given(STEPS, st.floats(10, 2000), st.floats(20, 400), RATES)
def test_no_part_has_more_bytes_than_it_may(
    steps: list[tuple[float, float]], end: float, most: float, rates: list[float]
) -> None:
    planner = Planner(Cutting(max_part=600, max_bytes=int(most)), rate=1)
    done = run(planner, end, silences_of(steps, end), most=int(most), rates=rates)
    owns_all(done.parts, 0, end)
    assert all(size <= int(most) + NEAR for size in done.sizes)


@given(STEPS, LENGTHS, st.floats(20, 700))
def test_a_cut_lies_in_a_silence_if_one_is_in_reach(
    steps: list[tuple[float, float]], end: float, max_part: float
) -> None:
    silences = silences_of(steps, end)
    parts = run(Planner(Cutting(max_part=max_part, max_bytes=10**9), rate=1), end, silences).parts
    for part, following in pairwise(parts):
        if part.own_end == part.end:
            assert following.start == part.end
            assert any(start <= part.end <= stop for start, stop in silences if stop - start >= 0.4)
        else:
            assert part.end - following.start == st_overlap(max_part)
            reach = part.start + 0.9 * max_part - min(max_part / 4, 60), part.end
            missed = [(max(a, reach[0]), min(b, reach[1])) for a, b in silences if b - a >= 0.4]
            assert all(b - a < 0.1 + 0.01 for a, b in missed)


def st_overlap(max_part: float) -> object:
    """Five seconds, or as many as a quarter of the longest part has."""

    class Near:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, float) and abs(other - min(5.0, max_part / 4)) < 0.01

        __hash__ = None  # type: ignore[assignment]  # compared, never kept

    return Near()


def test_the_longest_silence_near_the_target_is_taken() -> None:
    silences = ((500.0, 500.4), (530.0, 530.5), (560.0, 561.2), (590.0, 590.3))
    first, second = run(Planner(Cutting(), rate=1000), 900, silences).parts
    assert (first.end, second.start) == (560.5, 560.5)


def test_a_long_silence_is_cut_as_near_to_the_target_as_it_reaches() -> None:
    parts = run(Planner(Cutting(), rate=1000), 900, ((400.0, 520.0),)).parts
    assert parts[0].end == 519.5


def test_where_nothing_is_silent_parts_share_five_seconds() -> None:
    parts = run(Planner(Cutting(), rate=1000), 1000, ()).parts
    assert parts == [Stretch(0, 600, 0, 597.5), Stretch(595, 1000, 597.5, 1000)]


def test_a_silence_that_may_be_a_consonant_is_no_place_to_cut() -> None:
    parts = run(Planner(Cutting(), rate=1000), 1000, ((540.0, 540.36),)).parts
    assert [part.end for part in parts] == [600, 1000]
    parts = run(Planner(Cutting(), rate=1000), 1000, ((540.0, 540.42),)).parts
    assert [part.end for part in parts] == [540.21, 1000]


def test_a_rest_of_a_few_seconds_joins_its_neighbour() -> None:
    for end in (600.0, 600.01, 601.5, 603.0):
        parts = run(Planner(Cutting(), rate=1000), end, ()).parts
        assert all(part.end - part.start >= 3 for part in parts)
        assert len(parts) == (1 if end == 600 else 2)


def test_no_silence_is_so_good_that_a_rest_of_a_second_is_left() -> None:
    for end in (600.5, 601.0, 602.0):
        parts = run(Planner(Cutting(), rate=1000), end, ((598.0, 599.9),)).parts
        assert [part.end - part.start >= 3 for part in parts] == [True, True]


def test_parts_nearly_fill_the_bytes_they_may_have() -> None:
    for pace in (0.3, 0.6, 1.0):
        planner = Planner(Cutting(max_part=600, max_bytes=100), rate=1)
        done = run(planner, 2000, (), most=100, rates=(pace,))
        assert all(70 < size <= 100 for size in done.sizes[:-1])


def test_what_is_aimed_at_may_be_less_than_the_cap() -> None:
    pauses = tuple((10.0 * n, 10.0 * n + 0.5) for n in range(1, 100))
    parts = run(Planner(Cutting(target=200), rate=1000), 900, pauses).parts
    assert [round(part.end - part.start) for part in parts] == [200, 200, 200, 200, 100]


def test_an_endless_cap_makes_one_part() -> None:
    whole = Cutting(max_part=math.inf, max_bytes=10**18)
    assert run(Planner(whole, rate=1), 100_000, ()).parts == [Stretch(0, 100_000, 0, 100_000)]


def test_no_audio_makes_no_part() -> None:
    planner = Planner(Cutting(), rate=1)
    assert planner.next(0.0, (), ended=True) is None
    assert planner.done


@settings(max_examples=60)
@given(STEPS, st.floats(700, 2000), st.integers(1, 4))
def test_parts_that_are_given_come_again_and_the_rest_is_cut_as_before(
    steps: list[tuple[float, float]], end: float, known: int
) -> None:
    cutting = Cutting(max_part=150, max_bytes=10**9)
    parts = run(Planner(cutting, rate=1), end, silences_of(steps, end)).parts
    again = run(Planner(cutting, rate=1, given=parts[:known]), end, silences_of(steps, end)).parts
    assert again == parts
    alone = run(Planner(cutting, rate=1, given=parts[1:known], goes_on=False), end, ()).parts
    assert alone == parts[1:known]


# Dividing again.


@given(STEPS, st.floats(10, 2000), st.floats(LEAST_CAP, 400), st.booleans())
def test_a_part_is_divided_into_parts_that_own_the_same(
    steps: list[tuple[float, float]], length: float, longest: float, shared: bool
) -> None:
    edge = 2.5 if shared else 0.0
    whole = Stretch(100, 100 + length, 100 + edge, 100 + length - edge)
    parts = divide(whole, silences_of(steps, 100 + length), longest=longest)
    owns_all(parts, whole.own_start, whole.own_end)
    assert (parts[0].start, parts[-1].end) == (whole.start, whole.end)
    assert all(part.end - part.start <= longest + NEAR for part in parts)
    assert (len(parts) == 1) == (whole.end - whole.start <= longest)
    assert longest < 20 or all(part.own_end - part.own_start > 2.9 for part in parts) or len(parts) == 1


def test_halves_are_cut_in_a_silence() -> None:
    whole = Stretch(100, 700, 100, 700)
    silences = ((350.0, 350.4), (410.0, 411.0), (690.0, 700.0))
    assert divide(whole, silences, longest=540) == (
        Stretch(100, 410.5, 100, 410.5),
        Stretch(410.5, 700, 410.5, 700),
    )
    assert divide(whole, silences, longest=600) == (whole,)


def test_halves_share_five_seconds_where_nothing_is_silent() -> None:
    assert divide(Stretch(0, 600, 0, 600), (), longest=400) == (
        Stretch(0, 302.5, 0, 300),
        Stretch(297.5, 600, 300, 600),
    )


def test_sound_is_what_lies_in_no_silence() -> None:
    silences = ((0.0, 2.0), (5.0, 6.0), (9.0, 20.0))
    assert sound(0, 10, silences) == 10 - 2 - 1 - 1
    assert sound(9.5, 12, silences) == 0
