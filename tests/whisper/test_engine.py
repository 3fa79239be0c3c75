"""Hours of sound are heard stretch by stretch, and nothing is lost, doubled or cut at the seams."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from watcherd.whisper.audio import RATE, Samples, Tape
from watcherd.whisper.engine import AbandonedError, Heard, hear

STRETCH = 10


def heard(start: float, end: float, text: str, *, number: int = 0, seek: int = 0) -> Heard:
    return Heard(
        id=number,
        seek=seek,
        start=start,
        end=end,
        text=text,
        tokens=[],
        temperature=0.0,
        avg_logprob=0.0,
        compression_ratio=1.0,
        no_speech_prob=0.0,
    )


def read_aloud(samples: NDArray[np.float32]) -> Iterator[Heard]:
    """A listener who hears each run of one loudness as one utterance, and says how loud and long it was."""
    levels = np.round(samples * 32768).astype(int)
    bounds = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), len(levels)]
    for begin, end in pairwise(bounds):
        if levels[begin]:
            yield heard(begin / RATE, end / RATE, f"{levels[begin]}/{end - begin}", seek=begin * 100 // RATE)


tenths = st.integers(1, 40)


@settings(deadline=None)
@given(st.lists(st.tuples(tenths, st.integers(0, 150)), max_size=20))
def test_every_utterance_is_heard_once_and_whole(plan: list[tuple[int, int]]) -> None:
    tenth = RATE // 10
    blocks: list[Samples] = []
    said, at = [], 0
    for loudness, (length, pause) in enumerate(plan, start=1):
        blocks += [np.full(length * tenth, loudness, np.int16), np.zeros(pause * tenth, np.int16)]
        said.append((round(at / 10, 3), round((at + length) / 10, 3), f"{loudness}/{length * tenth}"))
        at += length + pause
    tape = Tape(iter(blocks), seconds=STRETCH)
    segments = hear(tape, read_aloud, step=lambda: None)
    assert [(segment.start, segment.end, segment.text) for segment in segments] == said
    assert [segment.id for segment in segments] == list(range(len(said)))
    assert all(segment.seek == pytest.approx(segment.start * 100, abs=1) for segment in segments)
    assert tape.duration == pytest.approx(at / 10)


def test_who_no_longer_waits_stops_the_work_between_two_segments() -> None:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise AbandonedError

    def talkative(_samples: NDArray[np.float32]) -> Iterator[Heard]:
        for _ in range(100):
            yield heard(0, 1, "on and on")

    with pytest.raises(AbandonedError):
        hear(Tape(iter([np.ones(RATE, np.int16)])), talkative, step=step)
    assert steps == 3
