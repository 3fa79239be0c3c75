"""The log: structlog events in, lines on standard error out: colours on a terminal, JSON otherwise."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))} | {
    # What breaks a line or turns its direction: a name could pass itself off as another.
    code: f"\\u{code:04x}"
    for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}


def configure(*, level: str, form: Literal["auto", "console", "json"]) -> None:
    """Set the process's log up; `auto` is console on a terminal and JSON otherwise."""
    console = sys.stderr.isatty() if form == "auto" else form == "console"
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            printable,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward(logging.WARNING)], level=logging.WARNING, force=True)


class _Forward(logging.Handler):
    """Libraries log to `logging`: their lines join ours, so that a pipe gets nothing but JSON.

    watchdog's are for debugging: what matters of them is hooked, and it complains of every stop.
    """

    def emit(self, record: logging.LogRecord) -> None:
        level = logging.DEBUG if record.name.startswith("watchdog") else record.levelno
        structlog.get_logger().log(
            level,
            "library.logged",
            library=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )


def printable(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make every value safe to print: bytes as text with escapes, no control characters from a file name."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = escaped(value)
        elif isinstance(value, str):
            event[key] = value.translate(_CONTROL)
    return event


def escaped(name: bytes) -> str:
    """A file name as text that is safe on a terminal and in a log."""
    return name.decode("utf-8", "backslashreplace").translate(_CONTROL)
