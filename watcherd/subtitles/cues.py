"""Cues: a merged transcript in, the subtitles to show out. Pure."""

from __future__ import annotations

from watcherd.transcript import Cue, Transcript


def cues(transcript: Transcript) -> list[Cue]:
    """Return one cue for each segment that says something, its text on one line with single spaces."""
    spoken = ((segment, " ".join(segment.text.split())) for segment in transcript.segments)
    return [Cue(segment.start, segment.end, text) for segment, text in spoken if text]
