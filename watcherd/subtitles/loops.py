"""Loops: segments in which the model repeats itself in, the same with one of each repetition out. Pure.

A model that has lost the thread says one sentence again and again: within one segment, which then packs much
better than speech does, or as one segment after the other.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import groupby

from watcherd.subtitles.repair import retold
from watcherd.transcript import Segment, Transcript

REPEATED = 3  # times in a row; twice is emphasis
INSISTENT = 5  # segments in a row, after which even a short word is worth asking again
PACKED = 2.4  # Whisper's own limit: text that packs better than this is repetition
_WINDOW = 1000  # characters; no segment of Whisper's is longer, and long honest text packs as well as a loop
_TOO_FEW = 20  # bytes, and one for each different one: packed they are 9, and half a one for each of these
_LONGEST_UNIT = 60  # words that may be repeated together
_WORD = re.compile(r"[^\W_]+")


def is_looping(transcript: Transcript) -> bool:
    """Whether the reply looks like a loop, so that its part is worth asking once more, without a prompt.

    Three short answers in a row ("Okay.") are collapsed but no reason to ask: people do say that.
    """
    if any(is_packed(segment.text) for segment in transcript.segments):
        return True
    spoken = [segment for segment in transcript.segments if segment.text.strip()]
    if len(spoken) < REPEATED:
        return False
    runs = (list(run) for _, run in groupby(spoken, key=_said))
    return any(
        len(run) >= REPEATED and (len(run) >= INSISTENT or is_packed(" ".join(one.text for one in run)))
        for run in runs
    )


def is_packed(text: str) -> bool:
    """Whether some stretch of the text packs better than speech does."""
    body = text.encode()
    if len(body) <= _TOO_FEW + len(set(body)):
        return False
    starts = range(0, max(1, len(body) - _WINDOW // 2), _WINDOW // 2)
    return any(_ratio(body[start : start + _WINDOW]) > PACKED for start in starts)


def unrolled(segments: Sequence[Segment]) -> tuple[list[Segment], int]:
    """Return the segments with what is repeated within one said once, and how many were shortened."""
    found = list(map(_said_once, segments))
    return found, sum(once is not segment for once, segment in zip(found, segments, strict=True))


def collapsed(segments: Sequence[Segment]) -> tuple[list[Segment], int]:
    """Return the segments with the first of each run that says the same, and how many were dropped."""
    if len(segments) < REPEATED:
        return list(segments), 0
    kept: list[Segment] = []
    for _, run in groupby(segments, key=_said):
        same = list(run)
        kept.extend(same[:1] if len(same) >= REPEATED else same)
    return kept, len(segments) - len(kept)


def _said(segment: Segment) -> str:
    """What is compared: the words alone; the text itself where it has none."""
    return " ".join(_WORD.findall(segment.text.casefold())) or segment.text.strip()


def _ratio(body: bytes) -> float:
    return len(body) / len(zlib.compress(body))


def _said_once(segment: Segment) -> Segment:
    if not is_packed(segment.text):
        return segment
    words = segment.text.split()
    shorter = _without_runs(words)
    return retold(segment, " ".join(shorter)) if len(shorter) < len(words) else segment


def _without_runs(words: list[str]) -> list[str]:
    """Say each run once, those of short units first."""
    for unit in range(1, min(_LONGEST_UNIT, len(words) // REPEATED) + 1):
        words = _without_runs_of(words, unit)
    return words


def _without_runs_of(words: list[str], unit: int) -> list[str]:
    """Keep one of each run of at least `REPEATED` units that packs too well; what is left over stays."""
    keys = [" ".join(_WORD.findall(word.casefold())) or word for word in words]
    kept: list[str] = []
    start = done = 0
    for at in range(unit, len(keys) + 1):
        if at < len(keys) and keys[at] == keys[at - unit]:
            continue
        end = start + (at - start) // unit * unit
        if end - start >= REPEATED * unit and _ratio(" ".join(words[start:end]).encode()) > PACKED:
            kept += words[done : start + unit]
            done = end
        start = at - unit + 1
    return kept + words[done:]
