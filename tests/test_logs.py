"""The log: JSON when piped, names made safe, libraries' lines among ours."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from watcherd import logs


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
def test_the_console_form_prints_no_control_character_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", form="console")
    structlog.get_logger().info("job.done", file=b"evil\x1b]0;title\x07.mp3")
    out = capsys.readouterr().err
    assert "\x1b]0" not in out
    assert "\x07" not in out
    assert "evil\\x1b]0;title\\x07.mp3" in out


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
        assert chr(code) not in logs.escaped(chr(code).encode())
