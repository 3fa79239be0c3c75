"""Commands over storage that does not answer: they say so, go on, and end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.audio import clip
from tests.cli.test_commands import watcherd, written
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.servers.fuse import FuseMount, needs_fuse
from watcherd.cli import run
from watcherd.config.load import load
from watcherd.inbox.condition import LockedByOtherError

CHECK = """
import os, sys, threading
from pathlib import Path
from watcherd.cli import check

dead, config, answered = sys.argv[1], Path(sys.argv[2]), os.stat

def stat(path, *arguments, **keywords):
    if isinstance(path, str | Path) and str(path).startswith(dead):
        threading.Event().wait()
    return answered(path, *arguments, **keywords)

os.stat, check.PATIENCE = stat, 0.5
sys.exit(check.check(config))
"""


def several(home: Path, endpoint: LocalEndpoint, *extra: Path) -> Path:
    """A configuration with the usual inbox and further ones."""
    for name in ("inbox", "done", "failed"):
        (home / name).mkdir()
    content = configuration(home, endpoint=endpoint)
    folders = [{"inbox": str(path), "name": path.name} for path in extra]
    return written(home, content | {"folders": [*folders, *content["folders"]]})


def test_check_says_which_storage_does_not_answer_and_ends(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    dead = tmp_path / "dead"
    (dead / "one").mkdir(parents=True)
    path = several(tmp_path, endpoint, dead / "one", dead / "two")
    checked = subprocess.run(
        [sys.executable, "-c", CHECK, str(dead), path],
        env={**os.environ, "TEST_KEY": endpoint.key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 1, checked.stderr
    for name in ("one", "two"):
        assert f"BAD   inbox {name}: {dead / name}: its storage does not answer\n" in checked.stdout
    assert "-> Look at the disk, the mount or the server behind it." in checked.stdout
    assert f"ok    inbox inbox: {tmp_path / 'inbox'}" in checked.stdout
    assert f"{endpoint.base_url} answers" in checked.stdout


def test_a_start_asks_each_inbox_who_holds_it_and_waits_for_none_that_hangs(
    tmp_path: Path,
    endpoint: LocalEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dead, holders = threading.Event(), {tmp_path / "taken": LockedByOtherError(4711)}

    def holder_of(inbox: Path) -> LockedByOtherError | None:
        if inbox.name == "dead":
            dead.wait()
        return holders.get(inbox)

    monkeypatch.setattr(run, "holder_of", holder_of)
    monkeypatch.setattr(run, "PATIENCE", 0.5)
    monkeypatch.setenv("TEST_KEY", endpoint.key)
    config = load(several(tmp_path, endpoint, tmp_path / "dead", tmp_path / "taken"))
    try:
        assert run._is_taken(config)
        said = "inbox taken: another watcherd watches this inbox (process 4711); stop that one first.\n"
        assert capsys.readouterr().err == said
        holders.clear()
        assert not run._is_taken(config)
    finally:
        dead.set()


@pytest.mark.slow
@needs_fuse
def test_commands_over_a_mount_that_hangs(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with FuseMount(tmp_path / "behind", tmp_path / "dead") as mount:
        path = several(tmp_path, endpoint, mount.at)
        environ = {"TEST_KEY": endpoint.key}
        mount.freeze()
        try:
            checked = watcherd("check", "--config", path, home=tmp_path, environ=environ)
            assert checked.returncode == 1, checked.stderr
            assert f"BAD   inbox dead: {mount.at}: its storage does not answer" in checked.stdout
            assert f"ok    inbox inbox: {tmp_path / 'inbox'}" in checked.stdout
            content = configuration(tmp_path, endpoint=endpoint)
            content["folders"].append({"inbox": str(mount.at)})
            with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
                daemon.drop(clip("mp3"), "talk.mp3")
                daemon.event("job.done")
        finally:
            mount.thaw()
