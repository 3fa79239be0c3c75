"""What an endpoint answered with status 200: any body in, a Transcript or a FaultError out. Pure.

The body alone is judged, never its Content-Type and hardly the format asked for: servers answer JSON for SRT,
SRT as a JSON string, WebVTT for JSON, errors and web pages with status 200, and text as text/html.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate

from watcherd.endpoint import wording
from watcherd.endpoint.complaint import is_page, read_json
from watcherd.endpoint.diagnose import as_fault, diagnose
from watcherd.endpoint.wording import Diagnosis
from watcherd.faults import FaultError
from watcherd.subtitles.formats import read_srt, read_vtt
from watcherd.transcript import Segment, Transcript, Word


class ReplyFormat(StrEnum):
    """The response formats worth asking for, the best first; the last has no times."""

    VERBOSE_JSON = "verbose_json"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"


_NANOSECONDS_FROM = 1e6  # seconds; no audio is 277 hours long, but LocalAI has sent nanoseconds
_NESTING = 3  # JSON in a JSON string, segments in segments
_CUT_JSON = re.compile(r'\{|\[\s*\{|"[^"]*\\n')
_TIMES = re.compile(r"\d:\d{1,9}(?:[.,]\d{1,9})?[ \t]*-->[ \t]*\d", re.ASCII)


def next_format(asked: ReplyFormat) -> ReplyFormat | None:
    """Name the format to fall back to, None after the last."""
    order = list(ReplyFormat)
    position = order.index(asked) + 1
    return order[position] if position < len(order) else None


def read_reply(body: bytes, *, asked: ReplyFormat, last: bool = False, url: str = "") -> Transcript:
    """Read any answer as a transcript, times as the server said them (seconds; repaired elsewhere).

    `last` says that no format with times is left to ask for: bare text is then taken as it is, as an untimed
    transcript. After JSON it is so in any case. `url` is for messages only.

    Raises FaultError: what an error body amounts to, `web_page`, `empty_body`, `garbled_reply`, or `untimed`
    where the next format may have times. Nothing else, whatever the bytes.
    """
    try:
        found = _of_text(body.decode(), _NESTING)
    except UnicodeDecodeError:
        found = wording.GARBLED_REPLY
    if isinstance(found, Transcript):
        if found.timed or last or next_format(asked) is None:
            return found
        found = wording.UNTIMED
    if found is wording.ERROR_REPLY:
        raise FaultError(diagnose(200, {}, body, url=url, now=0.0))
    raise FaultError(as_fault(found, url=url, status=200))


def _of_text(text: str, nesting: int) -> Transcript | Diagnosis:
    """Read a whole body or a JSON string; ERROR_REPLY stands for "let diagnose find out what it says"."""
    text = text.lstrip("\ufeff").strip()
    if text in {"", "null"}:
        return wording.EMPTY_BODY
    if is_page(text):
        return wording.ERROR_REPLY
    if text[0] in '{["':
        try:
            return _of_json(read_json(text), nesting)
        except ValueError:
            if _CUT_JSON.match(text):
                return wording.GARBLED_REPLY
    return _of_subtitles(text)


def _of_json(value: object, nesting: int) -> Transcript | Diagnosis:
    match value:
        case str() if nesting:
            return _of_text(_sound(value), nesting - 1)
        case dict():
            return _of_object(value)
        case [{"text": _}, *_]:
            return _of_object({"segments": value})
        case _:
            return wording.ERROR_REPLY


def _of_subtitles(text: str) -> Transcript | Diagnosis:
    """Read SRT or WebVTT, whichever it is; anything else is bare text."""
    is_vtt = text.startswith("WEBVTT")
    if not is_vtt and _TIMES.search(text) is None:
        return _untimed(text)
    cues = [cue for cue in (read_vtt(text) if is_vtt else read_srt(text)) if cue.text.strip()]
    if cues:
        return Transcript(
            segments=tuple(Segment(start=cue.start, end=cue.end, text=cue.text) for cue in cues)
        )
    return wording.GARBLED_REPLY if _holds_words(text, is_vtt=is_vtt) else _silence()


def _holds_words(text: str, *, is_vtt: bool) -> bool:
    """Whether subtitles without a single cue hold text all the same: then they are not silence."""
    lines = [line.strip() for line in text.splitlines()]
    if is_vtt:
        lines = lines[lines.index("") :] if "" in lines else []
    return any(line and "-->" not in line and not line.isdigit() for line in lines)


def _of_object(value: Mapping[str, object]) -> Transcript | Diagnosis:
    entries, text = _segment_list(value), value.get("text")
    if _is_error(value) or (entries is None and not isinstance(text, str)):
        return wording.ERROR_REPLY
    duration = _duration(value.get("duration"))
    whole = _sound(text).strip()
    pieces = [piece for piece in map(_piece, entries or ()) if piece.text.strip()]
    found: Transcript | Diagnosis
    if any(piece.start is not None or piece.end is not None for piece in pieces):
        segments = _with_words(_placed(pieces), _words(value.get("words")))
        found = Transcript(segments=_completed(segments, whole, duration))
    elif whole:
        found = _of_subtitles(whole)
    else:
        found = _untimed("".join(piece.text for piece in pieces)) if pieces else _silence()
    if not isinstance(found, Transcript):
        return found
    return replace(found, duration=duration, language=_language(value.get("language")))


def _is_error(value: Mapping[str, object]) -> bool:
    return bool(value.get("error")) or value.get("success") is False or value.get("object") == "error"


def _segment_list(value: Mapping[str, object]) -> Sequence[object] | None:
    """Find the list of segments, which whisperX servers nest one deeper."""
    inner = value.get("segments")
    for _ in range(_NESTING):
        if isinstance(inner, dict):
            inner = inner.get("segments")
    return inner if isinstance(inner, list) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A segment as the server sent it, its times None where they are of no use."""

    text: str
    start: float | None = None
    end: float | None = None
    no_speech_prob: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    words: tuple[Word, ...] = ()


def _piece(entry: object) -> _Piece:
    if not isinstance(entry, dict):
        return _Piece(text=_sound(entry))
    return _Piece(
        text=_sound(entry.get("text")),
        start=_seconds(entry.get("start")),
        end=_seconds(entry.get("end")),
        no_speech_prob=_number(entry.get("no_speech_prob")),
        avg_logprob=_number(entry.get("avg_logprob")),
        compression_ratio=_number(entry.get("compression_ratio")),
        words=_words(entry.get("words")),
    )


def _words(entries: object) -> tuple[Word, ...]:
    """Read the words of a segment or of the whole; what is none is left out."""
    found = map(_word, entries) if isinstance(entries, list) else ()
    return tuple(word for word in found if word is not None)


def _word(entry: object) -> Word | None:
    if not isinstance(entry, dict):
        return None
    text = _sound(entry.get("word", entry.get("text"))).strip()
    start, end = _seconds(entry.get("start")), _seconds(entry.get("end"))
    if not text or start is None or end is None or not 0 <= start <= end:
        return None
    return Word(start, end, text)


def _placed(pieces: Sequence[_Piece]) -> tuple[Segment, ...]:
    """Give every piece a place, so that no text is lost: without a start it follows the last one."""
    segments: list[Segment] = []
    for piece in pieces:
        start = piece.start
        if start is None:
            start = segments[-1].end if segments else 0.0
            start = start if piece.end is None else min(start, piece.end)
        segments.append(
            Segment(
                start=start,
                end=start if piece.end is None else piece.end,
                text=piece.text,
                no_speech_prob=piece.no_speech_prob,
                avg_logprob=piece.avg_logprob,
                compression_ratio=piece.compression_ratio,
                words=piece.words,
            )
        )
    return tuple(segments)


def _with_words(segments: tuple[Segment, ...], words: tuple[Word, ...]) -> tuple[Segment, ...]:
    """Give each segment its own of the whole's words: by their letters, else by their times."""
    if not words or any(segment.words for segment in segments):
        return segments
    edges = list(accumulate(_letters(segment.text) for segment in segments))
    places = list(accumulate((_letters(word.text) for word in words), initial=0))
    if places.pop() == edges[-1]:
        homes = [bisect_right(edges, place) for place in places]
    else:
        starts = [segment.start for segment in segments]
        homes = [max(0, bisect_right(starts, (word.start + word.end) / 2) - 1) for word in words]
    own: list[list[Word]] = [[] for _ in segments]
    for home, word in zip(homes, words, strict=True):
        own[min(home, len(own) - 1)].append(word)
    return tuple(replace(segment, words=tuple(own[at])) for at, segment in enumerate(segments))


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _completed(segments: tuple[Segment, ...], whole: str, duration: float | None) -> tuple[Segment, ...]:
    """Add what the whole text has after the last segment: vLLM leaves out a segment that was not closed."""
    said = "".join("".join(segment.text for segment in segments).split())
    told = "".join(whole.split())
    if len(told) <= len(said) or not told.startswith(said):
        return segments
    places = [place for place, character in enumerate(whole) if not character.isspace()]
    start = max(segment.end for segment in segments)
    end = start if duration is None else max(start, duration)
    return (*segments, Segment(start=start, end=end, text=whole[places[len(said)] :]))


def _untimed(text: str) -> Transcript:
    segment = Segment(start=0.0, end=0.0, text=text)
    return Transcript(segments=(segment,), timed=False, warnings=("untimed",))


def _silence() -> Transcript:
    return Transcript(segments=(), warnings=("nothing_heard",))


def _sound(text: object) -> str:
    """Return text that can be written as UTF-8; what is not text is nothing."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""


def _number(value: object) -> float | None:
    """Read a finite number, which some servers send as a string."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _seconds(value: object) -> float | None:
    number = _number(value)
    return number if number is None or number <= _NANOSECONDS_FROM else number / 1e9


def _duration(value: object) -> float | None:
    seconds = _seconds(value)
    return None if seconds is None or seconds < 0 else seconds


def _language(value: object) -> str | None:
    return _sound(value).strip()[:64] or None
