"""Audio files for the benches: noise, as valid 16 kHz mono WAV files of an exact size, all different."""

from __future__ import annotations

import os
import random
import wave
from collections.abc import Sequence
from pathlib import Path

HEAD = 44  # bytes of a WAV file before its samples


def make_wavs(folder: Path, count: int, size: int, first: int = 0) -> Sequence[Path]:
    """Make `first`.wav and so on in `folder`, of `size` bytes each (an even number), safely on the disk.

    The same number is always the same noise; different numbers are different noise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.wav" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        _write_wav(path, random.Random(number).randbytes(size - HEAD))
    os.sync()
    return paths


def _write_wav(path: Path, samples: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples)
