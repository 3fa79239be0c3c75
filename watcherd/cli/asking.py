"""Asking the daemon: a request over its control socket in, what it answered out. No web framework: fast."""

from __future__ import annotations

import http.client
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from watcherd.cli.exits import Exit
from watcherd.config.load import ConfigError, find, state_of
from watcherd.promptly import promptly
from watcherd.state import Holder, StateFolder

PATIENCE = 5.0  # seconds; an answer from memory and journal comes in milliseconds
LARGEST_ANSWER = 64 << 20  # bytes


class UnansweredError(Exception):
    """The daemon did not answer; the text says what happened, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and the JSON that came with it."""

    status: int
    body: dict[str, Any]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost")
        self._path = path
        self._timeout = timeout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(os.fspath(self._path))
        self.sock.settimeout(self._timeout)


def running(path: Path | None) -> Holder | None:
    """The daemon that runs with a configuration file, if one does; otherwise prints why that is not known.

    Neither secrets nor a valid file are needed for it.
    """
    try:
        state = state_of(find(path))
    except ConfigError:
        return None  # whoever loads the file next says it
    if state is None:
        return None
    try:
        return promptly(StateFolder(state).holder)
    except PermissionError:
        hint = "run this as the user that watcherd runs as"
        typer.echo(f"{state} belongs to another user; {hint}", err=True)
    except OSError as error:
        typer.echo(f"the state folder {state} cannot be read: {error.strerror or 'no answer'}", err=True)
    raise typer.Exit(Exit.FAILED)


def ask(
    control: Path, method: str, route: str, body: object = None, *, timeout: float | None = PATIENCE
) -> Answer:
    """Send one request; raises UnansweredError. `timeout` None waits for as long as it takes."""
    connection = _Connection(control, timeout)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, f"/api/v1/{route}", content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read(LARGEST_ANSWER)))
    except TimeoutError:
        raise UnansweredError(f"it does not answer within {PATIENCE:g} seconds") from None
    except PermissionError:
        raise UnansweredError("its control socket belongs to another user") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UnansweredError(f"it cannot be asked: {error or type(error).__name__}") from None
    finally:
        connection.close()
