"""Loops: what a model repeats is said once, and what people repeat stays."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.subtitles.loops import PACKED, collapsed, is_looping, is_packed, unrolled
from watcherd.subtitles.merge import PartTranscript, merge
from watcherd.transcript import Segment, Transcript, Word

STUCK = "I'm going to go to the store."
COUNT = "one two three four five six seven eight nine"
SPEECH = (
    "The sun went down behind the hills while we were still looking for the road that the old man had"
    " told us about. Nobody spoke. When at last we found it, the gate was shut, and a dog barked at us."
)


def row(*texts: str) -> list[Segment]:
    return [Segment(start=at, end=at + 1, text=text) for at, text in enumerate(texts)]


def texts(segments: list[Segment]) -> list[str]:
    return [segment.text for segment in segments]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (["a", "a"], ["a", "a"]),
        (["a", "a", "a"], ["a"]),
        (["x", " A, a!", "a a", "A a...", "y"], ["x", " A, a!", "y"]),
        (["a", "b", "a", "b", "a"], ["a", "b", "a", "b", "a"]),
        (["a", "a", "b", "a", "a"], ["a", "a", "b", "a", "a"]),
        (["...", "...", "..."], ["..."]),
        (["...", "?", "!"], ["...", "?", "!"]),
        ([], []),
    ],
)
def test_the_same_three_times_in_a_row_is_said_once(said: list[str], kept: list[str]) -> None:
    found, dropped = collapsed(row(*said))
    assert texts(found) == kept
    assert dropped == len(said) - len(kept)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"{STUCK} " * 9, STUCK),
        (f"{SPEECH} " + f"{STUCK} " * 30, f"{SPEECH} {STUCK}"),
        (f"{STUCK} " * 30 + "I'm going home.", f"{STUCK} I'm going home."),
        ("no " * 100 + "yes " * 100, "no yes"),
        (f"{COUNT} " * 9 + "one two", f"{COUNT} one two"),
        (f"{STUCK} " * 9 + SPEECH + " and" * 90, f"{STUCK} {SPEECH} and"),
    ],
)
def test_a_segment_that_packs_too_well_says_what_it_repeats_once(said: str, kept: str) -> None:
    found, shortened = unrolled(row(said))
    assert texts(found) == [kept]
    assert shortened == 1
    assert unrolled(found) == (found, 0)


@pytest.mark.parametrize(
    "said",
    [
        "No, no, no, no!",
        "Thank you. Thank you. Thank you.",
        " Hello  there ",
        SPEECH,
        " ".join(f"{SPEECH} {number}" for number in range(2)),
        "x" * 400,
    ],
)
def test_what_people_repeat_stays_as_it_is(said: str) -> None:
    segments = row(said)
    assert unrolled(segments) == (segments, 0)


def test_a_long_text_is_judged_by_its_pieces() -> None:
    """Whisper's limit is for half a minute of speech: a book packs better, as its words come again."""
    dice = random.Random(7)
    words = ["".join(dice.choice("etaoinshrdlu") for _ in range(dice.randint(2, 8))) for _ in range(300)]
    said = " ".join(dice.choice(words) for _ in range(20_000))
    assert len(said) / len(zlib.compress(said.encode())) > PACKED
    assert not is_packed(said)


def test_the_words_of_a_shortened_segment_have_no_times() -> None:
    segment = Segment(start=0, end=9, text=f"{STUCK} " * 9, words=(Word(0, 1, "I'm"),), avg_logprob=-0.3)
    assert unrolled([segment])[0] == [Segment(start=0, end=9, text=STUCK, avg_logprob=-0.3)]


@given(st.lists(st.sampled_from(["no", "yes", STUCK, "and so it goes"]), max_size=120))
def test_a_segment_keeps_its_words_in_order(pieces: list[str]) -> None:
    before = " ".join(pieces).split()
    (found,), shortened = unrolled(row(" ".join(pieces)))
    after = found.text.split()
    rest = iter(before)
    assert all(word in rest for word in after)
    assert set(after) == set(before)
    assert (len(after) < len(before)) == bool(shortened)


@pytest.mark.parametrize(
    ("said", "looping"),
    [
        (["Okay."] * 4, False),
        (["Okay."] * 5, True),
        ([STUCK] * 2, False),
        ([STUCK] * 4, True),
        ([STUCK, " ", STUCK, " ", STUCK, "", STUCK], True),
        ([f"{STUCK} " * 9], True),
        ([SPEECH, STUCK, SPEECH], False),
        ([], False),
    ],
)
def test_a_part_is_asked_again_for_a_loop_but_not_for_short_answers(said: list[str], looping: bool) -> None:
    assert is_looping(Transcript(segments=tuple(row(*said)))) is looping


def test_loops_are_counted_over_the_seam_of_parts() -> None:
    """whisper.cpp has been seen to answer a 20-minute file with 336 times the same sentence."""
    parts = [
        PartTranscript(Transcript(segments=tuple(row("Real.", *[STUCK] * 10))), 0, 0, 20),
        PartTranscript(Transcript(segments=tuple(row(STUCK, f"{STUCK} " * 9, "Real, too."))), 20, 20, 40),
    ]
    merged = merge(parts, duration=40)
    assert [(segment.start, segment.text) for segment in merged.segments] == [
        (0, "Real."), (1, STUCK), (22, "Real, too."),
    ]  # fmt: skip
    assert merged.warnings == ("loops: 12",)


def test_a_phrase_said_again_and_again_into_silence_is_invented_once_unrolled() -> None:
    said = Transcript(segments=(Segment(start=0, end=30, text="Thanks for watching! " * 20),))
    merged = merge([PartTranscript(said)], duration=30, silences=((0.0, 30.0),))
    assert (merged.segments, merged.warnings) == ((), ("loops: 1", "invented: 1", "nothing_heard"))


@given(st.text(max_size=12), st.integers(1, 30), st.text(max_size=20))
def test_no_short_text_is_taken_for_one_that_does_not_pack(unit: str, times: int, rest: str) -> None:
    body = (text := unit * times + rest).encode()
    assert len(body) > 1000 or is_packed(text) == (len(body) / len(zlib.compress(body)) > PACKED)
