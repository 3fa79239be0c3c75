"""Idle: a library of 100,000 files in 1,000 folders, all known to the journal, and what it costs to watch it.

The files stay (`after: keep`), were translated once, and nothing is to be done. Having them all translated
would take longer than everything else together, so the daemon translates one, and the journal then gets the
rows of that one for every other file, with its own path, identity and digests: what the daemon would have
written. That it takes them for its own is asserted: it asks nobody for anything, opens no job, and `why` says
that the last file is as it was.

No sidecars lie beside them: with them, and `existing: skip`, a file is passed over by its name alone. Here
each must be looked at and compared with what the journal knows of it. The status page is on, as by default,
and nobody looks at it until the end. The folders are in the file system's cache, since they were just made.
The log's level is debug, which tells when a scan is over: a few lines in all.

`rescan` is what it is by default, a minute, which a slow scan makes longer: it may have one part in 300 of
the time. So that those that come later are not left out, one is asked for (SIGHUP) and its processor time
shared out over the time until the next one. It is added to what idling itself takes.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.bench.daemon import BenchDaemon, moment
from tests.bench.endpoint import KEY, BenchEndpoint
from tests.bench.measuring import Figure, Result, peak_memory
from watcherd.config.model import Folder
from watcherd.inbox.condition import SHARE

QUIET = 0.5  # percent of a core
RESIDENT = 90.0  # MB
AT_ONCE = 2.0  # seconds
RESCAN: float = Folder.model_fields["rescan"].default  # seconds
RESTED = 2.0  # seconds without work after which the start is over
_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
_FIRST = "album 0000/talk 00000.wav"
_OF_A_JOB = ("requests", "replies", "parts")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How many files lie in how many folders, and for how many seconds the daemon idles over them."""

    folders: int
    files: int  # in each folder
    seconds: float

    @property
    def total(self) -> int:
        return self.folders * self.files

    def paths(self) -> Iterator[str]:
        """Relative to the inbox; the first is _FIRST."""
        for folder in range(self.folders):
            for number in range(self.files):
                yield f"album {folder:04}/talk {folder * self.files + number:05}.wav"


LIBRARY = Size(folders=1000, files=100, seconds=120.0)
SHELF = Size(folders=10, files=100, seconds=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idled:
    """One daemon's run. Seconds from its start; `busy` of processor time; memory in MB; `scans` in all."""

    watching: float
    scanned: float
    files: int
    at_rest: float
    busy_at_start: float
    busy: float
    scans: int  # that came by themselves
    rescan: float  # seconds that another one took
    rescan_busy: float
    resident: float
    peak: float
    after_page: float

    def in_the_long_run(self, seconds: float) -> float:
        """Percent of a core, with the rescans' share; those that fell into the `seconds` count once."""
        own = self.busy - (self.scans - 1) * self.rescan_busy
        return 100 * (own / seconds + self.rescan_busy / max(RESCAN, SHARE * self.rescan))


def run(*, short: bool) -> Result:
    """Make the library, let the journal know it, then idle with the status page and start without it."""
    size = SHELF if short else LIBRARY
    assert size.folders < int(_WATCHES.read_text()), f"raise {_WATCHES}"
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name, BenchEndpoint() as endpoint:
        home = Path(name)
        _make_known(home, endpoint, size)
        asked = len(endpoint.seen())
        page = f"127.0.0.1:{_free_port()}"
        usual = _idled(_daemon(home, endpoint, page=page), size.seconds, page=page)
        without = _idled(_daemon(home, endpoint, page=None), 0.0, page=None)
        assert usual.files == without.files == size.total, "it did not look at all of them"
        assert len(endpoint.seen()) == asked == 1, "it asked for something that it knows"
        _assert_known(home, size)
    about = f"{size.total:,} files in {size.folders:,} folders, {size.seconds:.0f} s of idling"
    return Result("idle", about, 1, _figures(usual, without, size))


def _figures(usual: Idled, without: Idled, size: Size) -> list[Figure]:
    return [
        Figure("start to watching", usual.watching, "s"),
        Figure("start to the end of the first scan", usual.scanned, "s", AT_ONCE),
        Figure("start to rest", usual.at_rest, "s"),
        Figure("processor time until then", usual.busy_at_start, "s"),
        Figure("processor, idling", 100 * usual.busy / size.seconds, "%", QUIET),
        Figure("scans by itself, the first included", usual.scans, ""),
        Figure("another scan", usual.rescan, "s"),
        Figure("processor time of it", usual.rescan_busy, "s"),
        Figure(
            "processor, idling, all later scans included", usual.in_the_long_run(size.seconds), "%", QUIET
        ),
        Figure("memory in the end", usual.resident, "MB", RESIDENT),
        Figure("most memory", usual.peak, "MB"),
        Figure("memory after the page was looked at", usual.after_page, "MB"),
        Figure("status off: start to the end of the first scan", without.scanned, "s"),
        Figure("status off: memory at rest", without.resident, "MB"),
    ]


def _daemon(home: Path, endpoint: BenchEndpoint, *, page: str | None) -> BenchDaemon:
    return BenchDaemon(
        home,
        endpoint.settings(),
        folder_keys={"after": "keep", "done": None, "failed": None},
        top_keys={
            "status": {"listen": page} if page else "off",
            "log": {"level": "debug", "format": "json"},
        },
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


# The library, and what the journal knows of it.


def _make_known(home: Path, endpoint: BenchEndpoint, size: Size) -> None:
    """Make all files, and have the journal know them as if each had been translated."""
    daemon = _daemon(home, endpoint, page=None)
    first = daemon.inbox / _FIRST
    staged = home / "staged.wav"
    _sound(staged)
    first.parent.mkdir()
    staged.rename(first)
    with daemon:
        daemon.wait("job.done", timeout=60)
    for sidecar in first.parent.glob("*[!v]"):  # all but .wav
        sidecar.unlink()
    _fill(daemon.inbox, first.read_bytes(), size)
    with closing(sqlite3.connect(home / "state" / "journal.sqlite3")) as journal:
        journal.row_factory = sqlite3.Row
        _record(journal, daemon.inbox, size)
    daemon.log.unlink()


def _sound(path: Path) -> None:
    """A second of noise: silence is not sent."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(hashlib.shake_256(b"idle").digest(32_000))


def _fill(inbox: Path, content: bytes, size: Size) -> None:
    """Write all files but the first: a head, and the number that makes it another one."""
    head = content[:64]
    for path in size.paths():
        if path != _FIRST:
            target = inbox / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(head + path.encode())


def _record(journal: sqlite3.Connection, inbox: Path, size: Size) -> None:
    """Write every other file's rows as those of the first are."""
    (job,), (kept,) = (_rows(journal, f"SELECT * FROM {table}") for table in ("jobs", "kept"))
    assert (job["state"], kept["path"], kept["job_id"]) == ("done", _FIRST.encode(), job["id"])
    others = [path for path in size.paths() if path != _FIRST]
    identities = [os.stat(inbox / path) for path in others]
    jobs = [
        _job_of(job, path, seen, number)
        for number, (path, seen) in enumerate(zip(others, identities, strict=True), job["id"] + 1)
    ]
    with journal:
        _insert(journal, "jobs", jobs)
        _insert(journal, "kept", [_kept_of(kept, one) for one in jobs])
        for table in _OF_A_JOB:
            rows = _rows(journal, f"SELECT * FROM {table} WHERE job_id = ?", job["id"])
            _insert(journal, table, [_moved(row, to=one["id"]) for one in jobs for row in rows])
    (count,) = journal.execute("SELECT count(*) FROM kept JOIN jobs ON id = job_id").fetchone()
    assert count == size.total


def _job_of(job: Row, path: str, seen: os.stat_result, number: int) -> Row:
    name = Path(path)
    digest = hashlib.sha256(path.encode()).hexdigest()
    old, new = (
        Path(_FIRST),
        {
            "id": number,
            "folder": os.fsencode(name.parent),
            "path": os.fsencode(name),
            "dev": seen.st_dev,
            "ino": seen.st_ino,
            "size": seen.st_size,
            "mtime_ns": seen.st_mtime_ns,
            "ctime_ns": seen.st_ctime_ns,
            "quick": digest[: len(job["quick"])],
            "sha256": digest,
        },
    )
    told = {
        column: job[column].replace(str(old.parent), str(name.parent)).replace(old.stem, name.stem)
        for column in ("plan", "written")
    }
    return {**job, **new, **told}


def _kept_of(kept: Row, job: Row) -> Row:
    same = ("folder", "path", "size", "mtime_ns")
    return {**kept, **{column: job[column] for column in same}, "job_id": job["id"]}


def _moved(row: Row, *, to: int) -> Row:
    """The same for another job; a number that SQLite gives is left to it."""
    return {**row, "job_id": to, **({"id": None} if "id" in row else {})}


def _rows(journal: sqlite3.Connection, query: str, *values: object) -> list[Row]:
    return [dict(row) for row in journal.execute(query, values)]


def _insert(journal: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    if rows:
        marks = ", ".join(f":{column}" for column in rows[0])
        journal.executemany(f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES ({marks})", rows)


def _assert_known(home: Path, size: Size) -> None:
    """`why` says of the last file that it is known as it is."""
    *_, last = size.paths()
    command = [sys.executable, "-m", "watcherd", "why", "--config", str(home / "watcherd.yaml")]
    told = subprocess.run(
        [*command, str(home / "inbox" / last)],
        capture_output=True,
        text=True,
        env={**os.environ, "TEST_KEY": KEY},
        check=True,
    ).stdout
    assert "it has the size and time that it had when its last job ended" in told, told


# Idling.


def _idled(daemon: BenchDaemon, seconds: float, *, page: str | None) -> Idled:
    """Start it, wait until it rests, idle for so long, and see that it had nothing to do."""
    daemon.log.unlink(missing_ok=True)
    began = time.time()
    with daemon:
        watching, scanned = (daemon.wait(event)[0] for event in ("inbox.watching", "inbox.scanned"))
        at_rest = _at_rest(daemon.pid)
        busy_at_start = processor_time(daemon.pid)
        time.sleep(seconds)
        busy = processor_time(daemon.pid) - busy_at_start
        scans = daemon.events("inbox.scanned")
        resident, peak = daemon.resident(), peak_memory(daemon.pid)
        rescan, rescan_busy = _scanned_again(daemon)
        _look_at(page)
        after_page = daemon.resident()
        assert not psutil.Process(daemon.pid).children(), "something works for it"
    for event in ("job.settled", "arrival.noticed", "watch.limited", "stock.postponed"):
        assert not daemon.events(event), daemon.events(event)[0]
    return Idled(
        watching=moment(watching) - began,
        scanned=moment(scanned) - began,
        files=scanned["files"],
        at_rest=at_rest - began,
        busy_at_start=busy_at_start,
        busy=busy,
        scans=len(scans),
        rescan=rescan,
        rescan_busy=rescan_busy,
        resident=resident,
        peak=peak,
        after_page=after_page,
    )


def _scanned_again(daemon: BenchDaemon) -> tuple[float, float]:
    """Ask for a scan; its seconds, as the daemon counts them, and its processor time."""
    before, count = processor_time(daemon.pid), len(daemon.events("inbox.scanned"))
    daemon.process.send_signal(signal.SIGHUP)
    scanned = daemon.wait("inbox.scanned", count + 1)[-1]
    return scanned["seconds"], processor_time(daemon.pid) - before


def _at_rest(pid: int) -> float:
    """Wait until it has done next to nothing for a while; returns since when, in UTC seconds."""
    since, spent = time.time(), processor_time(pid)
    while time.time() - since < RESTED:
        time.sleep(0.05)
        now = processor_time(pid)
        if now - spent > 0.01:
            since, spent = time.time(), now
    return since


def _look_at(page: str | None) -> None:
    """Get the page and what it asks for, as a browser does."""
    for path in ("/", "/api/v1/status", "/metrics") if page else ():
        with urllib.request.urlopen(f"http://{page}{path}", timeout=30) as answer:
            assert answer.read()


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used, to the nanosecond.

    Its clock is what clock_getcpuclockid(3) makes of the process id; /proc counts only in hundredths.
    """
    return time.clock_gettime((~pid << 3) | 2)
