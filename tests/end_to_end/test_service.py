"""What systemd hears of a real daemon, from its start to its end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.audio import clip
from tests.manager import Manager
from tests.reliability.test_hanging_mounts import two_inboxes
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.servers.fuse import FuseMount, needs_fuse
from tests.waiting import wait_until


def test_a_life_with_a_missing_inbox_start_reload_rejected_reload_stop(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    (folder,) = content["folders"]
    content["folders"].append(folder | {"name": "later", "inbox": str(tmp_path / "missing")})
    with Manager.at(tmp_path) as manager:
        environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
        with RunningDaemon(tmp_path, content, key=endpoint.key, environ=environ) as daemon:
            wait_until(lambda: manager.heard("WATCHDOG=1") > 2)
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: manager.heard("READY=1") == 2)
            daemon.config.write_text("folders: 7")
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: manager.heard("READY=1") == 3)
            assert daemon.stop() == 0
        said = [message for message in manager.hear() if message != ["WATCHDOG=1"]]
    status = "STATUS=watching 1 of 2 inboxes (later: missing); 0 jobs in hand, 0 waiting"
    assert said[0] == ["EXTEND_TIMEOUT_USEC=60000000", "STATUS=opening the journal"]
    assert said[1] == ["READY=1", status]
    assert [line.partition("=")[0] for line in said[2]] == ["RELOADING", "MONOTONIC_USEC"]
    assert said[3] == ["READY=1", status]
    assert said[4][0] == "RELOADING=1"
    assert said[5] == ["READY=1", f"{status}; the last reload was rejected"]
    assert said[6:] == [["STOPPING=1", "STATUS=stopping", "EXTEND_TIMEOUT_USEC=20000000"]]
    assert manager.messages[-1] == said[-1]


@pytest.mark.slow
@needs_fuse
def test_an_inbox_whose_storage_hangs_from_the_start_withholds_neither_ready_nor_pings(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    with (
        FuseMount(tmp_path / "backing", tmp_path / "mount") as far,
        Manager.at(tmp_path) as manager,
    ):
        daemon = two_inboxes(tmp_path, endpoint, inbox=far.at, done=tmp_path / "far-done")
        daemon._environ |= {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"}
        far.freeze()
        with daemon:
            wait_until(lambda: manager.heard("READY=1"), timeout=30)
            assert "far: starting" in manager.status
            wait_until(lambda: "far: storage not answering" in manager.status, timeout=60)
            pings = manager.heard("WATCHDOG=1")
            assert pings >= 10, "one a second, for twenty seconds"
            wait_until(lambda: manager.heard("WATCHDOG=1") > pings + 3)
            daemon.drop(clip("mp3"), "near.mp3")
            daemon.event("job.done", file="near.mp3")
            assert not daemon.found("watchdog.withheld")
            far.thaw()
            daemon.event("inbox.watching", inbox="far", timeout=60)
