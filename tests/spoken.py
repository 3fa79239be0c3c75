"""Hours of speech for tests: names and deeds said by espeak-ng and pauses in, WAV and who did what when out.

    script = recited(10_800)                   every sentence of it is another one
    script.write(inbox / "talk.wav")           16 kHz mono 16-bit
    script.lines[0]                            Line(start=0.84, end=3.21, text="Agnes paints …")

Every sentence is one of 64 names and one of 64 deeds, which are spoken once a run and then put together: so
three hours take seconds, and their samples are known exactly, which is what `tests.servers.truth` needs.
"""

from __future__ import annotations

import functools
import itertools
import random
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
LONGEST = 4.5  # seconds of a sentence

Samples = NDArray[np.int16]

_NAMES = """
    Agnes Bernard Cecily Dominic Eleanor Frederick Georgina Humphrey Isabel Jonathan Katherine Leopold
    Margaret Nicholas Olivia Percival Queenie Roderick Susannah Theodore Ursula Vincent Winifred Xavier
    Yolanda Zachary Abigail Bartholomew Charlotte Desmond Esmeralda Ferdinand Guinevere Horatio Imogen
    Jeremiah Kimberly Lancelot Millicent Nathaniel Octavia Patrick Rosalind Sebastian Tabitha Ulysses
    Veronica Wallace Yvonne Alexander Beatrice Cornelius Dorothy Emmanuel Florence Gabriel Henrietta
    Ignatius Josephine Kenneth Lavinia Montgomery Penelope Reginald
"""
_DEEDS = """
    paints a garden gate, counts seven white swans, repairs the kitchen clock, bakes rye bread on Mondays
    forgot his green umbrella, sings in our village choir, bought three yellow lemons, found a silver coin
    reads every morning paper, climbs up steep mountains, sells old railway maps, collects rare butterflies
    sleeps under an apple tree, writes very long letters, keeps bees behind some barn, plays chess at night
    never drinks cold coffee, walks home through rain, feeds four hungry goats, washes all dirty windows
    builds tiny model ships, grows enormous pumpkins, teaches modern history, mends broken bicycles
    carries water from wells, lost both winter gloves, drives an ambulance, waits for better weather
    draws maps of harbours, studies ancient Greek, polishes brass buttons, photographs thunderstorms
    tunes grand pianos, rides to work by tram, invents useless machines, watches falling stars
    remembers nobody's birthday, cooks soup with ginger, hides keys below flower pots, translates novels
    plants tulips each October, swims across deep lakes, borrowed my ladder again, complains about traffic
    juggles five oranges, knits woollen blankets, argues over politics, whistles while shaving
    inspects steel bridges, dreams of warm islands, opened that heavy trunk, misses his first train
    folds paper aeroplanes, trains young sheepdogs, restores wooden furniture, measures tidal currents
    dances like an elephant, saves money for Christmas, prefers strong cheese, chops firewood before dawn
    hears strange noises upstairs, signed another contract, drops hot potatoes, explains difficult sums
"""
NAMES = _NAMES.split()
DEEDS = [deed.strip() for line in _DEEDS.strip().splitlines() for deed in line.split(",")]


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence and when it is said, in seconds."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Voice:
    """The spoken names and deeds, trimmed of what is silent at their ends."""

    names: Sequence[Samples]
    deeds: Sequence[Samples]

    def text(self, name: int, deed: int) -> str:
        return f"{NAMES[name]} {DEEDS[deed]}."


@dataclass(frozen=True, slots=True)
class Script:
    """Sentences (the sample that each begins with, its name and its deed) in `length` samples."""

    voice: Voice
    sentences: Sequence[tuple[int, int, int]]
    length: int

    @property
    def lines(self) -> list[Line]:
        found = []
        for begin, name, deed in self.sentences:
            end = begin + len(self.voice.names[name]) + len(self.voice.deeds[deed])
            found.append(Line(begin / RATE, end / RATE, self.voice.text(name, deed)))
        return found

    def write(self, path: Path) -> None:
        """As WAV; its pauses take no room on the disk, and it appears under its name when it is whole."""
        size = 2 * self.length
        header = b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        header += (1).to_bytes(2, "little") * 2 + RATE.to_bytes(4, "little")
        header += (2 * RATE).to_bytes(4, "little") + (2).to_bytes(2, "little") + (16).to_bytes(2, "little")
        header += b"data" + size.to_bytes(4, "little")
        hidden = path.with_name(f".{path.name}.part")
        with hidden.open("wb") as file:
            file.write(header)
            for begin, name, deed in self.sentences:
                file.seek(len(header) + 2 * begin)
                file.write(self.voice.names[name].tobytes() + self.voice.deeds[deed].tobytes())
            file.truncate(len(header) + size)
        hidden.rename(path)


def recited(seconds: float, *, pauses: bool = True, rest: float = 0.0, seed: int = 1) -> Script:
    """A script of so many seconds; `rest` is how long nobody speaks in the middle of it.

    Without pauses, sentences follow on each other's heels, and the script ends with one.
    """
    draw, voice, length = random.Random(seed), spoken(), round(seconds * RATE)
    pairs = list(itertools.product(range(len(NAMES)), range(len(DEEDS))))
    draw.shuffle(pairs)
    sentences: list[tuple[int, int, int]] = []
    at = 0
    for name, deed in pairs:
        if pauses:
            at += round(_pause(draw) * RATE)
        if abs(2 * at - length) < rest * RATE:
            at = (length + round(rest * RATE)) // 2
        end = at + len(voice.names[name]) + len(voice.deeds[deed])
        if end > length:
            return Script(voice, sentences, length if pauses else at)
        sentences.append((at, name, deed))
        at = end
    raise AssertionError(f"there are no more sentences after {at / RATE:.0f} s")


def _pause(draw: random.Random) -> float:
    """Mostly short, as between sentences; some are as long as between paragraphs."""
    return draw.uniform(0.35, 0.9) if draw.random() < 0.8 else draw.uniform(1, 8)


@functools.cache
def spoken() -> Voice:
    """Have everything said, in one run of espeak-ng."""
    pieces = list(_pieces(_said([*NAMES, *DEEDS])))
    assert len(pieces) == len(NAMES) + len(DEEDS), len(pieces)
    voice = Voice(pieces[: len(NAMES)], pieces[len(NAMES) :])
    assert max(map(len, voice.names)) + max(map(len, voice.deeds)) <= LONGEST * RATE
    return voice


_REST = '<break time="1500ms"/>'
_BETWEEN = 0.5  # seconds that part two pieces
_LOUD = 100  # of 32,768: what is below it at the ends of a piece is cut off


def _said(texts: Sequence[str]) -> Samples:
    marked = f"<speak>{_REST.join(texts)}</speak>"
    with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        command = ["espeak-ng", "-m", "-v", "en", "-s", "108", "-w", wav.name, "--stdin"]
        subprocess.run(command, input=marked.encode(), check=True)
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", wav.name, "-ar", str(RATE), "-f", "s16le", "-"]
        raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.int16)


def _pieces(samples: Samples) -> Iterator[Samples]:
    """What is loud, cut where it is not for a while."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _LOUD)
    for run in np.split(loud, np.flatnonzero(np.diff(loud) > _BETWEEN * RATE) + 1):
        yield samples[run[0] : run[-1] + 1]
