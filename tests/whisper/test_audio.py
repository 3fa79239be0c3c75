"""Sound is taken from whatever holds some, in bounded memory, and never from a neighbour."""

from __future__ import annotations

import io
import subprocess
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.whisper.conftest import RATE, tone, wav
from watcherd.whisper.audio import Samples, Tape, UndecodableError, decode


def samples_of(data: bytes) -> Samples:
    return np.concatenate([np.empty(0, np.int16), *decode(io.BytesIO(data))])


def test_any_rate_and_number_of_channels_comes_out_as_16_khz_mono() -> None:
    stereo = array("h", (value for sample in tone(2.0, rate=44_100) for value in (sample, sample)))
    heard = samples_of(wav(stereo, rate=44_100, channels=2))
    assert len(heard) == pytest.approx(2 * RATE, abs=RATE // 100)
    assert 7000 < np.abs(heard).max() < 9000


@pytest.mark.parametrize("ending", ["flac", "mp3", "mp4", "mpeg", "m4a", "ogg", "opus", "webm", "aac", "mkv"])
def test_every_container_of_the_api_and_some_more_is_decoded(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    command = ["ffmpeg", "-loglevel", "error", "-i", "-", str(path)]
    subprocess.run(command, input=wav(tone(1.0)), check=True)
    assert len(samples_of(path.read_bytes())) == pytest.approx(RATE, abs=RATE // 5)


def test_the_sound_of_a_video_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    picture = ["-f", "lavfi", "-i", "color=size=64x64:duration=1"]
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", *picture, "-i", "-", "-shortest", str(path)],
        input=wav(tone(1.0)),
        check=True,
    )
    assert len(samples_of(path.read_bytes())) == pytest.approx(RATE, abs=RATE // 5)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    picture = ["-f", "lavfi", "-i", "color=size=64x64:duration=1"]
    subprocess.run(["ffmpeg", "-loglevel", "error", *picture, str(path)], check=True)
    with pytest.raises(UndecodableError, match="no audio track"):
        samples_of(path.read_bytes())


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b"This is a letter.\n" * 500, b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_media_file_is_refused(data: bytes) -> None:
    with pytest.raises(UndecodableError, match="no audio or video file"):
        samples_of(data)


def test_a_header_without_a_sample_is_refused() -> None:
    with pytest.raises(UndecodableError):
        samples_of(wav(array("h")))


def test_a_file_that_is_cut_off_gives_what_it_has(demo: bytes) -> None:
    assert 2 * RATE < len(samples_of(demo[: len(demo) // 2])) < 6 * RATE


def test_a_damaged_place_costs_only_itself(demo: bytes) -> None:
    damaged = bytearray(demo)
    damaged[70_000:70_050] = bytes(50)
    whole = len(samples_of(demo))
    assert 0.8 * whole < len(samples_of(bytes(damaged))) <= whole


def test_joined_recordings_of_different_kinds_are_all_heard(tmp_path: Path) -> None:
    joined = b""
    for number, options in enumerate((["-ac", "1", "-ar", "22050"], ["-ac", "2", "-ar", "44100"])):
        path = tmp_path / f"{number}.mp3"
        subprocess.run(
            ["ffmpeg", "-loglevel", "error", "-i", "-", *options, "-write_xing", "0", str(path)],
            input=wav(tone(1.0)),
            check=True,
        )
        joined += path.read_bytes()
    assert len(samples_of(joined)) == pytest.approx(2 * RATE, abs=RATE // 3)


def test_a_play_list_never_opens_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.wav").write_bytes(wav(tone(1.0)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UndecodableError):
        samples_of(b"ffconcat version 1.0\nfile secret.wav\n")


def test_a_tape_holds_one_stretch_whatever_comes() -> None:
    taken = 0

    def blocks() -> Iterator[Samples]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield np.full(RATE, number, np.int16)

    tape = Tape(blocks(), seconds=10)
    first = tape.stretch()
    assert (len(first), taken, tape.at_end) == (10 * RATE, 10, False)
    tape.wind(4 * RATE)
    second = tape.stretch()
    assert (len(second), taken, tape.position) == (10 * RATE, 14, 4 * RATE)
    assert second[0] == pytest.approx(4 / 32768)
    while len(stretch := tape.stretch()):
        tape.wind(len(stretch))
    assert (tape.at_end, tape.duration) == (True, 100.0)
