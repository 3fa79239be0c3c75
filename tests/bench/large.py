"""Large: a file of 2 GiB sent as it is, against `curl` sending the same bytes to the same endpoint.

They take turns. `rate` is that of the request alone, from its first byte at the endpoint to its last one;
`whole way` is what a user waits: from the rename to the last byte, less the settle, and from the start of
curl to its end. Each round's daemon starts with an empty journal, so that it asks for the same content again.
The most memory is also that of a file of a tenth: it should not depend on the size.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import time
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.daemon import SETTLE, BenchDaemon
from tests.bench.endpoint import BenchEndpoint
from tests.bench.measuring import DAEMON, MB, Figure, Result, median, peak_memory, rounds
from tests.bench.server import Seen

AS_FAST = 0.8  # of curl's rate, at the least
AS_LEAN = 1.1  # times the memory that a tenth of the file takes, at the most
MIB = 1 << 20
BLOCK = 8 * MIB  # of noise, which the file repeats


@dataclass(frozen=True, slots=True)
class Sent:
    """One file sent: MB a second of the request alone, seconds of the whole way, the daemon's MB at most."""

    rate: float
    way: float
    memory: float = 0.0


def run(*, short: bool) -> Result:
    """Measure the large file in turns, then the smaller one."""
    large, small = (20 * MIB, 2 * MIB) if short else (2048 * MIB, 200 * MIB)
    ours, theirs, smaller = list[Sent](), list[Sent](), list[Sent]()
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name, BenchEndpoint() as endpoint:
        folder = Path(name)

        def turn() -> float:
            theirs.append(_by_curl(file, endpoint))
            ours.append(_by_daemon(folder, file, endpoint))
            return ours[-1].way + theirs[-1].way

        file = _noise(folder / "large.wav", large)
        _by_curl(file, endpoint)  # which reads it into the cache
        turns = rounds(turn, short=short)
        file.unlink()
        file = _noise(folder / "small.wav", small)
        rounds(lambda: _again(smaller, _by_daemon(folder, file, endpoint)), short=short)
    about = f"{large / MIB:.0f} MiB with upload: original, against curl"
    return Result("large", about, len(turns), _figures(ours, theirs, smaller, small))


def _again(found: list[Sent], one: Sent) -> float:
    found.append(one)
    return one.way


def _figures(
    ours: Sequence[Sent], theirs: Sequence[Sent], smaller: Sequence[Sent], small: int
) -> Sequence[Figure]:
    pairs = list(zip(ours, theirs, strict=True))
    peak, lesser = max(one.memory for one in ours), max(one.memory for one in smaller)
    return (
        Figure("ours: rate", median([one.rate for one in ours]), "MB/s"),
        Figure("curl: rate", median([one.rate for one in theirs]), "MB/s"),
        Figure("rate: ratio", median([our.rate / their.rate for our, their in pairs]), "", least=AS_FAST),
        Figure("ours: whole way", median([one.way for one in ours]), "s"),
        Figure("curl: whole way", median([one.way for one in theirs]), "s"),
        Figure("whole way: ratio", median([our.way / their.way for our, their in pairs]), ""),
        Figure("daemon's most memory", peak, "MB", most=DAEMON),
        Figure(f"daemon's most memory at {small / MIB:.0f} MiB", lesser, "MB", most=DAEMON),
        Figure("memory: ratio", peak / lesser, "", most=AS_LEAN),
    )


def _noise(path: Path, size: int) -> Path:
    """A WAV file of this size on the disk: 16 kHz mono noise that repeats itself."""
    block = random.Random(size).randbytes(BLOCK)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        left = size - 44  # the head's bytes
        file.setnframes(left // 2)
        while left:
            file.writeframesraw(block[:left])
            left -= min(left, BLOCK)
    assert path.stat().st_size == size
    os.sync()
    return path


def _by_daemon(folder: Path, file: Path, endpoint: BenchEndpoint) -> Sent:
    """Let a new daemon send it; the file is where it was afterwards."""
    before = len(endpoint.seen())
    settings = endpoint.settings(upload="original", max_upload="4GiB")
    with tempfile.TemporaryDirectory(dir=folder) as home, BenchDaemon(Path(home), settings) as daemon:
        began = time.monotonic()
        file.rename(daemon.inbox / file.name)
        daemon.wait("job.done", timeout=300)
        memory = peak_memory(daemon.pid)
        (daemon.target / file.name).rename(file)
    request = _request(file, endpoint, before)
    return Sent(_rate(request), request.whole - began - SETTLE, memory)


def _by_curl(file: Path, endpoint: BenchEndpoint) -> Sent:
    before = len(endpoint.seen())
    form = ("model=whisper-1", "response_format=verbose_json", f"file=@{file};type=audio/wav")
    fields = [argument for field in form for argument in ("-F", field)]
    command = ["curl", "-sS", "--fail", "-o", os.devnull, *fields, f"{endpoint.base_url}/audio/translations"]
    began = time.monotonic()
    subprocess.run(command, check=True)
    way = time.monotonic() - began
    return Sent(_rate(_request(file, endpoint, before)), way)


def _request(file: Path, endpoint: BenchEndpoint, before: int) -> Seen:
    """The one request that has come since, with the whole file in it."""
    (request,) = endpoint.seen()[before:]
    assert request.body > file.stat().st_size, f"only {request.body} bytes came"
    return request


def _rate(request: Seen) -> float:
    return request.body / MB / (request.whole - request.began)
