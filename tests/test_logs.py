"""The log: JSON when piped, names made safe, libraries' lines among ours."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Literal

import pytest
import structlog

from watcherd import logs
from watcherd.escaping import escaped
from watcherd.job import WaitReason

SAY = """
import logging, sys, structlog
from watcherd import logs
logs.configure(level="debug", form=sys.argv[1])
log = structlog.get_logger()
for level in ("debug", "info", "warning", "error", "critical"):
    getattr(log, level)("area.happened", file=b"a\\nb.mp3")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("job.crashed")
logging.getLogger("asyncio").error("two\\nlines")
"""


class Screen(io.StringIO):
    """A terminal, as far as a stream says."""

    def isatty(self) -> bool:
        return True


def said(form: str, *, to_journal: bool) -> list[str]:
    """The lines that a process logs whose standard error is the journal, or says it is."""
    reading, writing = os.pipe()
    status = os.fstat(writing)
    inode = status.st_ino if to_journal else status.st_ino + 1
    environ = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{inode}"}
    with os.fdopen(reading) as lines:
        try:
            subprocess.run([sys.executable, "-c", SAY, form], stderr=writing, env=environ, check=True)
        finally:
            os.close(writing)
        return lines.read().splitlines()


@pytest.fixture
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("root_logger")
def test_a_pipe_gets_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form="auto")
    structlog.get_logger().info("job.done", job=7, file=b"a\xff\n\x1b[31m.mp3")
    structlog.get_logger().debug("job.started", job=7)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert event["event"] == "job.done"
    assert event["level"] == "info"
    assert event["file"] == "a\\xff\\x0a\\x1b[31m.mp3"


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_the_lines_of_code_and_no_variable_of_theirs(
    form: Literal["console", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(key: str) -> None:
        raise ValueError(f"no answer to a key of {len(key)} characters")

    logs.configure(level="info", form=form)
    try:
        ask(f"sk-{'fake' * 3}")
    except ValueError:
        structlog.get_logger().exception("job.crashed")
    said = capsys.readouterr().err
    assert "in ask" in said
    assert "ValueError: no answer to a key of 15 characters" in said
    assert "sk-fake" not in said


@pytest.mark.usefixtures("root_logger")
def test_the_console_form_prints_no_control_character_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form="console")
    structlog.get_logger().info("job.done", file=b"evil\x1b]0;title\x07.mp3")
    out = capsys.readouterr().err
    assert "\x1b]0" not in out
    assert "\x07" not in out
    assert "evil\\x1b]0;title\\x07.mp3" in out


@pytest.mark.usefixtures("root_logger")
def test_a_word_of_a_set_is_said_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form="console")
    structlog.get_logger().info("job.waiting", reason=WaitReason.DISK_FULL)
    assert "reason='disk full'" in capsys.readouterr().err


@pytest.mark.usefixtures("root_logger")
def test_what_is_heard_follows_each_configuration() -> None:
    structlog.reset_defaults()
    assert logs.heard(logging.DEBUG)
    for level in ("info", "error"):
        logs.configure(level=level, form="json")
        assert [logs.heard(value) for value in (logging.DEBUG, logging.INFO, logging.ERROR)] == [
            False,
            level == "info",
            True,
        ]


@pytest.mark.usefixtures("root_logger")
def test_a_librarys_warning_becomes_one_of_our_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form="json")
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    logging.getLogger("watchdog.observers").error("called when the thread is inactive")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["library"]) for line in lines] == [("library.logged", "asyncio")]


def test_every_control_character_of_a_name_is_escaped() -> None:
    turning = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    for code in (*range(0x20), *range(0x7F, 0xA0), *turning):
        assert chr(code) not in escaped(chr(code).encode())


def test_the_journal_gets_each_line_with_its_priority() -> None:
    lines = said("auto", to_journal=True)
    assert [line[:4] for line in lines] == ["<7>{", "<6>{", "<4>{", "<3>{", "<2>{", "<3>{", "<3>{"]
    told = [json.loads(line[3:]) for line in lines]
    assert told[0] == {"event": "area.happened", "level": "debug", "file": "a\\x0ab.mp3"} | {
        "timestamp": told[0]["timestamp"]
    }
    assert "ZeroDivisionError" in told[5]["exception"]
    assert told[6]["message"] == "two\\x0alines"


@pytest.mark.slow
@pytest.mark.parametrize(("form", "to_journal"), [("json", True), ("console", True), ("auto", False)])
def test_nobody_else_gets_priorities(form: str, to_journal: bool) -> None:
    assert not [line for line in said(form, to_journal=to_journal) if line.startswith("<")]


@pytest.mark.parametrize(
    ("environ", "lively", "coloured"),
    [
        ({"TERM": "xterm"}, True, True),
        ({}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, False),
    ],
)
def test_a_terminal_is_asked_what_it_can_show(
    environ: Mapping[str, str], lively: bool, coloured: bool
) -> None:
    assert (logs.lively(Screen(), environ), logs.coloured(Screen(), environ)) == (lively, coloured)
    assert not logs.lively(io.StringIO(), environ)
    assert not logs.coloured(io.StringIO(), environ)


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_the_console_form_has_no_colours_where_none_are_wanted(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for wanted in (False, True):
        screen = Screen()
        monkeypatch.setattr(sys, "stderr", screen)
        logs.configure(level="info", form="auto")
        structlog.get_logger().info("job.done", job=7)
        assert ("\x1b" in screen.getvalue()) is not wanted
        for name, value in environ.items():
            monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("root_logger")
def test_a_log_that_nobody_reads_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as closed, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", closed)
        logs.configure(level="info", form="json")
        structlog.get_logger().warning("job.done")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)


@pytest.mark.usefixtures("root_logger")
def test_what_a_library_says_over_and_over_is_said_rarely(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 5))
    logs.configure(level="info", form="json")
    monkeypatch.setattr("watcherd.logs.time.monotonic", lambda: next(now))
    for _ in range(14):
        logging.getLogger("asyncio").error("socket.accept() out of system resource")
    logging.getLogger("asyncio").error("something else")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["message"][:6], line["times"]) for line in lines] == [
        ("socket", 1),
        ("socket", 7),
        ("someth", 1),
    ]
