"""Encode: an hour of stereo at 44.1 kHz to FLAC parts and to Opus parts, against `ffmpeg` making one file.

Both make 16 kHz mono; ours also finds where it is silent and cuts. They take turns, so that a busy machine
slows both; the ratio is the median of the pairs'. The daemon's memory is that of a whole job.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measuring import DAEMON, MANY, WORKER, Figure, Result, median, peak_memory, rounds
from tests.media.passes import opened, workers
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.spoken import recited
from watcherd.media.codec import Codec
from watcherd.media.cut import Cutting
from watcherd.media.pool import MediaPool

AS_FAST = 1.3  # times what ffmpeg takes
OPTIONS = {
    Codec.FLAC: ("-c:a", "flac"),
    Codec.OPUS: ("-c:a", "libopus", "-b:a", "24k", "-application", "voip", "-frame_duration", "60"),
}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Seconds of each round, and the most memory of our worker in MB."""

    ours: Sequence[float]
    theirs: Sequence[float]
    worker: float


def run(*, short: bool) -> Result:
    """Measure both codecs."""
    seconds = 60.0 if short else 3600.0
    figures, least = list[Figure](), MANY
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name:
        folder = Path(name)
        hour = stereo(folder, seconds)
        for codec in OPTIONS:
            pairs = _pairs(hour, codec, short=short)
            ratios = [one / other for one, other in zip(pairs.ours, pairs.theirs, strict=True)]
            least = min(least, len(ratios))
            figures += [
                Figure(f"{codec}: ours", median(pairs.ours), "s"),
                Figure(f"{codec}: ffmpeg", median(pairs.theirs), "s"),
                Figure(f"{codec}: ratio", median(ratios), "", AS_FAST),
                Figure(f"{codec}: worker's most memory", pairs.worker, "MB", WORKER),
                Figure(f"{codec}: daemon's most memory", _daemon_memory(folder, hour, codec), "MB", DAEMON),
            ]
    return Result("encode", f"{seconds:.0f} s of speech as 44.1 kHz stereo WAV", least, figures)


def stereo(folder: Path, seconds: float) -> Path:
    """An hour, more or less, of speech as 44.1 kHz stereo WAV in a folder; both tracks say the same."""
    talk, hour = folder / "talk.wav", folder / "hour.wav"
    recited(seconds).write(talk)
    _ffmpeg("-i", str(talk), "-ar", "44100", "-ac", "2", str(hour))
    return hour


def _pairs(hour: Path, codec: Codec, *, short: bool) -> Pairs:
    """Rounds of ours and of theirs by turns, in a pool that is up."""
    with asyncio.Runner() as runner:
        pool = MediaPool(1)
        theirs = []

        def once() -> float:
            theirs.append(_timed_ffmpeg(hour, codec))
            return runner.run(_passed(pool, hour, codec))

        runner.run(_passed(pool, hour, codec))  # which also reads the file into the cache
        ours = rounds(once, short=short)
        (worker,) = workers()
        memory = peak_memory(worker.pid)
        runner.run(pool.close())
    return Pairs(ours, theirs, memory)


async def _passed(pool: MediaPool, hour: Path, codec: Codec) -> float:
    """Seconds of one pass with parts of the default length."""
    began = time.monotonic()
    with opened(hour, hour.parent) as (fd, folder_fd):
        async with pool.parts(fd, folder_fd, Cutting(), codec=codec) as parts:
            async for part in parts:
                os.close(part.fd)
    return time.monotonic() - began


def _timed_ffmpeg(hour: Path, codec: Codec) -> float:
    target = hour.with_suffix(f".{codec.container}")
    began = time.monotonic()
    _ffmpeg("-i", str(hour), "-ac", "1", "-ar", "16000", *OPTIONS[codec], str(target))
    return time.monotonic() - began


def _ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True)


def _daemon_memory(folder: Path, hour: Path, codec: Codec) -> float:
    """The most memory of a daemon, in MB, that sends the parts of this one file."""
    with tempfile.TemporaryDirectory(dir=folder) as home, LocalEndpoint() as endpoint:
        content = configuration(Path(home), endpoint=endpoint, endpoint_keys={"upload": str(codec)})
        with RunningDaemon(Path(home), content, key=endpoint.key) as daemon:
            (daemon.inbox / hour.name).hardlink_to(hour)
            daemon.event("job.done", timeout=300)
            return peak_memory(daemon.pid)
