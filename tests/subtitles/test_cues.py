"""Cues: the text is kept, the limits hold wherever the time allows, and lines end where something ends."""

from __future__ import annotations

import html
import io
import math
from itertools import accumulate, pairwise

import pytest
import webvtt
from hypothesis import example, given
from hypothesis import strategies as st

from tests.subtitles.test_formats import bare, milliseconds, of_pysubs2
from watcherd.config.model import CUES
from watcherd.subtitles.breaks import Break, between
from watcherd.subtitles.cues import cues
from watcherd.subtitles.formats import clean, read_srt, read_vtt, write_srt, write_vtt
from watcherd.subtitles.grouping import LONG_PAUSE
from watcherd.subtitles.merge import SHORTEST, PartTranscript, merge
from watcherd.subtitles.pieces import pieces
from watcherd.subtitles.shape import Shape, numbers_of, shape_of, width
from watcherd.subtitles.timing import DRIFT, Said, need, room, times
from watcherd.transcript import Cue, Segment, Transcript, Word


def named(name: str) -> Shape:
    shape = shape_of(numbers_of(CUES[name]))
    assert shape is not None
    return shape


BROADCAST, PODCAST = named("broadcast"), named("podcast")
RATE = 15  # characters a second, as people speak
NARROW = Shape(max_lines=1, max_chars=10, max_rate=5, min_seconds=3, max_seconds=4, gap=0.5)
WIDE = Shape(max_lines=4, max_chars=100, max_rate=1000, min_seconds=0.1, max_seconds=30, gap=0)


def merged(*segments: Segment, duration: float | None = None) -> Transcript:
    return merge([PartTranscript(Transcript(segments=segments))], duration=duration)


def said(text: str, start: float = 0.0, seconds: float | None = None) -> Segment:
    return Segment(start=start, end=start + (seconds or len(text) / RATE), text=text)


def shown(text: str, shape: Shape = BROADCAST) -> list[str]:
    """The texts of the cues of one segment that is spoken at an ordinary pace."""
    return [cue.text for cue in cues(merged(said(text), duration=len(text) / RATE + 1), shape)]


def rate(cue: Cue) -> float:
    """Columns a second; a line break counts as the space that it stands for."""
    return (sum(width(line) + 1 for line in cue.text.split("\n")) - 1) / (cue.end - cue.start)


# Properties -----------------------------------------------------------------------------------------

# fmt: off
WORDS = st.sampled_from([
    "Hello.", "my", "name", "is", "Wolfgang", "of", "the", "—", "Where?", "and", "a,", "x" * 7, "y" * 60,
    "在柏林，我们等了很久。", "ガーデン", "안녕하세요", "-->", "<i>", "{b}", "7", "\u0301", "https://a.example/b-c?d=e",  # noqa: RUF001 - Chinese punctuation is meant
])
# fmt: on
TEXTS = st.one_of(
    st.lists(WORDS, max_size=40).map(" ".join),
    st.lists(WORDS, max_size=6).map(" ".join),
    st.text(max_size=30),
)
MOMENTS = st.floats(0, 60)
SEGMENTS = st.lists(
    st.builds(lambda start, end, text: Segment(start=start, end=end, text=text), MOMENTS, MOMENTS, TEXTS),
    max_size=12,
)
DURATIONS = st.one_of(st.none(), st.floats(0.001, 100), st.sampled_from([0.001, 0.05, 0.3, 30.0]))
TRANSCRIPTS = st.builds(lambda segments, duration: merged(*segments, duration=duration), SEGMENTS, DURATIONS)
SHAPES = st.sampled_from([BROADCAST, PODCAST, NARROW, WIDE])


@st.composite
def silence_maps(draw: st.DrawFn) -> tuple[tuple[float, float], ...]:
    lengths = draw(st.lists(st.floats(0.05, 4), max_size=16))
    edges = list(accumulate(lengths))
    return tuple(zip(edges[::2], edges[1::2], strict=False))


def letters(text: str) -> str:
    """The text without any white space."""
    return "".join(clean(text).split())


def assert_sound(found: list[Cue], transcript: Transcript) -> None:
    """In order, apart, within the audio, each at least a glance long, and in whole milliseconds."""
    end = math.inf if transcript.duration is None else transcript.duration
    glance = min(SHORTEST, math.floor(end * 1000) / 1000) if end < 1 else SHORTEST
    for cue in found:
        assert 0 <= cue.start < cue.end <= end
        assert cue.end - cue.start >= glance - 1e-9
        assert round(cue.start, 3) == cue.start
        assert round(cue.end, 3) == cue.end
    for before, after in pairwise(found):
        assert before.end <= after.start


@given(TRANSCRIPTS, SHAPES, silence_maps())
def test_text_and_order_are_kept_and_cues_are_sound(
    transcript: Transcript, shape: Shape, silences: tuple[tuple[float, float], ...]
) -> None:
    found = cues(transcript, shape, silences=silences)
    assert letters(" ".join(cue.text for cue in found)) == letters(transcript.text)
    assert_sound(found, transcript)
    for cue in found:
        assert cue.text == clean(cue.text) != ""
        assert cue.end - cue.start <= shape.max_seconds + 1e-9


@given(st.lists(st.lists(WORDS.filter(lambda word: word.isascii() and len(word) <= 42)).map(" ".join)))
def test_words_are_kept_whole(texts: list[str]) -> None:
    transcript = merged(*(said(text, 9.0 * at, 8) for at, text in enumerate(texts)), duration=None)
    found = cues(transcript, BROADCAST)
    assert " ".join(cue.text for cue in found).split() == transcript.text.split()


@given(TRANSCRIPTS, SHAPES, silence_maps())
def test_lines_are_within_the_limits_if_filled_cues_have_a_glance_each(
    transcript: Transcript, shape: Shape, silences: tuple[tuple[float, float], ...]
) -> None:
    found = cues(transcript, shape, silences=silences)
    for line in (line for cue in found for line in cue.text.split("\n")):
        assert width(line) <= shape.max_chars
    if math.ceil(fewest_lines(transcript, shape) / shape.max_lines) <= room(transcript.duration or 1e5):
        assert all(cue.text.count("\n") < shape.max_lines for cue in found)


def fewest_lines(transcript: Transcript, shape: Shape) -> int:
    """How many lines all of the text takes, each filled."""
    lines, taken = 0, math.inf
    for piece in pieces(transcript.text, max_chars=shape.max_chars):
        taken += piece.spaced + piece.width
        if taken > shape.max_chars:
            lines, taken = lines + 1, piece.width
    return lines


@given(TRANSCRIPTS, SHAPES)
def test_srt_and_vtt_come_back_from_three_readers(transcript: Transcript, shape: Shape) -> None:
    found = cues(transcript, shape)
    srt, vtt = write_srt(found), write_vtt(found)
    assert read_srt(srt) == read_vtt(vtt) == found
    assert [(start, end, bare(text)) for start, end, text in of_pysubs2(srt, "srt")] == milliseconds(found)
    captions = webvtt.from_string(vtt, strict=True).captions
    again = webvtt.from_buffer(io.StringIO(srt), format="srt").captions if found else []
    for strangers, text_of in (
        (captions, lambda one: html.unescape(one.text)),
        (again, lambda one: one.raw_text),
    ):
        assert [
            (one.start_time.in_milliseconds(), one.end_time.in_milliseconds(), bare(text_of(one)))
            for one in strangers
        ] == milliseconds(found)


PLAIN = st.lists(
    st.sampled_from("the house of my brother was sold in May, and nobody knew. But I did. No!".split()),  # noqa: SIM905 - reads as what it is
    min_size=1,
    max_size=40,
).map(" ".join)


@given(st.lists(st.tuples(PLAIN, st.floats(8, 17), st.floats(0.4, 3)), min_size=1, max_size=8))
def test_every_limit_holds_for_unhurried_speech(rows: list[tuple[str, float, float]]) -> None:
    """At up to 17 characters a second with pauses, the time allows everything."""
    position, segments = 0.0, []
    for text, pace, pause in rows:
        segments.append(said(text, position, max(1.0, len(text) / pace)))
        position = segments[-1].end + pause
    for cue, after in pairwise([*cues(merged(*segments, duration=position + 1), BROADCAST), None]):
        assert cue is not None
        assert 0.8 <= round(cue.end - cue.start, 3) <= 7
        assert rate(cue) <= 20.001
        assert after is None or round(after.start - cue.end, 3) >= 0.08


@given(st.lists(st.tuples(PLAIN, st.floats(20, 200)), min_size=1, max_size=4))
def test_text_that_nobody_could_read_in_time_takes_the_pause_behind_it(rows: list[tuple[str, float]]) -> None:
    segments, position = [], 0.0
    for text, pace in rows:
        segments.append(said(text, position, len(text) / pace))
        position += 2 + len(text) / 12
    for cue in cues(merged(*segments, duration=position), BROADCAST):
        assert rate(cue) <= 20.001


@given(TRANSCRIPTS)
def test_what_is_shown_too_short_could_not_have_been_joined(transcript: Transcript) -> None:
    found = cues(transcript, BROADCAST)
    if room(transcript.duration or 1e5) <= 2 * len(found):
        return
    for one, other in pairwise(found):
        if min(one.end - one.start, other.end - other.start) < 0.4 and other.start - one.end < 0.2:
            text = f"{one.text} {other.text}"
            lines = fewest_lines(Transcript(segments=(said(text),)), BROADCAST)
            assert lines > 2 or other.end - one.start > 3 or width(text) > 60


# Timing: exactly what "wherever the time allows" means ---------------------------------------------------

SAID = st.lists(
    st.tuples(st.floats(0, 4), st.floats(0.01, 6), st.integers(1, 84)), min_size=1, max_size=12
).map(
    lambda rows: [
        Said(start, start + length, columns)
        for start, (_, length, columns) in zip(accumulate(row[0] for row in rows), rows, strict=True)
    ]
)


def pushed_runs(cues_said: list[Said], shape: Shape) -> list[list[int]]:
    """Put each cue behind the one before as soon as that has been read; each run is pushed from its first."""
    runs: list[list[int]] = []
    free = -1
    for at, one in enumerate(cues_said):
        start = round(one.start * 1000)
        if start >= free:
            runs.append([])
        free = max(start, free) + need(one.columns, shape) + round(shape.gap * 1000)
        runs[-1].append(at)
    return runs


@given(SAID)
def test_a_run_that_can_be_put_off_within_drift_keeps_every_limit(cues_said: list[Said]) -> None:
    found = times(cues_said, BROADCAST, duration=None)
    for run in pushed_runs(cues_said, BROADCAST):
        latest = max(
            sum(need(cues_said[k].columns, BROADCAST) + 80 for k in run[:n])
            + round(cues_said[run[0]].start * 1000)
            - round(cues_said[run[n]].start * 1000)
            for n in range(len(run))
        )
        for at in run:
            start, end = found[at]
            if latest <= DRIFT * 1000:
                assert round((end - start) * 1000) >= need(cues_said[at].columns, BROADCAST)
                assert -0.001 <= start - cues_said[at].start <= DRIFT + 0.001
                assert at + 1 == len(found) or round((found[at + 1][0] - end) * 1000) >= 80


@given(SAID, st.floats(0.1, 60))
def test_cues_are_apart_and_no_longer_than_may_be_whatever_the_time(
    cues_said: list[Said], end: float
) -> None:
    if room(end) < len(cues_said):
        return
    found = times(cues_said, BROADCAST, duration=end)
    for (start, stop), after in zip(found, [*found[1:], None], strict=True):
        assert 0 <= start < stop <= end
        assert 0.1 <= round(stop - start, 3) <= 7
        if after is not None and after[0] - start >= 0.1801:
            assert round(after[0] - stop, 3) >= 0.08
        elif after is not None:
            assert stop <= after[0]


def test_a_cue_stays_until_it_is_read_and_the_next_is_put_off() -> None:
    found = times([Said(1, 1.2, 4), Said(1.5, 4, 40), Said(6, 7, 20)], BROADCAST, duration=20)
    assert found == [(1.0, 1.8), (1.88, 4.0), (6.0, 7.0)]


def test_where_no_pause_takes_up_the_delay_cues_stay_with_their_words() -> None:
    fast = [Said(float(at), at + 1.0, 40) for at in range(6)]
    assert [start for start, _ in times(fast, BROADCAST, duration=20)] == [0, 1, 2, 3, 4, 5]


def test_the_last_cue_comes_early_if_the_audio_ends_too_soon() -> None:
    assert times([Said(1, 2, 10), Said(9.7, 10, 4)], BROADCAST, duration=10) == [(1.0, 2.0), (9.2, 10.0)]


def test_a_flicker_between_two_cues_is_filled() -> None:
    assert times([Said(1, 3, 10), Said(3.4, 5, 10)], BROADCAST, duration=10)[0] == (1.0, 3.32)


# When words are said -----------------------------------------------------------------------------------


def test_a_silence_falls_at_the_end_of_a_sentence() -> None:
    text = "We came home late that evening. Nobody had been waiting for us there."
    segment = Segment(start=0, end=8, text=text)
    first, second = cues(merged(segment, duration=9), BROADCAST, silences=[(3.4, 5.0)])
    assert (first.text, first.start, first.end) == ("We came home late that evening.", 0.0, 3.4)
    assert second.start == 5.0


def test_a_segment_that_begins_in_a_silence_begins_with_its_speech() -> None:
    (cue,) = cues(
        merged(said("Good morning, everybody.", 2, 10), duration=13), BROADCAST, silences=[(1.5, 9.5)]
    )
    assert cue.start == 9.5


def test_a_segment_that_ends_in_a_silence_ends_with_its_speech() -> None:
    transcript = merged(said("Good morning, everybody.", 0, 9), duration=13)
    (cue,) = cues(transcript, BROADCAST, silences=[(2, 13)])
    assert cue.end == 2


def test_text_that_takes_longer_to_read_than_anything_is_heard_takes_the_silence_too() -> None:
    text = "There is no way that all of this has been said in a second, " * 3
    found = cues(Transcript(segments=(said(text, 0, 10),), duration=10), BROADCAST, silences=[(1, 9.9)])
    assert all(rate(cue) <= 20.001 for cue in found)


def test_a_silence_that_leaves_no_time_for_the_text_is_not_believed() -> None:
    (cue,) = cues(
        merged(said("Good morning, everybody.", 2, 2), duration=13), BROADCAST, silences=[(1.5, 3.9)]
    )
    assert cue.start == 2


def test_the_times_of_words_are_used() -> None:
    words = (Word(1.0, 1.4, "Well"), Word(1.5, 2.0, " then."), Word(6.0, 6.5, "Let's"), Word(6.5, 7.5, "go!"))
    segment = Segment(start=0.9, end=8, text=" Well then. Let's go!", words=words)
    found = cues(merged(segment, duration=9), BROADCAST)
    assert [(cue.start, cue.text) for cue in found] == [(1.0, "Well then."), (6.0, "Let's go!")]


@example([Word(60, 61, "x")], "x")
@given(
    st.lists(
        st.builds(Word, st.floats(-5, 70), st.floats(-5, 70), st.sampled_from(["a", "bc", "de!", "—", ""]))
    ),
    st.sampled_from(["A bc de", "a — bc!", "—", "x"]),
)
def test_words_of_any_kind_do_no_harm(words: list[Word], text: str) -> None:
    transcript = merged(Segment(start=1, end=9, text=text, words=tuple(words)), duration=10)
    found = cues(transcript, BROADCAST)
    assert_sound(found, transcript)
    assert " ".join(cue.text for cue in found).split() == text.split()
    assert all(1 <= cue.start <= 9 for cue in found)


def test_words_that_are_not_those_of_the_text_are_not_used() -> None:
    segment = Segment(start=0, end=2, text="Hello there.", words=(Word(1.5, 2.0, "Hi"),))
    assert cues(merged(segment, duration=9), BROADCAST)[0].start == 0


def test_short_neighbours_are_joined_but_not_over_a_long_pause() -> None:
    near = merged(said("Yes.", 1, 0.4), said("I know.", 1.4, 0.6), duration=20)
    far = merged(said("Yes.", 1, 0.4), said("I know.", 1.5 + LONG_PAUSE, 0.6), duration=20)
    assert [cue.text for cue in cues(near, BROADCAST)] == ["Yes. I know."]
    assert [cue.text for cue in cues(far, BROADCAST)] == ["Yes.", "I know."]


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (said("Okay, fine.", 1, 0.9), said("Let us begin now.", 1.9, 1.2), True),  # hardly seen alone
        (said("Yes.", 1, 0.4), said("I know.", 1.9, 0.6), False),  # seen well enough, and a pause
        (said("We have been looking for you all over the place, you know!", 1, 2), said("Oh.", 3, 1.5), True),
        (said("I have been here before.", 1, 1.6), said("We should go home now.", 2.6, 1.5), False),
        (said("We all went home.", 16, 1.3), said("Bye.", 17.3, 0.3), True),  # and then the audio ends
    ],
)
def test_sentences_share_a_cue_only_if_one_could_not_be_read_alone(
    first: Segment, second: Segment, joined: bool
) -> None:
    transcript = merged(first, second, duration=17.6)
    assert (len(cues(transcript, BROADCAST)) == 1) is joined


def test_what_takes_longer_to_say_than_a_cue_may_last_is_parted() -> None:
    text = "He counted, and then again, slowly."
    words = tuple(Word(at * 1.35, at * 1.35 + 1.35, word) for at, word in enumerate(text.split()))
    segment = Segment(start=0, end=8.1, text=text, words=words)
    assert len(cues(merged(segment, duration=9), BROADCAST)) == 2


def test_no_word_begins_after_its_cue_has_gone() -> None:
    moments = [(0.0, 2.4), (2.4, 4.8), (4.8, 7.1), (7.1, 7.3)]
    words = tuple(
        Word(*moment, text) for moment, text in zip(moments, ("to", "the", "for", "his"), strict=True)
    )
    segment = Segment(start=0, end=8, text="to the for his", words=words)
    assert len(cues(merged(segment, duration=9), BROADCAST)) == 2


def test_even_a_word_that_asks_for_the_next_is_not_joined_to_it_over_a_long_pause() -> None:
    words = (Word(1, 2, "the"), Word(2.05 + LONG_PAUSE, 5, "house"))
    segment = Segment(start=1, end=5, text="the house", words=words)
    assert [cue.text for cue in cues(merged(segment, duration=9), BROADCAST)] == ["the", "house"]


@pytest.mark.parametrize(
    ("columns", "seconds"), [(1, 0.8), (16, 0.8), (17, 0.85), (40, 2), (84, 4.2), (400, 7)]
)
def test_a_cue_needs_the_least_time_and_that_of_reading_it(columns: int, seconds: float) -> None:
    assert need(columns, BROADCAST) == round(seconds * 1000)


def test_a_cue_holds_no_more_than_can_be_read_in_the_longest_time() -> None:
    slow = Shape(max_lines=2, max_chars=42, max_rate=10, min_seconds=1, max_seconds=5, gap=0.08)
    words = tuple(Word(at * 0.3, at * 0.3 + 0.3, "word") for at in range(16))
    segment = Segment(start=0, end=5, text="word " * 16, words=words)
    found = cues(Transcript(segments=(segment,), duration=60), slow)
    assert all(width(cue.text) <= 50 for cue in found)


def test_a_few_words_in_a_long_segment_are_one_cue() -> None:
    (cue,) = cues(merged(Segment(start=3, end=32, text="I don't know what."), duration=40), BROADCAST)
    assert (cue.start, cue.text) == (3, "I don't know what.")


def test_bare_text_that_was_spread_goes_the_same_way() -> None:
    text = "Hello, my name is Wolfgang. I come from Germany, and I have lived here for twenty years now."
    untimed = Transcript(segments=(Segment(start=0, end=0, text=text),), timed=False)
    found = cues(merge([PartTranscript(untimed)], duration=8), BROADCAST)
    assert " ".join(cue.text for cue in found).split() == text.split()
    assert [cue.text.split("\n")[-1][-1] for cue in found] == [".", "."]


def test_raw_leaves_the_segments_as_they_are() -> None:
    segments = [said("  Hello,\n  world " * 9, 0, 1), said(" ", 1, 1), said("x", 2, 1)]
    transcript = Transcript(segments=tuple(segments))
    assert cues(transcript, shape_of(numbers_of(CUES["raw"]))) == [
        Cue(0, 1, " ".join(["Hello, world"] * 9)),
        Cue(2, 3, "x"),
    ]


def test_nothing_said_makes_no_cues() -> None:
    assert cues(Transcript(segments=()), BROADCAST) == []
    assert cues(Transcript(segments=(said("\x00"),)), BROADCAST) == []


# Where cues and lines end ----------------------------------------------------------------------------

SENTENCES = {
    "Hello, my name is Wolfgang.": ["Hello, my name is Wolfgang."],
    "Hello, my name is Wolfgang and I come from Germany.": [
        "Hello, my name is Wolfgang\nand I come from Germany."
    ],
    "The government announced on Thursday that it would raise the minimum wage to fifteen dollars an hour.": [
        "The government announced on Thursday",
        "that it would raise the minimum wage\nto fifteen dollars an hour.",
    ],
    "Yes. I know. But what would you have done in my place, Mr. Smith?": [
        "Yes. I know. But what would you have done\nin my place, Mr. Smith?"
    ],
    "She asked whether the train to New York had already left, and the man just shook his head.": [
        "She asked whether the train\nto New York had already left,",
        "and the man just shook his head.",
    ],
    "In 1984, Dr. Angela Merkel was working at the Academy of Sciences in Berlin.": [
        "In 1984, Dr. Angela Merkel was working\nat the Academy of Sciences in Berlin."
    ],
    "There are three things you should know about it: it is fast, it is cheap, and it does not break.": [
        "There are three things you should know\nabout it: it is fast,",
        "it is cheap, and it does not break.",
    ],
    'He said, "I don\'t know what you mean," and then he walked out of the room without looking back.': [
        'He said, "I don\'t know what you mean,"',
        "and then he walked out of the room\nwithout looking back.",
    ],
    "If you want to get in touch with us, write to hello at example dot com or leave a comment below.": [
        "If you want to get in touch with us,",
        "write to hello at example dot com\nor leave a comment below.",
    ],
    "We need to talk about the weather, because if it rains on Saturday the wedding will be in the hall.": [
        "We need to talk about the weather,",
        "because if it rains on Saturday\nthe wedding will be in the hall.",
    ],
    "It was the best of times, it was the worst of times, it was the age of wisdom.": [
        "It was the best of times,",
        "it was the worst of times,\nit was the age of wisdom.",
    ],
    "And so, my fellow Americans, ask not what your country can do for you.": [
        "And so, my fellow Americans,\nask not what your country can do for you.",
    ],
    "I have been here before. We should go home now.": [
        "I have been here before.",
        "We should go home now.",
    ],
    "我们需要谈谈天气，因为如果星期六下雨，婚礼就要在教堂里举行。": [  # noqa: RUF001 - likewise
        "我们需要谈谈天气，因为如果星期六下雨，\n婚礼就要在教堂里举行。"  # noqa: RUF001 - likewise
    ],
}


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences_are_cut_as_a_subtitler_would(text: str) -> None:
    assert shown(text) == SENTENCES[text]


NARROWER = {
    "When I opened the door, the cat ran past me into the garden and climbed up the apple tree.": [
        "When I opened the door,",
        "the cat ran past me\ninto the garden",
        "and climbed up the apple tree.",
    ],
    "If the weather is good on Saturday, we will meet at the entrance of the park at ten o'clock.": [
        "If the weather is good\non Saturday,",
        "we will meet at the entrance\nof the park at ten o'clock.",
    ],
}


@pytest.mark.parametrize("text", NARROWER)
def test_a_clause_that_does_not_fit_begins_a_cue(text: str) -> None:
    assert shown(text, PODCAST) == NARROWER[text]


REAL = [
    "The beach was a popular spot on a hot summer day, and the children were playing in the sand.",
    "I have lived in this city for more than twenty years, but I have never been to the top of the tower.",
    "We choose to go to the moon in this decade and do the other things, not because they are easy.",
    "And so, my fellow Americans, ask not what your country can do for you.",
    "It was the best of times, it was the worst of times, it was the age of wisdom.",
    "A journalist from the local newspaper wanted to know where the money for the new bridge had come from.",
    "You can put the milk into the bowl with the flour and stir it until it is smooth.",
    "He told me that the last train to the airport leaves at a quarter past eleven.",
    "The doctors at the hospital said that the patient was going to be fine in a couple of days.",
    "What I am trying to say is that there is no reason for us to be afraid of the future.",
    "If the weather is good on Saturday, we will meet at the entrance of the park at ten o'clock.",
    "My grandmother used to tell us stories about the war when we were sitting around the kitchen table.",
    "This is the first time in the history of the company that a woman has been elected to the board.",
    "Please remember to turn off the lights and to close the windows before you leave the building.",
    "The man who sold me this car told me that it had never been in an accident before.",
    "They were looking for a place where they could spend the night without being seen by the police.",
    "In the end, the committee decided to postpone the vote on the proposal until the middle of next month.",
    "Most of the people that I met on the road were friendly and willing to help a stranger.",
    "Scientists at the University of Vienna have found a new way to make plastic out of wood.",
    "Nobody at the table had expected that the youngest of the three brothers would win the game.",
    "When I opened the door, the cat ran past me into the garden and climbed up the apple tree.",
    "It takes about an hour to get from the station to the old harbor if you walk along the river.",
]
BAD_ENDS = {
    "a", "an", "the", "of", "to", "in", "on", "at", "for", "with",
    "from", "by", "into", "my", "your", "his", "her", "our", "their", "and",
}  # fmt: skip


@pytest.mark.parametrize("text", REAL)
@pytest.mark.parametrize("shape", [BROADCAST, PODCAST], ids=["broadcast", "podcast"])
def test_no_line_of_a_real_sentence_ends_on_an_article_or_preposition(text: str, shape: Shape) -> None:
    for line in "\n".join(shown(text, shape)).split("\n"):
        assert line.split()[-1].lower() not in BAD_ENDS


@pytest.mark.parametrize("text", REAL)
def test_the_lines_of_a_real_sentence_are_balanced(text: str) -> None:
    for cue in shown(text):
        lines = cue.split("\n")
        if len(lines) == 2:
            assert abs(len(lines[0]) - len(lines[1])) <= 28, "two thirds of a line"
            assert len(cue) > 42, "it would fit on one"


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("home.", "But", Break.SENTENCE),
        ('home."', "But", Break.SENTENCE),
        ("Mr.", "Smith", Break.TIGHT),
        ("J.", "Smith", Break.TIGHT),
        ("p.m.", "and", Break.WORD),
        ("Really?", "he", Break.CLAUSE),
        ("home,", "but", Break.CLAUSE),
        ("home", "—", Break.CLOSE),
        ("—", "but", Break.CLAUSE),
        ("home", "(where", Break.CLAUSE),
        ("home", "because", Break.CONJUNCTION),
        ("home", "with", Break.PREPOSITION),
        ("summer", "he", Break.PREPOSITION),
        ("old", "house", Break.WORD),
        ("New", "York", Break.CLOSE),
        ("20", "percent", Break.CLOSE),
        ("front", "of", Break.CLOSE),
        ("the", "house", Break.TIGHT),
        ("\u201cthe", "house", Break.TIGHT),
        ("of", "houses", Break.TIGHT),
    ],
)
def test_what_ends_between_two_words(before: str, after: str, found: Break) -> None:
    assert between(before, after) is found


def test_a_word_is_broken_only_if_it_is_wider_than_a_line() -> None:
    address = "https://www.example.org/a-very-long/path/that-goes/on-and-on/for-ever.html"
    assert letters("".join(shown(address, PODCAST))) == address
    assert all(line[-1] in "/-.l" for cue in shown(address, PODCAST) for line in cue.split("\n"))


def test_characters_that_combine_are_never_parted() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    parts = [piece.text for piece in pieces("e\u0301" * 30 + family * 9, max_chars=10)]
    assert all(not part.startswith(("\u0301", "\u200d")) and not part.endswith("\u200d") for part in parts)


def test_marks_stay_with_the_character_that_they_belong_to() -> None:
    found = [piece.text for piece in pieces("「とても」。AとB", max_chars=10)]
    assert found == ["「と", "て", "も」。", "A", "と", "B"]


def test_limits_that_leave_room_for_too_few_cues_are_given_up() -> None:
    odd = Shape(max_lines=2, max_chars=42, max_rate=5, min_seconds=0.1, max_seconds=0.1, gap=0)
    transcript = Transcript(segments=(said("to be or not to be " * 9, 0, 2),), duration=2)
    found = cues(transcript, odd)
    assert len(found) <= 20
    assert_sound(found, transcript)


def test_no_line_begins_with_a_closing_mark() -> None:
    for line in "\n".join(shown("これは「とても長い」文です。そして、まだ終わりません！" * 4)).split("\n"):  # noqa: RUF001 - likewise
        assert line[0] not in "」。、！"  # noqa: RUF001 - likewise
        assert line[-1] != "「"
        assert width(line) <= 42
