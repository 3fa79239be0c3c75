"""Plain faster-whisper, as a script would use it: `python -m tests.bench.plain_whisper WEIGHTS`.

The model is loaded as the embedded endpoint loads it: the same weights (the first argument), compute type and
threads. A line on standard input is a word and a file, which is translated as a whole, with the endpoint's
beams and temperatures:

    same FILE    with its way to leave out silence, too: a voice detector first, then each run of speech alone
    usual FILE   with `vad_filter=True`, as the readme of faster-whisper has it: the runs are joined

Standard output tells as a line of JSON when the model is loaded, then how long each file took, and its text.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from faster_whisper import WhisperModel, decode_audio  # type: ignore[import-untyped]  # it ships no types
from faster_whisper.vad import VadOptions, get_speech_timestamps  # type: ignore[import-untyped]  # likewise

from watcherd.whisper.audio import RATE
from watcherd.whisper.engine import BEAMS, LADDER, MOST_THREADS


def main(weights: str) -> None:
    """Translate what standard input names, until it ends."""
    began = time.monotonic()
    threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
    model = WhisperModel(weights, device="auto", compute_type="int8", cpu_threads=threads)
    _say(began, "")
    for line in sys.stdin:
        how, _, path = line.rstrip("\n").partition(" ")
        began = time.monotonic()
        _say(began, {"same": same, "usual": usual}[how](model, path))


def same(model: WhisperModel, path: str) -> str:
    """What is said in a file, in English; its speech is looked for first, as the endpoint does it."""
    samples = decode_audio(path, sampling_rate=RATE)
    runs = get_speech_timestamps(samples, VadOptions())
    bounds = [bound / RATE for run in runs for bound in (run["start"], run["end"])]
    return _text(model, samples, clip_timestamps=bounds)


def usual(model: WhisperModel, path: str) -> str:
    """What is said in a file, in English, in as few words of Python as it takes."""
    return _text(model, path, vad_filter=True)


def _text(model: WhisperModel, audio: object, **options: Any) -> str:  # noqa: ANN401 - of any kind
    segments, _ = model.transcribe(
        audio,
        task="translate",
        beam_size=BEAMS,
        temperature=LADDER,
        condition_on_previous_text=False,
        **options,
    )
    return "".join(segment.text for segment in segments).strip()


def _say(began: float, text: str) -> None:
    print(json.dumps({"seconds": time.monotonic() - began, "text": text}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
