"""The writers against our own readers and against strangers': pysubs2, webvtt-py, the openai client."""

from __future__ import annotations

import html
import io
import json
import re
import time
from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import pysubs2
import pytest
import webvtt
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.audio import TranslationVerbose

from watcherd.config.kinds import Format
from watcherd.endpoint.reply import ReplyFormat, read_reply
from watcherd.subtitles.formats import (
    JOINER,
    LONG,
    PAUSE,
    clean,
    read_srt,
    read_vtt,
    write_json,
    write_lrc,
    write_podcast_json,
    write_srt,
    write_txt,
    write_vtt,
)
from watcherd.subtitles.formats import render as render_both
from watcherd.transcript import Cue, Segment, Transcript, Word

NASTY = [
    "a --> b",
    "00:00:01,000 --> 00:00:02,000",
    "1984\n00:00:01.000 --> 00:00:02.000",
    "between 00:00:01.000 and 00:00:02.000",
    "01:02 --> 03:04",
    "fish & chips &amp; more &lt;",
    "1 < 2 > 0 <3",
    "<v Name>hello</v> <i>you</i> < / b >",
    "a<b c<d>e",
    r"{\an8}above {plain} {a{b}c}",
    r"a \N b \n c \h d \{ e \} \\",
    "} not a pair {",
    "NOTE this\nSTYLE",
    "WEBVTT",
    "In the year\n1984",
    "1984\n--> this way",
    "7",
    "-->",
    "\uff5bfull width\uff5d",
]
FRAGMENTS = [
    "-->",
    "<",
    ">",
    "</i>",
    "<v ",
    "{",
    "}",
    "\\",
    "N",
    "&",
    "lt;",
    "\n",
    " ",
    "7",
    "00:00:01",
    ",5",
    ".250",
    ":",
]
texts = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3)), max_size=12).map("".join)
clean_texts = texts.map(clean).filter(bool)


NOTHING = Transcript(segments=())


def render(kind: str, cues: list[Cue]) -> bytes:
    return render_both(kind, cues, NOTHING)


def timed(found: list[str]) -> list[Cue]:
    return [Cue(at * 2.0, at * 2.0 + 1.5, text) for at, text in enumerate(found)]


@st.composite
def cue_lists(draw: st.DrawFn) -> list[Cue]:
    return timed(draw(st.lists(clean_texts, max_size=4)))


many = given(cue_lists())
nasty = example(timed(NASTY))


def bare(text: str) -> str:
    """What a person sees: no joiners, full-width braces for what they stand for."""
    return text.replace(JOINER, "").replace("\uff5b", "{").replace("\uff5d", "}")


def of_pysubs2(text: str, kind: str) -> list[tuple[int, int, str]]:
    """What pysubs2 shows: line breaks as LF, tags and overrides taken away."""
    return [
        (line.start, line.end, line.plaintext) for line in pysubs2.SSAFile.from_string(text, format_=kind)
    ]


def milliseconds(cues: list[Cue]) -> list[tuple[int, int, str]]:
    return [(round(cue.start * 1000), round(cue.end * 1000), bare(cue.text)) for cue in cues]


# Round trips ---------------------------------------------------------------------------------------


@nasty
@many
def test_srt_comes_back_from_our_reader(cues: list[Cue]) -> None:
    assert read_srt(write_srt(cues)) == cues


@nasty
@many
def test_vtt_comes_back_from_our_reader(cues: list[Cue]) -> None:
    assert read_vtt(write_vtt(cues)) == cues


@nasty
@many
def test_pysubs2_shows_every_character_of_our_srt(cues: list[Cue]) -> None:
    shown = [(start, end, bare(text)) for start, end, text in of_pysubs2(write_srt(cues), "srt")]
    assert shown == milliseconds(cues)


@nasty
@many
def test_webvtt_py_shows_every_character_of_our_vtt(cues: list[Cue]) -> None:
    shown = [
        (
            caption.start_time.in_milliseconds(),
            caption.end_time.in_milliseconds(),
            bare(html.unescape(caption.text)),
        )
        for caption in webvtt.from_string(write_vtt(cues), strict=True).captions
    ]
    assert shown == milliseconds(cues)


@nasty
@many
def test_webvtt_py_reads_our_srt(cues: list[Cue]) -> None:
    if not cues:
        return
    shown = [
        (caption.start_time.in_milliseconds(), caption.end_time.in_milliseconds(), bare(caption.raw_text))
        for caption in webvtt.from_buffer(io.StringIO(write_srt(cues)), format="srt").captions
    ]
    assert shown == milliseconds(cues)


@nasty
@many
def test_pysubs2_reads_our_vtt(cues: list[Cue]) -> None:
    """It knows neither entities nor that backslashes and braces are plain in VTT: so the raw text."""
    found = pysubs2.SSAFile.from_string(write_vtt(cues), format_="vtt")
    shown = [(line.start, line.end, bare(html.unescape(line.text))) for line in found]
    assert shown == [(start, end, text.replace("\n", r"\N")) for start, end, text in milliseconds(cues)]


@pytest.mark.parametrize(
    "text", ["plain words", "a --> b", "AT&T", "1 < 2", "C:\\temp", "half past 10:30", "1984"]
)
def test_ordinary_text_is_written_as_it_is(text: str) -> None:
    assert write_srt([Cue(0, 1, text)]) == f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n"


@given(texts)
def test_text_in_any_state_makes_files_that_read_back_clean(text: str) -> None:
    cue = Cue(0.0, 1.0, text)
    expected = [clean(text)] if clean(text) else []
    assert [found.text for found in read_srt(write_srt([cue]))] == expected
    assert [found.text for found in read_vtt(write_vtt([cue]))] == expected
    assert write_txt([cue]).split("\n")[:-1] == [one.replace("\n", " ") for one in expected]


# What is written -----------------------------------------------------------------------------------


def test_times_are_rounded_and_carried() -> None:
    cue = Cue(0.0004, 3599.9996, "x")
    assert "00:00:00,000 --> 01:00:00,000" in write_srt([cue])
    assert "00:00:00.000 --> 01:00:00.000" in write_vtt([cue])


def test_vtt_is_escaped_as_its_standard_asks() -> None:
    assert "\n1 &lt; 2 &amp;&amp; 3 &gt; 2\n" in write_vtt([Cue(0, 1, "1 < 2 && 3 > 2")])


def test_hours_are_always_there() -> None:
    assert write_vtt([Cue(1, 2.5, "x")]) == "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nx\n"


def test_files_are_utf8_with_line_feeds_and_end_in_one() -> None:
    cues = [Cue(0, 1, "Grüße\r\nan 東京"), Cue(1, 2, "b")]
    assert render("srt", cues) == (
        "1\n00:00:00,000 --> 00:00:01,000\nGrüße\nan 東京\n\n2\n00:00:01,000 --> 00:00:02,000\nb\n".encode()
    )
    assert render("txt", cues) == "Grüße an 東京 b\n".encode()
    assert render("lrc", cues) == "[00:00.00] Grüße an 東京\n[00:01.00] b\n[00:02.00]\n".encode()
    assert render("vtt", cues).endswith(b"\nb\n")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("srt", b""),
        ("vtt", b"WEBVTT\n"),
        ("txt", b""),
        ("lrc", b""),
        ("podcast-json", b'{\n  "version": "1.0.0",\n  "segments": []\n}\n'),
    ],
)
def test_no_cues_make_a_valid_empty_file(kind: str, body: bytes) -> None:
    assert render(kind, []) == body
    assert render(kind, [Cue(0, 1, " \n\x00 ")]) == body


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(KeyError):
        render("sub", [])


def test_blank_lines_and_control_characters_go() -> None:
    assert clean("\ufeff a\x07\tb \r\n \n\n\u2028c\x0b\x1b[0m\u2060 ") == "a b\nc\n[0m"


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert render("txt", [Cue(0, 1, "a\ud83d")]) == "a\ufffd\n".encode()


# Text, lyrics and JSON ------------------------------------------------------------------------------


def test_every_format_of_the_configuration_can_be_written() -> None:
    for kind in get_args(Format):
        assert render(kind, [Cue(0, 1, "x")]).endswith(b"\n")


def test_a_pause_begins_a_paragraph() -> None:
    cues = [Cue(0, 1, "One,\ntwo"), Cue(1.5, 2, "three."), Cue(2 + PAUSE, 5, "Four.")]
    assert write_txt(cues) == "One, two three.\n\nFour.\n"


def test_a_long_paragraph_ends_with_its_sentence() -> None:
    words, end, rest = "w" * LONG, 'end."', "Next."
    cues = [Cue(0, 1, words), Cue(1, 2, end), Cue(2, 3, rest)]
    assert write_txt(cues) == f"{words} {end}\n\n{rest}\n"


@many
def test_text_holds_every_word_once(cues: list[Cue]) -> None:
    assert write_txt(cues).split() == " ".join(cue.text for cue in cues).split()


STAMP = re.compile(r"\[(\d{2,}):([0-5]\d)\.(\d\d)\]")


def of_lrc(text: str) -> list[tuple[float, str]]:
    """What a player shows and when: every time at the beginning of a line counts, wherever it stands."""
    shown = []
    for line in text.splitlines():
        matches = list(STAMP.finditer(line))
        assert len(matches) == 1, line
        minutes, seconds, hundredths = map(int, matches[0].groups())
        shown.append((minutes * 60 + seconds + hundredths / 100, line[matches[0].end() :].strip()))
    return shown


@nasty
@many
def test_lyrics_are_shown_at_the_cues_starts(cues: list[Cue]) -> None:
    shown = of_lrc(write_lrc(cues))
    assert [(at, bare(text)) for at, text in shown if text] == [
        (cue.start, bare(cue.text).replace("\n", " ")) for cue in cues
    ]
    assert all(before <= after for (before, _), (after, _) in pairwise(shown))
    if cues:
        assert shown[-1] == (cues[-1].end, "")


def test_lyrics_end_where_a_pause_begins_and_count_minutes_on() -> None:
    cues = [Cue(0.004, 1.996, "a"), Cue(2.5, 3, "b"), Cue(7199.999, 7201, "c [01:02] <00:03.5>")]
    assert write_lrc(cues) == (
        "[00:00.00] a\n[00:02.50] b\n[00:03.00]\n"
        f"[120:00.00] c [{JOINER}01:02] <{JOINER}00:03.5>\n[120:01.00]\n"
    )


@nasty
@many
def test_a_podcast_app_finds_every_cue(cues: list[Cue]) -> None:
    found = json.loads(write_podcast_json(cues))
    assert found == {
        "version": "1.0.0",
        "segments": [
            {"startTime": cue.start, "endTime": cue.end, "body": cue.text.replace("\n", " ")} for cue in cues
        ],
    }


@nasty
@many
def test_our_own_reader_of_replies_reads_our_json(cues: list[Cue]) -> None:
    segments = tuple(Segment(start=cue.start, end=cue.end, text=cue.text, avg_logprob=-0.5) for cue in cues)
    body = write_json(Transcript(segments=segments, duration=90.0))
    if cues:
        read = read_reply(body.encode(), asked=ReplyFormat.VERBOSE_JSON)
        assert (read.segments, read.duration, read.language) == (segments, 90.0, "english")
        assert read.text.split() == json.loads(body)["text"].split()


def test_json_is_what_the_openai_client_calls_a_verbose_translation() -> None:
    segment = Segment(
        start=0.5,
        end=1.25,
        text=" Hello.\x00",
        no_speech_prob=0.1,
        avg_logprob=-0.2,
        compression_ratio=0.9,
        words=(Word(0.5, 1.25, "Hello."),),
    )
    body = write_json(Transcript(segments=(segment,)))
    found = TranslationVerbose.construct(**json.loads(body))
    assert (found.language, found.duration, found.text) == ("english", 1.25, "Hello.")
    assert found.segments is not None
    (only,) = found.segments
    assert (only.id, only.start, only.end, only.text) == (0, 0.5, 1.25, "Hello.")
    assert (only.no_speech_prob, only.avg_logprob, only.compression_ratio) == (0.1, -0.2, 0.9)
    assert json.loads(body)["words"] == [{"word": "Hello.", "start": 0.5, "end": 1.25}]


def test_json_does_not_call_german_english() -> None:
    warned = Transcript(segments=(), warnings=("untimed", "not_english: de"))
    assert json.loads(write_json(warned))["language"] == "de"


# What is read --------------------------------------------------------------------------------------


def test_a_byte_order_mark_and_crlf_are_taken() -> None:
    assert read_srt("\ufeff1\r\n00:00:01,000 --> 00:00:02,000\r\n one\r\n\r\n") == [Cue(1.0, 2.0, "one")]
    assert read_srt("\ufeff00:01,0 --> 00:02,0\r\none") == [Cue(1.0, 2.0, "one")]
    assert read_vtt("\ufeffWEBVTT\r\r00:01.000 --> 00:02.000\rone\r") == [Cue(1.0, 2.0, "one")]


@pytest.mark.parametrize(
    ("times", "start", "end"),
    [
        ("01:61:01,500 --> 01:61:02,000", 3661.5, 3662.0),  # LocalAI: minutes count the hours once more
        ("01:59:59,999 --> 02:00:00,000", 7199.999, 7200.0),
        ("00:01.5 --> 00:02", 1.5, 2.0),
        ("  1:2:3.250-->1:2:4,25  ", 3723.25, 3724.25),
        ("100:00:00,000 --> 100:00:01,000", 360000.0, 360001.0),
        ("00:00:03,000 --> 00:00:01,000", 3.0, 1.0),  # the merge repairs it
    ],
)
def test_times_are_read_in_every_dress(times: str, start: float, end: float) -> None:
    assert read_srt(f"1\n{times}\nx\n") == [Cue(start, end, "x")]
    assert read_vtt(f"WEBVTT\n\n{times}\nx\n") == [Cue(start, end, "x")]


def test_cue_settings_identifiers_notes_and_styles_are_no_text() -> None:
    text = """WEBVTT - made by hand
Kind: captions

STYLE
::cue { color: red }

NOTE before
two lines

intro
00:01.000 --> 00:02.000 align:start position:10%
NOTE is said here

NOTE
between

STYLE

second cue
00:02.000 --> 00:03.000
more
"""
    assert read_vtt(text) == [Cue(1.0, 2.0, "NOTE is said here"), Cue(2.0, 3.0, "more")]


def test_tags_go_and_entities_are_decoded_in_vtt() -> None:
    body = "<v Anna>Tom &amp; <c.loud><i>Jo</i></c> &lt;3&nbsp;x <00:01.500> &#39;a&#39; &amp;lt; 5 < 6 &co"
    assert read_vtt(f"WEBVTT\n\n00:01.000 --> 00:02.000\n{body}\n") == [
        Cue(1.0, 2.0, "Tom & Jo <3\u00a0x  'a' &lt; 5 < 6 &co")
    ]


def test_srt_text_is_taken_as_it_is() -> None:
    assert (
        read_srt("1\n00:00:01,000 --> 00:00:02,000\nTom &amp; <b>Jo</b>\n")[0].text == "Tom &amp; <b>Jo</b>"
    )


def test_blank_lines_before_and_inside_do_not_lose_text() -> None:
    text = "\n\n\n1\n00:01,000 --> 00:02,000\none\n\nstill one\n\n\n2\n00:02,000 --> 00:03,000\n\ntwo\n"
    assert [cue.text for cue in read_srt(text)] == ["one\nstill one", "two"]
    assert [cue.text for cue in read_vtt("WEBVTT\n" + text)] == ["one\nstill one", "two"]


@pytest.mark.parametrize("read", [read_srt, read_vtt])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "00:01,0 --> 00:02,0\none\n\n00:02,0 --> 00:03,0\n1984\n\n00:03,0 --> 00:04,0\nx\n",
            ["one", "1984", "x"],
        ),
        ("7\n00:01,0 --> 00:02,0\none\n8\n00:02,0 --> 00:03,0\ntwo", ["one", "two"]),
        ("1\n00:01,0 --> 00:02,0\n\n2\n00:02,0 --> 00:03,0\n2\n\n3\n00:03,0 --> 00:04,0\nx", ["", "2", "x"]),
        ("1\n00:01,0 --> 00:02,0\none\n\n9\n00:02,0 --> 00:03,0\ntwo", ["one", "two"]),
        ("1\n00:01,0 --> 00:02,0\n2\n00:02,0 --> 00:03,0\nx", ["", "x"]),
    ],
)
def test_numbers_are_told_from_text(read: Callable[[str], list[Cue]], text: str, expected: list[str]) -> None:
    assert [cue.text for cue in read(text)] == expected


@given(texts)
def test_any_text_at_all_can_be_read(text: str) -> None:
    for cue in [*read_srt(text), *read_vtt(text)]:
        assert cue.text == "\n".join(line for line in map(str.strip, cue.text.split("\n")) if line)


@pytest.mark.parametrize("piece", ["<", "{", "<b ", "&", "\\", "1:", "1", " ", "\n", "-->", "<v", ">"])
def test_a_megabyte_of_anything_takes_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    write_srt([Cue(0, 1, text)])
    write_vtt([Cue(0, 1, text)])
    read_srt(text)
    read_vtt(f"00:00 --> 00:01\n{text}")
    assert time.process_time() - begun < 8
