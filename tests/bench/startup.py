"""Startup: how long the commands that people type take until they have answered and ended.

Each is a process of its own, started by turns with the others, and compared pair by pair with the same
interpreter that does nothing (`python -c pass`): no command can be faster than that. `status` is asked with
a daemon running, which answers it, and without one, where it reads the journal itself. It is the installed
`watcherd` that is run where there is one beside the interpreter, else `python -m watcherd`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.daemon import BenchDaemon
from tests.bench.endpoint import KEY, BenchEndpoint
from tests.bench.measuring import Figure, Result, median

ROUNDS = 11
VERSION, STATUS = 150.0, 300.0  # ms: the most that they should take
_INTERPRETER = (sys.executable, "-c", "pass")


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed: its name in the table, its words, what it must print, and the most ms it should take."""

    name: str
    words: Sequence[str]
    prints: str
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One command and the bare interpreter, one after the other; in ms."""

    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        return self.ours / self.bare


def run(*, short: bool) -> Result:
    """Measure them all with a daemon running, then those that care without one."""
    count = 1 if short else ROUNDS
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-") as name, BenchEndpoint() as endpoint:
        daemon = BenchDaemon(Path(name), endpoint.settings())
        config = ("--config", str(daemon.config))
        with ExitStack() as running:
            running.enter_context(daemon)
            figures = _measured(_with_a_daemon(config), count)
        figures += _measured(_without_a_daemon(config), count)
    return Result("startup", f"`{_called()}` against `python -c pass`", count, figures)


def _with_a_daemon(config: Sequence[str]) -> Sequence[Command]:
    return (
        Command("--version", ["--version"], "watcherd ", VERSION),
        Command("status", ["status", *config], "running", STATUS),
        Command("status --json", ["status", "--json", *config], '"state": "running"'),
        Command("check", ["check", *config], "configuration"),
    )


def _without_a_daemon(config: Sequence[str]) -> Sequence[Command]:
    return (
        Command("status, no daemon", ["status", *config], "not running", STATUS),
        Command("status --json, no daemon", ["status", "--json", *config], '"state": "not running"'),
    )


def _measured(commands: Sequence[Command], count: int) -> list[Figure]:
    """Let all commands take turns, so often; before that each is run once, which fills the caches."""
    turns: dict[str, list[Turn]] = {command.name: [] for command in commands}
    for command in commands:
        _timed(command)
    for _ in range(count):
        for command in commands:
            turns[command.name].append(Turn(bare=_bare(), ours=_timed(command)))
    return [figure for command in commands for figure in _figures(command, turns[command.name])]


def _figures(command: Command, turns: Sequence[Turn]) -> Sequence[Figure]:
    return (
        Figure(command.name, median([turn.ours for turn in turns]), "ms", command.most),
        Figure(f"{command.name}: python alone", median([turn.bare for turn in turns]), "ms"),
        Figure(f"{command.name}: ratio", median([turn.ratio for turn in turns]), ""),
    )


def _ours() -> Sequence[str]:
    installed = Path(sys.executable).with_name("watcherd")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "watcherd"]


def _called() -> str:
    return "watcherd" if len(_ours()) == 1 else "python -m watcherd"


def _timed(command: Command) -> float:
    began = time.perf_counter()
    ran = subprocess.run(
        [*_ours(), *command.words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "TEST_KEY": KEY},
        check=False,
    )
    seconds = time.perf_counter() - began
    assert ran.returncode == 0, f"{command.name} ended with {ran.returncode}: {ran.stderr}"
    assert command.prints in ran.stdout, f"{command.name} printed: {ran.stdout}"
    return 1000 * seconds


def _bare() -> float:
    began = time.perf_counter()
    subprocess.run(_INTERPRETER, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return 1000 * (time.perf_counter() - began)
