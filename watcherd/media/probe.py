"""Probe: an open container in, what it says of itself out. In the child only; decodes no sound."""

from __future__ import annotations

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from watcherd.media.findings import Probe, Track

_UNKNOWN_LANGUAGES = {None, "", "und"}
COVERS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def describe(container: InputContainer) -> Probe:
    """The container's own word on its length and streams. Subtitles, data and covers are left out."""
    return Probe(
        container=container.format.name,
        duration=duration_of(container),
        tracks=tuple(_track(stream) for stream in container.streams.audio),
        video=any(not stream.disposition & COVERS for stream in container.streams.video),
    )


def duration_of(container: InputContainer) -> float | None:
    """The length in seconds that the header tells, or FFmpeg's estimate; None when there is neither."""
    lengths = [
        float(stream.duration * stream.time_base)
        for stream in container.streams.audio
        if stream.duration and stream.time_base
    ]
    if container.duration is not None and container.duration > 0:
        return container.duration / av.time_base
    return max(lengths, default=None)


def _track(stream: AudioStream) -> Track:
    context = stream.codec_context
    language = stream.language
    return Track(
        index=stream.index,
        codec=context.codec.canonical_name if context else "unknown",
        rate=context.sample_rate if context else 0,
        channels=context.channels if context else 0,
        default=bool(stream.disposition & Disposition.default),
        language=None if language in _UNKNOWN_LANGUAGES else language,
    )
