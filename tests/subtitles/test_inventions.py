"""Inventions: listed phrases go with evidence and stay without; people say such words, too."""

from __future__ import annotations

import pytest

from watcherd.subtitles.inventions import AUDIBLE, heard
from watcherd.subtitles.merge import PartTranscript, merge
from watcherd.subtitles.phrases import is_blank, is_listed
from watcherd.transcript import Segment, Transcript

LISTED = [
    "Thanks for watching!",
    " Thank you for watching, and I'll see you in the next video.",
    "Thanks for watching! Thanks for watching!",
    "Thank you.",
    "you",
    "Bye-bye.",
    "Please subscribe.",
    "Please like, share and subscribe to our channel!",
    "Don't forget to like and subscribe!",
    "I hope you enjoyed this video.",
    "See you next time!",
    "Subtitles by the Amara.org community",
    "ENGLISH SUBTITLES BY GARMENTDISTRICT",
    "Transcription by CastingWords",
    "Copyright © 2020 Mooji Media Ltd. All Rights Reserved.",
    "www.mooji.org",
    "[BLANK_AUDIO]",
    "[MUSIC]",
    "(upbeat music)",
    "*applause*",
    "[Music] Thank you.",
    "♪♪",
    "...",
    "Untertitel der Amara.org-Community",
    "Untertitelung des ZDF, 2020",
    "Vielen Dank.",
    "Sous-titrage Société Radio-Canada",
    "¡Gracias por ver el vídeo!",
    "Altyazı M.K.",  # noqa: RUF001 - Turkish
    "Продолжение следует...",
    "ご視聴ありがとうございました",
    "시청해주셔서 감사합니다",
]
SAID = [
    "Thank you for the invoice, I have paid it.",
    "You are right.",
    "I like it.",
    "Music was better then.",
    "[MUSIC] Hello there.",
    "[John] Thank you.",
    "He said: thank you.",
    "See you in court.",
    "The end is near.",
    "My name is Wolfgang and I come from Germany.",
    "Thank you. We go on with the next speaker.",
    "Thanks for watching! " * 20,
]
SILENT = ((9.0, 21.0),)
NEARLY = ((9.0, 20.0 - AUDIBLE + 0.01),)
PARTLY = ((9.0, 20.0 - AUDIBLE),)


def at_ten(text: str, **figures: float) -> Segment:
    return Segment(start=10, end=20, text=text, **figures)  # type: ignore[arg-type]  # the keywords are Segment's own


@pytest.mark.parametrize("text", LISTED)
def test_a_listed_phrase_goes_with_evidence_alone(text: str) -> None:
    assert is_listed(text)
    assert heard([at_ten(text)], SILENT) == []
    assert heard([at_ten(text)], NEARLY) == []
    assert heard([at_ten(text, no_speech_prob=0.61)], ()) == []
    kept = [] if is_blank(text) else [at_ten(text)]
    assert heard([at_ten(text)], ()) == kept
    assert heard([at_ten(text)], PARTLY) == kept
    assert heard([at_ten(text)], ((0.0, 10.0), (20.0, 30.0))) == kept
    unsure = at_ten(text, no_speech_prob=0.6, avg_logprob=-3)
    assert heard([unsure], ()) == ([unsure] if kept else [])


@pytest.mark.parametrize("text", SAID)
def test_other_text_stays_whatever_the_silence_map_says(text: str) -> None:
    assert not is_listed(text)
    assert not is_blank(text)
    sure = at_ten(text, no_speech_prob=0.99, avg_logprob=-1)
    assert heard([at_ten(text), sure], SILENT) == [at_ten(text), sure]


@pytest.mark.parametrize("text", [*LISTED, *SAID])
def test_any_text_goes_that_the_model_itself_does_not_believe_in(text: str) -> None:
    assert heard([at_ten(text, no_speech_prob=0.61, avg_logprob=-1.01)], ()) == []


@pytest.mark.parametrize(
    "text", ["[BLANK_AUDIO]", " [ Silence ]", "(no speech detected)", "[blank_audio] [silence]"]
)
def test_a_model_that_reports_nothing_is_believed(text: str) -> None:
    assert heard([at_ten(text)], ()) == []


@pytest.mark.parametrize("text", ["silence", "[MUSIC]", "[BLANK_AUDIO] Hello", "", "[]"])
def test_nothing_else_is_taken_for_such_a_report(text: str) -> None:
    assert not is_blank(text)


def test_a_short_phrase_is_no_silence_of_itself() -> None:
    short = Segment(start=10, end=10 + AUDIBLE / 2, text="Bye.")
    assert heard([short], ()) == [short]
    assert heard([short], ((0.0, 9.0),)) == [short]
    assert heard([short], SILENT) == []


def test_silences_that_touch_are_one() -> None:
    assert heard([at_ten("Thank you.")], ((5.0, 15.0), (15.0, 25.0))) == []


def test_what_is_dropped_is_counted() -> None:
    spoken = Transcript(
        segments=(
            Segment(start=0, end=2, text="Hello."),
            Segment(start=10, end=20, text="Thanks for watching!"),
            Segment(start=20, end=22, text="Thank you."),
            Segment(start=22, end=30, text="[BLANK_AUDIO]"),
        )
    )
    merged = merge([PartTranscript(spoken)], duration=30, silences=((2.0, 20.0),))
    assert merged.text == "Hello. Thank you."
    assert merged.warnings == ("invented: 2",)


def test_a_phrase_that_ends_after_the_audio_is_judged_by_what_there_is() -> None:
    spoken = Transcript(segments=(Segment(start=28, end=40, text="Thank you."),))
    merged = merge([PartTranscript(spoken)], duration=30, silences=((20.0, 30.0),))
    assert (merged.segments, merged.warnings) == ((), ("invented: 1", "nothing_heard"))


def test_a_silence_map_is_on_the_jobs_time_line() -> None:
    part = PartTranscript(Transcript(segments=(Segment(start=5, end=8, text="Thank you."),)), 60, 60, 120)
    assert merge([part], duration=120, silences=((4.0, 9.0),)).text == "Thank you."
    assert merge([part], duration=120, silences=((64.0, 69.0),)).text == ""


def test_guessed_times_are_no_evidence_unless_all_is_silent() -> None:
    text = "Thank you. " * 3 + "And now to something that takes a little longer to be said."
    bare = Transcript(segments=(Segment(start=0, end=0, text=text),), timed=False)
    assert merge([PartTranscript(bare)], duration=30, silences=((0.0, 20.0),)).text == text.strip()
    only = Transcript(segments=(Segment(start=0, end=0, text="Thank you."),), timed=False)
    assert merge([PartTranscript(only)], duration=30, silences=((0.0, 29.9),)).text == ""
