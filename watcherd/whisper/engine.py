"""Engine: a media file in, what was said in it out, in English, as segments with Whisper's own figures.

How Whisper is asked was judged by ear on human speech, the base model and pauses of a second to a minute:

- A voice detector (Silero) finds the speech first, and each run of it is heard on its own. Without it, a
  pause of 45 s brought invented sentences and silence brought "You"; when the pauses were cut out and
  the rest joined, a sentence began on screen before the pause and was spoken after it.
- No run is told what was said before (condition_on_previous_text): a phrase that is wrong once would come
  back for minutes. The prompt is therefore given to the first 30 s only; given to every window, it made
  cues of 30 s and showed up in the text.
- Five beams; at temperature 0, Whisper's own ladder to 1.0 for windows that came out badly, as the API does.

Language is detected once, from the first 30 s of speech. In the child only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

import numpy as np
from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # it ships no types
from faster_whisper.vad import VadOptions, get_speech_timestamps  # type: ignore[import-untyped]  # likewise
from numpy.typing import NDArray

from watcherd.whisper.audio import RATE, Tape, decode
from watcherd.whisper.unusable import unusable

BEAMS = 5
LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
MOST_THREADS = 4  # beyond it the base model gains little, and the machine has other work


class AbandonedError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One segment in the terms of the API's verbose answer; `seek` in hundredths, other times in seconds."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """All that was heard. `spoken` is the language's ISO 639 code, None where nobody spoke."""

    segments: tuple[Heard, ...]
    duration: float
    spoken: str | None

    @property
    def text(self) -> str:
        """The whole text in one line."""
        return "".join(segment.text for segment in self.segments).strip()


class Translator(Protocol):
    """What the application needs of an engine."""

    def translate(
        self, file: BinaryIO, *, prompt: str, temperature: float, abandoned: Callable[[], bool]
    ) -> Translation:
        """Translate one file; see Engine."""
        ...


class Engine:
    """A loaded model. One translation at a time; `steps` counts up while one is under way."""

    def __init__(self, model: str, *, device: str, compute_type: str) -> None:
        threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
        self._model = WhisperModel(model, device=device, compute_type=compute_type, cpu_threads=threads)
        self.steps = 0
        self.working = False
        if not self._model.model.is_multilingual:
            raise unusable(
                "model_english_only",
                f"the model {model} understands only English and cannot translate",
                "Use one without .en in its name: base, small, medium or large-v3.",
            )

    def translate(
        self, file: BinaryIO, *, prompt: str, temperature: float, abandoned: Callable[[], bool]
    ) -> Translation:
        """Translate the default audio track of `file` into English. Blocks for a tenth of its duration or so.

        Raises UndecodableError, and AbandonedError soon after `abandoned()` becomes true.
        """
        self.working = True
        try:
            return self._translate(Tape(decode(file)), prompt or None, temperature, abandoned)
        finally:
            self.working = False

    def _translate(
        self, tape: Tape, prompt: str | None, temperature: float, abandoned: Callable[[], bool]
    ) -> Translation:
        def step() -> None:
            self.steps += 1
            if abandoned():
                raise AbandonedError

        listener = _Listener(self._model, prompt=prompt, temperature=temperature)
        segments = hear(tape, listener.listen, step=step)
        return Translation(segments=segments, duration=tape.duration, spoken=listener.spoken)


def hear(
    tape: Tape, listen: Callable[[NDArray[np.float32]], Iterable[Heard]], *, step: Callable[[], None]
) -> tuple[Heard, ...]:
    """Listen to the whole tape, stretch after stretch, and number the segments on its own time line.

    A stretch's last segment is heard again at the beginning of the next one, since the end may have cut
    it in two. `step` is called for every stretch and segment.
    """
    segments: list[Heard] = []
    while len(samples := tape.stretch()):
        heard = []
        step()
        for segment in listen(samples):
            step()
            heard.append(segment)
        used = len(samples)
        if heard and heard[-1].start > tape.seconds / 2 and not tape.at_end:
            used = int(heard.pop().start * RATE)
        segments += (_shifted(segment, tape.position / RATE) for segment in heard)
        tape.wind(used)
    return tuple(replace(segment, id=number) for number, segment in enumerate(segments))


class _Listener:
    """Hears one file's stretches in turn; the first with speech in it settles the language."""

    def __init__(self, model: WhisperModel, *, prompt: str | None, temperature: float) -> None:
        self._model = model
        self._prompt = prompt
        self._temperatures = (temperature,) if temperature else LADDER
        self.spoken: str | None = None

    def listen(self, samples: NDArray[np.float32]) -> Iterator[Heard]:
        """Yield the segments as they are found; times count from the stretch's start."""
        runs = get_speech_timestamps(samples, VadOptions())
        if not runs:
            return
        found, info = self._model.transcribe(
            samples,
            task="translate",
            language=self.spoken,
            beam_size=BEAMS,
            temperature=self._temperatures,
            initial_prompt=self._prompt,
            condition_on_previous_text=False,
            clip_timestamps=[bound / RATE for run in runs for bound in (run["start"], run["end"])],
        )
        self.spoken, self._prompt = info.language, None
        for segment in found:
            yield Heard(
                id=segment.id,
                seek=segment.seek,
                start=round(segment.start, 3),
                end=round(min(segment.end, len(samples) / RATE), 3),
                text=segment.text,
                tokens=list(segment.tokens),
                temperature=segment.temperature,
                avg_logprob=segment.avg_logprob,
                compression_ratio=segment.compression_ratio,
                no_speech_prob=segment.no_speech_prob,
            )


def _shifted(segment: Heard, seconds: float) -> Heard:
    return replace(
        segment,
        seek=segment.seek + round(seconds * 100),
        start=round(segment.start + seconds, 3),
        end=round(segment.end + seconds, 3),
    )
