"""One round of the crash test: mixed files through a real daemon that is stopped on the way, then a check.

    with Round(tmp_path, endpoint, seed=7) as one:
        one.stop_at(Moment(after=12, delay=0.01))   # the daemon starts, and dies there
        tally = one.finish()                        # it starts again, is left to finish, all is checked

What a stop may cost is counted at the endpoint: a request in flight then may be sent again, no other.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.audio import clip
from tests.reliability.invariants import check_files, files_below, foreign_content
from tests.running import Event, RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Request, Respond
from tests.waiting import wait_until
from watcherd.job import FINAL, State
from watcherd.journal.reader import reading

MEMORY = Path("/dev/shm")
"""Another device than the one that holds the inbox, where the tests run on Linux as it usually is."""

CONCURRENCY = 2
EVENTS_OF_A_START, EVENTS_OF_A_FILE, EVENTS_AGAIN = 3, 8, 5  # about; AGAIN is of a file on record
BUSY = ("part.sent", "part.translated", "delivery.planned", "delivery.planned")

MEDIA = {
    b"talk.mp3": "mp3",
    b"talk.wav": "wav",  # both would be talk.srt
    b"film.mkv": "mkv",  # decoded, in a child
    b"show/day 1/talk.mp3": "mp3",
    b"show/day 1/more.ogg": "ogg",
    b"caf\xe9.mp3": "mp3",
    b"long.flac": "flac",
}
TEXT = b"notes.mp3"  # no audio in it: it fails without a request
FOREIGN = (b"done/talk.srt", b"done/long.flac", b"failed/notes.mp3.error.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When to send a signal: `delay` seconds after the `after`th log event (of a name, if one is given)."""

    after: int
    delay: float = 0.0
    event: str | None = None
    signal: signal.Signals = signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Call:
    """When the kernel is to kill: as one of the daemon's threads comes to its `nth` system call of a name.

    The call is not made. `strace` sees to it; -D keeps the daemon our own child.
    """

    name: str
    nth: int
    signal: ClassVar[signal.Signals] = signal.SIGKILL

    @property
    def tracer(self) -> tuple[str, ...]:
        """What goes before the daemon's command."""
        inject = f"inject={self.name}:signal=SIGKILL:when={self.nth}"
        return "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={self.name}", "-e", inject


@dataclass(slots=True)
class Tally:
    """What rounds came to; `where` counts the stops by the log event that came last before each."""

    rounds: int = 0
    stops: int = 0
    idle: int = 0  # stops of a daemon that had finished before its moment came
    files: int = 0
    requests: int = 0
    extra: int = 0
    in_flight: int = 0
    where: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another round's figures."""
        self.rounds += other.rounds
        self.stops += other.stops
        self.idle += other.idle
        self.files += other.files
        self.requests += other.requests
        self.extra += other.extra
        self.in_flight += other.in_flight
        self.where += other.where

    def __str__(self) -> str:
        last = ", ".join(f"{name} {count}" for name, count in self.where.most_common())
        return (
            f"{self.stops} stops ({self.idle} of them idle) in {self.rounds} rounds: {self.files} files,"
            f" {self.requests} requests, {self.extra} of them extra, {self.in_flight} in flight at the stops;"
            f" stopped after: {last}"
        )


class _Mortal(RunningDaemon):
    """A daemon that gets a signal at a moment of its log or at a system call."""

    moment: Moment | Call | None = None
    _counted = 0

    @property
    def reached(self) -> bool:
        """Whether the moment has come, so that the signal is sent or about to be."""
        return isinstance(self.moment, Moment) and self._counted >= self.moment.after

    def start(self) -> None:
        self._counted = 0
        command = self._command
        if isinstance(self.moment, Call):
            self._command = [*self.moment.tracer, *command]
        super().start()
        self._command = command

    def heard(self, event: Event) -> None:
        super().heard(event)
        moment = self.moment
        if not isinstance(moment, Moment) or moment.event not in {None, event["event"]}:
            return
        self._counted += 1
        if self._counted == moment.after:
            time.sleep(moment.delay)  # the drawn moment itself; nothing is waited for
            assert self.process is not None
            self.process.send_signal(moment.signal)


class Round:
    """Mixed files on their way through one daemon's life, however often it is cut short.

    With `other_device` done and failed are on another file system than the inbox. The seed decides whether
    a file is dropped before the first start, just after it or while no daemon runs, and how slow the
    endpoint is.
    """

    def __init__(self, home: Path, endpoint: LocalEndpoint, *, seed: int, other_device: bool = False) -> None:
        self.seed = seed
        self.tally = Tally(rounds=1)
        self._random = random.Random(seed)
        self._endpoint = endpoint
        self._requests_before = len(endpoint.requests)
        self._spawned: list[float] = []
        self._logged: list[int] = []  # log events before each start
        self._contents = dict(self._drawn_contents())
        self._phases = {name: self._random.randrange(3) for name in self._contents}
        self._away = Path(tempfile.mkdtemp(dir=MEMORY)) if other_device else None
        home.mkdir()
        self.daemon = self._daemon(home)
        if other_device:
            assert self.daemon.done.stat().st_dev != self.daemon.inbox.stat().st_dev
        for name in FOREIGN:
            self._at(name).write_bytes(foreign_content(name))
        endpoint.always(Respond(delay=self._random.choice((0.0, 0.03, 0.15))))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self.daemon.process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        if self._away is not None:
            shutil.rmtree(self._away)

    # A round's life.

    def stop_at(self, moment: Moment | Call) -> None:
        """Start the daemon and send it a signal at that moment, or when it is idle before that comes."""
        self._start(moment)
        self._drop(1)
        process = self.daemon.process
        assert process is not None
        self._wait_until(lambda: process.poll() is not None or self._idle())
        with contextlib.suppress(AssertionError):  # the journal knows the last step before the log has it
            wait_until(lambda: process.poll() is not None or self.daemon.reached, timeout=0.25)
        if process.poll() is None and not self.daemon.reached:
            process.send_signal(moment.signal)
            self.tally.idle += 1
        # A SIGTERM that comes before the daemon listens for it ends it as it ends any program.
        expected = {-moment.signal} if moment.signal is signal.SIGKILL else {-moment.signal, 0}
        code = self.daemon.ended()
        assert code in expected, self._why(f"the daemon ended with {code}")
        self.tally.stops += 1
        self.tally.where[str(self.daemon.events[-1]["event"]) if self.daemon.events else "nothing"] += 1
        self._endpoint.catch_up()  # a request of the dead daemon is not one of the next
        wait_until(lambda: not self._endpoint.connections)
        self._drop(2)

    def drawn_moment(self, *, number: signal.Signals = signal.SIGKILL) -> Moment:
        """Any moment of what is left of the round: after any event, or soon after one that much follows."""
        left = max(1, self._left())
        if self._random.random() < 0.5:
            step, delay = self._random.choice(BUSY), self._random.uniform(0, 0.015)
            return Moment(event=step, after=self._random.randint(1, left), delay=delay, signal=number)
        events = EVENTS_OF_A_START + left * (EVENTS_AGAIN if self._spawned else EVENTS_OF_A_FILE)
        delay = self._random.choice((0.0, self._random.uniform(0, 0.1)))
        return Moment(after=self._random.randint(1, events), delay=delay, signal=number)

    def finish(self) -> Tally:
        """Start the daemon a last time, let it finish, check everything; returns the figures."""
        self._start(None)
        self._drop(1)
        self._drop(2)
        self._wait_until(self._idle)
        code = self.daemon.stop()
        assert code == 0, self._why(f"the last daemon ended with {code}")
        self._check_log()
        self._check_journal()
        self._check_files()
        self._check_requests()
        self.tally.files = len(self._contents)
        return self.tally

    def _daemon(self, home: Path) -> _Mortal:
        settings = {"settle": "200ms", "rescan": "1s", "cues": "raw"}
        away = self._away or home
        content = configuration(
            home,
            endpoint=self._endpoint,
            endpoint_keys={"concurrency": CONCURRENCY},
            folder_keys={**settings, "done": str(away / "done"), "failed": str(away / "failed")},
            top_keys={"stop_grace": self._random.choice(("100ms", "5s"))},
        )
        daemon = _Mortal(home, content, key=self._endpoint.key)
        daemon.done, daemon.failed = away / "done", away / "failed"
        for folder in (daemon.inbox, daemon.done, daemon.failed):
            folder.mkdir()
        return daemon

    def _drawn_contents(self) -> Iterator[tuple[bytes, bytes]]:
        """Names and contents: no two files of one size, so that the endpoint can tell them apart."""
        for number, (name, container) in enumerate(MEDIA.items(), 1):
            rest = bytes(number) if container == "mp3" else b""
            yield name, clip(container).read_bytes() + rest
        yield TEXT, b"no sound at all\n" * 40

    def _start(self, moment: Moment | Call | None) -> None:
        self._drop(0)
        self._spawned.append(time.monotonic())
        self._logged.append(len(self.daemon.events))
        self.daemon.moment = moment
        self.daemon.start()

    def _drop(self, phase: int) -> None:
        for name, content in self._contents.items():
            if self._phases[name] == phase:
                self._phases[name] = -1
                path = self._at(b"inbox/" + name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        try:
            wait_until(condition, timeout=30)
        except AssertionError as error:
            left = sorted(files_below(self.daemon.inbox))
            raise AssertionError(self._why(f"{error}; in the inbox: {left}; {self._counts()}")) from None

    # What is where.

    def _at(self, name: bytes) -> Path:
        folder, _, rest = os.fsdecode(name).partition("/")
        return self._roots[folder] / rest

    @property
    def _roots(self) -> dict[str, Path]:
        return {"inbox": self.daemon.inbox, "done": self.daemon.done, "failed": self.daemon.failed}

    def _idle(self) -> bool:
        """Whether the daemon runs, and every file that was dropped is out of the inbox and on record."""
        started = any(event["event"] == "daemon.started" for event in self.daemon.events[self._logged[-1] :])
        return started and not files_below(self.daemon.inbox) and not self._open_jobs()

    def _left(self) -> int:
        """How many files have some of their way before them in the next daemon's life."""
        to_come = sum(1 for phase in self._phases.values() if phase in {0, 1})
        return to_come + max(len(files_below(self.daemon.inbox)), self._open_jobs())

    def _open_jobs(self) -> int:
        try:
            counts = self._counts()
        except sqlite3.OperationalError:  # the daemon has not made it yet
            return 0
        return sum(number for state, number in counts.items() if state not in FINAL)

    def _counts(self) -> Mapping[State, int]:
        with reading(self.daemon.home / "state" / "journal.sqlite3") as reader:
            return reader.counts().get("inbox", {})

    # The invariants.

    def _why(self, what: str) -> str:
        """Say what is wrong, and what is needed to look into it."""
        last = "\n".join(str(event) for event in self.daemon.events[-30:])
        return f"seed {self.seed}: {what}\n{self.tally}\n{self.daemon.noise}\n{last}"

    def _check_log(self) -> None:
        assert not self.daemon.noise, self._why("lines that are no log")
        crashes = [event.get("exception") for event in self.daemon.found("job.crashed")]
        assert not crashes, self._why(f"a bug was met: {crashes[0]}")

    def _check_journal(self) -> None:
        expected = {State.DONE: len(MEDIA), State.FAILED: 1}
        assert self._counts() == expected, self._why(f"the journal says {self._counts()}")
        work = self.daemon.home / "state" / "work"
        assert not list(work.iterdir()), self._why("something was left in the work folder")

    def _check_files(self) -> None:
        """Nothing is anywhere but what must be, whole: so no temporary file either, and nothing replaced."""
        found = {name: files_below(root) for name, root in self._roots.items()}
        try:
            check_files(found, self._contents, failing={TEXT}, foreign=FOREIGN, heard=self._requests())
        except AssertionError as error:
            raise AssertionError(self._why(str(error))) from error

    def _requests(self) -> tuple[Request, ...]:
        return self._endpoint.requests[self._requests_before :]

    def _check_requests(self) -> None:
        """One request a file, and beyond that only what was in flight at a stop; counted run by run."""
        requests = self._requests()
        translated = Counter(event["job"] for event in self.daemon.found("part.translated"))
        assert max(translated.values()) == 1, self._why("a reply that was recorded was asked for again")
        for run in range(len(self._spawned)):
            sent = Counter(_sent_file(one) for one in requests if self._run_of(one) == run)
            assert max(sent.values(), default=0) <= 1, self._why(f"sent twice in run {run}: {sent}")
            in_flight = sent.total() - self._translated_in(run)
            most = 2 * CONCURRENCY if run < len(self._spawned) - 1 else 0
            assert 0 <= in_flight <= most, self._why(f"{in_flight} in flight at the end of run {run}")
            self.tally.in_flight += in_flight
        self.tally.requests = len(requests)
        self.tally.extra = len(requests) - len(MEDIA)
        assert 0 <= self.tally.extra <= self.tally.in_flight, self._why("paid twice")

    def _run_of(self, request: Request) -> int:
        return bisect(self._spawned, request.started) - 1

    def _translated_in(self, run: int) -> int:
        starts = [*self._logged, len(self.daemon.events)]
        lines = self.daemon.events[starts[run] : starts[run + 1]]
        return sum(1 for event in lines if event["event"] == "part.translated")


def _sent_file(request: Request) -> tuple[str, int]:
    """Return what tells the files of a round apart, of a request that was cut short too."""
    return request.filename, request.body_size
