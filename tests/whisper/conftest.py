"""What this room's tests share: the model in a cache folder, a server with it loaded, ways to make sound."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
import wave
from array import array
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest

RATE = 16_000
Sound = Callable[..., bytes]


def wav(samples: array[int], *, rate: int = RATE, channels: int = 1) -> bytes:
    """A WAV file of 16-bit samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def tone(seconds: float, *, rate: int = RATE, hertz: float = 440, level: int = 8000) -> array[int]:
    """A sine; silence with `level` 0."""
    return array(
        "h", (round(level * math.sin(2 * math.pi * hertz * n / rate)) for n in range(int(seconds * rate)))
    )


@pytest.fixture(scope="session")
def demo() -> bytes:
    """The bundled clip of German speech."""
    return resources.files("watcherd.whisper").joinpath("demo.flac").read_bytes()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that outlives the session, since the model in it is checked at every start anyway."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    return base.parent / "whisper-cache"


@pytest.fixture(scope="module")  # no longer: other rooms' tests look at this process's children
def server(cache: Path) -> Iterator[str]:
    """The base URL of one embedded endpoint on TCP, with the real model loaded."""
    command = [sys.executable, "-m", "watcherd.whisper.server", "--listen", "127.0.0.1:0", "--cache"]
    process = subprocess.Popen([*command, str(cache)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), url
        yield url
    finally:
        process.kill()
        process.communicate()
