"""Five thousand damaged answers of every kind of server: a transcript that can be shown, or a fault."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import webvtt

from tests.endpoint.test_diagnose import CASES, NOW, URL, assert_fit_for_people
from tests.subtitles.test_formats import bare, milliseconds, of_pysubs2
from watcherd.config.model import Cues
from watcherd.endpoint.diagnose import diagnose
from watcherd.endpoint.reply import ReplyFormat, read_reply
from watcherd.faults import Fault, FaultError
from watcherd.subtitles.cues import cues
from watcherd.subtitles.formats import clean, read_srt, read_vtt, render
from watcherd.subtitles.merge import UNKNOWN_END, PartTranscript, merge
from watcherd.subtitles.shape import numbers_of, shape_of
from watcherd.transcript import Cue, Transcript

ROUNDS = 5000
BROADCAST = shape_of(numbers_of(Cues()))

FIGURES = {"temperature": 0.0, "avg_logprob": -0.28, "compression_ratio": 1.24, "no_speech_prob": 0.01}
SAID = ((0.0, 3.32, " The beach was a popular spot."), (3.32, 7.5, " 7 people came: <i>Tom</i> & {Jo}."))
TEXT = "".join(text for _, _, text in SAID)
SRT = "".join(
    f"{at}\n00:00:0{start:.3f} --> 00:00:0{end:.3f}\n{text}\n\n".replace(".", ",", 2)
    for at, (start, end, text) in enumerate(SAID, 1)
)
VTT = "WEBVTT\n\n" + "".join(f"00:0{start:.3f} --> 00:0{end:.3f}\n{text}\n\n" for start, end, text in SAID)


def verbose(*, scale: float = 1, figures: Mapping[str, object] = FIGURES, **more: object) -> dict[str, Any]:
    """A translation with segments; `more` are keys of the whole."""
    segments = [
        {"id": at, "start": start * scale, "end": end * scale, "text": text, "tokens": [50364], **figures}
        for at, (start, end, text) in enumerate(SAID)
    ]
    return {"task": "translate", "language": "english", "duration": 7.5, "text": TEXT} | {
        "segments": segments,
        **more,
    }


TRANSLATIONS: dict[str, object] = {
    "OpenAI": verbose(),
    "vLLM, with its figures null and its duration in quotes": verbose(
        figures={"no_speech_prob": None}, duration="7.5"
    ),
    "LocalAI, which counted nanoseconds": verbose(scale=1e9, figures={}),
    "whisperX, one deeper": {"segments": {"segments": verbose()["segments"]}, "language": "es"},
    "a bare list of segments": verbose()["segments"],
    "silence": {"task": "translate", "language": "es", "duration": 5.0, "text": "", "segments": []},
    "text alone, as JSON": {"text": TEXT, "usage": {"type": "duration", "seconds": 8}},
    "SRT in a JSON string": SRT,
    "WebVTT as the text of an object": {"text": VTT},
}
BODIES = {
    **{kind: json.dumps(value, ensure_ascii=False).encode() for kind, value in TRANSLATIONS.items()},
    "SRT": SRT.encode(),
    "SRT of LocalAI": b"\n\n1\n01:61:01,500 --> 01:61:04,000\nFrom the second hour.\n",
    "SRT with CRLF and a byte order mark": b"\xef\xbb\xbf" + SRT.replace("\n", "\r\n").encode(),
    "WebVTT": VTT.encode(),
    "WebVTT with notes and settings": b"WEBVTT - x\n\nNOTE y\n\nid\n00:01.000 --> 00:02.000 align:start\na\n",
    "text": TEXT.encode(),
    "a page": b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    "a refusal with status 200": b'{"error": "failed to read audio data"}',
}
Answer = tuple[int, Mapping[str, str], bytes]  # status, headers, body
TRANSLATED: list[Answer] = [(200, {}, body) for body in BODIES.values()]
REFUSED: list[Answer] = [(case.status, case.headers, case.body) for case in CASES]

WRONG: list[object] = [
    *(None, True, False, 0, -1, -0.0, 1e-9, 0.1, 59.9999, 3600, 86_400.5, 1e6, 1.5e9, 1e15, 1e308, -1e308),
    *(10**400, math.nan, math.inf, -math.inf),
    *(
        "",
        " ",
        "0",
        "1e400",
        "NaN",
        "-5",
        "0x10",
        "1_000",
        "12:30",
        "\ud800",
        "\u202e\x1b[31m",
        "\x00",
        "null",
    ),
    *(
        "00:00:01,000 --> 00:00:02,000",
        "WEBVTT",
        "a\n\n\n2\n\nb",
        "word " * 400,
        "<!doctype html>",
        "{}",
        "[1]",
    ),
    *([], {}, [[]], [None], {"text": {}}, {"segments": []}, {"error": {"error": {"error": "deep"}}}),
    *({"start": 1}, {"text": "left over", "start": "3", "end": None}, ["a", "b"], {"": ""}),
]
SPLICES = [
    *(b"NaN", b"null", b"-Infinity", b"1e999", b"9" * 400, b"9" * 5000, b"0" * 50, b"-", b"e", b"."),
    *(b'"', b"\\", b"\\ud800", b"\\u0000", b"{", b"}", b"[", b"]", b",", b":", b'"segments":', b'"error":{'),
    *(b"-->", b"99:99:99,999", b"\n\n", b"\r", b"<", b"&#0;", b"<i>", b"WEBVTT\n\n", b"NOTE\n"),
    *(b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xe2\x81\xa0"),
    *(b"[" * 2000, b'{"error":' * 500, b'{"segments":' * 500, b"\x1f\x8b\x08"),
]
WISHES = [
    *("3", "0", "-1", "1e9", "NaN", "1m30s", "soon", "", "1767225690", "1767225690000", "\ud800"),
    *("9" * 400, "9" * 20 + "d", "Thu, 01 Jan 2026 00:01:30 GMT"),
    *("Thu, 99 Foo 1 99:99:99 GMT", "Thu, 1 Jan 9999999999 0:0:0 GMT"),
]
NAMES = ["Retry-After", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"]
NAMES += ["location", "x-request-id"]


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value that something stands in, as container and key."""
    match value:
        case dict():
            inner = list(value.items())
        case list():
            inner = list(enumerate(value))
        case _:
            return
    for key, item in inner:
        yield value, key
        yield from places(item)


def bent(body: bytes, dice: random.Random) -> bytes:
    """Put a value of the wrong kind in places of a JSON body; others are left as they are."""
    try:
        whole = [json.loads(body)]
    except ValueError:
        return body
    for _ in range(dice.randint(1, 3)):
        container, key = dice.choice(list(places(whole)))
        match dice.randrange(6):
            case 0 if container is not whole:
                del container[key]
            case 1:
                for _ in range(dice.choice((1, 4, 300))):
                    container[key] = dice.choice(([container[key]], {"segments": container[key]}))
            case 2 if isinstance(container, list) and container is not whole:
                container += container[key:] * dice.choice((1, 40))
            case _:
                container[key] = copy.deepcopy(dice.choice(WRONG))
    return json.dumps(whole[0], ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


def buried(body: bytes, dice: random.Random) -> bytes:
    """Put the whole body deep into lists or objects."""
    before, after = dice.choice(((b"[", b"]"), (b'{"error":', b"}"), (b'{"segments":', b"}")))
    depth = dice.choice((1, 4, 400, 5000))
    return before * depth + body + after * depth


def damaged(body: bytes, dice: random.Random) -> bytes:
    """Cut, flip, double or splice bytes."""
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randint(0, len(body))
        to = min(len(body), at + dice.choice((1, 2, 12, 80)))
        match dice.randrange(6):
            case 0:
                body = body[:at]
            case 1:
                body = body[:at] + body[to:]
            case 2:
                body = body[:at] + body[at:to] * 2 + body[to:]
            case 3 if at < len(body):
                body = body[:at] + bytes([body[at] ^ 1 << dice.randrange(8)]) + body[at + 1 :]
            case _:
                body = body[:at] + dice.choice(SPLICES) + body[to if dice.random() < 0.5 else at :]
    return body


WAYS = [(bent,)] * 8 + [(damaged,)] * 4 + [(bent, damaged)] * 4 + [(bent, buried)]


def mutated(dice: random.Random) -> Answer:
    """One answer as servers send them, changed."""
    status, headers, body = dice.choice(dice.choice((TRANSLATED, TRANSLATED, REFUSED)))
    for way in dice.choice(WAYS):
        body = way(body, dice)
    if dice.random() < 0.3:
        headers = dict(headers) | {dice.choice(NAMES): dice.choice(WISHES)}
    return dice.randrange(100, 600) if dice.random() < 0.2 else status, headers, body


def check_fault(fault: Fault) -> None:
    """Check that a person can read it and that it can be written down."""
    assert_fit_for_people(fault)
    json.dumps(dataclasses.asdict(fault), allow_nan=False, ensure_ascii=False).encode()
    assert fault.retry_after is None or fault.retry_after > 0
    assert fault.limit_seconds is None or fault.limit_seconds >= 0


def check_transcript(transcript: Transcript, *, duration: float | None) -> None:
    """Check that it makes subtitles that this and two other programs read back."""
    for segment in transcript.segments:
        figures = (segment.no_speech_prob, segment.avg_logprob, segment.compression_ratio)
        times = (segment.start, segment.end)
        assert all(math.isfinite(figure) for figure in (*times, *figures) if figure is not None)
        assert segment.text.strip()
    f"{transcript.text}{transcript.language}".encode()
    merged = merge([PartTranscript(transcript)], duration=duration)
    position = 0.0
    for segment in merged.segments:
        assert position <= segment.start < segment.end <= UNKNOWN_END
        position = segment.end
    assert bool(merged.segments) == bool(transcript.segments) or any("invented" in w for w in merged.warnings)
    shown = [dataclasses.replace(cue, text=clean(cue.text)) for cue in cues(merged, BROADCAST)]
    shown = [cue for cue in shown if cue.text]
    srt, vtt, txt = (render(kind, cues(merged, BROADCAST), merged).decode() for kind in ("srt", "vtt", "txt"))
    assert read_srt(srt) == shown
    assert read_vtt(vtt) == shown
    assert txt.split() == " ".join(cue.text for cue in shown).split()
    check_elsewhere(srt, vtt, shown)


def check_elsewhere(srt: str, vtt: str, shown: list[Cue]) -> None:
    """Check that pysubs2 shows the same, and that webvtt-py finds as many cues."""
    assert [(start, end, bare(text)) for start, end, text in of_pysubs2(srt, "srt")] == milliseconds(shown)
    assert len(webvtt.from_string(vtt, strict=True).captions) == len(shown)


def read(body: bytes, dice: random.Random) -> str:
    """Read one body as an answer with status 200; in a word, what it was."""
    asked, last = dice.choice(list(ReplyFormat)), dice.random() < 0.5
    duration = dice.choice((None, 0.0, 0.05, 3.4, 8.0, 1e7, math.nan))
    try:
        transcript = read_reply(body, asked=asked, last=last, url=URL)
    except FaultError as error:
        check_fault(error.fault)
        return error.fault.code
    check_transcript(transcript, duration=duration)
    if not transcript.segments:
        return "silence"
    return "timed" if transcript.timed else "text"


def test_five_thousand_damaged_answers_are_transcripts_or_faults() -> None:
    read_as, diagnosed_as = Counter[str](), Counter[str]()
    for number in range(ROUNDS):
        dice = random.Random(number)
        status, headers, body = mutated(dice)
        try:
            read_as[read(body, dice)] += 1
            fault = diagnose(status, headers, body, url=URL, now=NOW)
            check_fault(fault)
            diagnosed_as[fault.code] += 1
        except BaseException as error:
            error.add_note(f"answer {number}: {status} {headers} {body[:2000]!r}")
            raise
    print(f"read: {dict(read_as.most_common())}; diagnosed: {dict(diagnosed_as.most_common())}")
    assert min(read_as["timed"], read_as["text"], read_as["garbled_reply"]) > ROUNDS / 50
    assert len(diagnosed_as) > 20
