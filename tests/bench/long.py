"""Long: a file of three hours through the real daemon, whose work and the endpoint's should overlap.

The endpoint takes 0.02 s for each second of audio, and eight requests at once. The daemon is compared with

    (a) in turn  cutting and encoding alone, then all requests one after the other
    (b) ideal    whichever takes longer: cutting and encoding alone, or an eighth of all requests

The time is that of the daemon's log, from the file's settling to its being done. Parts are no sand: with as
many as there are, eight at a time, the requests take longer than an eighth even if all parts lie ready.

The peer sends whole files, so its user splits this one by hand, by the command that takes least: `ffmpeg`
that only copies, into WAV pieces as long as our longest parts, which are under the 25 MB that servers take.
It sends one piece after the other, each once for every format: over ten minutes for all. So it gets one piece
in each round, and its time for all is extrapolated: splitting, and as many times that piece as there are.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from tests.bench.endpoint import BenchEndpoint
from tests.bench.measuring import DAEMON, WORKER, Figure, Result, median, peak_memory, rounds
from tests.bench.peer import FORMATS
from tests.bench.rival import Rival
from tests.media.passes import opened
from tests.running import Event, RunningDaemon, configuration
from tests.servers.behaviour import Request, Respond
from tests.servers.endpoint import LocalEndpoint
from tests.spoken import RATE, recited
from watcherd.media.cut import Cutting
from watcherd.media.pool import MediaPool

PACE = 0.02  # seconds that the endpoint takes for a second of audio
AT_ONCE = 8
CLOSE = 1.25  # times the ideal
BY_HAND = 6.0  # times as long as ours: what the peer takes at the least


@dataclass(frozen=True, slots=True)
class Run:
    """One file's way through the daemon: times in seconds, memory in MB; `parts` is how long each part is."""

    wall: float
    first_sent: float
    last_answered: float
    waited: float  # in all requests together
    parts: Sequence[float]
    daemon: float
    worker: float


@dataclass(frozen=True, slots=True)
class ByHand:
    """The peer's way: seconds of splitting and of one piece's requests, and how many pieces there are."""

    splitting: float
    piece: float
    pieces: int

    @property
    def wall(self) -> float:
        """All that would take; extrapolated."""
        return self.splitting + self.piece * self.pieces


def run(*, short: bool) -> Result:
    """Measure it with parts of the default length; the short one's are shorter."""
    seconds, max_part = (300.0, 60) if short else (3 * 3600.0, 600)
    runs, by_hand = list[Run](), list[ByHand]()

    def once() -> float:
        by_hand.append(_by_hand(folder, talk, max_part))
        runs.append(_translated(folder, talk, max_part))
        return runs[-1].wall

    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name:
        folder = Path(name)
        talk = folder / "talk.wav"
        recited(seconds).write(talk)
        alone = rounds(lambda: asyncio.run(_prepared(talk, max_part)), short=short)
        walls = rounds(once, short=short)
    figures = (
        *_figures(median(alone), PACE * seconds, sorted(runs, key=lambda one: one.wall)),
        *_comparison(runs, by_hand),
    )
    return Result("long", f"{seconds:.0f} s of speech as 16 kHz mono WAV", len(walls), figures)


def _figures(alone: float, asked: float, runs: Sequence[Run]) -> Sequence[Figure]:
    middle = runs[len(runs) // 2]
    in_turn, ideal = alone + asked, max(alone, asked / AT_ONCE)
    return (
        Figure("settled to done", middle.wall, "s"),
        Figure("(a) in turn", in_turn, "s"),
        Figure("(b) ideal", ideal, "s"),
        Figure("share of (a)", middle.wall / in_turn, ""),
        Figure("times (b)", middle.wall / ideal, "", CLOSE),
        Figure("cutting and encoding alone", alone, "s"),
        Figure("parts", len(middle.parts), ""),
        Figure("requests, if all parts lay ready", _scheduled(middle.parts), "s"),
        Figure("first request after", middle.first_sent, "s"),
        Figure("last answer after", middle.last_answered, "s"),
        Figure("requests in flight on average", middle.waited / middle.wall, ""),
        Figure("daemon's most memory", max(one.daemon for one in runs), "MB", DAEMON),
        Figure("worker's most memory", max(one.worker for one in runs), "MB", WORKER),
    )


def _comparison(runs: Sequence[Run], by_hand: Sequence[ByHand]) -> Sequence[Figure]:
    ratios = [one.wall / our.wall for our, one in zip(runs, by_hand, strict=True)]
    return (
        Figure("peer: splitting by hand", median([one.splitting for one in by_hand]), "s"),
        Figure("peer: one piece", median([one.piece for one in by_hand]), "s"),
        Figure("peer: pieces", by_hand[0].pieces, ""),
        Figure("peer, from one piece: all", median([one.wall for one in by_hand]), "s"),
        Figure("peer, from one piece: times ours", median(ratios), "", least=BY_HAND),
    )


def _scheduled(parts: Sequence[float]) -> float:
    """How long the requests take, in this order, each begun as soon as one of the eight is free."""
    free = [0.0] * AT_ONCE
    for seconds in parts:
        heapq.heapreplace(free, free[0] + PACE * seconds)
    return max(free)


async def _prepared(talk: Path, max_part: float) -> float:
    """Cut and encode it in a pool that is up, with nobody to send anything to; the seconds it takes."""
    pool = MediaPool(1)
    try:
        with opened(talk, talk.parent) as (fd, folder_fd):
            await pool.probe(fd)
            began = time.monotonic()
            async with pool.parts(fd, folder_fd, Cutting(max_part=max_part)) as parts:
                async for part in parts:
                    os.close(part.fd)
            return time.monotonic() - began
    finally:
        await pool.close()


def _translated(folder: Path, talk: Path, max_part: int) -> Run:
    """Let a new daemon translate it."""
    with tempfile.TemporaryDirectory(dir=folder) as home, LocalEndpoint() as endpoint:
        endpoint.always(_answer)
        keys = {"concurrency": AT_ONCE, "max_part": f"{max_part}s"}
        content = configuration(Path(home), endpoint=endpoint, endpoint_keys=keys)
        with RunningDaemon(Path(home), content, key=endpoint.key) as daemon:
            (daemon.inbox / talk.name).hardlink_to(talk)
            daemon.event("job.done", timeout=900)
            memory = peak_memory(daemon.pid)
            worker = max(peak_memory(child.pid) for child in psutil.Process(daemon.pid).children())
        assert not endpoint.violations
    settled = _at(daemon.found("job.settled")[0])
    answered = [_at(event) - settled for event in daemon.found("part.translated")]
    sent = [_at(event) - settled for event in daemon.found("part.sent")]
    return Run(
        wall=_at(daemon.found("job.done")[0]) - settled,
        first_sent=sent[0],
        last_answered=answered[-1],
        waited=sum(answered) - sum(sent),
        parts=[event["end"] - event["start"] for event in daemon.found("part.cut")],
        daemon=memory,
        worker=worker,
    )


def _by_hand(folder: Path, talk: Path, longest: int) -> ByHand:
    """Split it all, and let the peer translate the first piece; the endpoint takes as long as for ours."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as home,
        BenchEndpoint(PACE * longest) as endpoint,
        Rival(Path(home), endpoint.base_url) as rival,
    ):
        pieces = Path(home, "pieces")
        pieces.mkdir()
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(talk), "-c", "copy"]
        command += ["-f", "segment", "-segment_time", str(longest), str(pieces / "%03d.wav")]
        began = time.monotonic()
        subprocess.run(command, check=True)
        splitting = time.monotonic() - began
        first, *others = sorted(pieces.iterdir())
        seconds = first.stat().st_size / (2 * RATE)
        assert abs(seconds - longest) < 1, f"the first piece has {seconds} s"
        taken = rival.translate(first)
        assert len(endpoint.seen()) == len(FORMATS)
    return ByHand(splitting, taken, 1 + len(others))


def _answer(request: Request) -> Respond:
    """One sentence, after as long as this much audio takes; how much that is, FLAC says in its head."""
    assert request.head.startswith(b"fLaC")
    seconds = (int.from_bytes(request.head[18:26]) & (1 << 36) - 1) / RATE
    assert seconds > 0
    segment = {"start": 0.5, "end": 2.0, "text": f" This part has {seconds:.3f} seconds."}
    body = {"text": segment["text"], "segments": [segment], "duration": seconds, "language": "english"}
    return Respond(body=json.dumps(body).encode(), delay=PACE * seconds)


def _at(event: Event) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()
