"""Bytes: how much of an hour of stereo WAV is sent, and in how many requests, as FLAC and as Opus parts.

The peer sends what lies there, once for each format. It is counted with a small file, as most servers take no
more than 25 MB in one request: it could not send the hour at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.daemon import BenchDaemon
from tests.bench.encode import stereo
from tests.bench.endpoint import BenchEndpoint
from tests.bench.files import make_wavs
from tests.bench.measuring import MB, Figure, Result
from tests.bench.rival import Rival

SMALL = 100_000  # bytes of the file that the peer is given
CODECS = ("flac", "opus")


def run(*, short: bool) -> Result:
    """Count once: there is nothing to time."""
    seconds = 60.0 if short else 3600.0
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name:
        folder = Path(name)
        hour = stereo(folder, seconds)
        figures = [Figure("original", hour.stat().st_size / MB, "MB")]
        for codec in CODECS:
            figures += _by_daemon(folder, hour, codec)
        figures += _by_peer(folder)
    return Result("bytes", f"{seconds:.0f} s of speech as 44.1 kHz stereo WAV", 1, figures)


def _by_daemon(folder: Path, hour: Path, codec: str) -> Sequence[Figure]:
    """Let a daemon send it; every part that is no silence should be asked for once."""
    with tempfile.TemporaryDirectory(dir=folder) as name, BenchEndpoint() as endpoint:
        top_keys = {"log": {"level": "debug", "format": "json"}}  # which tells of the parts
        with BenchDaemon(Path(name), endpoint.settings(upload=codec), top_keys=top_keys) as daemon:
            (daemon.inbox / hour.name).hardlink_to(hour)
            daemon.wait("job.done", timeout=300)
            parts = sum(1 for event in daemon.events("part.cut") if not event["silent"])
        seen = endpoint.seen()
        sidecars = [path for path in daemon.target.iterdir() if path.suffix != hour.suffix]
    assert 0 < parts <= len(seen), f"{parts} parts, {len(seen)} requests"
    assert len(sidecars) > 1, f"only {sidecars} in the done folder"
    sent = sum(one.body for one in seen)
    return (
        Figure(f"{codec}: sent", sent / MB, "MB"),
        Figure(f"{codec}: sent / original", sent / hour.stat().st_size, ""),
        Figure(f"{codec}: parts", parts, ""),
        Figure(f"{codec}: requests / part", len(seen) / parts, "", most=1.0),
    )


def _by_peer(folder: Path) -> Sequence[Figure]:
    (file,) = make_wavs(folder / "small", 1, SMALL)
    with BenchEndpoint() as endpoint, Rival(folder, endpoint.base_url) as rival:
        rival.translate(file)
        seen = endpoint.seen()
    return (
        Figure("peer, a small WAV: sent / original", sum(one.body for one in seen) / SMALL, ""),
        Figure("peer, a small WAV: requests / file", len(seen), ""),
    )
