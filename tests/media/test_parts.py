"""Parts of real files: no sample is lost, silences are where they are, and a resume makes the same."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests import audio
from tests.media.passes import (
    Made,
    gathered,
    length,
    made,
    opened,
    passing,
    probe,
    samples,
    whole,
    workers,
)
from tests.waiting import eventually
from watcherd.faults import FaultError
from watcherd.media.codec import Codec
from watcherd.media.cut import Cutting, Stretch, sound
from watcherd.media.findings import Warned
from watcherd.media.pool import MediaPool
from watcherd.media.sniff import sniff, upload_name

pytestmark = audio.need_tools

RATE = 16_000
slow = pytest.mark.slow
SOME = [Codec.FLAC, *(pytest.param(codec, marks=slow) for codec in (Codec.OPUS, Codec.MP3))]
# Seconds of speech-like noise and of rest, by turns.
PATTERN = (7.3, 1.0, 11.9, 0.5, 3.0, 2.5, 14.2, 0.7, 8.8, 0.6, 9.9, 4.0, 6.6, 0.9, 12.0, 0.8, 5.3)
BOUNDS = [0.0, *itertools.accumulate(PATTERN)]
RESTS = [(start, end) for start, end in zip(BOUNDS[1::2], BOUNDS[2::2], strict=False)]


@pytest.fixture
async def pool() -> AsyncIterator[MediaPool]:
    pool = MediaPool(2)
    yield pool
    await pool.close()


def talk() -> Path:
    """A minute and a half of noise with rests, 16 kHz mono."""
    rests = "+".join(f"between(t,{start},{end})" for start, end in RESTS)
    noise = f"anoisesrc=duration={BOUNDS[-1]}:sample_rate=16000:amplitude=0.3:seed=3:color=white"
    return audio.made(
        "talk.wav", "-f", "lavfi", "-i", noise, "-af", f"asetnsamples=16,volume=0:enable='{rests}'"
    )


def put_together(parts: Made, codec: Codec) -> bytes:
    """The parts' samples one after the other, overlaps left out."""
    found = b""
    for part, file in zip(parts.parts, parts.files, strict=True):
        decoded = samples(file)
        length = round(part.stretch.end * RATE) - round(part.stretch.start * RATE)
        assert len(decoded) == 2 * length, (codec, part.stretch)
        first, last = (
            round(at * RATE) - round(part.stretch.start * RATE)
            for at in (part.stretch.own_start, part.stretch.own_end)
        )
        found += decoded[2 * first : 2 * last]
    return found


@pytest.mark.parametrize("codec", [Codec.FLAC, Codec.OPUS, pytest.param(Codec.MP3, marks=slow)])
async def test_parts_hold_exactly_the_samples_of_the_whole(pool: MediaPool, codec: Codec) -> None:
    parts = await made(pool, talk(), Cutting(max_part=30), codec=codec)
    assert len(parts.parts) > 3
    assert [part.index for part in parts.parts] == list(range(len(parts.parts)))
    for part, following in pairwise(parts.parts):
        assert part.stretch.own_end == part.stretch.end == following.stretch.start
        assert any(start <= part.stretch.end <= end for start, end in RESTS)
    together = put_together(parts, codec)
    original = talk().read_bytes()[-2 * round(BOUNDS[-1] * RATE) :]
    assert len(together) == len(original)
    if codec is Codec.FLAC:
        assert together == original
    assert {upload_name(sniff(file) or codec.container) for file in parts.files} == {
        upload_name(codec.container)
    }


@pytest.mark.parametrize("codec", SOME)
async def test_a_slice_is_what_the_first_pass_made(pool: MediaPool, codec: Codec) -> None:
    first = await made(pool, talk(), Cutting(max_part=20), codec=codec)
    wanted = [part.stretch for part in first.parts[1:4:2]]
    with opened(talk(), Path("/tmp")) as (fd, folder_fd):
        async with pool.slice(fd, folder_fd, wanted, codec=codec) as parts:
            again = await gathered(parts)
    assert [part.stretch for part in again.parts] == wanted
    assert again.files == first.files[1:4:2]


async def test_a_resume_makes_what_is_missing_and_goes_on(pool: MediaPool) -> None:
    first = await made(pool, talk(), Cutting(max_part=20))
    given = [part.stretch for part in first.parts[:3]]
    again = await made(pool, talk(), Cutting(max_part=20), given=given, answered=[0, 2])
    assert [part.index for part in again.parts] == [1, *range(3, len(first.parts))]
    assert again.files == [first.files[part.index] for part in again.parts]
    assert again.heard == first.heard


async def test_without_a_pause_parts_overlap_and_lose_nothing(pool: MediaPool) -> None:
    hum = audio.tone(50)
    parts = await made(pool, hum, Cutting(max_part=20))
    shared = [one.stretch.end - two.stretch.start for one, two in pairwise(parts.parts)]
    assert shared == pytest.approx([5.0] * len(shared))
    assert put_together(parts, Codec.FLAC) == hum.read_bytes()[-2 * 50 * RATE :]
    with opened(hum, Path("/tmp")) as (fd, folder_fd):
        async with pool.slice(fd, folder_fd, [part.stretch for part in parts.parts]) as slices:
            assert (await gathered(slices)).files == parts.files


@pytest.mark.parametrize(
    ("codec", "most"),
    [
        (Codec.FLAC, 500_000),
        pytest.param(Codec.OPUS, 60_000, marks=slow),
        pytest.param(Codec.MP3, 120_000, marks=slow),
    ],
)
async def test_no_part_has_more_bytes_than_it_may(pool: MediaPool, codec: Codec, most: int) -> None:
    parts = await made(pool, talk(), Cutting(max_part=600, max_bytes=most), codec=codec)
    assert len(parts.parts) > 3
    assert all(part.bytes <= most for part in parts.parts)
    assert max(part.bytes for part in parts.parts) > 0.6 * most
    put_together(parts, codec)


@slow
async def test_bytes_that_no_codec_can_save_are_counted_too(pool: MediaPool) -> None:
    noise = "anoisesrc=duration=60:sample_rate=16000:amplitude=1:color=white"
    loud = audio.made("white.wav", "-f", "lavfi", "-i", noise)
    for codec in Codec:
        parts = await made(pool, loud, Cutting(max_part=600, max_bytes=20 * round(codec.rate)), codec=codec)
        assert all(part.bytes <= 20 * codec.rate for part in parts.parts), codec


# What is heard.


@pytest.mark.parametrize(
    "form", ["wav", *(pytest.param(form, marks=slow) for form in ("mp3", "m4a", "opus"))]
)
async def test_silences_are_where_they_are(pool: MediaPool, form: str) -> None:
    path = audio.made(f"talk-again.{form}", "-i", str(talk()), "-ar", "48000", "-ac", "2")
    with opened(path) as (fd,):
        heard = await pool.listen(fd)
    assert heard.duration == pytest.approx(BOUNDS[-1], abs=0.1)
    assert len(heard.silences) == len(RESTS)
    for found, true in zip(heard.silences, RESTS, strict=True):
        assert found == pytest.approx(true, abs=0.05)
    assert (await whole(pool, path)).heard == heard


async def test_a_part_of_nothing_but_silence_is_marked(pool: MediaPool) -> None:
    rest = ("-af", "asetnsamples=16,volume=0:enable='between(t,25,70)'")
    path = audio.made("rest.wav", "-i", str(talk()), *rest)
    parts = await made(pool, path, Cutting(max_part=15))
    silent = [part for part in parts.parts if part.silent]
    assert len(silent) >= 2
    assert all(part.stretch.start >= 23.6 and part.stretch.end <= 70.1 for part in silent)
    for part in parts.parts:
        assert part.silent == (sound(part.stretch.start, part.stretch.end, part.silences) < 0.1)


@slow
async def test_hours_of_silence_are_silent_parts(pool: MediaPool) -> None:
    parts = await made(pool, audio.silence(3600), Cutting(max_part=600))
    assert all(part.silent for part in parts.parts)
    assert parts.heard.silences == ((0, 3600),)


# One after the other.


async def test_parts_come_while_later_ones_are_made_and_wait_to_be_taken(pool: MediaPool) -> None:
    path = audio.silence(900)
    async with passing(pool, path, Cutting(max_part=60)) as parts:
        async for part in parts:
            os.close(part.fd)
            break
        (worker,) = workers()
        await eventually(lambda: len(parts._ready) == 2)
        await eventually(lambda: worker.status() == psutil.STATUS_SLEEPING)
        spent = worker.cpu_times().user
        assert parts.heard is None
        assert worker.cpu_times().user - spent < 0.05
        assert len(parts._ready) == 2
        rest = await gathered(parts)
    assert rest.parts[0].index == 1
    assert rest.parts[-1].stretch.end == 900


async def test_a_pass_that_nobody_takes_from_makes_way_and_goes_on_afterwards() -> None:
    pool = MediaPool(1)
    cutting = Cutting(max_part=60, max_bytes=500_000)
    alone = await made(pool, talk(), cutting)
    async with passing(pool, talk(), cutting) as parts:
        parts._grace = 0.05
        async for part in parts:
            os.close(part.fd)
            break
        assert await length(pool, audio.clip("mp3")) > 7
        rest = await gathered(parts)
    assert rest.files == alone.files[1:]
    assert rest.heard == alone.heard
    await pool.close()


async def test_parts_that_nobody_took_are_let_go(pool: MediaPool) -> None:
    await length(pool, audio.clip("mp3"))
    before = len(os.listdir("/proc/self/fd"))
    async with passing(pool, audio.silence(900), Cutting(max_part=60)) as parts:
        async for part in parts:
            os.close(part.fd)
            break
        await eventually(lambda: len(parts._ready) == 2)
    await length(pool, audio.clip("mp3"))
    await eventually(lambda: len(os.listdir("/proc/self/fd")) == before)


# All sorts of files.


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("51.ac3", ("-ar", "48000", "-af", "pan=5.1|FC=c0"), marks=slow),
        ("phone.wav", ("-ar", "8000", "-c:a", "pcm_mulaw")),
        pytest.param("hires.flac", ("-ar", "96000", "-sample_fmt", "s32", "-ac", "2"), marks=slow),
        pytest.param("hires.wav", ("-ar", "96000", "-c:a", "pcm_s24le", "-ac", "2"), marks=slow),
        pytest.param("talk.wma", ("-ar", "44100"), marks=slow),
        pytest.param("talk.aiff", (), marks=slow),
        pytest.param("talk.au", (), marks=slow),
        pytest.param("talk.caf", (), marks=slow),
        pytest.param("talk.mka", ("-c:a", "vorbis", "-strict", "-2", "-ac", "2"), marks=slow),
        pytest.param("talk.ts", ("-c:a", "mp2"), marks=slow),
    ],
)
async def test_silences_are_heard_in_all_formats(
    pool: MediaPool, name: str, arguments: tuple[str, ...]
) -> None:
    path = audio.made(f"all-{name}", "-i", str(talk()), *arguments)
    parts = await made(pool, path, Cutting(max_part=30))
    assert parts.heard.duration == pytest.approx(BOUNDS[-1], abs=0.15)
    assert len(parts.heard.silences) == len(RESTS)
    for found, true in zip(parts.heard.silences, RESTS, strict=True):
        assert found == pytest.approx(true, abs=0.12)
    assert not parts.heard.warnings


async def test_a_film_in_two_languages_gives_the_one_that_is_asked_for(pool: MediaPool) -> None:
    languages = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger")
    inputs = ("-i", str(audio.mute_film("mkv")), "-i", str(audio.tone(2)), "-i", str(audio.silence(4)))
    film = audio.made("two.mkv", *inputs, "-map", "0", "-map", "1", "-map", "2", "-c:a", "flac", *languages)
    tracks = (await probe(pool, film)).tracks
    assert [(track.index, track.language) for track in tracks] == [(1, "eng"), (2, "ger")]
    assert (await made(pool, film, track=1)).heard.duration == pytest.approx(2, abs=0.1)
    quiet = await made(pool, film, track=2)
    assert quiet.heard.duration == pytest.approx(4, abs=0.1)
    assert quiet.parts[0].silent
    with pytest.raises(FaultError, match="no_audio"):
        await made(pool, film, track=0)


@pytest.mark.parametrize("container", ["mkv", *(pytest.param(form, marks=slow) for form in ("ts", "mp4"))])
async def test_times_are_those_of_the_picture(pool: MediaPool, container: str) -> None:
    """A player shows the first picture at 0:00, whatever the clock in the container says then."""
    picture, sound_ = str(audio.mute_film("mp4")), str(audio.tone(4))
    inputs = ("-i", picture, "-itsoffset", "2.5", "-i", sound_)
    late = audio.made(
        f"late.{container}", *inputs, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"
    )
    moved = audio.made(f"moved.{container}", "-i", str(late), "-c", "copy", "-output_ts_offset", "30")
    for film in (late, moved):
        with opened(film) as (fd,):
            heard = await pool.listen(fd)
            (track,) = (await pool.probe(fd)).tracks
        assert heard.start == pytest.approx(2.5, abs=0.1)
        assert heard.duration == pytest.approx(6.5, abs=0.15)
        assert heard.silences[0] == pytest.approx((0, 2.5), abs=0.1)
        assert track.start == pytest.approx(2.5, abs=0.15)


async def test_a_header_that_claims_forty_hours_is_not_believed(pool: MediaPool, tmp_path: Path) -> None:
    data = bytearray(talk().read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = (40 * 3600 * 2 * RATE % 2**32).to_bytes(4, "little")
    lying = tmp_path / "lying.wav"
    lying.write_bytes(data)
    parts = await made(pool, lying, Cutting(max_part=30))
    assert parts.heard.duration == pytest.approx(BOUNDS[-1], abs=0.01)
    assert parts.parts[-1].stretch.own_end == parts.heard.duration


async def test_a_file_that_was_cut_off_is_told_as_such(pool: MediaPool, tmp_path: Path) -> None:
    flac = audio.made("talk.flac", "-i", str(talk()))
    cut = tmp_path / "cut.flac"
    cut.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    heard = (await whole(pool, cut)).heard
    assert 30 < heard.duration < 60
    assert Warned.SHORTER_THAN_SAID in heard.warnings


@slow
async def test_padding_at_either_end_does_no_harm(pool: MediaPool, tmp_path: Path) -> None:
    mp3 = audio.made("talk.mp3", "-i", str(talk())).read_bytes()
    padded = tmp_path / "padded.mp3"
    for before, after in ((b"", b"\x00" * 500_000), (b"\x00" * 5000, b""), (b"", os.urandom(50_000))):
        padded.write_bytes(before + mp3 + after)
        assert await length(pool, padded) == pytest.approx(BOUNDS[-1], abs=0.5)


async def test_a_part_shorter_than_a_frame_is_a_part(pool: MediaPool) -> None:
    for codec in Codec:
        parts = await made(pool, audio.tone(0.02), codec=codec)
        assert [part.stretch for part in parts.parts] == [Stretch(0, 0.02, 0, 0.02)]
        assert len(samples(parts.files[0])) == 640
