r"""Formats: cues and their transcript in, the bytes of each sidecar out; SRT and VTT text in, cues out. Pure.

What is spoken is text, never markup, so a writer makes sure that no reader takes it for markup:

    VTT   `&`, `<` and `>` are written as entities, which its standard asks for.
    SRT   has no escape. Where a player would hide or misread characters (`<i>`, `\N`), an invisible WORD
          JOINER (U+2060) after the first of them breaks the spell, as FFmpeg does it. A pair of braces
          (`{\an8}`) is written full width: players that go through ASS hide what is between plain ones.
    both  a line that looks like times, or like the number of a cue, gets a WORD JOINER as well.

    LRC   what looks like a time (`[00:01.00]`, `<00:01.00>`) gets one after its bracket.

Everything else is written as it is, and the readers here undo all of it. Times are whole milliseconds, in LRC
hundredths of a second.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from watcherd.transcript import Cue, Segment, Transcript

PAUSE = 2.0  # seconds without a cue
LONG = 600  # characters of a paragraph
JOINER = "\u2060"  # WORD JOINER: no width, no line break; removed from all text, so it is ours alone


def write_srt(cues: Iterable[Cue]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds. No cues make an empty text."""
    blocks = (
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_guarded_srt(cue.text)}\n"
        for number, cue in enumerate(_cleaned(cues), 1)
    )
    return "\n".join(blocks)


def write_vtt(cues: Iterable[Cue]) -> str:
    """WebVTT: hours always present. No cues make a valid file of one line."""
    blocks = (
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_guarded_vtt(cue.text)}\n"
        for cue in _cleaned(cues)
    )
    return "\n".join(["WEBVTT\n", *blocks])


def write_txt(cues: Iterable[Cue]) -> str:
    """Plain text in paragraphs: a pause begins a new one, or a sentence where one has grown long."""
    paragraphs: list[list[str]] = []
    end, length, is_full = -math.inf, 0, True
    for cue in _cleaned(cues):
        text = cue.text.replace("\n", " ")
        if cue.start - end >= PAUSE or is_full:
            paragraphs.append([])
            length = 0
        paragraphs[-1].append(text)
        length += len(text) + 1
        end, is_full = cue.end, length > LONG and _SENTENCE_END.search(text) is not None
    return "\n\n".join(map(" ".join, paragraphs)) + "\n" if paragraphs else ""


def write_lrc(cues: Iterable[Cue]) -> str:
    """LRC, the lyrics format: a line with its start for each cue, and an empty one where a pause begins."""
    lines: list[str] = []
    end = math.inf
    for cue in _cleaned(cues):
        if cue.start - end >= PAUSE:
            lines.append(_stamp(end))
        lines.append(f"{_stamp(cue.start)} {_guarded_lrc(cue.text)}")
        end = cue.end
    return "".join(f"{line}\n" for line in [*lines, _stamp(end)]) if lines else ""


def write_podcast_json(cues: Iterable[Cue]) -> str:
    """The transcript format of Podcasting 2.0, a segment for each cue."""
    segments = [
        {
            "startTime": round(cue.start, 3),
            "endTime": round(cue.end, 3),
            "body": cue.text.replace("\n", " "),
        }
        for cue in _cleaned(cues)
    ]
    return _json({"version": "1.0.0", "segments": segments})


def write_json(transcript: Transcript) -> str:
    """OpenAI's verbose_json: the segments as the model gave them, with its figures where it gave any."""
    segments = [
        {"id": number, **_facts(segment)}
        for number, segment in enumerate(one for one in transcript.segments if clean(one.text))
    ]
    words = [
        {"word": clean(word.text), "start": round(word.start, 3), "end": round(word.end, 3)}
        for segment in transcript.segments
        for word in segment.words
    ]
    last = transcript.segments[-1].end if transcript.segments else 0.0
    content = {
        "task": "translate",
        "language": _language(transcript),
        "duration": round(last if transcript.duration is None else transcript.duration, 3),
        "text": " ".join(clean(transcript.text).split()),
        "segments": segments,
    }
    return _json(content | {"words": words} if words else content)


_OF_CUES: Mapping[str, Callable[[Iterable[Cue]], str]] = MappingProxyType(
    {
        "srt": write_srt,
        "vtt": write_vtt,
        "txt": write_txt,
        "lrc": write_lrc,
        "podcast-json": write_podcast_json,
    }
)


def render(format: str, cues: Sequence[Cue], transcript: Transcript) -> bytes:  # noqa: A002 - the settings' own word
    """Return the bytes of a sidecar: UTF-8, no byte order mark, LF. KeyError for an unknown format.

    `cues` are those of `transcript`, which is what JSON is made of.
    """
    text = write_json(transcript) if format == "json" else _OF_CUES[format](cues)
    return text.encode("utf-8")


def read_srt(text: str) -> list[Cue]:
    """Read SubRip as servers really send it (see `_read`). Text is taken as it is, tags included."""
    return [Cue(start, end, _text_of(lines)) for start, end, lines in _read(text, _is_number)]


def read_vtt(text: str) -> list[Cue]:
    """Read WebVTT as servers really send it (see `_read`), without notes and tags, entities decoded."""
    return [
        Cue(start, end, _text_of(_plain_vtt("\n".join(_without_blocks(lines))).split("\n")))
        for start, end, lines in _read(text, _is_identifier)
    ]


# Writing ---------------------------------------------------------------------------------------------


def _clock(seconds: float, point: str) -> str:
    """Write a time of at least 0 s as HH:MM:SS and milliseconds, rounded; a full second is carried."""
    rest, milliseconds = divmod(int(seconds * 1000 + 0.5), 1000)
    minutes, second = divmod(rest, 60)
    hours, minute = divmod(minutes, 60)
    return "%02d:%02d:%02d%s%03d" % (hours, minute, second, point, milliseconds)  # noqa: UP031 - is faster


# What str.splitlines takes for the end of a line is one here too; tab becomes a space, other control
# characters go, and so do the byte order mark and our own joiner. Half a surrogate pair has no UTF-8.
_UNPRINTABLE = re.compile(f"[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ufeff{JOINER}]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return text as every format can hold it: no control characters, blank lines or space around lines."""
    if not text.replace("\n", " ").isprintable():
        text = _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", text.replace("\t", " ")))
    return "\n".join(line for line in map(str.strip, text.splitlines()) if line)


def _cleaned(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Yield the cues that have something to show, their text clean."""
    for cue in cues:
        if text := clean(cue.text):
            yield Cue(cue.start, cue.end, text)


_SENTENCE_END = re.compile(r"[.!?…][\"')\]\u2019\u201d]*$")


def _stamp(seconds: float) -> str:
    """Write a time as minutes, which count on past 59, seconds and hundredths."""
    second, hundredths = divmod(int(seconds * 100 + 0.5), 100)
    return f"[{second // 60:02}:{second % 60:02}.{hundredths:02}]"


_STAMP_IN_TEXT = re.compile(r"([\[<])(?=\d+:\d)")


def _guarded_lrc(text: str) -> str:
    return _STAMP_IN_TEXT.sub(rf"\1{JOINER}", text.replace("\n", " "))


def _language(transcript: Transcript) -> str:
    """Name the language of the text as OpenAI does, which is English unless a warning says otherwise."""
    codes = (warning.partition("not_english: ")[2] for warning in transcript.warnings)
    return next(filter(None, codes), "english")


def _facts(segment: Segment) -> Mapping[str, object]:
    figures = {
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }
    times = {"start": round(segment.start, 3), "end": round(segment.end, 3), "text": clean(segment.text)}
    return times | {name: figure for name, figure in figures.items() if figure is not None}


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def _guarded_vtt(text: str) -> str:
    return "\n".join(_guarded_lines(text)).translate(_ENTITIES)


# What players share with ASS: a line break, a hard space, a literal brace.
_BACKSLASH = re.compile(r"\\(?=[Nnh{}])")
_TAG_START = re.compile(r"<(?=[ /]*[A-Za-z])")
_FULL_WIDTH = str.maketrans({"{": f"\uff5b{JOINER}", "}": f"\uff5d{JOINER}"})


def _guarded_srt(text: str) -> str:
    last = text.rfind(">") + 1
    text = _TAG_START.sub(f"<{JOINER}", text[:last]) + text[last:]
    if "\\" in text:
        text = _BACKSLASH.sub(rf"\\{JOINER}", text)
    if -1 < text.find("{") < text.rfind("}"):
        text = text.translate(_FULL_WIDTH)
    return "\n".join(_guarded_lines(text))


_CLOCK_IN_TEXT = re.compile(r"(?<=\d):(?=\d{1,9}[.,]\d)")
_ARROW_IN_TEXT = re.compile(r"(?<=\d)(\s*--)(?=>\s*\d)")


def _guarded_lines(text: str) -> Iterator[str]:
    """Yield lines that no reader takes for times or, among several lines, for the number of a cue."""
    lines = text.split("\n")
    for line in lines:
        if len(lines) > 1 and line.isdigit():
            yield line + JOINER
        elif ":" in line and (len(_CLOCK_IN_TEXT.findall(line)) > 1 or _ARROW_IN_TEXT.search(line)):
            yield _ARROW_IN_TEXT.sub(rf"\1{JOINER}", _CLOCK_IN_TEXT.sub(f":{JOINER}", line))
        else:
            yield line


# Reading ---------------------------------------------------------------------------------------------


def _restored(text: str) -> str:
    """Undo what `_guarded_srt` and `_guarded_vtt` did."""
    return text.replace(f"\uff5b{JOINER}", "{").replace(f"\uff5d{JOINER}", "}").replace(JOINER, "")


_TIME = r"(?:([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{1,9})(?:[.,]([0-9]{1,9}))?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    """Return a time in seconds. Minutes past 59 are LocalAI's: they count the hours once more."""
    whole = int(minutes) * 60 + int(seconds)
    if int(minutes) <= 59:
        whole += int(hours or 0) * 3600
    return float(f"{whole}.{fraction or 0}")


def _read(text: str, is_label: Callable[[list[str], str], bool]) -> Iterator[tuple[float, float, list[str]]]:
    """Yield start, end and lines of each cue, in the file's order.

    Taken as it comes: a byte order mark, CR and CRLF, blank lines anywhere (the text goes on until the
    next times), a comma or a point, missing hours, minutes past 59, missing numbers, cue settings. Cues
    without text are yielded too: they tell a silent file from one that is no subtitle file at all.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = [(at, match) for at, line in enumerate(lines) if (match := _TIMES.fullmatch(line))]
    bounds = [*(at for at, _ in found), len(lines)]
    for (at, match), following in zip(found, bounds[1:], strict=True):
        body = lines[at + 1 : following]
        if following < len(lines) and is_label(body, lines[at - 1] if at else ""):
            body.pop()
        yield _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:]), body


def _is_number(body: list[str], own: str) -> bool:
    """Whether the last line before the next times is that cue's number, rather than text."""
    if not body or not body[-1].strip().isdecimal():
        return False
    return body[-1].strip() == _next_number(own) or (len(body) > 1 and not body[-2].strip())


def _next_number(own: str) -> str | None:
    own = own.strip()
    return str(int(own) + 1) if own.isdecimal() and len(own) < 10 else None


def _is_identifier(body: list[str], own: str) -> bool:
    """Whether the last line before the next times is that cue's identifier: whatever follows a blank line."""
    return _is_number(body, own) or (len(body) > 1 and bool(body[-1].strip()) and not body[-2].strip())


def _text_of(lines: list[str]) -> str:
    return _restored("\n".join(line for line in map(str.strip, lines) if line))


_BLOCK_OF_NO_CUE = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")


def _without_blocks(lines: list[str]) -> list[str]:
    """Drop the notes, styles and regions that may stand between a VTT cue and the next."""
    kept: list[str] = []
    skipping = False
    for before, line in zip(["-", *lines], lines, strict=False):
        if not before.strip():
            skipping = bool(_BLOCK_OF_NO_CUE.match(line))
        if not skipping:
            kept.append(line)
    return kept


_VTT_TAG = re.compile(r"<(?:/?(?:c|i|b|u|ruby|rt|v|lang)(?:[.\s][^<>]*)?|[0-9:.]+)>")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def _plain_vtt(text: str) -> str:
    """Return VTT text without its tags, entities decoded."""
    return _ENTITY.sub(lambda match: html.unescape(match.group()), _VTT_TAG.sub("", text))
