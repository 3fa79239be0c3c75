"""Merging parts: they give what the uncut file would, and nothing goes without being counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.subtitles.merge import SHORTEST, UNKNOWN_END, PartTranscript, is_doubtful, merge
from watcherd.transcript import Segment, Transcript, Word

Row = tuple[float, float, str]
PLAIN = ("One.", "two", "Three!", "Thanks for watching!", "[BLANK_AUDIO]")


def said(*rows: Row, **rest: object) -> Transcript:
    return Transcript(segments=tuple(Segment(start=a, end=b, text=text) for a, b, text in rows), **rest)  # type: ignore[arg-type]  # the keywords are Transcript's own


def rows(transcript: Transcript) -> list[Row]:
    return [(segment.start, segment.end, segment.text) for segment in transcript.segments]


def counted(transcript: Transcript) -> int:
    """How many segments the warnings say were dropped, or shortened."""
    found = (warning.rpartition(": ")[2] for warning in transcript.warnings)
    return sum(int(number) for number in found if number.isdigit())


def cut(spoken: Sequence[Row], bounds: Sequence[float], overlap: float = 0.0) -> list[PartTranscript]:
    """Make parts of a time line: each tells the segments that it holds whole, in its own time."""
    parts = []
    for first, last in pairwise(bounds):
        start, end = max(bounds[0], first - overlap), min(bounds[-1], last + overlap)
        held = [(a - start, b - start, text) for a, b, text in spoken if start <= a and b <= end]
        transcript = said(*held, duration=end - start)
        parts.append(PartTranscript(transcript, start, first, last))
    return parts


@st.composite
def time_lines(draw: st.DrawFn) -> list[Row]:
    """Segments in whole milliseconds, apart, each with its own number, so that none looks like a loop."""
    steps = draw(st.lists(st.tuples(st.integers(0, 5000), st.integers(400, 4000)), max_size=12))
    spoken, position = [], 0
    for number, (gap, length) in enumerate(steps):
        start = position + gap
        position = start + length
        spoken.append((start / 1000, position / 1000, f"{draw(st.sampled_from(PLAIN[:3]))} {number}"))
    return spoken


def end_of(spoken: Sequence[Row]) -> float:
    return spoken[-1][1] + 1 if spoken else 1.0


@given(time_lines(), st.data())
def test_parts_cut_between_segments_give_what_the_whole_would(spoken: list[Row], data: st.DataObject) -> None:
    end = end_of(spoken)
    inner = data.draw(st.lists(st.sampled_from([row[1] for row in spoken] or [0.5]), unique=True))
    bounds = [0.0, *sorted(inner), end]
    assert merge(cut(spoken, bounds), duration=end) == merge(cut(spoken, [0.0, end]), duration=end)


@given(time_lines(), st.lists(st.integers(1, 40_000), max_size=5, unique=True))
def test_overlapping_parts_tell_every_segment_once(spoken: list[Row], inner: list[int]) -> None:
    """Wherever the cut falls: the overlap is longer than any segment, so that one part holds it whole."""
    end = end_of(spoken)
    bounds = [0.0, *(at / 1000 for at in sorted(inner) if at / 1000 < end), end]
    merged = merge(cut(spoken, bounds, overlap=4.1), duration=end)
    assert rows(merged) == spoken
    assert merged.warnings == (() if spoken else ("nothing_heard",))


@given(time_lines(), st.floats(0, 80_000).map(round))
def test_a_shift_shifts_the_text_and_nothing_else(spoken: list[Row], by: int) -> None:
    end = end_of(spoken)
    whole = merge([PartTranscript(said(*spoken))], duration=end)
    shifted = merge([PartTranscript(said(*spoken), float(by))], duration=end + by)
    assert [(round(a - by, 3), round(b - by, 3), text) for a, b, text in rows(shifted)] == rows(whole)
    assert shifted.warnings == whole.warnings


moments = st.one_of(st.floats(), st.floats(-5, 60), st.sampled_from([0.0, 30.0, math.nan, math.inf, 1e9]))
figures = st.one_of(st.none(), st.floats(0, 1))
segments = st.builds(
    lambda start, end, text, doubt, sure: Segment(
        start=start, end=end, text=text, no_speech_prob=doubt, avg_logprob=sure
    ),
    moments,
    moments,
    st.sampled_from([*PLAIN, "", "One. " * 20]),
    figures,
    st.one_of(st.none(), st.floats(-2, 0)),
)
wild_parts = st.lists(
    st.builds(
        lambda found, start, length, timed: PartTranscript(
            Transcript(segments=tuple(found) if timed else tuple(found[:1]), timed=timed, duration=length),
            start,
        ),
        st.lists(segments, max_size=8),
        st.floats(0, 100),
        st.one_of(st.none(), st.floats(0, 100)),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
quiet = st.lists(st.floats(0, 200), max_size=8, unique=True).map(
    lambda found: tuple(zip(*[iter(sorted(found))] * 2, strict=False))
)


@given(wild_parts, st.one_of(st.none(), st.floats(0.5, 300)), quiet)
def test_whatever_the_parts_hold_no_text_goes_uncounted_and_every_time_is_sound(
    parts: list[PartTranscript], duration: float | None, silences: tuple[tuple[float, float], ...]
) -> None:
    """Every part may tell all of the time here, so that no text is left to a neighbour."""
    merged = merge(parts, duration=duration, silences=silences)
    position = 0.0
    for segment in merged.segments:
        assert position <= segment.start < segment.end <= (merged.duration or UNKNOWN_END)
        assert segment.text.strip()
        position = segment.end
    before = sorted(word for part in parts for word in part.transcript.text.split())
    after = sorted(merged.text.split())
    assert counted(merged) or before == after
    assert len(after) <= len(before)
    assert bool(merged.segments) != ("nothing_heard" in merged.warnings)


@given(st.lists(st.tuples(time_lines(), st.integers(0, 8000)), min_size=2, max_size=4))
def test_neighbours_never_both_leave_a_moment_to_the_other(found: list[tuple[list[Row], int]]) -> None:
    """Whatever two parts heard in their overlap: each segment is told, or others for half of its time."""
    bounds = list(accumulate((end_of(spoken) for spoken, _ in found), initial=0.0))
    parts: list[PartTranscript] = []
    told: list[Row] = []
    for (spoken, before), (first, last) in zip(found, pairwise(bounds), strict=True):
        # A part reaches no further back than its neighbour's own stretch: no moment lies in three parts.
        start = max(0.0, *(part.own_start for part in parts[-1:]), first - before / 1000)
        own = [(a, b, f"{text} of {len(parts)}") for a, b, text in spoken]
        parts.append(PartTranscript(said(*own), start, first, last))
        told += [(a + start, b + start, text) for a, b, text in own]
    merged = merge(parts, duration=bounds[-1])
    texts = {segment.text for segment in merged.segments}
    for start, end, text in told:
        others = sum(max(0.0, min(end, one.end) - max(start, one.start)) for one in merged.segments)
        assert text in texts or others >= (end - start) / 2 - SHORTEST  # which neighbours may be moved by
    owned = {text for part in parts for text in own_texts(part)}
    assert owned <= texts
    assert merged.warnings == (() if told else ("nothing_heard",))


def own_texts(part: PartTranscript) -> list[str]:
    """The text of the segments whose middle is in the part's own stretch."""
    return [
        one.text
        for one in part.transcript.segments
        if part.own_start <= (one.start + one.end) / 2 + part.start < part.own_end
    ]


def test_of_two_tellings_the_owners_counts() -> None:
    left = PartTranscript(said((55, 59, "Before."), (60.5, 64, "Both, lef"), duration=65.0), 0, 0, 62)
    right = PartTranscript(said((0.4, 4.1, "Both, right."), (5, 6, "After."), duration=60.0), 60, 62, 120)
    merged = merge([left, right], duration=120)
    assert rows(merged) == [(55, 59, "Before."), (60.4, 64.1, "Both, right."), (65, 66, "After.")]
    assert merged.warnings == ()


def test_what_the_owner_does_not_tell_the_neighbour_may() -> None:
    left = PartTranscript(said((61.5, 63.5, "Seam."), duration=65.0), 0, 0, 62)
    right = PartTranscript(said((5, 6, "After."), duration=60.0), 60, 62, 120)
    assert rows(merge([left, right], duration=120)) == [(61.5, 63.5, "Seam."), (65, 66, "After.")]


def test_what_takes_no_time_is_told_by_nobody_else() -> None:
    left = PartTranscript(said((20.5, 21, "Late.")), 0, 0, 10)
    right = PartTranscript(said((0, 10, "All the time."), duration=10.0), 10, 10)
    assert merge([left, right], duration=20).text == "All the time. Late."


def test_when_each_thinks_it_the_others_it_is_told_once() -> None:
    left = PartTranscript(said((61.2, 63.2, "Seam, left."), duration=65.0), 0, 0, 62)
    right = PartTranscript(said((0.5, 3, "Seam, right."), duration=60.0), 60, 62, 120)
    assert rows(merge([left, right], duration=120)) == [(61.2, 63.2, "Seam, left.")]


def test_what_starts_after_the_end_of_its_part_is_invented() -> None:
    left = PartTranscript(said((1, 2, "Real."), (70, 72, "Invented."), duration=60.0), 0, 0, 60)
    merged = merge([left, PartTranscript(said((0, 1, "B."), duration=60.0), 60, 60, 120)], duration=120)
    assert (merged.text, merged.warnings) == ("Real. B.", ("past_end: 1",))


def test_bare_text_is_spread_over_its_own_part() -> None:
    bare = said((0, 0, "One sentence of some length. Another of the same size."), timed=False)
    merged = merge(
        [PartTranscript(said((1, 2, "A.")), 0, 0, 10), PartTranscript(bare, 8, 10, 20)], duration=20
    )
    assert rows(merged) == [
        (1, 2, "A."),
        (10, 15.283, "One sentence of some length."),
        (15.283, 20, "Another of the same size."),
    ]
    assert merged.warnings == ("untimed",)


def test_the_times_of_words_are_shifted_with_their_segment() -> None:
    segment = Segment(start=1, end=2, text="Hello.", words=(Word(1.1, 1.9, "Hello."),))
    merged = merge([PartTranscript(Transcript(segments=(segment,)), 60)], duration=90)
    assert merged.segments == (Segment(start=61, end=62, text="Hello.", words=(Word(61.1, 61.9, "Hello."),)),)


def test_one_silent_part_is_no_silent_file() -> None:
    silent = Transcript(segments=(), warnings=("nothing_heard",))
    parts = [PartTranscript(silent, 0, 0, 10), PartTranscript(said((0, 1, "A."), language="en"), 10, 10, 20)]
    assert merge(parts, duration=20).warnings == ()
    assert merge(parts, duration=20).language == "en"
    assert merge(parts[:1], duration=20).warnings == ("nothing_heard",)
    assert merge([], duration=20).warnings == ("nothing_heard",)


def test_warnings_of_parts_are_said_once() -> None:
    bare = said((0, 0, "Hello there."), timed=False, warnings=("untimed",))
    parts = [PartTranscript(bare, 0, 0, 10), PartTranscript(bare, 10, 10, 20)]
    assert merge(parts, duration=20).warnings == ("untimed",)


@pytest.mark.parametrize(
    ("transcript", "doubtful"),
    [
        (said(), True),
        (said((0, 1, " ")), True),
        (said((0, 1, "Hello."), (1, 2, "Thank you.")), True),
        (said(*((at, at + 1, "I went home again.") for at in range(6))), True),
        (said((0, 1, "Hello."), (1, 2, "Thank you for the invoice.")), False),
    ],
)
def test_a_reply_is_doubtful_that_is_empty_looping_or_holds_a_listed_phrase(
    transcript: Transcript, doubtful: bool
) -> None:
    assert is_doubtful(transcript) is doubtful
