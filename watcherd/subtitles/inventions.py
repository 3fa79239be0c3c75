"""Inventions: segments and the silence map in, those that somebody said out. Pure.

Whisper fills silence and music with what its training films end with: "Thanks for watching". People say such
words, too, so text is dropped only with evidence:

    listed   a listed phrase, and the silence map has nothing to hear there, or the model itself
             doubts that it is speech
    doubted  any text that the model doubts to be speech, and that it is not sure of either
    blank    `[BLANK_AUDIO]` and the like: nobody says that, the model reports it
"""

from __future__ import annotations

from collections.abc import Sequence

from watcherd.subtitles.phrases import is_blank, is_listed
from watcherd.transcript import Segment

NO_SPEECH = 0.6  # Whisper's own limits for a window that it takes for silence
UNSURE = -1.0
AUDIBLE = 0.25  # seconds; in less nothing is said, and a silence map is no more exact

Silences = Sequence[tuple[float, float]]


def heard(segments: Sequence[Segment], silences: Silences) -> list[Segment]:
    """Return the segments that are not known to be invented; `silences` is in the segments' own time."""
    return [segment for segment in segments if not _is_invented(segment, silences)]


def _is_invented(segment: Segment, silences: Silences) -> bool:
    doubted = segment.no_speech_prob is not None and segment.no_speech_prob > NO_SPEECH
    if doubted and segment.avg_logprob is not None and segment.avg_logprob < UNSURE:
        return True
    if is_blank(segment.text):
        return True
    return (doubted or is_silent(segment.start, segment.end, silences)) and is_listed(segment.text)


def is_silent(start: float, end: float, silences: Silences) -> bool:
    """Whether what is to be heard between two moments is too short to be a word."""
    quiet = sum(max(0.0, min(end, last) - max(start, first)) for first, last in silences)
    return quiet > 0 and end - start - quiet < AUDIBLE
