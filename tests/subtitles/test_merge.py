"""Merging a whole file: the text is kept, the times become possible, and a warning names what was lost."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from watcherd.subtitles.cues import cues
from watcherd.subtitles.loops import is_packed
from watcherd.subtitles.merge import PAST_END, UNKNOWN_END, PartTranscript
from watcherd.subtitles.merge import merge as merge_parts
from watcherd.subtitles.repair import LONGEST_PIECE
from watcherd.transcript import Cue, Segment, Transcript, Word

Rows = list[tuple[float, float, str]]


def said(*segments: tuple[float, float, str], **rest: object) -> Transcript:
    return Transcript(segments=tuple(Segment(start=a, end=b, text=text) for a, b, text in segments), **rest)  # type: ignore[arg-type]  # the keywords are Transcript's own


def merge(transcript: Transcript, *, duration: float | None) -> Transcript:
    return merge_parts([PartTranscript(transcript)], duration=duration)


def times(transcript: Transcript) -> list[tuple[float, float, str]]:
    return [(segment.start, segment.end, segment.text) for segment in transcript.segments]


def assert_sound(transcript: Transcript, end: float) -> None:
    for segment in transcript.segments:
        assert 0 <= segment.start < segment.end <= end
        assert segment.text.strip()
    for before, after in pairwise(transcript.segments):
        assert before.end <= after.start


moments = st.one_of(
    st.floats(), st.floats(0, 60), st.sampled_from([0.0, -1.0, 30.0, 30.5, 1e9, math.nan, math.inf])
)
words = st.lists(
    st.sampled_from(["Hello.", "my", "name", "is", "Wolfgang", "", "—", "Where?"]), max_size=6
).map(" ".join)
segment_lists = st.lists(
    st.builds(lambda start, end, text: Segment(start=start, end=end, text=text), moments, moments, words),
    max_size=20,
)
durations = st.one_of(st.none(), st.floats(0.001, 100), st.sampled_from([0.001, 0.05, 0.3, 30.0]))
transcripts = st.builds(
    lambda segments, duration: Transcript(segments=tuple(segments), duration=duration),
    segment_lists,
    st.one_of(st.none(), st.floats()),
)


@given(transcripts, durations)
def test_any_segments_end_up_in_order_apart_and_within_the_audio(
    given_: Transcript, duration: float | None
) -> None:
    merged = merge(given_, duration=duration)
    assert_sound(merged, UNKNOWN_END if merged.duration is None else merged.duration)
    if duration is not None and not (given_.duration or 0) > duration + PAST_END:
        assert merged.duration == duration


@given(transcripts, durations)
def test_no_word_is_lost_unless_a_warning_says_so(given_: Transcript, duration: float | None) -> None:
    merged = merge(given_, duration=duration)
    before, after = Counter(given_.text.split()), Counter(merged.text.split())
    if any(warning.startswith(("past_end: ", "loops: ")) for warning in merged.warnings):
        assert after < before
    else:
        assert after == before


def windows(rows: Rows) -> Iterator[Rows]:
    """Three rows at a time: what would be a loop if all said the same."""
    return (rows[at : at + 3] for at in range(len(rows) - 2))


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.2, 5), words), max_size=12))
def test_words_come_in_the_order_of_their_starts(rows: list[tuple[float, float, str]]) -> None:
    given_ = said(*((start, start + length, text) for start, length, text in rows))
    assume(not any(is_packed(text) for *_, text in rows))
    spoken = [row for row in sorted(rows, key=lambda row: row[0]) if row[2].strip()]
    assume(all(len({tuple(re.findall(r"\w+", text)) for *_, text in three}) > 1 for three in windows(spoken)))
    merged = merge(given_, duration=60)
    assert merged.text.split() == " ".join(text for *_, text in spoken).split()
    assert merged.warnings == (() if spoken else ("nothing_heard",))


@given(transcripts, durations)
def test_merging_twice_changes_nothing_more(given_: Transcript, duration: float | None) -> None:
    once = merge(given_, duration=duration)
    twice = merge(once, duration=duration)
    assume(twice.warnings == once.warnings)  # what is put together for want of room may look like a loop
    assert twice == once


@given(st.lists(words, max_size=30).map(" ".join), durations)
def test_bare_text_is_spread_over_the_audio(text: str, duration: float | None) -> None:
    merged = merge(said((0, 0, text), timed=False), duration=duration)
    assume(not any(warning.startswith("loops: ") for warning in merged.warnings))
    assert merged.text.split() == text.split()
    assert_sound(merged, duration or UNKNOWN_END)
    if text.strip():
        assert merged.warnings == ("untimed",)
        assert merged.segments[0].start == 0
    if text.strip() and duration and duration > 1:
        assert merged.segments[-1].end == pytest.approx(duration, abs=0.002)


def test_good_times_stay() -> None:
    rows = [(0.0, 3.32, " One."), (3.32, 4.0, " Two."), (9.5, 12.123, "Three.")]
    merged = merge(said(*rows, language="english", warnings=("slow",)), duration=12.5)
    assert times(merged) == rows
    assert (merged.language, merged.duration, merged.warnings) == ("english", 12.5, ("slow",))


def test_the_figures_of_a_segment_are_kept() -> None:
    segment = Segment(start=0.5, end=9, text="x", no_speech_prob=0.1, avg_logprob=-0.2, compression_ratio=1.5)
    (merged,) = merge(Transcript(segments=(segment,)), duration=2).segments
    assert (merged.start, merged.end) == (0.5, 2.0)
    assert (merged.no_speech_prob, merged.avg_logprob, merged.compression_ratio) == (0.1, -0.2, 1.5)


def test_word_times_stay_with_their_segment() -> None:
    words = (Word(0.5, 0.7, "One"), Word(0.8, 1.0, "two"))
    segment = Segment(start=0.5, end=1, text="One two", words=words)
    assert merge(Transcript(segments=(segment,)), duration=2).segments == (segment,)


def test_an_end_past_the_audio_is_clamped_without_a_word() -> None:
    merged = merge(said((0, 3.6, "x")), duration=3.38)
    assert times(merged) == [(0, 3.38, "x")]
    assert merged.warnings == ()


def test_overlaps_are_trimmed() -> None:
    merged = merge(said((0, 5, "a"), (3, 6, "b"), (3, 4, "c"), (3.5, 9, "d")), duration=8)
    assert times(merged) == [(0, 3, "a"), (3, 3.1, "b"), (3.1, 3.5, "c"), (3.5, 8, "d")]


def test_segments_out_of_order_are_sorted() -> None:
    assert merge(said((5, 6, "b"), (0, 1, "a")), duration=8).text == "a b"


def test_an_inverted_segment_is_turned_round_where_that_keeps_the_order() -> None:
    merged = merge(said((80, 90, "a"), (99.92, 90.72, "b"), (100, 101, "c")), duration=120)
    assert times(merged) == [(80, 90, "a"), (90.72, 99.92, "b"), (100, 101, "c")]
    assert merged.warnings == ("times_repaired",)


def test_an_inverted_segment_that_would_overtake_keeps_its_start() -> None:
    merged = merge(said((90, 99.9, "a"), (99.92, 90.72, "b"), (105, 106, "c")), duration=120)
    assert times(merged) == [(90, 99.9, "a"), (99.92, 100.92, "b"), (105, 106, "c")]


def test_a_segment_of_no_length_lasts_as_long_as_saying_it() -> None:
    merged = merge(said((1, 1, "x" * 30), (2.5, 2.5, "y")), duration=10)
    assert times(merged) == [(1, 2.5, "x" * 30), (2.5, 3.5, "y")]
    assert merged.warnings == ("times_repaired",)


def test_a_time_that_is_no_number_is_taken_from_the_segment_before() -> None:
    merged = merge(
        said((1, 2, "a"), (math.nan, 4, "b"), (5, math.inf, "c"), (math.inf, math.nan, "d")), duration=10
    )
    assert times(merged) == [(1, 2, "a"), (2, 4, "b"), (5, 6, "c"), (6, 7, "d")]
    assert merged.warnings == ("times_repaired",)


def test_a_segment_without_times_is_not_dropped_for_the_one_before_it() -> None:
    merged = merge(said((0, 1, "a"), (1e300, 1e301, "b"), (math.nan, math.nan, "c")), duration=10)
    assert merged.text == "a c"
    assert merged.warnings == ("times_repaired", "past_end: 1")


def test_a_segment_past_the_end_is_dropped_with_a_warning() -> None:
    merged = merge(said((0, 2, "real"), (29.9, 31, "close"), (31.5, 33, "Thank you.")), duration=30)
    assert [segment.text for segment in merged.segments] == ["real", "close"]
    assert merged.warnings == ("past_end: 1",)


def test_a_start_just_past_the_end_is_rounding() -> None:
    merged = merge(said((0, 30, "real"), (30.4, 30.9, "last")), duration=30)
    assert times(merged) == [(0, 29.9, "real"), (29.9, 30, "last")]
    assert merged.warnings == ()


def test_when_every_segment_is_past_the_end_the_text_is_spread() -> None:
    merged = merge(said((1000, 1001, "One two."), (2000, 2001, "Three.")), duration=10)
    assert merged.text == "One two. Three."
    assert_sound(merged, 10)
    assert merged.warnings == ("times_unusable",)


def test_a_server_that_heard_much_more_than_we_measured_is_believed() -> None:
    merged = merge(said((0, 2, "a"), (50, 52, "b"), duration=60.0), duration=30)
    assert times(merged) == [(0, 2, "a"), (50, 52, "b")]
    assert merged.duration == 60


def test_without_our_own_measure_the_servers_counts() -> None:
    assert times(merge(said((0, 9, "a"), duration=5.0), duration=None)) == [(0, 5, "a")]
    assert times(merge(said((0, 9, "a"), duration=math.nan), duration=None)) == [(0, 9, "a")]


def test_more_segments_than_room_are_joined() -> None:
    merged = merge(said(*((0.1, 0.1, f"w{at}") for at in range(50))), duration=0.5)
    assert len(merged.segments) == 5
    assert merged.text == " ".join(f"w{at}" for at in range(50))


def test_bare_text_is_cut_at_sentences_and_shared_by_length() -> None:
    first, second = (
        "This is the first sentence of it.",
        "And here comes the second, twice as long as the first one was.",
    )
    merged = merge(said((0, 0, f"{first} {second}"), timed=False), duration=10)
    assert [segment.text for segment in merged.segments] == [first, second]
    assert merged.segments[0].end == pytest.approx(10 * len(first) / len(first + second), abs=0.001)


def test_a_long_sentence_is_cut_between_words() -> None:
    merged = merge(said((0, 0, "word " * 200), timed=False), duration=100)
    assert all(len(segment.text) <= LONGEST_PIECE for segment in merged.segments)


def test_very_short_sentences_share_a_piece() -> None:
    merged = merge(
        said((0, 0, 'Yes. No. Dr. Who said: "Good morning to you." Well.'), timed=False), duration=10
    )
    assert [segment.text for segment in merged.segments] == [
        'Yes. No. Dr. Who said: "Good morning to you."',
        "Well.",
    ]


def test_bare_text_of_unknown_length_takes_the_time_of_saying_it() -> None:
    merged = merge(said((0, 0, "x" * 30), timed=False), duration=None)
    assert times(merged) == [(0, 2, "x" * 30)]


def test_silence_is_no_trouble() -> None:
    merged = merge(said((0, 0, " "), timed=False), duration=3)
    assert (merged.segments, merged.warnings) == ((), ("nothing_heard",))
    assert merge(said(), duration=None).segments == ()
    assert merge(said(warnings=("nothing_heard",)), duration=3).warnings == ("nothing_heard",)


def test_each_segment_that_speaks_becomes_a_cue() -> None:
    assert cues(said((0, 1, "  Hello,\n  world "), (1, 2, " "), (2, 3, "x")), None) == [
        Cue(0, 1, "Hello, world"),
        Cue(2, 3, "x"),
    ]
