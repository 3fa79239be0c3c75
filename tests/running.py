"""A real daemon in a process of its own, for end-to-end tests: started, listened to, stopped.

    with RunningDaemon(tmp_path, [settings...], endpoint=endpoint) as daemon:
        daemon.drop(clip, "talk.mp3")
        daemon.event("job.done", file="talk.mp3")

It reads the daemon's JSON log; nothing here looks inside the process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.endpoint import LocalEndpoint
from tests.waiting import wait_until

Event = dict[str, Any]


def configuration(
    home: Path,
    *,
    endpoint: LocalEndpoint | None = None,
    endpoint_keys: Mapping[str, Any] | None = None,
    folder_keys: Mapping[str, Any] | None = None,
    top_keys: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One inbox below `home` with a short settle; JSON is YAML, so this is what the file holds."""
    folder: dict[str, Any] = {
        "inbox": str(home / "inbox"),
        "done": str(home / "done"),
        "failed": str(home / "failed"),
        "settle": "200ms",
        "rescan": "1s",
    }
    content: dict[str, Any] = {
        "folders": [folder | dict(folder_keys or {})],
        "state": str(home / "state"),
        "status": "off",
        "stop_grace": "5s",
        "log": {"level": "debug", "format": "json"},
    }
    if endpoint is not None:
        content["endpoints"] = {
            "here": {
                "base_url": endpoint.base_url,
                "api_key": {"env": "TEST_KEY"},
                "model": "whisper-1",
                **(endpoint_keys or {}),
            }
        }
    return content | dict(top_keys or {})


class RunningDaemon:
    """`watcherd run` as its users start it, over `home`/inbox, done, failed and state."""

    def __init__(
        self,
        home: Path,
        content: Mapping[str, Any],
        *,
        key: str = "",
        arguments: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.home = home
        self.inbox, self.done, self.failed = home / "inbox", home / "done", home / "failed"
        self.config = home / "watcherd.yaml"
        self.events: list[Event] = []
        self._by_name: defaultdict[str, list[Event]] = defaultdict(list)
        self.noise: list[str] = []  # lines that are no JSON: there should be none
        self.config.write_text(json.dumps(content))
        self._command = [
            *prefix,
            sys.executable,
            "-m",
            "watcherd",
            "run",
            "--config",
            str(self.config),
            *arguments,
        ]
        self._environ = {**os.environ, "TEST_KEY": key, **(environ or {})}
        self.process: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None

    def __enter__(self) -> Self:
        for folder in (self.inbox, self.done, self.failed):
            folder.mkdir(exist_ok=True)
        self.start()
        self.event("daemon.started")
        self.event("inbox.watching")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            code = self.stop()
            if kind is None:
                assert code == 0, f"the daemon ended with {code}: {self.noise}"
        self._listen_to_the_end()
        if kind is None:
            assert not self.noise, "\n".join(self.noise)
            crashes = [event for event in self.events if event["event"] == "job.crashed"]
            assert not crashes, crashes[0].get("exception")

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the process and the thread that reads its log."""
        self.process = subprocess.Popen(
            self._command,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self._environ,
        )
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()

    def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 60) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.ended(timeout=timeout)

    def ended(self, *, timeout: float = 60) -> int:
        """Wait for the end by itself; returns the exit code."""
        assert self.process is not None
        code = self.process.wait(timeout)
        self._listen_to_the_end()
        return code

    def drop(self, clip: Path, name: str | bytes, *, padding: int = 0) -> Path:
        """Copy a file into the inbox under a relative name; bytes of padding make its content another."""
        target = self.inbox / os.fsdecode(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(clip.read_bytes() + bytes(padding))
        return target

    def found(self, event: str, **fields: object) -> list[Event]:
        """Log events of a name whose fields are as given."""
        lines = self._by_name.get(event, ())
        return [line for line in list(lines) if all(line.get(key) == value for key, value in fields.items())]

    def event(self, event: str, *, timeout: float = 30, **fields: object) -> Event:
        """Wait for a log event; fails with the last lines of the log, at once when the daemon has ended."""

        def seen() -> list[Event]:
            over = self.process is not None and self.process.poll() is not None and not self._listening()
            lines = self.found(event, **fields)
            assert lines or not over, "the daemon ended"
            return lines

        try:
            return wait_until(seen, timeout=timeout)[0]
        except AssertionError as error:
            last = "\n".join(str(line) for line in (*self.events[-15:], *self.noise))
            raise AssertionError(f"no {event} {fields}: {error}; the log ends:\n{last}") from None

    def sidecars(self, *folder: str) -> list[str]:
        """The names in the done folder (or one below it), sorted."""
        return sorted(entry.name for entry in self.done.joinpath(*folder).iterdir())

    def heard(self, event: Event) -> None:
        """Note a log event; called by the listening thread the moment that the line is whole."""
        self.events.append(event)
        self._by_name[event["event"]].append(event)

    def _listening(self) -> bool:
        return self._listener is not None and self._listener.is_alive()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                self.noise.append(line.rstrip())
            else:
                self.heard(event)
        process.stderr.close()

    def _listen_to_the_end(self) -> None:
        if self._listener is not None:
            self._listener.join(10)
