"""Start, stop and start again: one daemon at a time, nothing lost by a stop, an inbox that comes and goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.audio import clip
from tests.end_to_end.test_bad_files import ORDINARY
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Respond
from tests.waiting import wait_until


def second_daemon(config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "watcherd", "run", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_daemon_on_one_state_folder_exits_75_and_names_the_first(
    tmp_path: Path, endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", endpoint.key)
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        second = second_daemon(daemon.config)
        assert second.returncode == 75
        assert f"process {daemon.pid}" in second.stderr


def test_a_second_daemon_on_one_inbox_exits_75_and_names_the_first(
    tmp_path: Path, endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", endpoint.key)
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        other = tmp_path / "other"
        other.mkdir()
        content = configuration(tmp_path, endpoint=endpoint, top_keys={"state": str(other / "state")})
        second = RunningDaemon(other, content, key=endpoint.key)
        second.start()
        assert second.ended() == 75
        assert any(f"process {daemon.pid}" in line for line in second.noise)


def test_sigterm_during_an_upload_stops_within_the_grace_and_the_file_resumes(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.script(Respond(hold=True))
    content = configuration(tmp_path, endpoint=endpoint, top_keys={"stop_grace": "1s"})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        wait_until(lambda: endpoint.held, timeout=30)
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 10, "1 s of grace and the time to stop on a slow machine"
        assert (daemon.inbox / "talk.mp3").read_bytes() == clip("mp3").read_bytes()
        assert not list(daemon.done.iterdir())
        daemon.start()
        daemon.event("job.done", file="talk.mp3")
        assert daemon.sidecars() == ["talk.mp3", "talk.srt", "talk.txt", "talk.vtt"]


def test_what_is_nearly_finished_is_finished_within_the_grace(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.script(Respond(hold=True))
    content = configuration(tmp_path, endpoint=endpoint, top_keys={"stop_grace": "30s"})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        wait_until(lambda: endpoint.held, timeout=30)
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        daemon.event("daemon.stopping")
        endpoint.release()
        assert daemon.ended() == 0
        assert daemon.sidecars() == ["talk.mp3", "talk.srt", "talk.txt", "talk.vtt"]


def test_a_second_signal_leaves_at_once(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(hold=True))
    content = configuration(tmp_path, endpoint=endpoint, top_keys={"stop_grace": "10m"})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        wait_until(lambda: endpoint.held, timeout=30)
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        daemon.event("daemon.stopping")
        assert daemon.stop(signal.SIGINT, timeout=20) == 0


def test_a_reply_that_was_received_is_not_asked_for_again_after_a_kill(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    """The done folder refuses the delivery, so the kill falls between the reply and the move."""
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        shutil.rmtree(daemon.done)
        daemon.done.write_text("in the way")
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("part.translated")
        daemon.event("job.waiting")
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        daemon.done.unlink()
        daemon.done.mkdir()
        daemon.start()
        daemon.event("job.done", timeout=60)
        assert daemon.sidecars() == ["talk.mp3", "talk.srt", "talk.txt", "talk.vtt"]
    assert len(endpoint.requests) == 1


def test_an_inbox_that_is_deleted_and_made_anew_goes_on(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        shutil.rmtree(daemon.inbox)
        assert daemon.event("inbox.missing")["hint"]
        daemon.inbox.mkdir()
        daemon.event("inbox.recovered")
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done", file="talk.mp3")


def test_an_inbox_that_is_renamed_is_left_and_a_new_one_watched(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        old = tmp_path / "old"
        daemon.inbox.rename(old)
        daemon.inbox.mkdir()
        wait_until(lambda: daemon.found("inbox.replaced") or daemon.found("inbox.recovered"), timeout=30)
        shutil.copyfile(clip("mp3"), old / "ghost.mp3")
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done", file="talk.mp3")
        assert (old / "ghost.mp3").exists()
    assert len(endpoint.requests) == 1


def test_an_inbox_that_cannot_be_read_for_a_while_recovers(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    prefix = ORDINARY if os.geteuid() == 0 else ()
    content = configuration(tmp_path, endpoint=endpoint)
    with RunningDaemon(tmp_path, content, key=endpoint.key, prefix=prefix) as daemon:
        daemon.inbox.chmod(0)
        assert daemon.event("inbox.unreadable", timeout=60)["hint"]
        daemon.inbox.chmod(0o755)
        daemon.event("inbox.recovered")
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done", file="talk.mp3")


def test_an_inbox_that_is_missing_at_the_start_is_watched_when_it_appears(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    daemon = RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key)
    daemon.done.mkdir()
    daemon.failed.mkdir()
    daemon.start()
    daemon.event("inbox.missing")
    daemon.inbox.mkdir()
    daemon.event("inbox.recovered")
    daemon.drop(clip("mp3"), "talk.mp3")
    daemon.event("job.done")
    assert daemon.stop() == 0
    assert f"mkdir -p {daemon.inbox}" in daemon.found("inbox.missing")[0]["hint"]


def test_a_missing_done_folder_is_said_at_the_start_and_waited_for(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    daemon = RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key)
    daemon.inbox.mkdir()
    daemon.failed.mkdir()
    daemon.start()
    assert f"mkdir -p {daemon.done}" in daemon.event("folder.missing")["hint"]
    daemon.drop(clip("mp3"), "talk.mp3")
    waiting = daemon.event("job.waiting")
    assert waiting["fault"] == "folder_missing"
    assert daemon.stop() == 0
    assert (daemon.inbox / "talk.mp3").exists()
    daemon.done.mkdir()
    daemon.start()
    daemon.event("job.done", timeout=60)
    assert daemon.stop() == 0
    assert len(endpoint.requests) == 1


def test_what_a_lost_delivery_left_is_cleared_up_at_the_start(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "sub/talk.mp3")
        job = daemon.event("job.done")["job"]
        assert daemon.stop() == 0
        left = daemon.done / "sub" / f".watcherd-{job}-2.tmp"
        others = daemon.done / "sub" / f".watcherd-{job + 1000}-2.tmp"
        left.touch()
        others.touch()
        daemon.start()
        daemon.event("folder.swept", path=str(daemon.done), files=1)
        assert not left.exists()
        assert others.exists(), "a number that was never given out is not ours to judge"
