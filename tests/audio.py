"""Real media for tests, made once per run by the real `ffmpeg` and `espeak-ng`. Names in, paths out.

    clip("opus")                   the bundled German sentence in one of the twelve containers (7.8 s)
    speech("Guten Tag", "de+m3")   any other sentence, as WAV
    tone(3), silence(3)            a sine and nothing, as WAV
    film("mkv"), mute_film("mp4")  eight seconds of moving pictures, with the sentence or mute
    made("x.wav", "-i", …)         whatever else ffmpeg can make

The files are shared by all tests and workers of a run and are read-only: copy one before changing it.
`need_tools` in a module's `pytestmark` skips its tests where the two programs are not installed.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import watcherd.whisper

CLIP_SECONDS = 7.797
"""How long the bundled clip is; lossy containers add up to 60 ms of padding."""

CONTAINERS = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm", "opus", "aac", "mkv")
"""OpenAI's list (its mpeg and mpga are MP3 under other names), and three that gateways refuse."""

need_tools = pytest.mark.skipif(
    shutil.which("ffmpeg") is None or shutil.which("espeak-ng") is None,
    reason="needs the ffmpeg and espeak-ng programs, which make the test audio",
)

FOLDER = "WATCHERD_TEST_AUDIO"
"""The environment variable that names the run's folder, so that its workers share one."""

_DEMO = Path(watcherd.whisper.__path__[0]) / "demo.flac"

_ENCODING = {
    "flac": ("-c:a", "flac"),
    "mp3": ("-c:a", "libmp3lame", "-b:a", "64k"),
    "mpeg": ("-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"),
    "mpga": ("-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"),
    "mp4": ("-c:a", "aac", "-b:a", "64k"),
    "m4a": ("-c:a", "aac", "-b:a", "64k"),
    "aac": ("-c:a", "aac", "-b:a", "64k", "-f", "adts"),
    "mkv": ("-c:a", "aac", "-b:a", "64k"),
    "ogg": ("-c:a", "libvorbis"),
    "opus": ("-c:a", "libopus", "-b:a", "32k"),
    "webm": ("-c:a", "libopus", "-b:a", "32k"),
    "wav": ("-c:a", "pcm_s16le"),
}


def clip(container: str) -> Path:
    """The bundled clip of German speech in one of CONTAINERS, as `clip.CONTAINER`."""
    title = ("-metadata", f"title={container}")  # so that no two are equal
    return made(f"clip.{container}", "-i", str(_DEMO), *title, *_ENCODING[container])


@functools.cache
def speech(text: str, voice: str = "de+m3", *, speed: int = 130) -> Path:
    """`text` spoken by espeak-ng, as WAV at its own 22,050 Hz; `speed` in words a minute."""

    def speak(path: Path) -> None:
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(path), "--stdin"]
        subprocess.run(command, input=text.encode(), check=True)

    return _once(f"speech-{voice}-{speed}-{zlib.crc32(text.encode()):08x}.wav", speak)


def tone(seconds: float, *, hertz: int = 440, rate: int = 16_000) -> Path:
    """A sine as 16-bit mono WAV."""
    sine = f"sine=frequency={hertz}:sample_rate={rate}:duration={seconds}"
    return made(f"tone-{seconds}-{hertz}-{rate}.wav", "-f", "lavfi", "-i", sine)


def silence(seconds: float, *, rate: int = 16_000) -> Path:
    """Digital silence as 16-bit mono WAV."""
    nothing = f"anullsrc=sample_rate={rate}:channel_layout=mono:duration={seconds}"
    return made(f"silence-{seconds}-{rate}.wav", "-f", "lavfi", "-i", nothing)


def film(container: str) -> Path:
    """Moving pictures with the bundled clip as their sound: mp4 mkv mov avi ts ogv mpeg (program stream)."""
    return made(f"film.{container}", *_pictures(container), *_sound(container), "-shortest")


def mute_film(container: str) -> Path:
    """Moving pictures without any sound."""
    return made(f"mute.{container}", *_pictures(container), "-an")


@functools.cache
def made(name: str, *arguments: str) -> Path:
    """What `ffmpeg ARGUMENTS NAME` makes, in the run's own folder."""

    def make(path: Path) -> None:
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, str(path)]
        subprocess.run(command, check=True, capture_output=True)

    return _once(f"{zlib.crc32(repr(arguments).encode()):08x}/{name}", make)


def ffprobe(path: Path) -> dict[str, Any]:
    """What ffprobe says of a file: `streams` and `format`, as its JSON output has them."""
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_format", str(path)]
    said: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return said


def _pictures(container: str) -> tuple[str, ...]:
    codec = {"mpeg": "mpeg2video", "ts": "mpeg2video", "ogv": "libtheora", "avi": "mpeg4"}.get(
        container, "libx264"
    )
    shape = ("-f", "vob") if container == "mpeg" else ()
    source = "testsrc=size=160x120:rate=25:duration=8"
    return ("-f", "lavfi", "-i", source, "-i", str(_DEMO), "-c:v", codec, "-map", "0:v", *shape)


def _sound(container: str) -> tuple[str, ...]:
    codec = {"mpeg": "mp2", "ts": "mp2", "ogv": "libvorbis", "avi": "libmp3lame"}.get(container, "aac")
    return ("-map", "1:a", "-c:a", codec)


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """The file of that name, made whole or not at all; two workers that make it at once make the same."""
    path = folder() / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder()) as private:
            new = Path(private, path.name)
            make(new)
            new.rename(path)
    return path


def folder() -> Path:
    """The run's folder, which goes with the process that first asked for it."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="watcherd-audio-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return Path(os.environ[FOLDER])
