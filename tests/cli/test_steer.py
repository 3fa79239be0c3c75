"""`retry`, `pause`, `resume` and `status` where no daemon runs, or one that says nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from watcherd.cli import steer
from watcherd.cli.status import status
from watcherd.state import StateFolder
from watcherd.status.listening import listen


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("inbox", "done", "failed", "state"):
        (tmp_path / name).mkdir()
    content = configuration(tmp_path) | {
        "endpoints": {"here": {"base_url": "http://127.0.0.1:9/v1", "model": "whisper-1"}}
    }
    path = tmp_path / "watcherd.yaml"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def locked(config: Path) -> Iterator[StateFolder]:
    """A state folder that a process holds which does not say where it can be asked."""
    state = StateFolder(config.parent / "state")
    descriptor = state.lock()
    yield state
    os.close(descriptor)


def left_with(call: Any) -> int:  # noqa: ANN401 - a command and its arguments
    """The exit code that a command leaves with."""
    with pytest.raises(typer.Exit) as left:
        call()
    return left.value.exit_code


def shown(config: Path, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - JSON
    capsys.readouterr()
    assert status(config, as_json=True) == 0
    return json.loads(capsys.readouterr().out)


def test_pauses_are_recorded_shown_and_ended(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("here", "inbox", "here"):
        assert steer.pause(config, name) == 0
    before = shown(config, capsys)
    assert before["daemon"]["state"] == "not running"
    assert before["endpoints"][0]["state"] == before["inboxes"][0]["state"] == "paused by hand"
    assert before["endpoints"][0]["since"]
    for name in ("here", "inbox"):
        assert steer.resume(config, name) == 0
    after = shown(config, capsys)
    assert (after["endpoints"][0]["state"], after["inboxes"][0]["state"]) == ("open", "not watched")


def test_pausing_twice_keeps_the_first_time(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((1e9, 2e9))
    monkeypatch.setattr("watcherd.cli.alone.time.time", lambda: next(times))
    steer.pause(config, "inbox")
    steer.pause(config, "inbox")
    assert next(times) == 2e9


def test_a_failed_file_is_moved_back_and_taken_up_at_the_next_start(
    tmp_path: Path,
    endpoint: LocalEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TEST_KEY", endpoint.key)
    content = configuration(tmp_path, endpoint=endpoint)
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        (daemon.inbox / "bad.mp3").write_text("no sound\n" * 100)
        daemon.event("job.failed")
    assert steer.retry(daemon.config, (), everything=True, fresh=False) == 0
    said = capsys.readouterr().out
    assert "failed/bad.mp3: back in inbox inbox as bad.mp3" in said
    assert "watcherd is not running: it takes them up when it starts" in said
    assert not list(daemon.failed.iterdir())
    (daemon.inbox / "bad.mp3").write_bytes(clip("mp3").read_bytes())
    with daemon:
        daemon.event("job.done", file="bad.mp3")
    assert steer.retry(daemon.config, (), everything=True, fresh=False) == 0
    assert capsys.readouterr().out == "no file has failed\n"


def test_a_retry_says_which_files_or_all_and_never_both(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert steer.retry(config, (), everything=False, fresh=False) == 2
    assert steer.retry(config, (Path("a"),), everything=True, fresh=False) == 2
    assert "name the files, or say --all" in capsys.readouterr().err


def test_an_unknown_name_is_a_usage_error(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert left_with(lambda: steer.pause(config, "nobody")) == 2
    assert "endpoints: here; inboxes: inbox" in capsys.readouterr().err


def test_a_daemon_that_is_just_starting_is_no_reason_to_write_beside_it(
    config: Path, locked: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left_with(lambda: steer.pause(config, "inbox")) == 75
    assert "just starting" in capsys.readouterr().err
    assert shown(config, capsys)["daemon"]["state"] == "starting"
    assert not locked.journal.exists()


@pytest.mark.usefixtures("locked")
def test_a_missing_secret_and_a_wrong_file_do_not_hide_the_daemon_that_runs(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace('"settle"', '"settel"'))
    assert left_with(lambda: steer.pause(config, "inbox")) == 75
    assert "just starting" in capsys.readouterr().err


def test_ctrl_c_ends_a_command_that_waits_for_the_daemon_quietly(config: Path, locked: StateFolder) -> None:
    listener, control = listen(locked, {})
    locked.announce(control=control)
    command = [sys.executable, "-m", "watcherd", "retry", "--all", "--config", str(config)]
    with listener, subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        listener.settimeout(60)
        asking, _ = listener.accept()
        with asking:
            assert asking.recv(1)
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 130
        assert running.stderr is not None
        assert running.stderr.read() == ""


def test_a_socket_on_which_nobody_listens_is_said(
    config: Path, locked: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    listener, control = listen(locked, {})
    listener.close()
    locked.announce(control=control)
    assert left_with(lambda: steer.resume(config, "inbox")) == 75
    assert f"watcherd runs (process {os.getpid()}), but it cannot be asked" in capsys.readouterr().err
    assert shown(config, capsys)["daemon"]["state"] == "not answering"


def test_an_answer_that_is_none_is_said(
    config: Path, locked: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    listener, control = listen(locked, {})
    locked.announce(control=control)
    with listener:
        code = [
            "import socket, sys",
            "listener = socket.socket(fileno=int(sys.argv[1]))",
            "asking, _ = listener.accept()",
            "asking.recv(10); asking.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello')",
        ]
        os.set_inheritable(listener.fileno(), True)
        listener.setblocking(True)
        command = [sys.executable, "-c", "\n".join(code), str(listener.fileno())]
        with subprocess.Popen(command, close_fds=False) as answering:
            assert left_with(lambda: steer.resume(config, "inbox")) == 75
            answering.wait(60)
    assert "cannot be asked" in capsys.readouterr().err
