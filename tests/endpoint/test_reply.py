"""Whatever a server answers becomes a transcript or a fault, and nothing that was said is lost."""

from __future__ import annotations

import json
import math
import random
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.endpoint.reply import ReplyFormat, next_format, read_reply
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.transcript import Transcript, Word

VERBOSE, SRT, VTT, JSON = ReplyFormat

SRT_BODY = (
    b"1\n00:00:00,000 --> 00:00:03,320\n The beach was popular.\n\n2\n00:00:03,320 --> 00:00:05,000\n Yes.\n"
)
VTT_BODY = b"WEBVTT\n\n00:00.000 --> 00:03.320\n The beach was popular.\n\n00:03.320 --> 00:05.000\n Yes.\n"
BEACH = [(0.0, 3.32, "The beach was popular."), (3.32, 5.0, "Yes.")]

OPENAI = {
    "task": "translate",
    "language": "english",
    "duration": 3.38,
    "text": "The beach was popular.",
    "segments": [
        {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": 3.6,
            "text": " The beach was popular.",
            "tokens": [50364, 440],
            "temperature": 0.0,
            "avg_logprob": -0.28,
            "compression_ratio": 1.24,
            "no_speech_prob": 0.01,
        }
    ],
}


def body_of(value: object) -> bytes:
    return json.dumps(value).encode()


def with_segments(*segments: object, **more: object) -> bytes:
    return body_of({"text": "", "segments": list(segments)} | more)


def read(body: bytes, asked: ReplyFormat = VERBOSE, *, last: bool = False) -> Transcript:
    return read_reply(body, asked=asked, last=last)


def refused(body: bytes, asked: ReplyFormat = VERBOSE, *, last: bool = False) -> Fault:
    with pytest.raises(FaultError) as caught:
        read_reply(body, asked=asked, last=last)
    return caught.value.fault


def spoken(transcript: Transcript) -> list[tuple[float, float, str]]:
    return [(segment.start, segment.end, segment.text.strip()) for segment in transcript.segments]


# verbose_json


def test_a_whole_verbose_json_is_read_with_every_figure() -> None:
    transcript = read(body_of(OPENAI))
    (segment,) = transcript.segments
    assert (segment.start, segment.end, segment.text) == (0.0, 3.6, " The beach was popular.")
    assert (segment.avg_logprob, segment.compression_ratio, segment.no_speech_prob) == (-0.28, 1.24, 0.01)
    assert (transcript.duration, transcript.language) == (3.38, "english")
    assert transcript.timed
    assert transcript.warnings == ()


@pytest.mark.parametrize("asked", ReplyFormat)
def test_verbose_json_is_taken_whatever_was_asked_for(asked: ReplyFormat) -> None:
    assert len(read(body_of(OPENAI), asked).segments) == 1


def test_a_duration_may_be_a_string() -> None:
    assert read(body_of(OPENAI | {"duration": "17.653125"})).duration == 17.653125


@pytest.mark.parametrize("duration", [None, "long", -1, True, [], {}, "nan", "-inf", 10**400])
def test_a_duration_that_makes_no_sense_is_none(duration: object) -> None:
    assert read(body_of(OPENAI | {"duration": duration})).duration is None


def test_figures_may_be_null_or_missing() -> None:
    transcript = read(
        with_segments(
            {"start": 0, "end": 1, "text": "a", "no_speech_prob": None, "avg_logprob": "x"},
            {"id": 1, "start": 1, "end": 2, "text": "b", "tokens": []},
        )
    )
    assert spoken(transcript) == [(0, 1, "a"), (1, 2, "b")]
    assert all(segment.no_speech_prob is None for segment in transcript.segments)
    assert all(segment.avg_logprob is None for segment in transcript.segments)


def test_segments_nested_in_segments_are_found() -> None:
    body = body_of({"segments": {"segments": [{"start": 0, "end": 1, "text": "a"}], "language": "en"}})
    assert spoken(read(body)) == [(0, 1, "a")]


def test_a_bare_list_of_segments_is_read() -> None:
    assert spoken(read(body_of([{"start": 0, "end": 1, "text": "a"}]))) == [(0, 1, "a")]


def test_nanoseconds_become_seconds() -> None:
    body = with_segments({"start": 0, "end": 2_500_000_000, "text": "a"}, duration=3_000_000_000)
    assert spoken(read(body)) == [(0, 2.5, "a")]
    assert read(body).duration == 3


def test_times_are_kept_as_the_server_said_them() -> None:
    body = with_segments(
        {"start": 99.92, "end": 90.72, "text": "a"}, {"start": -1, "end": "0.5", "text": "b"}
    )
    assert spoken(read(body)) == [(99.92, 90.72, "a"), (-1, 0.5, "b")]


def test_a_segment_without_a_usable_time_keeps_its_text() -> None:
    body = with_segments(
        {"start": 1, "end": 2, "text": "a"},
        {"start": None, "end": None, "text": "b"},
        {"start": "soon", "end": 4, "text": "c"},
        {"start": 5, "end": [], "text": "d"},
        "e",
        {"end": 3, "text": "f"},
    )
    assert spoken(read(with_segments({"end": 3, "text": "a"}))) == [(0, 3, "a")]
    assert spoken(read(body)) == [
        (1, 2, "a"),
        (2, 2, "b"),
        (2, 4, "c"),
        (5, 5, "d"),
        (5, 5, "e"),
        (3, 3, "f"),
    ]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_no_time_is_ever_infinite(number: str) -> None:
    body = '{"text":"a b","segments":[{"start":#,"end":2,"text":"a"},{"start":3,"end":#,"text":"b"}]}'
    assert spoken(read(body.replace("#", number).encode())) == [(0, 2, "a"), (3, 3, "b")]


def test_segments_of_which_none_has_a_time_are_untimed() -> None:
    body = with_segments({"text": " a"}, {"text": " b", "start": None})
    assert refused(body).code == "untimed"
    assert read(body, last=True).text == "a b"


def test_text_after_the_last_segment_is_not_lost() -> None:
    body = body_of(
        {"text": " One. Two three.", "duration": 9, "segments": [{"start": 0, "end": 4, "text": " One."}]}
    )
    assert spoken(read(body)) == [(0, 4, "One."), (4, 9, "Two three.")]


def test_text_after_a_last_segment_that_ends_past_the_audio_has_no_length() -> None:
    body = {"text": "One. Two.", "segments": [{"start": 0, "end": 4, "text": "One."}]}
    assert spoken(read(body_of(body)))[1] == (4, 4, "Two.")
    assert spoken(read(body_of(body | {"duration": 3})))[1] == (4, 4, "Two.")


def test_a_whole_text_that_is_another_adds_nothing() -> None:
    body = body_of(
        {"text": "Something else and longer.", "segments": [{"start": 0, "end": 4, "text": "One."}]}
    )
    assert spoken(read(body)) == [(0, 4, "One.")]


def test_line_breaks_within_json_strings_do_no_harm() -> None:
    assert read(b'{"text":"","segments":[{"start":0,"end":1,"text":"a\nb"}]}').text == "a\nb"


def test_text_that_differs_from_the_segments_only_in_spacing_adds_nothing() -> None:
    segments = [{"start": 0, "end": 1, "text": " inter\n"}, {"start": 1, "end": 2, "text": "nal"}]
    assert len(read(body_of({"text": "internal\n", "segments": segments})).segments) == 2


@pytest.mark.parametrize(
    "segments", [None, 7, "x", {}, {"segments": 1}, [], [None, 3, {"text": 5}, {"start": 1, "end": 2}]]
)
def test_text_without_segments_asks_for_another_format(segments: object) -> None:
    fault = refused(body_of({"text": "Hello.", "segments": segments, "language": "english", "duration": 2}))
    assert (fault.scope, fault.code, fault.remedy) == (Scope.FILE, "untimed", Remedy.FORMAT)
    transcript = read(body_of({"text": "Hello.", "segments": segments, "duration": 2}), last=True)
    assert spoken(transcript) == [(0, 0, "Hello.")]
    assert (transcript.timed, transcript.warnings, transcript.duration) == (False, ("untimed",), 2)


def test_text_is_not_lost_where_the_segments_are_blank() -> None:
    body = body_of({"text": "Hello.", "segments": [{"start": 0, "end": 1, "text": " "}]})
    assert read(body, last=True).text == "Hello."


def test_half_a_surrogate_pair_becomes_text_that_can_be_written() -> None:
    body = b'{"text":"","language":"\\ud800","segments":[{"start":0,"end":1,"text":"a\\ud800b"}]}'
    transcript = read(body)
    assert transcript.text.encode() == b"a?b"
    assert (transcript.language or "").encode() == b"?"
    assert read(b'"a\\ud800b"', last=True).text == "a?b"


# Silence


@pytest.mark.parametrize(
    "body",
    [
        b'{"task":"translate","language":"es","duration":5.0,"text":"","segments":[]}',
        b'{"text":"","segments":null}',
        b'{"text":" "}',
        b'{"segments":[]}',
        b'{"text":" ","segments":[{"start":0,"end":5,"text":" "}]}',
        b"WEBVTT",
        b"WEBVTT\n\n",
        b"\xef\xbb\xbfWEBVTT - silence\r\n\r\n",
        b"1\n00:00:00,000 --> 00:00:30,000\n\n",
    ],
)
def test_silence_is_an_empty_transcript_with_a_warning(body: bytes) -> None:
    for asked in ReplyFormat:
        transcript = read(body, asked)
        assert transcript.segments == ()
        assert transcript.timed
        assert transcript.warnings == ("nothing_heard",)


def test_silence_keeps_the_duration() -> None:
    assert read(b'{"text":"","segments":[],"duration":5}').duration == 5


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n", b"\xef\xbb\xbf", b'""', b"null"])
def test_an_empty_body_is_asked_for_again(body: bytes) -> None:
    for last in (False, True):
        fault = refused(body, SRT, last=last)
        assert (fault.scope, fault.code, fault.remedy) == (Scope.FILE, "empty_body", Remedy.RETRY)


def test_a_mark_of_blank_audio_is_left_to_those_who_judge_text() -> None:
    body = with_segments({"start": 0, "end": 5, "text": "[BLANK_AUDIO]"})
    assert read(body).text == "[BLANK_AUDIO]"
    assert read(b"[BLANK_AUDIO]\n", last=True).text == "[BLANK_AUDIO]"


# SRT and WebVTT, whatever was asked for


@pytest.mark.parametrize("asked", ReplyFormat)
@pytest.mark.parametrize(
    "body",
    [
        SRT_BODY,
        VTT_BODY,
        b"\xef\xbb\xbf" + SRT_BODY.replace(b"\n", b"\r\n"),
        b"\n\n" + SRT_BODY,
        b"\n" + VTT_BODY,
        body_of(SRT_BODY.decode()),
        body_of(VTT_BODY.decode()),
        body_of(body_of(SRT_BODY.decode()).decode()),
        body_of({"text": SRT_BODY.decode()}),
        body_of({"text": VTT_BODY.decode(), "segments": []}),
    ],
)
def test_subtitles_are_taken_in_every_wrapping(body: bytes, asked: ReplyFormat) -> None:
    transcript = read(body, asked)
    assert spoken(transcript) == BEACH
    assert transcript.timed


def test_verbose_json_in_a_json_string_is_read() -> None:
    assert len(read(body_of(json.dumps(OPENAI))).segments) == 1


def test_subtitles_in_the_text_count_more_than_segments_without_times() -> None:
    body = body_of({"text": "1\n00:00:01,000 --> 00:00:02,000\n1\n", "segments": [{"text": "1"}]})
    assert spoken(read(body)) == [(1, 2, "1")]


def test_minutes_past_59_count_the_hours() -> None:
    assert spoken(read(b"1\n01:61:01,500 --> 01:61:02,500\na\n", SRT)) == [(3661.5, 3662.5, "a")]


@pytest.mark.parametrize(
    "body", [b"1\n00:00:00,000 --> 0:soon\nHello\n", b"WEBVTT\n\nHello\n", b"WEBVTT\n\n00:1 --> x\nHello"]
)
def test_subtitles_without_a_readable_cue_are_no_silence(body: bytes) -> None:
    fault = refused(body, SRT)
    assert fault.remedy in {Remedy.RETRY, Remedy.FORMAT}
    assert fault.code in {"garbled_reply", "untimed"}


# Bare text


@pytest.mark.parametrize(
    "body", [b"Hello.\n", b'"Hello."', b'{"text":"Hello."}', b'"Hello," he said.', b"[music] Hello."]
)
def test_bare_text_asks_for_another_format_until_there_is_none(body: bytes) -> None:
    for asked in (VERBOSE, SRT, VTT):
        assert refused(body, asked).remedy is Remedy.FORMAT
        assert "Hello" in read(body, asked, last=True).text
    assert not read(body, JSON).timed


def test_the_formats_fall_back_in_order_of_what_they_hold() -> None:
    assert [next_format(asked) for asked in ReplyFormat] == [SRT, VTT, JSON, None]
    assert all(next_format(one) is other for one, other in pairwise(ReplyFormat))


# Answers that are none


@pytest.mark.parametrize(
    ("body", "code", "remedy"),
    [
        (b'{"error":"failed to read audio data"}', "undecodable", Remedy.TRANSCODE),
        (
            b'{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}',
            "quota_exhausted",
            Remedy.PAUSE,
        ),
        ('{"success":false,"message":"额度"}'.encode(), "quota_exhausted", Remedy.PAUSE),
        (b'{"object":"error","message":"The model `x` does not exist."}', "model_unknown", Remedy.CONFIGURE),
        (b'{"detail":"Invalid API key"}', "key_refused", Remedy.CONFIGURE),
        (b'{"text":"","error":"boom"}', "error_reply", Remedy.RETRY),
        (b'{"text":"","success":false}', "error_reply", Remedy.RETRY),
        (b'{"text":"","object":"error"}', "error_reply", Remedy.RETRY),
        (b'{"status":"ok"}', "error_reply", Remedy.RETRY),
        (b"{}", "error_reply", Remedy.RETRY),
        (b"[]", "error_reply", Remedy.RETRY),
        (b'"{\\"error\\":\\"quota is not enough\\"}"', "quota_exhausted", Remedy.PAUSE),
        (b"<!DOCTYPE html><html><head><title>Sign in</title>", "web_page", Remedy.CONFIGURE),
        (b"\n<html><body>It works!</body></html>", "web_page", Remedy.CONFIGURE),
        (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "web_page", Remedy.CONFIGURE),
        (b'{"text":"The beach was', "garbled_reply", Remedy.RETRY),
        (body_of(OPENAI)[:-1], "garbled_reply", Remedy.RETRY),
        (body_of(SRT_BODY.decode())[:-9], "garbled_reply", Remedy.RETRY),
        (b'[{"start":0,', "garbled_reply", Remedy.RETRY),
        (b'{"a":' * 100_000, "garbled_reply", Remedy.RETRY),
        (b'{"duration":' + b"9" * 5000 + b',"text":"a"}', "garbled_reply", Remedy.RETRY),
        (SRT_BODY[:40] + b"\xc3", "garbled_reply", Remedy.RETRY),
        (b"\xff\xfe1\x00", "garbled_reply", Remedy.RETRY),
        (b"\x1f\x8b\x08\x00", "garbled_reply", Remedy.RETRY),
    ],
)
def test_an_answer_that_is_none_is_a_fault(body: bytes, code: str, remedy: Remedy) -> None:
    for asked in ReplyFormat:
        fault = refused(body, asked, last=True)
        assert (fault.code, fault.remedy, fault.status) == (code, remedy, 200)
        assert fault.message
        assert fault.hint


def test_a_web_page_says_what_is_probably_wrong() -> None:
    fault = refused(b"<html><title>Sign in</title></html>")
    assert fault.scope is Scope.ENDPOINT
    assert "base_url is probably wrong" in fault.hint
    assert fault.said == "Sign in"


def test_messages_name_the_address_where_it_is_known() -> None:
    for body in (b"", b"<html>", b'{"error":"x"}', b"Hello"):
        with pytest.raises(FaultError) as caught:
            read_reply(body, asked=VERBOSE, url="https://u:secret@host/v1?key=secret")
        assert "https://host/v1" in caught.value.fault.message
        assert "secret" not in str(caught.value)


def test_what_was_spoken_is_never_in_a_fault() -> None:
    for body in (b"private words", b'{"text":"private words"}', b'{"text":"private words'):
        fault = refused(body)
        assert "private" not in fault.message + fault.said


# Anything at all


def assert_sound(body: bytes, asked: ReplyFormat, *, last: bool) -> None:
    """The only two outcomes there are."""
    try:
        transcript = read_reply(body, asked=asked, last=last)
    except FaultError as error:
        fault = error.fault
        assert fault.message.isprintable()
        assert fault.hint
        assert len(fault.said) <= 300
        fault.said.encode()
        return
    assert transcript.timed or last or asked is JSON
    assert transcript.duration is None or (transcript.duration >= 0 and math.isfinite(transcript.duration))
    assert transcript.segments or transcript.warnings == ("nothing_heard",)
    (transcript.language or "").encode()
    for segment in transcript.segments:
        assert type(segment.start) is type(segment.end) is float
        assert math.isfinite(segment.start)
        assert math.isfinite(segment.end)
        assert segment.text.strip()
        segment.text.encode()
        for figure in (segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio):
            assert figure is None or (type(figure) is float and math.isfinite(figure))


KEYS = st.sampled_from(
    ["text", "segments", "start", "end", "duration", "language", "error", "success", "no_speech_prob"]
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    [SRT_BODY.decode(), VTT_BODY.decode(), "1e9", "\ud800", "WEBVTT"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
PIECES = st.dictionaries(st.sampled_from(["start", "end", "text", "avg_logprob"]), VALUES) | VALUES
REPLIES = st.fixed_dictionaries({"text": VALUES, "segments": st.lists(PIECES, max_size=4)})
LINES = st.sampled_from(
    [
        "",
        "1",
        "WEBVTT",
        "NOTE x",
        "00:00:01,000 --> 00:00:02,000",
        "00:01.5 --> 99:99.999 align:start",
        "Hello",
        "-->",
    ]
) | st.text(max_size=10)


@given(
    body=st.binary(max_size=200)
    | st.lists(LINES, max_size=12).map(lambda lines: "\n".join(lines).encode("utf-8", "replace"))
    | (VALUES | REPLIES).map(body_of),
    asked=st.sampled_from(ReplyFormat),
    last=st.booleans(),
)
def test_nothing_but_a_transcript_or_a_fault_comes_of_any_body(
    body: bytes,
    asked: ReplyFormat,
    last: bool,
) -> None:
    assert_sound(body, asked, last=last)


SEEDS = [
    body_of(OPENAI),
    SRT_BODY,
    VTT_BODY,
    body_of(SRT_BODY.decode()),
    body_of({"segments": {"segments": OPENAI["segments"]}}),
    with_segments(
        {"start": 0, "end": 2_500_000_000, "text": "a"}, {"start": 3, "end": 4, "text": "ü — 你好"}
    ),
    b'{"error":{"message":"no","type":"t","param":null,"code":"c"}}',
    b'{"detail":[{"loc":["body","file"],"msg":"missing"}]}',
    b"<html><head><title>502 Bad Gateway</title></head></html>",
    b'{"task":"translate","language":"es","duration":5.0,"text":"","segments":[]}',
]
SPLICES = [
    b"NaN",
    b"null",
    b"-Infinity",
    b"1e400",
    b"9" * 30,
    b'"',
    b"{",
    b"[",
    b"]",
    b"}",
    b":",
    b"-->",
    b"\\ud800",
]
SPLICES += [
    b"\x00",
    b"\xff",
    b"\r",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"99:99:99,999",
    b"<",
    b"true",
    b'"segments":',
]


def mutated(body: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(body))
        to = min(len(body), at + dice.randint(0, 12))
        match dice.randrange(5):
            case 0:
                body = body[:at]
            case 1:
                body = body[:at] + body[to:]
            case 2:
                body = body[:at] + dice.choice(SPLICES) + body[to:]
            case 3:
                body = body[:at] + bytes([dice.randrange(256)]) + body[at + 1 :]
            case _:
                body = body[:at] + dice.choice(SEEDS)[to:] + body[at:]
    return body


def test_no_damage_to_a_real_body_ever_breaks_the_reader() -> None:
    dice = random.Random(20260101)
    for _ in range(600):
        for seed in SEEDS:
            assert_sound(mutated(seed, dice), dice.choice(list(ReplyFormat)), last=dice.random() < 0.5)


@pytest.mark.parametrize(
    "piece", [b"[", b"{", b'"', b"<", b"1\n", b"0:0 --> ", b"00:00.0 --> 00:00.0\n", b"WEBVTT\n\n", b"a "]
)
def test_a_huge_body_is_read_without_delay(piece: bytes) -> None:
    started = time.monotonic()
    assert_sound(piece * (2_000_000 // len(piece)), SRT, last=True)
    assert_sound(body_of({"text": (piece * (500_000 // len(piece))).decode()}), SRT, last=True)
    assert time.monotonic() - started < 20


# Words -----------------------------------------------------------------------------------------------

HELLO = {"start": 0, "end": 2, "text": " Hello, you."}
AGAIN = {"start": 2, "end": 4, "text": " Again!"}


def test_the_words_of_a_segment_are_read() -> None:
    words = [{"word": " Hello,", "start": "0.1", "end": 0.5}, {"text": "you.", "start": 1, "end": 1.5e9}]
    (segment,) = read(with_segments(HELLO | {"words": words})).segments
    assert segment.words == (Word(0.1, 0.5, "Hello,"), Word(1.0, 1.5, "you."))


def test_the_words_of_the_whole_go_to_their_segments_by_their_letters() -> None:
    """Whatever their times: a model aligns words and segments in two ways."""
    words = [{"word": word, "start": 2.5, "end": 3} for word in ("hello", "you", "again")]
    found = read(with_segments(HELLO, AGAIN, words=words)).segments
    assert [[word.text for word in segment.words] for segment in found] == [["hello", "you"], ["again"]]


def test_where_letters_differ_words_go_by_their_times() -> None:
    words = [{"word": "Hullo", "start": 0.2, "end": 1}, {"word": "one more", "start": 2.5, "end": 3}]
    found = read(with_segments(HELLO, AGAIN, words=words)).segments
    assert [[word.text for word in segment.words] for segment in found] == [["Hullo"], ["one more"]]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "Hello",
        {"word": "Hello"},
        {"word": "Hello", "start": 1, "end": 0.5},
        {"word": "Hello", "start": -1, "end": 0.5},
        {"word": " ", "start": 0, "end": 1},
        {"word": 5, "start": 0, "end": 1},
        {"word": "Hello", "start": math.inf, "end": math.inf},
    ],
)
def test_a_word_that_is_none_is_ignored(entry: object) -> None:
    for body in (with_segments(HELLO | {"words": [entry]}), with_segments(HELLO, words=[entry])):
        (segment,) = read(body).segments
        assert segment.words == ()
    for wrong in (5, "Hello", {"word": "Hello"}, None):
        assert read(with_segments(HELLO | {"words": wrong}, words=wrong)).segments[0].words == ()
