"""Media damaged in every way, and lists disguised as media: each ends in done or failed, none elsewhere."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.audio import made, need_tools
from tests.reliability.mutations import Mutant, mutants
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import Behaviour, LocalEndpoint, Request, Respond, error
from tests.waiting import wait_until
from watcherd.faults import Scope

pytestmark = need_tools

MB = 1_000_000
DAEMON_AT_MOST = 150 * MB
WORKER_AT_MOST = 500 * MB  # its address space ends at a gibibyte


def picky(request: Request) -> Behaviour:
    """Like a server whose decoder takes less than ours: one file in five is none to it."""
    if int(request.sha256, 16) % 5 == 0:
        return error(400, "The audio file could not be decoded or its format is not supported.")
    return Respond()


class Memory:
    """The most memory that the daemon and any of its workers have had resident."""

    def __init__(self, pid: int) -> None:
        self.daemon = self.worker = 0
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @contextmanager
    def watched(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.daemon = max(self.daemon, _resident(self._process))
            for child in self._process.children():
                self.worker = max(self.worker, _resident(child))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def two_inboxes(home: Path, endpoint: LocalEndpoint) -> dict[str, Any]:
    """One whose files go out as they are where they can, and one whose files are all decoded."""
    content = configuration(home, endpoint=endpoint, top_keys={"log": {"level": "info", "format": "json"}})
    here = content["endpoints"]["here"]
    content["endpoints"]["decoding"] = here | {"upload": "flac"}
    (folder,) = content["folders"]
    folder |= {"endpoint": "here", "name": "as it is"}
    decoding = {key: str(home / f"decoded {key}") for key in ("inbox", "done", "failed")}
    for path in decoding.values():
        Path(path).mkdir()
    content["folders"].append(folder | decoding | {"endpoint": "decoding", "name": "decoded"})
    return content


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_media_ends_in_done_or_failed_and_harms_nobody(tmp_path: Path, count: int) -> None:
    neighbour = tmp_path / "neighbour.wav"
    neighbour.write_bytes(made("neighbour.wav", "-f", "lavfi", "-i", "sine=d=1").read_bytes())
    dropped = list(mutants(count, seed=20_000 + count, neighbour=neighbour))
    began = time.monotonic()
    with LocalEndpoint() as endpoint:
        endpoint.always(picky)
        daemon = RunningDaemon(tmp_path, two_inboxes(tmp_path, endpoint), key=endpoint.key)
        with daemon:
            memory = Memory(daemon.pid)
            with memory.watched():
                for number, mutant in enumerate(dropped):
                    inbox = daemon.inbox if number % 2 else tmp_path / "decoded inbox"
                    (inbox / mutant.name).write_bytes(mutant.content)
                wait_until(
                    lambda: len(daemon.found("job.done")) + len(daemon.found("job.failed")) >= count,
                    timeout=300,
                )
    seconds = time.monotonic() - began
    failures = check(tmp_path, dropped)
    assert not [event for event in daemon.events if "exception" in event]
    assert not [event for event in daemon.events if event["event"] == "endpoint.paused"]
    crashes = [event["last_words"] for event in daemon.found("media.worker_died")]
    assert not [words for words in crashes if "Traceback" in words], "a worker has a bug of ours"
    print(
        f"{count} files in {seconds:.0f} s: {count - failures.total()} done, failed {dict(failures)};"
        f" {len(endpoint.requests)} requests, {len(crashes)} crashes of a worker;"
        f" resident at most: daemon {memory.daemon / MB:.0f} MB, a worker {memory.worker / MB:.0f} MB"
    )
    assert memory.daemon < DAEMON_AT_MOST
    assert memory.worker < WORKER_AT_MOST


def check(home: Path, dropped: list[Mutant]) -> Counter[str]:
    """Find each file in done or failed once, as it was; returns why how many failed."""
    failures: Counter[str] = Counter()
    for number, mutant in enumerate(dropped):
        prefix = "" if number % 2 else "decoded "
        assert not (home / f"{prefix}inbox" / mutant.name).exists()
        done, failed = (home / f"{prefix}{folder}" / mutant.name for folder in ("done", "failed"))
        assert done.exists() != failed.exists(), mutant.name
        if done.exists():
            assert not mutant.is_list, f"{mutant.name} has no sound of its own"
            assert done.read_bytes() == mutant.content
            assert done.with_suffix(".srt").exists() or (done.parent / f"{mutant.name}.srt").exists()
        else:
            assert failed.read_bytes() == mutant.content
            report = json.loads((failed.parent / f"{mutant.name}.error.json").read_bytes())
            assert report["fault"]["scope"] == Scope.FILE
            failures[report["fault"]["code"]] += 1
    return failures
