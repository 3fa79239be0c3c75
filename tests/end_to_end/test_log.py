"""The daemon's log: the level that was asked for, and what happens when nobody reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from watcherd.cli.asking import ask
from watcherd.state import StateFolder

pytestmark = pytest.mark.slow


def reload(daemon: RunningDaemon, level: str) -> None:
    content = configuration(daemon.home) | {"log": {"level": level, "format": "json"}}
    daemon.config.write_text(json.dumps(content))
    holder = StateFolder(daemon.home / "state").holder()
    assert holder is not None
    assert holder.control is not None
    assert ask(holder.control, "POST", "reload").body["applied"]


def test_the_file_changes_the_level_at_a_reload(tmp_path: Path) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path)) as daemon:
        reload(daemon, "error")
        daemon.stop()
    assert daemon.found("daemon.started")
    assert not daemon.found("daemon.stopped")


def test_a_level_that_was_asked_for_stays_whatever_the_file_says_later(tmp_path: Path) -> None:
    content = configuration(tmp_path) | {"log": {"level": "error", "format": "json"}}
    with RunningDaemon(tmp_path, content, arguments=("--log-level", "DEBUG")) as daemon:
        reload(daemon, "error")
        daemon.stop()
    assert daemon.found("daemon.stopped")


def test_each_line_of_a_files_way_has_its_job_and_inbox(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done")
    steps = [event for event in daemon.events if event["event"].split(".")[0] in {"job", "part", "delivery"}]
    assert len(steps) > 5
    for step in steps:
        assert (step["job"], step["inbox"], step["file"]) == (1, "inbox", "talk.mp3")


def test_a_log_whose_reader_has_gone_costs_no_file(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    for name in ("inbox", "done", "failed"):
        (tmp_path / name).mkdir()
    config = tmp_path / "watcherd.yaml"
    config.write_text(json.dumps(configuration(tmp_path, endpoint=endpoint)))
    (tmp_path / "inbox" / "talk.mp3").write_bytes(clip("mp3").read_bytes())
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "watcherd", "run", "--once", "--config", config],
            stderr=writing,
            env={**os.environ, "TEST_KEY": endpoint.key},
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert ended.returncode == 0
    assert (tmp_path / "done" / "talk.srt").exists()
