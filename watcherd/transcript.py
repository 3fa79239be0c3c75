"""The transcript values: what was said when. Times are seconds on the job's own time line. No I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it is said. Servers write it with or without its punctuation."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of speech as the model returned it; figures and words are the model's, where it gave any."""

    start: float
    end: float
    text: str
    no_speech_prob: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """Segments in order, with what the server said of the whole.

    `duration` is in seconds, None where the server did not say; `timed` is False where the answer was
    bare text, which then stands in one segment of no length; `warnings` are codes such as `untimed`.
    """

    segments: tuple[Segment, ...]
    duration: float | None = None
    language: str | None = None
    timed: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All that was said, in one line."""
        return " ".join(piece for piece in (segment.text.strip() for segment in self.segments) if piece)


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: `text` may hold line breaks (LF), never a blank line."""

    start: float
    end: float
    text: str
