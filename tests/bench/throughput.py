"""Throughput: 500 files of 100 kB, eight requests at once, each answered after 50 ms; and after 500 ms.

Who takes part, by turns in each round, all with the same files and an endpoint of their own:

    ours   the daemon, up and watching: from the first file's rename to the last one's `job.done`, less the
           settle
    curl   `curl --parallel` with all files in one list: from its start to its end
    httpx  plain httpx (plain.py): from its first request to its last answer
    peer   the ten minutes' script (peer.py): it needs so long that it gets few files, since its rate counts

The ideal is eight files in each delay. At 500 ms rounds are long: curl and the peer take part in the first
one only, httpx in none. The daemon has made replies, subtitles, moves and its journal durable; the others
make nothing so.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.daemon import SETTLE, BenchDaemon, moment
from tests.bench.endpoint import KEY, BenchEndpoint
from tests.bench.files import make_wavs
from tests.bench.measuring import DAEMON, Figure, Result, median, peak_memory, rounds
from tests.bench.peer import FORMATS
from tests.bench.rival import Rival

AT_ONCE = 8
SIZE = 100_000  # bytes
OF_CURL, OF_PEER = 0.9, 15.0  # times their rate, at the least


@dataclass(frozen=True, slots=True)
class Setting:
    """One delay in seconds: how many files, how many for the peer, and the least share of the ideal."""

    delay: float
    files: int
    peer_files: int
    of_ideal: float

    @property
    def ideal(self) -> float:
        """Files a second."""
        return AT_ONCE / self.delay


@dataclass(frozen=True, slots=True)
class Ours:
    """One round of the daemon: files a second, processor ms of a file, MB at most."""

    rate: float
    processor: float
    memory: float


@dataclass(slots=True)
class Found:
    """What the rounds of one setting have found: files a second of each who took part."""

    ours: list[Ours]
    curl: list[float]
    httpx: list[float]
    peer: list[float]


def run(*, short: bool) -> Result:
    """Measure both settings."""
    settings = (
        Setting(0.05, 24 if short else 500, 2 if short else 30, 0.85),
        Setting(0.5, 16 if short else 500, 1 if short else 5, 0.95),
    )
    figures, least = list[Figure](), sys.maxsize
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name:
        files = make_wavs(Path(name) / "files", max(one.files for one in settings), SIZE)
        for setting in settings:
            found = _measured(setting, files[: setting.files], short=short)
            least = min(least, len(found.ours))
            figures += _figures(setting, found)
    about = f"{settings[0].files} files of {SIZE // 1000} kB, {AT_ONCE} at once; at 500 ms curl and peer once"
    return Result("throughput", about, least, figures)


def _measured(setting: Setting, files: Sequence[Path], *, short: bool) -> Found:
    found = Found([], [], [], [])

    def turn() -> float:
        found.ours.append(_by_daemon(setting, files))
        if setting.delay < 0.1 or not found.curl:
            found.curl.append(_by_curl(setting, files))
            found.peer.append(_by_peer(setting, files[: setting.peer_files]))
        if setting.delay < 0.1:
            found.httpx.append(_by_httpx(setting, files))
        return setting.files / found.ours[-1].rate

    rounds(turn, short=short)
    return found


def _figures(setting: Setting, found: Found) -> Iterator[Figure]:
    at = f"{setting.delay * 1000:.0f} ms"
    rates, ideal = [one.rate for one in found.ours], setting.ideal
    others = {"curl": found.curl, "httpx": found.httpx, "peer": found.peer}
    yield Figure(f"{at}: ideal", ideal, "files/s")
    yield Figure(f"{at}: ours", median(rates), "files/s")
    for name, theirs in others.items():
        if theirs:
            yield Figure(f"{at}: {name}", median(theirs), "files/s")
    yield Figure(f"{at}: ours / ideal", median(rates) / ideal, "", least=setting.of_ideal)
    yield Figure(f"{at}: ours / curl", _ratio(rates, found.curl), "", least=OF_CURL)
    yield Figure(f"{at}: ours / peer", _ratio(rates, found.peer), "", least=OF_PEER)
    yield Figure(f"{at}: curl / ideal", median(found.curl) / ideal, "")
    if found.httpx:
        yield Figure(f"{at}: httpx / ideal", median(found.httpx) / ideal, "")
    yield Figure(f"{at}: processor", median([one.processor for one in found.ours]), "ms/file")
    yield Figure(f"{at}: daemon's most memory", max(one.memory for one in found.ours), "MB", most=DAEMON)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the pairs' ratios; where they took part less often, of those rounds that have a pair."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=False))


def _by_daemon(setting: Setting, files: Sequence[Path]) -> Ours:
    """Let a new daemon translate them; they are where they were afterwards."""
    with (
        BenchEndpoint(setting.delay) as endpoint,
        BenchDaemon(_folder(files), endpoint.settings(concurrency=AT_ONCE)) as daemon,
    ):
        before, began = daemon.processor_time(), time.time()
        for path in files:
            path.rename(daemon.inbox / path.name)
        ended = moment(daemon.wait("job.done", len(files), timeout=120)[-1])
        processor, memory = daemon.processor_time() - before, peak_memory(daemon.pid)
        _check(endpoint, files, 1)
        assert not os.listdir(daemon.inbox)
        _check_done(daemon.target, files)
        for path in files:
            (daemon.target / path.name).rename(path)
    return Ours(
        rate=len(files) / (ended - began - SETTLE),
        processor=1000 * processor / len(files),
        memory=memory,
    )


def _by_curl(setting: Setting, files: Sequence[Path]) -> float:
    home = _folder(files)
    with BenchEndpoint(setting.delay) as endpoint:
        answers, transfers = home / "answers", home / "transfers"
        answers.mkdir()
        transfers.write_text("next\n".join(_transfer(endpoint, path, answers) for path in files))
        parallel = ("--parallel", "--parallel-immediate", "--parallel-max", str(AT_ONCE))
        began = time.monotonic()
        subprocess.run(["curl", "-q", "--no-progress-meter", *parallel, "-K", str(transfers)], check=True)
        took = time.monotonic() - began
        _check(endpoint, files, 1)
        assert len(os.listdir(answers)) == len(files)
    return len(files) / took


def _transfer(endpoint: BenchEndpoint, path: Path, answers: Path) -> str:
    """One of curl's transfers, as its configuration says it."""
    return (
        f'url = "{endpoint.base_url}/audio/translations"\nfail\noauth2-bearer = "{KEY}"\n'
        'form = "model=whisper-1"\nform = "response_format=verbose_json"\n'
        f'form = "file=@{path};type=audio/wav"\n'
        f'output = "{answers / path.name}.json"\n'
    )


def _by_httpx(setting: Setting, files: Sequence[Path]) -> float:
    answers = _folder(files)
    with BenchEndpoint(setting.delay) as endpoint:
        command = [sys.executable, "-m", "tests.bench.plain", endpoint.base_url, str(AT_ONCE), str(answers)]
        ran = subprocess.run([*command, *map(str, files)], check=True, stdout=subprocess.PIPE, text=True)
        _check(endpoint, files, 1)
        assert len(os.listdir(answers)) == len(files)
    return len(files) / float(ran.stdout)


def _by_peer(setting: Setting, files: Sequence[Path]) -> float:
    """The peer's rate, from its first request on; the files are where they were afterwards."""
    with BenchEndpoint(setting.delay) as endpoint, Rival(_folder(files), endpoint.base_url) as rival:
        for path in files:
            path.rename(rival.inbox / path.name)
        _wait_for(rival.target / files[-1].name)
        ended = time.monotonic()
        _check(endpoint, files, len(FORMATS))
        _check_done(rival.target, files)
        began = endpoint.seen()[0].began
        for path in files:
            (rival.target / path.name).rename(path)
    return len(files) / (ended - began)


def _folder(files: Sequence[Path]) -> Path:
    """A folder for one who takes part in one round; it goes with the files, when all is over.

    For minutes after a file was removed, ext4 passes over its number, one by one, with each new file: who
    came next would pay for it.
    """
    return Path(tempfile.mkdtemp(dir=files[0].parent.parent))


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


def _check(endpoint: BenchEndpoint, files: Sequence[Path], each: int) -> None:
    """Each file was asked for so often, whole."""
    seen = endpoint.seen()
    assert len(seen) == each * len(files), f"{len(seen)} requests for {len(files)} files"
    assert all(one.body > SIZE for one in seen)


def _check_done(done: Path, files: Sequence[Path]) -> None:
    """Each file is in `done` with its sidecars."""
    names = set(os.listdir(done))
    sidecars = {path.with_suffix(suffix).name for path in files for _, suffix in FORMATS}
    missing = (sidecars | {path.name for path in files}) - names
    assert not missing, f"{len(missing)} files are missing, such as {min(missing)}"
    assert len(names) == (1 + len(FORMATS)) * len(files)
