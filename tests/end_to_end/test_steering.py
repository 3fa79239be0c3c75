"""A running daemon is told what to do: `pause`, `resume`, `retry` and `status` over its control socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Respond, error
from tests.waiting import wait_until
from watcherd.cli import steer
from watcherd.cli.asking import ask
from watcherd.cli.status import status
from watcherd.state import StateFolder

REFUSAL = error(400, "We do not like it")


@dataclass
class World:
    """One daemon with one inbox and one endpoint for all tests of this file; each has files of its own."""

    daemon: RunningDaemon
    endpoint: LocalEndpoint

    @property
    def control(self) -> Path:
        return self.daemon.home / "state" / "control.sock"

    def status(self) -> dict[str, Any]:
        return ask(self.control, "GET", "status").body

    def fail(self, name: str, *, padding: int) -> None:
        """A file that is refused for good."""
        self.endpoint.script(REFUSAL, times=2)
        self.daemon.drop(clip("mp3"), name, padding=padding)
        self.daemon.event("job.failed", file=name)

    def retry(self, *files: Path, fresh: bool = False) -> int:
        return steer.retry(self.daemon.config, files, everything=not files, fresh=fresh)


@pytest.fixture
def world(one_world: World) -> Iterator[World]:
    yield one_world
    for name in ("inbox", "here"):  # whatever a test left paused
        ask(one_world.control, "POST", "resume", {"name": name})


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("steering")
    with LocalEndpoint() as endpoint:
        content = configuration(home, endpoint=endpoint)
        with RunningDaemon(home, content, key=endpoint.key) as daemon:
            yield World(daemon, endpoint)
        assert not endpoint.violations


def test_the_control_socket_is_its_owners_alone_and_the_lock_file_names_it(world: World) -> None:
    mode = world.control.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    holder = StateFolder(world.daemon.home / "state").holder()
    assert holder is not None
    assert (holder.pid, holder.control) == (world.daemon.pid, world.control)


def test_a_paused_inbox_sends_nothing_until_it_is_resumed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(world.endpoint.requests)
    assert steer.pause(world.daemon.config, "inbox") == 0
    world.daemon.drop(clip("mp3"), "held.mp3", padding=1)
    world.daemon.event("job.settled", file="held.mp3")
    (inbox,) = world.status()["inboxes"]
    assert inbox["state"] == "paused by hand"
    assert inbox["since"]
    assert inbox["jobs"] == {"queued": 1}
    assert len(world.endpoint.requests) == before
    assert steer.resume(world.daemon.config, "inbox") == 0
    world.daemon.event("job.done", file="held.mp3")
    (inbox,) = world.status()["inboxes"]
    assert (inbox["state"], inbox["since"]) == ("watching", None)
    assert "paused until: watcherd resume inbox" in capsys.readouterr().out


def test_a_paused_endpoint_sends_nothing_until_it_is_resumed(world: World) -> None:
    before = len(world.endpoint.requests)
    assert steer.pause(world.daemon.config, "endpoint:here") == 0
    world.daemon.drop(clip("mp3"), "kept.mp3", padding=2)
    world.daemon.event("job.settled", file="kept.mp3")
    (endpoint,) = world.status()["endpoints"]
    assert (endpoint["state"], endpoint["until"], endpoint["reason"]) == ("paused by hand", None, None)
    assert len(world.endpoint.requests) == before
    assert steer.resume(world.daemon.config, "here") == 0
    world.daemon.event("job.done", file="kept.mp3")


def test_an_unknown_name_says_which_there_are(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left:
        steer.pause(world.daemon.config, "inbx")
    assert left.value.exit_code == 2
    assert 'did you mean "inbox"? endpoints: here; inboxes: inbox' in capsys.readouterr().err


def test_a_failed_file_goes_round_again_and_what_was_answered_for_its_content_is_reused(world: World) -> None:
    world.fail("twice.mp3", padding=10)
    world.daemon.drop(clip("mp3"), "twin.mp3", padding=10)
    world.daemon.event("job.done", file="twin.mp3")
    before = len(world.endpoint.requests)
    assert world.retry(world.daemon.failed / "twice.mp3") == 0
    world.daemon.event("job.done", file="twice.mp3")
    assert len(world.endpoint.requests) == before
    assert not list(world.daemon.failed.glob("twice*"))


def test_a_fresh_retry_asks_again(world: World) -> None:
    world.fail("anew.mp3", padding=20)
    world.daemon.drop(clip("mp3"), "anew-twin.mp3", padding=20)
    world.daemon.event("job.done", file="anew-twin.mp3")
    before = len(world.endpoint.requests)
    assert world.retry(world.daemon.failed / "anew.mp3.error.json", fresh=True) == 0
    world.daemon.event("job.done", file="anew.mp3")
    assert len(world.endpoint.requests) == before + 1


def test_all_failed_files_go_back_to_where_they_were_and_the_path_in_the_inbox_names_one(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.fail("talks/one.mp3", padding=30)
    world.fail("two.mp3", padding=31)
    world.fail("three.mp3", padding=32)
    assert world.retry(world.daemon.inbox / "three.mp3") == 0
    world.daemon.event("job.done", file="three.mp3")
    (world.daemon.failed / "two.mp3").unlink()
    assert world.retry() == 1
    said = capsys.readouterr()
    assert "two.mp3: it is not in the failed folder any more" in said.err
    assert "back in inbox inbox as talks/one.mp3" in said.out
    world.daemon.event("job.done", file="talks/one.mp3")
    assert (world.daemon.done / "talks" / "one.srt").exists()
    assert not [path for path in world.daemon.failed.rglob("*") if path.is_file() and "two" not in path.name]


def test_what_has_not_failed_is_said_in_words(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.daemon.drop(clip("mp3"), "fine.mp3", padding=40)
    world.daemon.event("job.done", file="fine.mp3")
    files = (world.daemon.done / "fine.mp3", world.daemon.inbox / "fine.mp3", Path("/etc/passwd"))
    assert world.retry(*files) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("done/fine.mp3: it is not failed: it was translated")
    assert lines[1].endswith("inbox/fine.mp3: it is not failed: it was translated")
    assert lines[2].endswith("/etc/passwd: it lies in no inbox and in no failed folder")


def test_an_endpoints_pause_is_shown_with_reason_and_time_and_ended_by_hand(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.endpoint.script(Respond(status=503, headers={"Retry-After": "600"}, body=b"loading"))
    world.daemon.drop(clip("mp3"), "waits.mp3", padding=50)
    world.daemon.event("job.waiting", file="waits.mp3")
    assert status(world.daemon.config, as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    (endpoint,) = shown["endpoints"]
    assert endpoint["state"] == "paused"
    assert endpoint["reason"]["code"] == "unavailable"
    assert endpoint["reason"]["hint"]
    assert endpoint["since"] < endpoint["until"]
    (waiting,) = shown["waiting"]
    assert (waiting["file"], waiting["reason"]) == ("waits.mp3", "endpoint paused")
    assert waiting["until"]
    assert status(world.daemon.config, as_json=False) == 0
    assert "here: paused since" in capsys.readouterr().out
    assert steer.resume(world.daemon.config, "here") == 0
    world.daemon.event("job.done", file="waits.mp3")


def test_a_rejected_reload_is_shown_though_the_file_is_still_wrong(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    good = world.daemon.config.read_text()
    world.daemon.config.write_text(good.replace('"settle"', '"settel"'))
    try:
        answer = ask(world.control, "POST", "reload")
        assert answer.status == 200
        assert answer.body["applied"] is False
        assert 'did you mean "settle"?' in answer.body["problems"][0]
        status(world.daemon.config, as_json=False)
        assert "settel: unknown key" in capsys.readouterr().out
    finally:
        world.daemon.config.write_text(good)
    assert ask(world.control, "POST", "reload").body == {"applied": True, "problems": []}
    assert world.status()["daemon"]["rejected"] is None


def test_a_name_that_would_command_a_terminal_is_shown_escaped(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    name = b"\x1b[31mred\nline\x07.mp3"
    world.daemon.drop(clip("mp3"), name, padding=60)
    wait_until((world.daemon.done / os.fsdecode(name)).exists, timeout=30)
    escaped = r"\x1b[31mred\x0aline\x07.mp3"
    world.daemon.event("job.done", file=escaped)
    status(world.daemon.config, as_json=False)
    world.retry(world.daemon.done / os.fsdecode(name))
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert escaped in text
        assert "\x1b" not in text


def test_a_client_that_never_ends_its_request_holds_up_neither_others_nor_the_stop(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint, top_keys={"stop_grace": "1h"})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon, socket.socket(socket.AF_UNIX) as stuck:
        control = tmp_path / "state" / "control.sock"
        stuck.connect(str(control))
        head = b"POST /api/v1/retry HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        stuck.sendall(head + b"Content-Length: 100\r\n\r\n{")
        assert ask(control, "GET", "status").body["daemon"]["state"] == "running"
        assert daemon.stop(signal.SIGTERM, timeout=30) == 0
        assert not control.exists()


def test_pauses_by_hand_outlive_a_restart(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    control = tmp_path / "state" / "control.sock"
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        for name in ("here", "inbox"):
            assert ask(control, "POST", "pause", {"name": name}).status == 200
        daemon.stop(signal.SIGKILL)
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.settled", file="talk.mp3")
        shown = ask(control, "GET", "status").body
        assert [one["state"] for one in (*shown["inboxes"], *shown["endpoints"])] == ["paused by hand"] * 2
        for name in ("here", "inbox"):
            assert not daemon.found("job.done")
            assert ask(control, "POST", "resume", {"name": name}).status == 200
        daemon.event("job.done")
    assert len(endpoint.requests) == 1


def test_a_state_folder_too_deep_for_a_socket_is_refused_with_the_reason_and_78(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    deep = {"state": str(tmp_path / ("s" * 100))}
    daemon = RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint, top_keys=deep), key="k")
    daemon.inbox.mkdir()
    daemon.start()
    assert daemon.ended() == 78
    assert any("107" in line and "`state:`" in line for line in daemon.noise)


def test_a_daemon_that_does_not_answer_is_said_and_its_journal_shown(
    tmp_path: Path,
    endpoint: LocalEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TEST_KEY", endpoint.key)
    monkeypatch.setattr("watcherd.cli.asking.PATIENCE", 0.5)
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done")
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            assert status(daemon.config, as_json=False) == 0
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
    said = capsys.readouterr()
    assert "does not answer within" in said.err
    assert "daemon: not answering" in said.out
    assert "inbox: 1 done" in said.out


def test_a_reader_that_left_ends_a_command_quietly(world: World) -> None:
    command = [sys.executable, "-m", "watcherd", "status", "--json", "--config", str(world.daemon.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait(60) == 1
