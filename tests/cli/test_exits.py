"""How commands end: the exit code of each case, and quietly on Ctrl-C or when nobody reads any more."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from tests.audio import clip
from tests.cli.test_commands import written
from tests.running import configuration
from tests.servers.endpoint import LocalEndpoint, Respond
from tests.terminal import Terminal
from tests.waiting import wait_until
from watcherd.cli import main
from watcherd.state import StateFolder

COMMANDS = (
    ("run",),
    ("run", "--once"),
    ("check",),
    ("plan",),
    ("why", "talk.mp3"),
    ("status",),
    ("status", "--json"),
    ("status", "--follow"),
    ("retry", "--all"),
    ("pause", "here"),
    ("resume", "here"),
    ("translate", "talk.mp3"),
)


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Commands set the process's log up, which here is that of all tests."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a configuration, an inbox, and nothing of the tester's own in reach."""
    for name in ("inbox", "done", "failed"):
        (tmp_path / name).mkdir()
    here = {"endpoints": {"here": {"base_url": "http://127.0.0.1:9/v1", "model": "whisper-1"}}}
    written(tmp_path, configuration(tmp_path) | here)
    shutil.copyfile(clip("mp3"), tmp_path / "talk.mp3")
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


@pytest.fixture
def held(home: Path) -> Iterator[None]:
    """Another process has the state folders, and does not say yet where it can be asked."""
    locks = []
    for folder in (home / "state", home / "XDG_CACHE_HOME" / "watcherd" / "translate"):
        StateFolder(folder).create()
        locks.append(StateFolder(folder).lock())
    yield
    for lock in locks:
        os.close(lock)


def left(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    """The exit code with which the console script leaves."""
    monkeypatch.setattr(sys, "argv", ["watcherd", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), 0),
        (("--help",), 0),
        (("schema",), 0),
        (("init", "new.yaml"), 0),
        (("status",), 0),
        (("status", "--json"), 0),
        (("plan",), 0),
        (("retry", "--all"), 0),
        (("pause", "here"), 0),
        (("resume", "inbox"), 0),
        (("init",), 1),
        (("check",), 1),
        ((), 2),
        (("rum",), 2),
        (("run", "--twice"), 2),
        (("run", "--log-level", "loud"), 2),
        (("why",), 2),
        (("retry",), 2),
        (("pause", "nobody"), 2),
        (("translate", "nowhere.mp3"), 2),
        (("translate", "talk.mp3", "--stdout", "docx"), 2),
        (("status", "--follow"), 69),
        (("status", "--follow", "--json"), 69),
    ],
)
def test_the_exit_code_says_what_happened(
    arguments: Sequence[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert left(arguments, monkeypatch) == code


@pytest.mark.parametrize("content", [None, "folders: [{inbox: inbox, settel: 5s}]"])
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_wrong_or_missing_configuration_is_78(
    home: Path,
    arguments: Sequence[str],
    content: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (home / "watcherd.yaml").write_text(content)
    assert left([*arguments, "--config", "watcherd.yaml" if content else "missing.yaml"], monkeypatch) == 78
    assert ("settel" if content else "watcherd init") in capsys.readouterr().err


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    "arguments",
    [
        ("retry", "--all"),
        ("pause", "here"),
        ("resume", "here"),
        # These wait half a second for the lock.
        pytest.param(("run",), marks=pytest.mark.slow),
        pytest.param(("run", "--once"), marks=pytest.mark.slow),
        pytest.param(("translate", "talk.mp3"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_what_another_process_has_in_use_is_75(
    arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left(arguments, monkeypatch) == 75
    assert capsys.readouterr().err.count("\n") == 1, "one sentence"


def unread(arguments: Sequence[str], home: Path, *, stream: str = "stdout") -> tuple[int, str]:
    """Exit code, and what the other stream got, where whoever reads `stream` has gone already."""
    reading, writing = os.pipe()
    os.close(reading)
    other = "stderr" if stream == "stdout" else "stdout"
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "watcherd", *arguments],
            cwd=home,
            text=True,
            timeout=60,
            check=False,
            **{stream: writing, other: subprocess.PIPE},  # type: ignore[call-overload]  # a dict of both
        )
    finally:
        os.close(writing)
    return ended.returncode, getattr(ended, other)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        *(
            pytest.param(line.split(), marks=pytest.mark.slow)
            for line in (
                "status --json",
                "status --follow",
                "plan",
                "schema",
                "check",
                "pause here",
                "retry --all",
                "init new.yaml",
                "--help",
            )
        ),
    ],
    ids=" ".join,
)
def test_a_closed_pipe_ends_a_command_quietly(home: Path, arguments: Sequence[str]) -> None:
    code, said = unread(arguments, home)
    if "--follow" in arguments:
        assert (code, said.count("\n")) == (69, 1)
    else:
        assert (code, said) == (1, "")


@pytest.mark.slow
def test_nobody_to_complain_to_is_no_reason_to_crash(home: Path) -> None:
    assert unread(["check", "--config", "missing.yaml"], home, stream="stderr") == (1, "")


@pytest.mark.slow
def test_translate_sends_no_more_when_nobody_reads(
    home: Path, endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", endpoint.key)
    written(home, configuration(home, endpoint=endpoint, endpoint_keys={"concurrency": 1}))
    for number in range(9):
        (home / f"{number}.mp3").write_bytes(clip("mp3").read_bytes() + bytes(number))
    code, said = unread(["translate", *(f"{n}.mp3" for n in range(9)), "--stdout", "txt"], home)
    assert (code, said) == (1, "")
    assert len(endpoint.requests) < 9


@pytest.mark.slow
def test_ctrl_c_ends_a_translation_quietly(
    home: Path, endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", endpoint.key)
    written(home, configuration(home, endpoint=endpoint))
    endpoint.always(Respond(hold=True))
    command = [sys.executable, "-m", "watcherd", "translate", "talk.mp3"]
    with Terminal(command) as terminal:
        wait_until(lambda: endpoint.held, timeout=30)
        wait_until(lambda: "translating talk.mp3" in terminal.text)
        terminal.press("\x03")
        assert terminal.ended() == 130
    endpoint.release()
    assert terminal.lines[:2] in (["^C", ""], ["", ""]), terminal.lines
    assert b"\x1b[?25h" in terminal.sent, "the cursor is back"


def test_ctrl_c_before_the_command_line_is_up_is_quiet_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("watcherd.cli.app.app", interrupted)
    assert left((), monkeypatch) == 130
