"""SIGHUP: a new configuration is applied whole or not at all, and drops nothing that is under way."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Respond
from tests.waiting import wait_until


def reload(daemon: RunningDaemon, content: Mapping[str, Any] | str) -> None:
    """Write the file anew and say so to the daemon."""
    daemon.config.write_text(content if isinstance(content, str) else json.dumps(content))
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)


def test_a_key_that_was_corrected_is_used_at_once(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("sk-wrong-0123456789\n")
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"api_key": {"file": str(key_file)}})
    with RunningDaemon(tmp_path, content) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.waiting", reason="endpoint paused")
        key_file.write_text(f"{endpoint.key}\n")
        reload(daemon, content)
        daemon.event("configuration.reloaded")
        daemon.event("job.done", timeout=20)
    assert [request.answered for request in endpoint.requests] == [401, 200]


def test_a_reload_ends_a_pause_though_nothing_was_changed(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(status=503, headers={"Retry-After": "600"}, body=b"loading"))
    content = configuration(tmp_path, endpoint=endpoint)
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.waiting", reason="endpoint paused")
        reload(daemon, content)
        daemon.event("endpoint.reopened")
        daemon.event("job.done", timeout=20)


def test_inboxes_come_and_go_while_a_job_is_under_way(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(hold=True))
    content = configuration(tmp_path, endpoint=endpoint)
    first = content["folders"][0]
    second = first | {"inbox": str(tmp_path / "second"), "name": "second"}
    (tmp_path / "second").mkdir()
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "under way.mp3")
        wait_until(lambda: endpoint.held, timeout=30)
        reload(daemon, content | {"folders": [second]})
        daemon.event("inbox.watching", inbox="second")
        shutil.copyfile(clip("flac"), tmp_path / "second" / "new.flac")
        daemon.event("job.done", file="new.flac")
        daemon.drop(clip("ogg"), "unwatched.ogg")
        endpoint.release()
        daemon.event("job.done", file="under way.mp3")
        reload(daemon, content | {"folders": [first, second]})
        daemon.event("job.done", file="unwatched.ogg")
        assert not daemon.found("job.waiting")
    assert len(endpoint.requests) == 3


def test_changed_settings_hold_for_the_files_that_come_after_them(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "before.mp3")
        daemon.event("job.done", file="before.mp3")
        changed = {"formats": ["vtt"], "prompt": "Grafana"}
        reload(daemon, configuration(tmp_path, endpoint=endpoint, folder_keys=changed))
        daemon.event("configuration.reloaded")
        daemon.drop(clip("ogg"), "after.ogg")
        daemon.event("job.done", file="after.ogg")
        assert not (daemon.done / "after.srt").exists()
        assert (daemon.done / "after.vtt").exists()
    assert endpoint.requests[1].fields["prompt"] == "Grafana"


def test_a_wrong_file_changes_nothing_and_is_said_with_every_problem(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        reload(daemon, "folders:\n  - inbox: in\n    settel: 5s\nstop_grace: soon\n")
        rejected = daemon.event("configuration.rejected")
        assert any("settel" in problem for problem in rejected["problems"])
        assert any("stop_grace" in problem for problem in rejected["problems"])
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done")
