"""Reaction: how soon after a file is there its request begins at the endpoint, less the configured settle.

200 files come one by one, each after the one before is done and a little pause, so that none waits for
another. The clock runs from just before `os.rename` to the request's first byte. For comparison, some files
are copied in: opened, written and closed; there it runs from just before the file is opened.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.daemon import SETTLE, BenchDaemon
from tests.bench.endpoint import BenchEndpoint
from tests.bench.files import make_wavs
from tests.bench.measuring import Figure, Result, median

USUAL, RARE = 30.0, 150.0  # ms: the most that the median and the 99th percentile should be
PAUSE = 0.05  # seconds after one file is done and before the next
SIZE = 10_000  # bytes of a file

Arrive = Callable[[Path, Path], object]


def run(*, short: bool) -> Result:
    """Measure both ways in, in one daemon."""
    renamed, copied = (10, 5) if short else (200, 50)
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name, BenchEndpoint() as endpoint:
        home = Path(name)
        files = make_wavs(home / "files", renamed + copied, SIZE)
        with BenchDaemon(home, endpoint.settings()) as daemon:
            began = [
                *_arrivals(daemon, files[:renamed], os.rename),
                *_arrivals(daemon, files[renamed:], _copy, already=renamed),
            ]
        seen = endpoint.seen()
        done = sum(1 for _ in daemon.target.glob("*.wav"))
    assert len(seen) == done == len(files), f"{len(seen)} requests, {done} done, {len(files)} files"
    waits = [1000 * (one.began - at - SETTLE) for at, one in zip(began, seen, strict=True)]
    assert min(waits) > 0, "a request began before its file had settled"
    figures = (
        *_figures("renamed in", waits[:renamed], usual=USUAL, rare=RARE),
        *_figures("copied in", waits[renamed:]),
    )
    return Result("reaction", f"{renamed} files, one by one, less the {SETTLE:g} s of settle", 1, figures)


def _arrivals(
    daemon: BenchDaemon, files: Sequence[Path], arrive: Arrive, *, already: int = 0
) -> Sequence[float]:
    """Let each file arrive when the one before is done; the moments just before they did."""
    moments = []
    for number, file in enumerate(files, already + 1):
        time.sleep(PAUSE)
        moments.append(time.monotonic())
        arrive(file, daemon.inbox / file.name)
        daemon.wait("job.done", number, timeout=30)
    return moments


def _copy(file: Path, target: Path) -> None:
    target.write_bytes(file.read_bytes())


def _figures(
    how: str, waits: Sequence[float], *, usual: float | None = None, rare: float | None = None
) -> Sequence[Figure]:
    """Median, 99th percentile (by nearest rank) and maximum."""
    last = sorted(waits)[math.ceil(0.99 * len(waits)) - 1]
    return (
        Figure(f"{how}: median", median(waits), "ms", most=usual),
        Figure(f"{how}: 99th percentile", last, "ms", most=rare),
        Figure(f"{how}: maximum", max(waits), "ms"),
    )
