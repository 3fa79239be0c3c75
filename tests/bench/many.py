"""Many: 20,000 files of 10 kB, in folders of 200, there at the start; the endpoint answers at once.

With 64 requests at once nothing is waited for: what is measured is the daemon's own work on a file, and
whether it stays the same, from the first file to the last. One round, since it takes minutes. Times are those
of the daemon's log; they begin with the start of its process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.daemon import BenchDaemon, moment
from tests.bench.endpoint import BenchEndpoint
from tests.bench.files import make_wavs
from tests.bench.measuring import Figure, Result, peak_memory

SIZE = 10_000  # bytes
IN_A_FOLDER = 200
AT_ONCE = 64
FLAT = 0.15  # how much more or less the last tenth may cost than the first


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds from the start to watching, and until each file was done; processor seconds; MB at most.

    `processor` is what was spent until a tenth was done, until nine tenths were, and until all were.
    """

    watching: float
    done: Sequence[float]
    processor: tuple[float, float, float]
    memory: float


def run(*, short: bool) -> Result:
    """Measure it, once."""
    count = 400 if short else 20_000
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name:
        home = Path(name)
        for number in range(count // IN_A_FOLDER):
            folder = home / "inbox" / f"show {number:03}"
            make_wavs(folder, IN_A_FOLDER, SIZE, number * IN_A_FOLDER)
        found = _translated(home, count)
    return Result("many", f"{count} files of {SIZE // 1000} kB there at the start", 1, _figures(found))


def _figures(found: Run) -> Sequence[Figure]:
    """The first tenth pays for the settling of all, too; the fifth does not."""
    done = sorted(found.done)
    tenth = len(done) // 10
    first, last = done[tenth - 1] - done[0], done[-1] - done[-tenth]
    until_tenth, until_nine, until_all = found.processor
    return (
        Figure("start to watching", found.watching, "s"),
        Figure("start to first done", done[0], "s"),
        Figure("start to last done", done[-1], "s"),
        Figure("rate", len(done) / done[-1], "files/s"),
        Figure("processor", 1000 * until_all / len(done), "ms/file"),
        Figure(f"processor, first {tenth}", 1000 * until_tenth / tenth, "ms/file"),
        Figure(f"processor, last {tenth}", 1000 * (until_all - until_nine) / tenth, "ms/file"),
        Figure(f"first {tenth}", first, "s"),
        Figure(f"last {tenth}", last, "s"),
        Figure("last / first", last / first, "", most=1 + FLAT, least=1 - FLAT),
        Figure("last / fifth", last / (done[5 * tenth - 1] - done[4 * tenth]), ""),
        Figure("daemon's most memory", found.memory, "MB"),
    )


def _translated(home: Path, count: int) -> Run:
    """Let a new daemon translate them all."""
    with (
        BenchEndpoint() as endpoint,
        BenchDaemon(home, endpoint.settings(concurrency=AT_ONCE)) as daemon,
    ):
        processor = _spent(daemon, count // 10), _spent(daemon, count - count // 10), _spent(daemon, count)
        done, memory = daemon.events("job.done"), peak_memory(daemon.pid)
        (watching,) = daemon.events("inbox.watching")
        assert len(endpoint.seen()) == count
        assert not _names(daemon.inbox)
        _check_done(daemon.target, count)
    return Run(
        watching=moment(watching) - daemon.began,
        done=[moment(event) - daemon.began for event in done],
        processor=processor,
        memory=memory,
    )


def _spent(daemon: BenchDaemon, count: int) -> float:
    """The processor time until so many are done."""
    daemon.wait("job.done", count, timeout=1800)
    return daemon.processor_time()


def _check_done(done: Path, count: int) -> None:
    """All files are there, with their sidecars."""
    names = _names(done)
    for suffix in (".wav", ".srt", ".vtt", ".txt"):
        assert sum(name.endswith(suffix) for name in names) == count, f"{suffix} in done: not {count}"


def _names(folder: Path) -> Sequence[str]:
    return [name for _, _, names in os.walk(folder) for name in names]
