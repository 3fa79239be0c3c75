"""The log: structlog events in, lines on standard error out: for people on a terminal, JSON otherwise.

To the journal each line begins with its syslog priority (`<4>{…}`), which systemd takes off and keeps.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from watcherd.escaping import escaped, harmless
from watcherd.trouble import Trouble

_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "exception": 3, "critical": 2}  # syslog(3)
_JSON = json.JSONEncoder(default=repr)  # one for all lines: `json.dumps` makes one for each
_LIBRARY_LINES = 1000  # different ones that are counted apart


def configure(*, level: str, form: Literal["auto", "console", "json"]) -> None:
    """Set the process's log up; `auto` is console on a terminal and JSON otherwise."""
    console = sys.stderr.isatty() if form == "auto" else form == "console"
    # By default its tracebacks show each local variable where rich is installed, and one may hold a key.
    console_lines = structlog.dev.ConsoleRenderer(
        colors=coloured(sys.stderr, os.environ), exception_formatter=structlog.dev.plain_traceback
    )
    last: list[structlog.typing.Processor] = (
        [console_lines] if console else [structlog.processors.format_exc_info, _as_json]
    )
    if form == "auto" and is_journal(2, os.environ):
        last.append(_prioritised)  # type: ignore[arg-type]  # what comes last gets a finished line
    lines = structlog.WriteLogger(_Lines(sys.stderr))  # type: ignore[arg-type]  # all it uses
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            printable,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward(logging.WARNING)], level=logging.WARNING, force=True)


def heard(level: int) -> bool:
    """Whether the log has lines of a level: asking costs less than a logger whose line is dropped."""
    enabled: bool = structlog.get_config()["wrapper_class"].is_enabled_for(None, level)
    return enabled


def lively(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal that can move its cursor and show colours."""
    return stream.isatty() and environ.get("TERM") not in {"dumb", "unknown"}


def coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is to have colours: no-color.org has the word."""
    return lively(stream, environ) and not environ.get("NO_COLOR")


def is_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Whether what is written there goes to systemd's journal, which says so as DEVICE:INODE."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _as_json(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    return _JSON.encode(event)


def _prioritised(_: object, method: str, line: str) -> str:
    """Put the priority before a finished line; see sd-daemon(3)."""
    return f"<{_PRIORITY.get(method, 6)}>{line}"


class _Lines:
    """A stream that never fails: whoever reads the log may go away, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write it, if that can be done."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self._give_up()
        except (OSError, ValueError):
            pass  # A full disk, a closed stream: nobody is left to be told.

    def _give_up(self) -> None:
        """It stays closed; what is still held for it would spoil the exit code when Python ends."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()

    def flush(self) -> None:
        """Each line is flushed as it is written."""


class _Forward(logging.Handler):
    """Libraries log to `logging`: their lines join ours, so that a pipe gets nothing but JSON.

    watchdog's are for debugging: what matters of them is hooked, and it complains of every stop. What a
    library says over and over is said ever more rarely.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._troubles: defaultdict[tuple[str, str], Trouble] = defaultdict(Trouble)

    def emit(self, record: logging.LogRecord) -> None:
        level = logging.DEBUG if record.name.startswith("watchdog") else record.levelno
        if len(self._troubles) >= _LIBRARY_LINES:
            self._troubles.clear()
        trouble = self._troubles[record.name, str(record.msg)]
        if trouble.met(time.monotonic()):
            structlog.get_logger().log(
                level,
                "library.logged",
                library=record.name,
                message=record.getMessage(),
                times=trouble.count,
                exc_info=record.exc_info,
            )


def printable(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make every value safe to print: bytes as text with escapes, no control characters from a file name."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = escaped(value)
        elif isinstance(value, str):
            event[key] = harmless(value)
    return event
