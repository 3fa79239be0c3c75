"""Workers decode what is given to them, are replaced when they should be, and fail only what is at fault."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests import audio
from tests.media.passes import WHOLE, gathered, length, made, opened, passing, probe, samples, whole, workers
from tests.waiting import eventually
from watcherd import children
from watcherd.children import Child, ChildTimeoutError
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.media import pool as pool_module
from watcherd.media import stream
from watcherd.media.cut import Cutting
from watcherd.media.findings import Refusal, Warned, file_fault
from watcherd.media.pool import MediaPool
from watcherd.media.stream import Pass

pytestmark = audio.need_tools

MIB = 1 << 20


@pytest.fixture
async def pool() -> AsyncIterator[MediaPool]:
    pool = MediaPool(2)
    yield pool
    await pool.close()
    assert not psutil.Process().children()


async def fault_of(pool: MediaPool, path: Path) -> Fault:
    """The one fault that both questions end in."""
    with pytest.raises(FaultError) as passed:
        await whole(pool, path)
    with pytest.raises(FaultError) as probed:
        await probe(pool, path)
    assert passed.value.fault.code == probed.value.fault.code
    return passed.value.fault


def sparse_wav(path: Path, seconds: int, *, rate: int = 48_000) -> Path:
    """A WAV of digital silence that takes no room on the disk, and as long as wanted to decode."""
    size = seconds * rate * 2
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", size),
    )
    path.write_bytes(header)
    os.truncate(path, len(header) + size)
    return path


@asynccontextmanager
async def decoding(pool: MediaPool, path: Path) -> AsyncIterator[tuple[Pass, psutil.Process]]:
    """A pass of which one part has come, and its worker."""
    async with passing(pool, path, Cutting(max_part=60)) as parts:
        async for part in parts:
            os.close(part.fd)
            break
        (worker,) = workers()
        yield parts, worker


# What comes out.


@pytest.mark.parametrize("container", audio.CONTAINERS)
async def test_every_clip_becomes_16_khz_mono_flac_of_its_length(
    pool: MediaPool, container: str, tmp_path: Path
) -> None:
    target = tmp_path / "out.flac"
    one = await whole(pool, audio.clip(container))
    target.write_bytes(one.files[0])
    said = audio.ffprobe(target)
    (stream,) = said["streams"]
    assert (stream["codec_name"], stream["sample_rate"], stream["channels"]) == ("flac", "16000", 1)
    assert stream["bits_per_raw_sample"] == "16"
    assert float(said["format"]["duration"]) == pytest.approx(one.heard.duration, abs=0.001)
    assert one.heard.duration == pytest.approx(audio.CLIP_SECONDS, abs=0.1)
    assert not one.heard.warnings


@pytest.mark.parametrize("container", audio.CONTAINERS)
async def test_every_clip_is_probed(pool: MediaPool, container: str) -> None:
    found = await probe(pool, audio.clip(container))
    assert found.duration == pytest.approx(audio.CLIP_SECONDS, rel=0.1)
    assert found.audio
    assert not found.video
    assert [(track.channels, track.rate in {22050, 24000, 48000}) for track in found.tracks] == [(1, True)]


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "avi", "mpeg", "ts", "ogv"])
async def test_a_film_is_probed_and_its_sound_decoded(pool: MediaPool, container: str) -> None:
    found = await probe(pool, audio.film(container))
    duration = await length(pool, audio.film(container))
    assert found.video
    assert len(found.tracks) == 1
    assert duration == pytest.approx(audio.CLIP_SECONDS, abs=0.25)


async def test_the_samples_are_the_files_own(pool: MediaPool) -> None:
    source = audio.tone(2)
    (file,) = (await whole(pool, source)).files
    assert samples(file) == source.read_bytes()[-64_000:]


async def test_tracks_tell_codec_language_and_which_is_the_default(pool: MediaPool) -> None:
    first, second = (await probe(pool, two_tracks())).tracks
    assert (first.codec, first.language, first.default) == ("mp3", "fra", False)
    assert (second.codec, second.language, second.default, second.channels) == ("aac", None, True, 2)


async def test_an_undetermined_language_is_none(pool: MediaPool) -> None:
    assert audio.ffprobe(audio.clip("m4a"))["streams"][0]["tags"]["language"] == "und"
    assert [track.language for track in (await probe(pool, audio.clip("m4a"))).tracks] == [None]


async def test_the_default_track_is_the_one_that_is_decoded(pool: MediaPool) -> None:
    assert await length(pool, two_tracks()) == pytest.approx(4, abs=0.1)


def two_tracks() -> Path:
    maps = ("-map", "0:a", "-map", "1:a", "-c:a:0", "libmp3lame", "-c:a:1", "aac", "-ac:a:1", "2")
    marks = ("-disposition:a:0", "0", "-disposition:a:1", "default", "-metadata:s:a:0", "language=fra")
    return audio.made("two.mkv", "-i", str(audio.tone(2)), "-i", str(audio.tone(4)), *maps, *marks)


async def test_a_cover_is_no_video(pool: MediaPool) -> None:
    cover = audio.made("cover.png", "-f", "lavfi", "-i", "color=size=64x64", "-frames:v", "1")
    maps = ("-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v:0", "attached_pic")
    song = audio.made("song.m4a", "-i", str(audio.clip("m4a")), "-i", str(cover), "-c:a", "copy", *maps)
    assert len(audio.ffprobe(song)["streams"]) == 2
    found = await probe(pool, song)
    assert (found.audio, found.video) == (True, False)
    assert await length(pool, song) == pytest.approx(audio.CLIP_SECONDS, abs=0.1)


async def test_six_and_sixteen_channels_are_mixed_down(pool: MediaPool) -> None:
    for channels in ("6", "16"):
        wide = audio.made(f"wide{channels}.wav", "-i", str(audio.tone(1)), "-ac", channels)
        assert await length(pool, wide) == pytest.approx(1, abs=0.01)


async def test_tags_that_are_no_utf8_do_no_harm(pool: MediaPool) -> None:
    tagged = audio.made("tagged.wav", "-i", str(audio.tone(1)), "-metadata", "title=caf\udce9")
    assert b"caf\xe9" in tagged.read_bytes()
    assert (await probe(pool, tagged)).duration == pytest.approx(1)


# The time line.

HOLE = ("-af", "aselect=lt(t\\,3)+gt(t\\,5)")


async def test_a_track_that_starts_late_is_preceded_by_silence(pool: MediaPool) -> None:
    maps = ("-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac")
    arguments = ("-i", str(audio.mute_film("mp4")), "-itsoffset", "3", "-i", str(audio.tone(2)))
    late = audio.made("late.mkv", *arguments, *maps)
    assert await length(pool, late) == pytest.approx(5, abs=0.1)


async def test_a_hole_in_the_middle_is_kept_as_silence(pool: MediaPool) -> None:
    holed = audio.made("hole.mkv", "-i", str(audio.tone(8)), *HOLE, "-c:a", "pcm_s16le")
    one = await whole(pool, holed)
    assert one.heard.duration == pytest.approx(8, abs=0.1)
    back = samples(one.files[0])
    assert set(back[int(3.2 * 32_000) : int(4.8 * 32_000)]) == {0}
    assert len(set(back[int(5.2 * 32_000) : 6 * 32_000])) > 10


async def test_a_clock_that_jumps_adds_nothing_and_holes_after_it_still_count(
    pool: MediaPool, tmp_path: Path
) -> None:
    first = audio.made("first.ts", "-i", str(audio.tone(2)))
    second = audio.made("second.ts", "-i", str(audio.tone(2)), "-output_ts_offset", "20000")
    third = audio.made("third.ts", "-i", str(audio.tone(8)), *HOLE)
    jumping = tmp_path / "jumping.ts"
    jumping.write_bytes(first.read_bytes() + second.read_bytes() + third.read_bytes())
    heard = (await whole(pool, jumping)).heard
    assert heard.duration == pytest.approx(2 + 2 + 8, abs=0.5)
    assert heard.warnings == (Warned.CLOCK_JUMPED,)


async def test_a_rate_that_changes_midway_is_followed(pool: MediaPool, tmp_path: Path) -> None:
    parts = [
        audio.made(f"part{rate}.mp3", "-i", str(audio.tone(3)), "-ar", rate) for rate in ("44100", "22050")
    ]
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    heard = (await whole(pool, joined)).heard
    assert heard.duration == pytest.approx(6, abs=0.3)
    assert Warned.FORMAT_CHANGED in heard.warnings


# Damaged files.


async def test_a_cut_file_is_decoded_as_far_as_it_goes(pool: MediaPool, tmp_path: Path) -> None:
    front = audio.made("front.m4a", "-i", str(audio.clip("m4a")), "-c", "copy", "-movflags", "+faststart")
    for entire in (audio.clip("wav"), audio.clip("flac"), audio.clip("mp3"), audio.clip("ogg"), front):
        cut = tmp_path / entire.name
        cut.write_bytes(entire.read_bytes()[: entire.stat().st_size // 2])
        assert 2 < await length(pool, cut) < 5.5, entire.name


async def test_an_m4a_whose_index_was_cut_off_is_undecodable(pool: MediaPool, tmp_path: Path) -> None:
    cut = tmp_path / "cut.m4a"
    cut.write_bytes(audio.clip("m4a").read_bytes()[:40_000])
    fault = await fault_of(pool, cut)
    assert (fault.scope, fault.code, fault.remedy) == (Scope.FILE, "undecodable", Remedy.FAIL)
    assert fault.message.startswith("No audio could be decoded from this file")
    assert "download it again" in fault.hint


@pytest.mark.parametrize("container", ["mkv", "flac", "ogg"])
async def test_broken_packets_are_skipped_and_told(pool: MediaPool, container: str, tmp_path: Path) -> None:
    """Matroska's are complained of; those of FLAC and Ogg are left out, and their time stamps tell."""
    data = bytearray(audio.clip(container).read_bytes())
    data[20_000:30_000] = os.urandom(10_000)
    broken = tmp_path / f"broken.{container}"
    broken.write_bytes(data)
    heard = (await whole(pool, broken)).heard
    assert heard.duration == pytest.approx(audio.CLIP_SECONDS, abs=0.3)
    assert Warned.BROKEN_PACKETS in heard.warnings


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Hello, this is a text and no sound at all.\n" * 500,
        "Ein Text, wie Windows ihn schreibt.\r\n".encode("utf-16") * 500,
        b"1\n00:00:00,000 --> 00:00:03,320\nA subtitle file.\n\n",
        b"<html><body>404</body></html>",
        b"PK\x03\x04" + b"\x00" * 5000,
        b"\x00" * 100_000,
    ],
)
async def test_what_is_no_sound_is_undecodable(pool: MediaPool, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "talk.mp3"
    path.write_bytes(content)
    assert (await fault_of(pool, path)).code == "undecodable"


async def test_a_file_of_headers_alone_is_undecodable(pool: MediaPool, tmp_path: Path) -> None:
    path = sparse_wav(tmp_path / "empty.wav", 0)
    assert (await probe(pool, path)).audio
    with pytest.raises(FaultError) as caught:
        await length(pool, path)
    assert caught.value.fault.code == "undecodable"


async def test_random_bytes_are_undecodable(pool: MediaPool, tmp_path: Path) -> None:
    path = tmp_path / "talk.mp3"
    for size in (100, 5000, 300_000):
        path.write_bytes(os.urandom(size))
        with pytest.raises(FaultError) as caught:
            await length(pool, path)
        assert caught.value.fault.code == "undecodable"


@pytest.mark.parametrize("container", ["mp4", "mkv", "mpeg"])
async def test_a_film_without_sound_has_no_audio(pool: MediaPool, container: str) -> None:
    assert not (await probe(pool, audio.mute_film(container))).audio
    with pytest.raises(FaultError) as caught:
        await length(pool, audio.mute_film(container))
    assert caught.value.fault.code == "no_audio"
    assert caught.value.fault.message == "The file has no audio track."


async def test_a_protected_file_is_told_as_such(pool: MediaPool, tmp_path: Path) -> None:
    data = audio.clip("m4a").read_bytes()
    at = data.index(b"stsd") + 16
    for entry in (b"enca", b"drms"):
        path = tmp_path / "song.m4a"
        path.write_bytes(data[:at] + entry + data[at + 4 :])
        assert (await fault_of(pool, path)).code == "drm"


async def test_an_unknown_codec_is_told_as_such(pool: MediaPool, tmp_path: Path) -> None:
    path = tmp_path / "strange.mkv"
    path.write_bytes(audio.clip("mkv").read_bytes().replace(b"A_AAC", b"A_XYZ"))
    assert [track.codec for track in (await probe(pool, path)).tracks] == ["unknown"]
    with pytest.raises(FaultError) as caught:
        await length(pool, path)
    assert caught.value.fault.code == "unknown_codec"


# Files that name others.

SCRIPTS = {
    "ffconcat": "ffconcat version 1.0\nfile {target}\n",
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet><Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
}


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_file_that_names_a_neighbour_opens_none(pool: MediaPool, script: str, tmp_path: Path) -> None:
    """A reader of the pipe would wait for a writer; here nobody even opens it, and the answer is quick."""
    path, pipe = tmp_path / "cc.mp3", tmp_path / "neighbour.mp3"
    os.mkfifo(pipe)
    for target in (pipe.name, str(pipe), f"file:{pipe}"):
        path.write_text(SCRIPTS[script].format(target=target, port=9))
        assert (await fault_of(pool, path)).code == "undecodable"


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_file_that_names_an_address_calls_nobody(
    pool: MediaPool, script: str, tmp_path: Path
) -> None:
    path = tmp_path / "cc.mp3"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        path.write_text(SCRIPTS[script].format(target=f"http://127.0.0.1:{port}/n.mp3", port=port))
        assert (await fault_of(pool, path)).code == "undecodable"
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


# Workers.


async def test_a_worker_is_started_when_needed_and_kept(pool: MediaPool) -> None:
    assert not workers()
    await probe(pool, audio.clip("mp3"))
    (first,) = workers()
    await probe(pool, audio.clip("ogg"))
    assert workers() == [first]


async def test_two_work_at_once_and_the_third_waits(pool: MediaPool) -> None:
    paths = [audio.clip(name) for name in audio.CONTAINERS]
    await asyncio.gather(*(length(pool, path) for path in paths))
    assert len(workers()) == 2


async def test_a_worker_is_replaced_after_its_share_of_jobs() -> None:
    pool = MediaPool(1, jobs_per_worker=3)
    seen = []
    for _ in range(7):
        await probe(pool, audio.clip("mp3"))
        seen.append({worker.pid for worker in pool._jobs} or {0})
    await pool.close()
    assert len(set().union(*seen) - {0}) == 3
    assert pool_module.JOBS_PER_WORKER == 200


async def test_an_idle_worker_leaves_and_the_next_job_starts_another() -> None:
    pool = MediaPool(1, idle=0.05)
    await probe(pool, audio.clip("mp3"))
    (first,) = workers()
    await eventually(lambda: not workers())
    await probe(pool, audio.clip("mp3"))
    assert workers() != [first]
    await pool.close()


async def test_workers_that_died_between_jobs_are_not_used(pool: MediaPool) -> None:
    await asyncio.gather(*(probe(pool, audio.clip("mp3")) for _ in range(2)))
    assert len(workers()) == 2
    for worker in workers():
        worker.kill()
    await eventually(lambda: not workers())
    assert (await probe(pool, audio.clip("mp3"))).audio


async def test_a_pass_whose_worker_is_killed_once_goes_on_with_another(
    tmp_path: Path, pool: MediaPool
) -> None:
    async with decoding(pool, sparse_wav(tmp_path / "long.wav", 900)) as (parts, worker):
        worker.send_signal(signal.SIGKILL)
        rest = await gathered(parts)
    assert [part.index for part in rest.parts] == list(range(1, len(rest.parts) + 1))
    assert rest.parts[-1].stretch.own_end == rest.heard.duration == pytest.approx(900)
    assert rest.heard.silences == ((0, 900),)


async def test_a_file_that_kills_two_workers_has_crashed_the_decoder(tmp_path: Path, pool: MediaPool) -> None:
    async with decoding(pool, sparse_wav(tmp_path / "long.wav", 20_000)) as (parts, first):
        first.send_signal(signal.SIGSEGV)
        following = asyncio.create_task(gathered(parts))
        second = await eventually(lambda: next((worker for worker in workers() if worker != first), None))
        assert second is not None
        second.send_signal(signal.SIGKILL)
        with pytest.raises(FaultError) as caught:
            await following
    assert (caught.value.fault.scope, caught.value.fault.code) == (Scope.FILE, "decoder_crashed")
    assert (await probe(pool, audio.clip("mp3"))).audio


async def test_a_worker_that_comes_no_further_is_replaced_and_the_file_fails(tmp_path: Path) -> None:
    pool = MediaPool(1, stall=1)
    async with decoding(pool, sparse_wav(tmp_path / "long.wav", 20_000)) as (parts, worker):
        worker.suspend()
        with pytest.raises(FaultError) as caught:
            await gathered(parts)
    assert (caught.value.fault.scope, caught.value.fault.code) == (Scope.FILE, "decoding_took_too_long")
    assert "no further for 1 s" in caught.value.fault.message
    await eventually(lambda: not worker.is_running())
    assert await length(pool, audio.clip("mp3")) > 7
    await pool.close()
    assert stream.STALL == 120


async def test_a_file_that_goes_on_for_days_is_refused(tmp_path: Path) -> None:
    pool = MediaPool(1, most_seconds=1800, most_bytes=1000)
    path = sparse_wav(tmp_path / "long.wav", 20_000)
    for cutting, why in ((WHOLE, "over 0.5 hours"), (Cutting(max_part=60), "over 1,000 bytes as flac")):
        with pytest.raises(FaultError) as caught:
            await made(pool, path, cutting)
        assert (caught.value.fault.scope, caught.value.fault.code) == (Scope.FILE, "too_much_audio")
        assert why in caught.value.fault.message
    with opened(path) as (fd,), pytest.raises(FaultError, match=r"over 0\.5 hours"):
        await pool.listen(fd)
    await pool.close()
    assert pool_module.MOST_SECONDS == 48 * 3600


async def test_a_probe_has_its_own_deadline() -> None:
    pool = MediaPool(1, probe_deadline=0.0001)
    with pytest.raises(FaultError) as caught:
        await probe(pool, audio.clip("mp3"))
    await pool.close()
    assert caught.value.fault.code == "decoding_took_too_long"
    assert pool_module.PROBE_DEADLINE > 2 * pool_module.PATIENCE, "a worker that sleeps is told first"


def test_a_worker_that_hangs_in_the_kernel_blames_the_storage() -> None:
    slow = pool_module._too_slow(ChildTimeoutError("m", seconds=30, stuck=True, last_words=""))
    assert isinstance(slow, OSError)
    assert slow.errno == errno.ETIMEDOUT


async def test_a_pass_that_is_closed_ends_its_worker_and_nothing_else(
    tmp_path: Path, pool: MediaPool
) -> None:
    async with decoding(pool, sparse_wav(tmp_path / "long.wav", 20_000)) as (parts, first):
        await parts.close()
        assert await length(pool, audio.clip("mp3")) > 7
        await eventually(lambda: not first.is_running())


async def test_closing_with_a_pass_open_fails_no_file(tmp_path: Path) -> None:
    pool = MediaPool(1)
    async with decoding(pool, sparse_wav(tmp_path / "long.wav", 20_000)) as (parts, _):
        await pool.close()
        with pytest.raises(FaultError) as caught:
            await gathered(parts)
    assert (caught.value.fault.scope, caught.value.fault.code) == (Scope.MACHINE, "stopping")
    assert not workers()
    with pytest.raises(FaultError, match="stopping"):
        await probe(pool, audio.clip("mp3"))


async def test_workers_die_with_a_killed_daemon(tmp_path: Path) -> None:
    path = sparse_wav(tmp_path / "long.wav", 20_000)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.media.pool_parent", str(path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


async def test_fifty_jobs_leak_no_descriptor(pool: MediaPool) -> None:
    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), workers()[0].num_fds()

    async def job() -> None:
        await length(pool, audio.clip("opus"))
        with pytest.raises(FaultError):
            await length(pool, audio.mute_film("mp4"))

    await job()
    before = counts()
    for _ in range(25):
        await job()
    assert counts() == before


async def test_a_worker_sees_no_secret_and_has_one_thread(
    monkeypatch: pytest.MonkeyPatch, pool: MediaPool, tmp_path: Path
) -> None:
    """One thread: each would take 8 MiB of the capped address space, and FFmpeg starts one per processor."""
    monkeypatch.setenv("COMETAPI_KEY", "sk-secret")
    async with decoding(pool, sparse_wav(tmp_path / "long.wav", 20_000)) as (_, worker):
        assert "sk-secret" not in str(worker.environ())
        assert worker.num_threads() == 1
        mine = len(os.sched_getaffinity(0))  # a worker has one while it makes its filters
        await eventually(lambda: len(worker.cpu_affinity()) == mine)


# Memory, disks, processes.


def many_samples() -> Path:
    """An MP4 of 374,000 samples, whose index FFmpeg reads into 37 MiB."""
    short = audio.made(
        "short.mp4", "-i", str(audio.clip("wav")), "-c:a", "libopus", "-ar", "48000", "-frame_duration", "2.5"
    )
    return audio.made("many.mp4", "-stream_loop", "119", "-i", str(short), "-c", "copy")


async def test_an_index_beyond_the_memory_cap_is_refused_not_shortened() -> None:
    plain = MediaPool(1)
    await length(plain, audio.clip("mp4"))
    status = Path(f"/proc/{workers()[0].pid}/status").read_text(encoding="ascii").splitlines()
    need = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmPeak"))
    await plain.close()
    pool = MediaPool(1, memory=need + 8 * MIB)
    with pytest.raises(FaultError) as caught:
        await length(pool, many_samples())
    assert (caught.value.fault.scope, caught.value.fault.code) == (Scope.FILE, "decoder_out_of_memory")
    await eventually(lambda: not workers())
    assert await length(pool, audio.clip("mp4")) == pytest.approx(audio.CLIP_SECONDS, abs=0.1)
    await pool.close()


async def test_memory_stays_the_same_however_long_a_file_is(tmp_path: Path, pool: MediaPool) -> None:
    for _ in range(3):
        await length(pool, sparse_wav(tmp_path / "short.wav", 60))
    (worker,) = workers()
    before = worker.memory_info().rss
    await length(pool, sparse_wav(tmp_path / "long.wav", 1500))
    assert worker.memory_info().rss < before + 4 * MIB


def test_a_full_disk_is_the_machines_fault() -> None:
    with pytest.raises(FaultError) as caught:
        pool_module._found({"errno": errno.ENOSPC, "side": "output"})
    fault = caught.value.fault
    assert (fault.scope, fault.code, fault.remedy) == (Scope.MACHINE, "disk_full", Remedy.PAUSE)
    assert "No space left on device" in fault.message


async def test_a_part_that_cannot_be_written_is_the_machines_fault(pool: MediaPool) -> None:
    await probe(pool, audio.clip("mp3"))
    (worker,) = workers()
    worker.rlimit(psutil.RLIMIT_FSIZE, (1000, 1000))
    with pytest.raises(FaultError) as caught:
        await length(pool, audio.clip("mp3"))
    assert (caught.value.fault.scope, caught.value.fault.code) == (Scope.MACHINE, "scratch_failed")
    assert "File too large" in caught.value.fault.message


async def test_a_folder_that_takes_no_files_is_the_machines_fault(pool: MediaPool) -> None:
    with (
        opened(audio.clip("mp3"), Path("/proc/self")) as (fd, folder_fd),
        pytest.raises(FaultError) as caught,
    ):
        await gathered(pool.parts(fd, folder_fd, Cutting()))
    assert (caught.value.fault.scope, caught.value.fault.code) == (Scope.MACHINE, "scratch_failed")


async def test_a_file_that_cannot_be_read_raises_the_systems_own_error(
    pool: MediaPool, tmp_path: Path
) -> None:
    fd = os.open(tmp_path / "unreadable", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await pool.probe(fd)
    with opened(tmp_path) as (folder_fd,), pytest.raises(OSError, match="Bad file descriptor"):
        await gathered(pool.parts(fd, folder_fd, Cutting()))
    os.close(fd)


async def test_no_process_to_be_had_is_the_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> Child:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(children, "start", refused)
    with pytest.raises(FaultError) as caught:
        await probe(MediaPool(1), audio.clip("mp3"))
    fault = caught.value.fault
    assert (fault.scope, fault.code, fault.remedy) == (Scope.MACHINE, "worker_not_started", Remedy.PAUSE)


def test_the_daemons_side_never_loads_ffmpeg() -> None:
    """It would cost every daemon 25 MiB, and bring a decoder's faults into its process."""
    check = "import sys, watcherd.media.pool, watcherd.media.head; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_refusal_has_words() -> None:
    for refusal in Refusal:
        fault = file_fault(refusal, "the decoder's word")
        assert fault.message.endswith(": the decoder's word.")
        assert fault.hint.endswith(".")
