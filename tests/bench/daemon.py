"""The daemon as the benches start it: its log goes to a file, as to a system's log, and is read when needed.

    with BenchDaemon(home, endpoint.settings(concurrency=8)) as daemon:   # is watching now
        ...                                                             # rename files into daemon.inbox
        done = daemon.wait("job.done", 500)                             # until so many are done
        moment(done[-1])

Looking at the log costs next to nothing until events are asked for: while it waits, a bench only counts them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.bench.endpoint import KEY

SETTLE = 0.2  # seconds; it is no part of what is measured
MB = 1e6
_LOOK = 0.05  # seconds between two looks at the log
_NAME = re.compile(rb'"event": "([^"]+)"')

Event = dict[str, Any]


class BenchDaemon:
    """`watcherd run` over `home`/inbox, done, failed and state, with one inbox and one endpoint.

    `folder_keys` and `top_keys` are further settings. Entering waits until the inbox is watched.
    """

    def __init__(
        self,
        home: Path,
        endpoints: Mapping[str, Any],
        *,
        folder_keys: Mapping[str, Any] | None = None,
        top_keys: Mapping[str, Any] | None = None,
    ) -> None:
        self.inbox, self.target, self.failed = home / "inbox", home / "done", home / "failed"
        self.config, self.log = home / "watcherd.yaml", home / "watcherd.log"
        folder = {"inbox": self.inbox, "done": self.target, "failed": self.failed, "settle": f"{SETTLE}s"}
        content = {
            "folders": [{key: str(value) for key, value in folder.items()} | dict(folder_keys or {})],
            "endpoints": dict(endpoints),
            "state": str(home / "state"),
            "status": "off",
            "log": {"level": "info", "format": "json"},
            **(top_keys or {}),
        }
        self.config.write_text(json.dumps(content))
        for path in (self.inbox, self.target, self.failed):
            path.mkdir(exist_ok=True)
        self._read = 0  # bytes of the log
        self._lines: dict[str, list[bytes]] = defaultdict(list)  # of the log, by their events' names
        self.began = 0.0  # UTC seconds

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.began = time.time()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "watcherd", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "TEST_KEY": KEY},
            )
        try:
            self.wait("inbox.watching", timeout=60)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._kill()
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert code == 0, f"the daemon ended with {code}: {self.log.read_text()[-2000:]}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, name: str) -> Sequence[Event]:
        """The log's events of one name so far."""
        self._catch_up()
        return [json.loads(line) for line in self._lines[name]]

    def count(self, name: str) -> int:
        """How many events of one name the log has so far."""
        self._catch_up()
        return len(self._lines[name])

    def wait(self, name: str, count: int = 1, *, timeout: float = 600) -> Sequence[Event]:
        """Wait until the log has so many events of a name; returns them all."""
        deadline = time.monotonic() + timeout
        while (found := self.count(name)) < count:
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{found} of {count} {name}: {self.log.read_text()[-2000:]}")
            time.sleep(_LOOK)
        return self.events(name)

    def processor_time(self) -> float:
        """Seconds of processor time that the daemon and its workers have used so far."""
        process = psutil.Process(self.pid)
        spent = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
        ended = spent[0].children_user + spent[0].children_system
        return ended + sum(one.user + one.system for one in spent)

    def resident(self) -> float:
        """MB that it holds now."""
        return psutil.Process(self.pid).memory_info().rss / MB

    def _kill(self) -> None:
        self.process.kill()
        self.process.wait(60)

    def _catch_up(self) -> None:
        with self.log.open("rb") as log:
            log.seek(self._read)
            news = log.read()
        whole = news[: news.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            if name := _NAME.search(line):
                self._lines[name[1].decode()].append(line)


def moment(event: Event) -> float:
    """When an event of the log happened, in UTC seconds."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()
