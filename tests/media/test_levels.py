"""Silence is found where it is, however loud the recording and its noise are, and nowhere else."""

from __future__ import annotations

import math
import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcherd.media.levels import RATE, Levels

NOISE = random.Random(7)
HISS = [NOISE.gauss(0, 1) for _ in range(RATE)]


def sounding(seconds: float, decibels: float, *, noise: float = -200) -> bytes:
    """A hum with its overtone, and hiss, each so many dB (of its mean power) below full scale."""
    loud, hiss = 32768 * 10 ** (decibels / 20), 32768 * 10 ** (noise / 20)
    return array(
        "h",
        [
            round(
                max(
                    -32768,
                    min(
                        32767,
                        loud * (math.sin(n * 0.0864) + math.sin(n * 0.31)) + hiss * HISS[n % RATE],
                    ),
                )
            )
            for n in range(round(seconds * RATE))
        ],
    ).tobytes()


def silences(*pieces: bytes) -> list[tuple[float, float]]:
    levels = Levels()
    for piece in pieces:
        levels.feed(piece)
    levels.finish()
    return levels.ended


def bursts(times: int, loud: float, quiet: float, *, noise: float = -200) -> list[bytes]:
    """Two seconds of sound, one of rest, again and again."""
    return [sounding(2, loud, noise=noise), sounding(1, quiet, noise=noise)] * times


@pytest.mark.parametrize(
    ("loud", "noise"), [(-20, -200), (-20, -70), (-45, -75), (-20, -46), (-12, -38)], ids=str
)
def test_pauses_are_found_however_soft_the_voice_or_loud_the_room(loud: float, noise: float) -> None:
    found = silences(*bursts(12, loud, -200, noise=noise))[-6:]
    assert len(found) == 6
    for number, (start, end) in enumerate(found, start=6):
        assert start == pytest.approx(3 * number + 2, abs=0.05)
        assert end == pytest.approx(3 * number + 3, abs=0.05)


def test_music_under_the_voice_is_no_silence() -> None:
    assert not silences(*bursts(10, -15, -26))


def test_a_voice_that_is_hardly_there_is_no_silence() -> None:
    found = silences(*bursts(10, -64, -200))[1:]
    assert len(found) == 9
    assert sum(end - start for start, end in found) == pytest.approx(9, abs=0.5)


def test_hiss_alone_is_silence_and_so_is_nothing() -> None:
    assert silences(sounding(8, -200, noise=-50)) == [(0, 8)]
    assert silences(bytes(2 * RATE * 8)) == [(0, 8)]


def test_a_click_ends_no_silence_and_a_word_does() -> None:
    rest = bytes(2 * RATE)
    assert silences(rest, sounding(0.04, -10), rest) == [(0, 2.04)]
    assert len(silences(rest, sounding(0.2, -10), rest)) == 2


def test_a_gap_within_a_word_is_no_silence() -> None:
    assert not silences(sounding(1, -20), bytes(2 * RATE // 5), sounding(1, -20))


def test_one_that_goes_on_is_told_before_it_ends() -> None:
    levels = Levels()
    levels.feed(sounding(1, -20))
    assert levels.since(0) == []
    levels.feed(bytes(2 * RATE * 2))
    assert list(levels.ended) == []
    assert levels.going_on == (1.0, 3.0)
    assert levels.since(2) == [(1, 3)]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 3000), max_size=40))
def test_it_does_not_matter_how_the_samples_are_handed_over(sizes: list[int]) -> None:
    audio = sounding(0.5, -20) + bytes(2 * RATE) + sounding(0.5, -20)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(audio[at : at + 2 * size])
        at += 2 * size
    (found,) = silences(*pieces, audio[at:])
    assert found == pytest.approx((0.5, 1.5), abs=0.05)
