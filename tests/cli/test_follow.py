"""`status --follow`: a live screen on a terminal, text that grows elsewhere, and how it ends."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audio import clip
from tests.cli.control import Spokesman
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.terminal import Terminal
from tests.waiting import wait_until
from watcherd.cli import follow
from watcherd.state import Holder

OFTEN = "from watcherd.cli import follow, main; follow.EVERY = 0.02; main()"
JOB = {
    "job": 1,
    "inbox": "talks",
    "file": "talk.mp3",
    "state": "translating",
    "changed_at": "2026-05-01T12:00:00Z",
    "attempts": 0,
    "parts": {"answered": 3, "known": 7, "all_known": True},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "watcherd.yaml"
    path.write_text(json.dumps(configuration(tmp_path)))
    return path


@pytest.fixture
def daemon(config: Path) -> Iterator[Spokesman]:
    with Spokesman(config.parent / "state") as spokesman:
        yield spokesman


def command(config: Path, *more: str) -> list[str]:
    """The command as people type it, but asking more often."""
    return [sys.executable, "-c", OFTEN, "status", "--follow", "--config", str(config), *more]


def piped(config: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(config, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


@pytest.mark.parametrize("columns", [80, pytest.param(40, marks=pytest.mark.slow)])
def test_a_terminal_shows_it_live_and_is_afterwards_as_it_was(
    config: Path, daemon: Spokesman, columns: int
) -> None:
    with Terminal(command(config), columns=columns) as terminal:
        wait_until(lambda: "watching" in terminal.text)
        daemon.says(in_flight=[JOB])
        wait_until(lambda: "talk.mp3" in terminal.text)
        assert terminal.lines[0].startswith("watcherd running, process 4711")
        assert "3 of 7 parts" in terminal.text
        daemon.says()
        wait_until(lambda: "talk.mp3" not in terminal.text)
        terminal.press("\x03")
        assert terminal.ended() == 0
    assert b"\x1b[?1049h" in terminal.sent, "a screen of its own"
    assert terminal.sent.rindex(b"\x1b[?1049l") > terminal.sent.rindex(b"\x1b[?1049h")
    assert terminal.sent.rindex(b"\x1b[?25h") > terminal.sent.rindex(b"\x1b[?25l"), "the cursor is back"
    assert b"Traceback" not in terminal.sent


@pytest.mark.slow
def test_a_terminal_is_left_as_it_was_by_sigterm_too(config: Path, daemon: Spokesman) -> None:
    with Terminal(command(config), environ={"NO_COLOR": "1"}) as terminal:
        wait_until(lambda: "watching" in terminal.text)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 0
    assert b"\x1b[?1049l" in terminal.sent
    assert b"\x1b[3" not in terminal.sent, "no colours"
    assert daemon.asked


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_text(config: Path, daemon: Spokesman) -> None:
    with Terminal(command(config), environ={"TERM": "dumb"}) as terminal:
        wait_until(lambda: "talks: 7 done" in terminal.text)
        terminal.press("\x03")
        assert terminal.ended() == 0
    assert b"\x1b" not in terminal.sent
    assert daemon.asked


def test_a_pipe_gets_a_block_for_each_change_and_none_without(config: Path, daemon: Spokesman) -> None:
    with piped(config) as following:
        assert following.stdout is not None
        wait_until(lambda: daemon.asked > 2)
        daemon.says(in_flight=[JOB])
        shown: list[str] = []
        while not shown or "talk.mp3" not in shown[-1]:
            shown.append(following.stdout.readline())
        assert "3 of 7 parts" in shown.pop()
        block = [
            "daemon: running (process 4711)\n",
            "\n",
            "inboxes\n",
            "  talks: 7 done  (watching; /t -> api)\n",
            "\n",
            "endpoints\n",
            "\n",
        ]
        assert shown == [*block, *block, "in flight\n"], "one block before the change and one after it"
        following.send_signal(signal.SIGINT)
        rest, said = following.communicate(timeout=30)
    assert (following.returncode, said, rest) == (0, "", "")


@pytest.mark.slow
def test_json_is_an_object_a_line_for_each_change(config: Path, daemon: Spokesman) -> None:
    with piped(config, "--json") as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["in_flight"] == []
        wait_until(lambda: daemon.asked > 3)
        daemon.says(in_flight=[JOB])
        assert json.loads(following.stdout.readline())["in_flight"][0]["file"] == "talk.mp3"
        following.send_signal(signal.SIGINT)
        assert following.communicate(timeout=30) == ("", "")


@pytest.mark.slow
def test_it_ends_when_nobody_reads_any_more_though_nothing_changes(config: Path, daemon: Spokesman) -> None:
    shell = f"{shlex.join(command(config))} | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.stdout, ended.stderr) == ("daemon: running (process 4711)\n", "")
    assert ended.returncode == 0
    assert daemon.asked


@pytest.mark.slow
def test_a_daemon_that_stops_is_said_and_the_next_one_is_followed(config: Path) -> None:
    state = config.parent / "state"
    with Spokesman(state) as first:
        following = piped(config)
        wait_until(lambda: first.asked > 0)
    assert following.stderr is not None
    assert following.stderr.readline() == follow.STOPPED + "\n"
    with Spokesman(state) as second:
        second.says(daemon={"state": "running", "pid": 4712})
        wait_until(lambda: second.asked > 1)
        following.send_signal(signal.SIGINT)
        shown, said = following.communicate(timeout=30)
    assert shown.count("daemon: running (process 4712)") == 1
    assert said == ""


@pytest.mark.slow
def test_a_screen_says_that_the_daemon_stopped_above_what_was_last_known(config: Path) -> None:
    with Spokesman(config.parent / "state") as daemon:
        terminal = Terminal(command(config))
        wait_until(lambda: daemon.asked > 0)
    with terminal:
        wait_until(lambda: follow.STOPPED in terminal.text)
        assert "talks" in terminal.text
        terminal.press("\x03")
        assert terminal.ended() == 0


def test_a_daemon_that_does_not_come_back_ends_it_with_69(
    config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "RETURN", 0.05)
    monkeypatch.setattr(follow, "EVERY", 0.01)
    before = signal.getsignal(signal.SIGTERM)
    holders = iter([Holder(pid=4711)])
    monkeypatch.setattr(follow, "running", lambda _: next(holders, None))
    try:
        assert follow.follow(config, as_json=False) == 69
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capfd.readouterr().err
    assert said == f"{follow.STOPPED}\nwatcherd has stopped, and did not come back within 0.05 seconds\n"


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_without_a_daemon_there_is_nothing_to_follow(
    config: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow.follow(config, as_json=bool(more)) == 69
    assert (
        capsys.readouterr().err == "no watcherd runs that could be followed; start one with: watcherd run\n"
    )


@pytest.mark.slow
def test_a_real_daemon_is_followed_over_a_restart(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    with (
        RunningDaemon(tmp_path, content, key=endpoint.key) as daemon,
        Terminal(command(daemon.config), columns=100, rows=30) as terminal,
    ):
        wait_until(lambda: "watching" in terminal.text)
        daemon.drop(clip("mp3"), "talk.mp3")
        wait_until(lambda: "last done and failed" in terminal.text and "talk.mp3" in terminal.text)
        daemon.stop()
        wait_until(lambda: follow.STOPPED in terminal.text)
        daemon.start()
        wait_until(lambda: f"process {daemon.pid}" in terminal.text, timeout=30)
        terminal.press("\x03")
        assert terminal.ended() == 0
