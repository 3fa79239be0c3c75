"""A mount that hangs: a file system in user space whose server is stopped. Its inbox waits, alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.servers.fuse import FuseMount, needs_fuse
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, needs_fuse]

MIB = 1 << 20
READS = 8  # the kernel asks for 128 KiB at a time
LARGE = 16 * MIB
WHILE_SENDING = READS * (2 + 16 + 4)  # both ends, then the whole file twice: to hash it and to send it


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FuseMount]:
    """What hangs: the inbox `far`, or its done folder."""
    with FuseMount(tmp_path / "backing", tmp_path / "mount") as mount:
        yield mount


def two_inboxes(
    home: Path, endpoint: LocalEndpoint, *, inbox: Path, done: Path, **keys: object
) -> RunningDaemon:
    """A daemon with a healthy inbox and the inbox `far`; their endpoint takes one request at a time."""
    content = configuration(home, endpoint=endpoint, endpoint_keys={"concurrency": 1, **keys})
    (healthy,) = content["folders"]
    failed = home / "far-failed"
    for folder in (inbox, done, failed):
        folder.mkdir(exist_ok=True)
    other = {"name": "far", "inbox": str(inbox), "done": str(done), "failed": str(failed)}
    content["folders"] = [healthy, healthy | other]
    return RunningDaemon(home, content, key=endpoint.key)


def status(daemon: RunningDaemon) -> str:
    """What the command says, within a time that a person waits."""
    command = [sys.executable, "-m", "watcherd", "status", "--config", str(daemon.config)]
    environ = {**os.environ, "TEST_KEY": "sk-of-no-use"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=environ)
    return done.stdout.lower()


def assert_the_others_go_on(daemon: RunningDaemon, name: str) -> None:
    daemon.drop(clip("mp3"), name, padding=len(daemon.events))
    daemon.event("job.done", file=name, timeout=60)


def assert_a_stop_is_heard(daemon: RunningDaemon) -> None:
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 15, "stop_grace is 5 seconds"


def assert_done_once(daemon: RunningDaemon, done: Path, *names: str) -> None:
    """Each file is in done with its sidecars, and nothing is left over anywhere."""
    stems = {Path(name).stem for name in names}
    expected = sorted([*names, *(f"{stem}.{form}" for stem in stems for form in ("srt", "txt", "vtt"))])
    assert sorted(entry.name for entry in done.iterdir()) == expected
    assert all((done / f"{stem}.srt").stat().st_size for stem in stems)
    assert not list(daemon.failed.iterdir())
    assert not list((daemon.home / "far-failed").iterdir())


def answered(endpoint: LocalEndpoint) -> int:
    return sum(request.answered == 200 for request in endpoint.requests)


def test_an_inbox_whose_mount_hangs_while_it_is_idle(
    tmp_path: Path, far: FuseMount, endpoint: LocalEndpoint
) -> None:
    done = tmp_path / "far-done"
    with two_inboxes(tmp_path, endpoint, inbox=far.at, done=done) as daemon:
        daemon.event("inbox.watching", inbox="far")
        far.freeze()
        (far.backing / "from afar.mp3").write_bytes(clip("mp3").read_bytes())
        assert_the_others_go_on(daemon, "near.mp3")
        daemon.event("inbox.silent", inbox="far", timeout=60)
        assert "storage not answering" in status(daemon)
        assert_the_others_go_on(daemon, "nearer.mp3")
        far.thaw()
        daemon.event("inbox.answered", inbox="far")
        daemon.event("job.done", file="from afar.mp3", timeout=60)
        assert_done_once(daemon, done, "from afar.mp3")
        assert answered(endpoint) == 3
        far.freeze()
        assert_a_stop_is_heard(daemon)


def test_an_inbox_whose_mount_hangs_while_its_files_are_sent(
    tmp_path: Path, far: FuseMount, endpoint: LocalEndpoint
) -> None:
    done, names = tmp_path / "far-done", [f"{number}.mp3" for number in range(4)]
    with two_inboxes(tmp_path, endpoint, inbox=far.at, done=done, upload="original") as daemon:
        daemon.event("inbox.watching", inbox="far")
        far.freeze_after("READ", WHILE_SENDING)
        for number, name in enumerate(names):
            (far.backing / name).write_bytes(clip("mp3").read_bytes() + bytes(LARGE + number))
        daemon.event("part.sent", inbox="far", timeout=60)
        far.wait_frozen()
        daemon.event("job.waiting", inbox="far", reason="storage not answering", timeout=60)
        assert_the_others_go_on(daemon, "near.mp3")
        daemon.event("inbox.silent", inbox="far", timeout=60)
        assert "storage not answering" in status(daemon)
        far.thaw()
        wait_until(lambda: len(daemon.found("job.done", inbox="far")) == len(names), timeout=90)
        assert_done_once(daemon, done, *names)
        assert answered(endpoint) == 1 + len(names)

        far.freeze_after("READ", WHILE_SENDING)
        (far.backing / "last.mp3").write_bytes(clip("mp3").read_bytes() + bytes(LARGE + len(names)))
        daemon.event("part.sent", file="last.mp3", timeout=60)
        far.wait_frozen()
        assert_a_stop_is_heard(daemon)
        far.thaw()
        daemon.start()
        daemon.event("job.done", file="last.mp3", timeout=60)
        assert_done_once(daemon, done, *names, "last.mp3")
        assert answered(endpoint) == 2 + len(names)


def test_an_inbox_whose_mount_hangs_while_its_files_are_decoded(
    tmp_path: Path, far: FuseMount, endpoint: LocalEndpoint
) -> None:
    done, names = tmp_path / "far-done", [f"{number}.mp3" for number in range(4)]
    with two_inboxes(tmp_path, endpoint, inbox=far.at, done=done, upload="flac") as daemon:
        daemon.event("inbox.watching", inbox="far")
        far.freeze_after("READ", WHILE_SENDING)
        for number, name in enumerate(names):
            (far.backing / name).write_bytes(clip("mp3").read_bytes() + bytes(LARGE + number))
        far.wait_frozen()
        daemon.drop(clip("mp3"), "near.mp3")
        assert daemon.event("media.worker_timed_out", timeout=90)["stuck"]
        daemon.event("job.done", file="near.mp3", timeout=90)
        far.thaw()
        wait_until(lambda: len(daemon.found("job.done", inbox="far")) == len(names), timeout=90)
        assert_done_once(daemon, done, *names)
        assert answered(endpoint) == 1 + len(names)


@pytest.mark.parametrize("call", ["WRITE", "RENAME2"])
def test_an_inbox_whose_done_folder_hangs_while_its_files_are_delivered(
    tmp_path: Path, far: FuseMount, endpoint: LocalEndpoint, call: str
) -> None:
    inbox, names = tmp_path / "far-inbox", [f"{number}.mp3" for number in range(4)]
    with two_inboxes(tmp_path, endpoint, inbox=inbox, done=far.at) as daemon:
        daemon.event("inbox.watching", inbox="far")
        far.freeze_after(call)
        for number, name in enumerate(names):
            (inbox / name).write_bytes(clip("mp3").read_bytes() + bytes(number))
        far.wait_frozen()
        daemon.event("inbox.silent", inbox="far", timeout=60)
        assert_the_others_go_on(daemon, "near.mp3")
        assert "storage not answering" in status(daemon)
        far.thaw()
        daemon.event("inbox.answered", inbox="far")
        wait_until(lambda: len(daemon.found("job.done", inbox="far")) == len(names), timeout=90)
        assert_done_once(daemon, far.backing, *names)
        assert answered(endpoint) == 1 + len(names)

        far.freeze_after(call)
        (inbox / "last.mp3").write_bytes(clip("mp3").read_bytes() + bytes(len(names)))
        far.wait_frozen()
        assert_a_stop_is_heard(daemon)
        far.thaw()
        daemon.start()
        daemon.event("job.done", file="last.mp3", timeout=60)
        assert_done_once(daemon, far.backing, *names, "last.mp3")
        assert answered(endpoint) == 2 + len(names)


def test_an_inbox_whose_mount_hangs_already_at_the_start(
    tmp_path: Path, far: FuseMount, endpoint: LocalEndpoint
) -> None:
    (far.backing / "from afar.mp3").write_bytes(clip("mp3").read_bytes())
    daemon = two_inboxes(tmp_path, endpoint, inbox=far.at, done=tmp_path / "far-done")
    far.freeze()
    with daemon:
        assert_the_others_go_on(daemon, "near.mp3")
        daemon.event("inbox.silent", inbox="far", timeout=60)
        far.thaw()
        daemon.event("job.done", file="from afar.mp3", timeout=60)
