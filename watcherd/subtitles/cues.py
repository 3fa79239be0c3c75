"""Cues: a merged transcript in, the subtitles to show out. Pure.

Segments are cut into pieces, which no line break parts (pieces); each is given the time at which it is said
(spoken); the pieces are parted into cues (grouping), which are put on lines (lines) and shown (timing).
"""

from __future__ import annotations

from collections.abc import Sequence

from watcherd.subtitles.grouping import groups
from watcherd.subtitles.lines import laid_out
from watcherd.subtitles.merge import UNKNOWN_END
from watcherd.subtitles.pieces import columns
from watcherd.subtitles.shape import Shape
from watcherd.subtitles.spoken import spoken
from watcherd.subtitles.timing import Said, room, times
from watcherd.transcript import Cue, Transcript


def cues(
    transcript: Transcript, shape: Shape | None, *, silences: Sequence[tuple[float, float]] = ()
) -> list[Cue]:
    """Return the cues of a merged transcript; without a shape, one for each segment that says something.

    `silences` are the stretches in which nothing is heard, in order and apart.

    The text is kept word for word, in order; a word is broken only where it is wider than a line, or where
    its writing has no spaces. Cues never overlap, lie within the audio, last a glance at least. The limits:

        lines, characters   kept, unless even cues with filled lines would be more than the audio has glances
                            for: then the lines are too many
        longest time        kept
        others              kept wherever the time allows it, see timing.py
    """
    if shape is None:
        return _as_segmented(transcript)
    speech = spoken(transcript, shape, silences)
    duration = transcript.duration
    parts = groups(speech, shape, room=room(UNKNOWN_END if duration is None else duration))
    said = [
        Said(speech.starts[start], speech.ends[end - 1], columns(speech.pieces[start:end]))
        for start, end in parts
    ]
    return [
        Cue(*shown, laid_out(speech.pieces[start:end], speech.breaks[start:end], shape))
        for (start, end), shown in zip(parts, times(said, shape, duration=duration), strict=True)
    ]


def _as_segmented(transcript: Transcript) -> list[Cue]:
    said = ((segment, " ".join(segment.text.split())) for segment in transcript.segments)
    return [Cue(segment.start, segment.end, text) for segment, text in said if text]
