"""`watcherd status --follow`: the daemon asked once a second; a screen on a terminal, text elsewhere."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live

from watcherd.cli.asking import UnansweredError, ask, running
from watcherd.cli.exits import Exit
from watcherd.cli.loading import load_or_exit
from watcherd.cli.screen import screen
from watcherd.cli.table import table
from watcherd.escaping import plain
from watcherd.logs import lively
from watcherd.state import Holder
from watcherd.status.shapes import Status

EVERY = 1.0  # seconds between two questions
RETURN = 60.0  # seconds in which a daemon that stopped is expected back; systemd starts one again after 15
STOPPED = "watcherd has stopped; waiting for it to come back"


def follow(path: Path | None, *, as_json: bool) -> int:
    """Show the status until Ctrl-C, until nobody reads it, or until the daemon has been gone for a minute."""
    holder = running(path)
    if holder is None:
        load_or_exit(path)
        typer.echo("no watcherd runs that could be followed; start one with: watcherd run", err=True)
        return Exit.UNAVAILABLE
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the terminal is to be left as it was
    views = _lines(as_json=as_json) if as_json or not lively(sys.stdout, os.environ) else _screen()
    try:
        with views as view:
            gone = _watch(path, holder, view)
    except KeyboardInterrupt:
        return Exit.OK
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
        return Exit.OK
    if gone:
        typer.echo(f"watcherd has stopped, and did not come back within {RETURN:g} seconds", err=True)
    return Exit.UNAVAILABLE if gone else Exit.OK


class _View(Protocol):
    def show(self, status: Status) -> None:
        """Show what the daemon says."""
        ...

    def note(self, text: str) -> None:
        """Say why it says nothing."""
        ...


def _watch(path: Path | None, holder: Holder | None, view: _View) -> bool:
    """Ask and show until the daemon is gone for good (True) or nobody reads any more (False)."""
    stopped: float | None = None  # monotonic
    while True:
        try:
            view.show(_asked(holder))
            stopped = None
        except UnansweredError as error:
            asked, holder = holder, running(path)
            now = time.monotonic()
            if holder is None:
                stopped = now if stopped is None else stopped
                view.note(STOPPED)
                if now - stopped >= RETURN:
                    return True
            elif asked is not None:  # else it has just come, and nobody has asked it
                stopped = None
                view.note(f"watcherd runs ({holder}), but {error}")
        if _unread_for(EVERY):
            return False


def _asked(holder: Holder | None) -> Status:
    """What the daemon says; raises UnansweredError."""
    if holder is None or holder.control is None:
        raise UnansweredError("it is just starting")
    answer = ask(holder.control, "GET", "status")
    if answer.status != 200:
        raise UnansweredError(f"it says: {plain(str(answer.body.get('message')))}")
    try:
        return Status.model_validate(answer.body)
    except ValidationError:
        raise UnansweredError("it is of another version than this command") from None


def _unread_for(seconds: float) -> bool:
    """Wait; whether meanwhile whoever reads standard output has gone, such as `head`."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)  # an end is told without being asked for
    return bool(reader.poll(1000 * seconds))


@contextmanager
def _screen() -> Iterator[_View]:
    """The whole terminal, which afterwards is as it was before."""
    console = Console(highlight=False)
    with Live(
        console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:
        yield _Screen(console, live)


class _Screen:
    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._last: Status | None = None

    def show(self, status: Status) -> None:
        self._last = status
        self._draw("")

    def note(self, text: str) -> None:
        self._draw(text)

    def _draw(self, note: str) -> None:
        width, height = self._console.size
        self._live.update(screen(self._last, note, width=width, height=height), refresh=True)


@contextmanager
def _lines(*, as_json: bool) -> Iterator[_View]:
    """Text that only ever grows, for files and pipes."""
    yield _Json() if as_json else _Blocks()


class _Blocks:
    """Tables, with an empty line between two."""

    def __init__(self) -> None:
        self._shown = self._noted = ""

    def show(self, status: Status) -> None:
        self._noted = ""
        text = table(status)
        if text != self._shown:
            typer.echo(f"\n{text}" if self._shown else text)
            self._shown = text

    def note(self, text: str) -> None:
        if text != self._noted:
            typer.echo(text, err=True)
            self._noted = text


class _Json(_Blocks):
    """One object a line."""

    def show(self, status: Status) -> None:
        self._noted = ""
        text = status.model_dump_json(exclude={"at"})
        if text != self._shown:
            typer.echo(status.model_dump_json(ensure_ascii=True))
            self._shown = text
