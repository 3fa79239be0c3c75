"""Twenty thousand files through one daemon: what it holds stays what it was after the first two thousand.

The files come in batches, each of which is worked off before the next, so that all figures are of a daemon at
rest; a folder holds 200, as a tree of shows does.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.running import Event, RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.waiting import wait_until
from watcherd.job import State
from watcherd.journal.reader import reading

FILES = 20_000
BATCH = 2_000
CONCURRENCY = 4  # requests in flight, and so the most connections, idle ones included
IN_A_FOLDER = 200
MB = 1_000_000
PATIENCE = 120.0  # seconds for a batch


def tiny_wav(number: int) -> bytes:
    """A tenth of a second of 8-bit audio at 8 kHz that no other number has."""
    samples = number.to_bytes(4, "little") * 200
    form = (1).to_bytes(2, "little") * 2 + (8000).to_bytes(4, "little") * 2 + b"\x01\x00\x08\x00"
    chunks = (
        b"WAVEfmt " + len(form).to_bytes(4, "little") + form + b"data" + len(samples).to_bytes(4, "little")
    )
    return b"RIFF" + (len(chunks) + len(samples)).to_bytes(4, "little") + chunks + samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a daemon at rest holds; `resident` in bytes, `seconds` of processor time since it began."""

    threads: int
    descriptors: int
    connections: int
    tasks: int
    resident: int
    seconds: float

    def within(self, other: Held) -> bool:
        """Whether this is no more than the other holds, memory aside; of connections, one for each slot."""
        mine, others = ((one.threads, one.descriptors, one.tasks) for one in (self, other))
        exact = all(own <= limit for own, limit in zip(mine, others, strict=True))
        return exact and self.connections <= CONCURRENCY


class CountedDaemon(RunningDaemon):
    """A daemon that says at a signal what it holds; it counts its log, and keeps the beginning."""

    def __init__(self, home: Path, content: Mapping[str, object], *, key: str) -> None:
        super().__init__(home, content, key=key)
        self.figures = home / "figures.jsonl"
        self.counts: Counter[str] = Counter()
        at = self._command.index("watcherd")
        self._command[at : at + 1] = ["tests.reliability.counted_daemon", str(self.figures)]

    def heard(self, event: Event) -> None:
        self.counts[event["event"]] += 1
        if self.counts[event["event"]] <= BATCH:
            super().heard(event)

    def held(self) -> Held:
        """Ask the daemon what it holds now."""
        before = self._said()
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: len(self._said()) > len(before))
        spent = psutil.Process(self.pid).cpu_times()
        return Held(**json.loads(self._said()[-1]), seconds=spent.user + spent.system)

    def _said(self) -> list[str]:
        return self.figures.read_text().splitlines() if self.figures.exists() else []


def drop_batch(daemon: CountedDaemon, first: int) -> None:
    for number in range(first, first + BATCH):
        folder = daemon.inbox / f"show {number // IN_A_FOLDER:03}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.wav").write_bytes(tiny_wav(number))


def work_off(daemon: CountedDaemon, first: int) -> Held:
    """Drop a batch and wait for its end; returns what the daemon holds then."""
    drop_batch(daemon, first)
    wait_until(lambda: daemon.counts["job.done"] >= first + BATCH, timeout=PATIENCE)
    return daemon.held()


def figures(held: Held, before: Held, *, files: int, seconds: float) -> str:
    """One line on a batch: what is held after it, and what it cost."""
    return (
        f"{files:6} files: {held.threads} threads, {held.descriptors} descriptors, {held.tasks} tasks,"
        f" {held.resident / MB:.1f} MB resident; {BATCH / seconds:.0f} files/s,"
        f" {(held.seconds - before.seconds) / BATCH * 1000:.2f} ms of processor time a file"
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_thousand_files_leave_nothing_behind_in_the_daemon(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    log = {"level": "info", "format": "json"}
    content = configuration(
        tmp_path,
        endpoint=endpoint,
        endpoint_keys={"concurrency": CONCURRENCY},
        folder_keys={"rescan": "60s"},
        top_keys={"log": log},
    )
    with CountedDaemon(tmp_path, content, key=endpoint.key) as daemon:
        held = [daemon.held()]
        for dropped in range(0, FILES, BATCH):
            began = time.monotonic()
            held.append(work_off(daemon, dropped))
            print(figures(held[-1], held[-2], files=dropped + BATCH, seconds=time.monotonic() - began))
        first = held[1]
        wait_until(lambda: daemon.held().within(first), timeout=PATIENCE)
        assert held[-1].resident <= first.resident * 1.15
        assert daemon.counts["job.done"] == FILES
        print(f"journal: {(tmp_path / 'state' / 'journal.sqlite3').stat().st_size / MB:.1f} MB")
    check_outcome(tmp_path, endpoint)


def check_outcome(home: Path, endpoint: LocalEndpoint) -> None:
    """Each file once in done with its sidecars, one request each."""
    names = Counter(path.suffix for path in (home / "done").rglob("*.*"))
    assert names == dict.fromkeys((".wav", ".srt", ".vtt", ".txt"), FILES)
    assert not list((home / "failed").iterdir())
    assert not list((home / "inbox").rglob("*.wav"))
    assert len(endpoint.requests) == len({request.sha256 for request in endpoint.requests}) == FILES
    with reading(home / "state" / "journal.sqlite3") as reader:
        assert reader.counts() == {"inbox": {State.DONE: FILES}}
