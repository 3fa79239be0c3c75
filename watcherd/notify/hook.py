"""The hook: a command and an event's letter in, how the program ended out. Rim; a child without a shell.

It gets the letter on its standard input and as WATCHERD_* variables, a small environment beside that (no key
of ours), / as its folder, a process group of its own, and a time limit. It never outlives the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from watcherd.journal.notices import OUTPUT
from watcherd.notify import launch
from watcherd.notify.letter import environment

SECONDS = 60.0
LAST_WORDS = 1.0  # seconds for what is still in the pipe; a program that it left running may hold that open
BURIAL = 5.0  # seconds; a process that reads from a dead mount may take its time even to be killed
_PASSED_ON = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
_LAUNCH = (sys.executable, "-I", "-S", launch.__file__)
_NOT_STARTED = {
    launch.NO_PROGRAM: "there is no such program",
    launch.NO_EXECUTABLE: "the program cannot be executed",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a hook ended: `problem` in a few words, empty when all is well; `output` is its last 8 KiB."""

    problem: str
    output: str


async def run(command: tuple[str, ...], body: str, *, seconds: float = SECONDS) -> Ended:
    """Run a hook to its end, or kill it and what it started after `seconds`, or when this is cancelled."""
    try:
        transport, program = await asyncio.get_running_loop().subprocess_exec(
            _Program,
            *_LAUNCH,
            str(os.getpid()),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            env=_environment(body),
        )
    except OSError as error:
        return Ended(f"it could not be started: {error.strerror}", "")
    try:
        _hand_over(transport, body)
        async with asyncio.timeout(seconds):
            await program.ended.wait()
        await _within(LAST_WORDS, program.silent)
    except TimeoutError:
        await _bury(transport, program)
        return Ended(f"it took longer than {seconds:g} s and was killed", program.said)
    except asyncio.CancelledError:
        await _bury(transport, program)
        raise
    finally:
        transport.close()  # our ends of its pipes, even where what it left running holds the others
    return Ended(_problem(transport.get_returncode()), program.said)


class _Program(asyncio.SubprocessProtocol):
    """What we hear of a program: all that it prints, so that it never waits for us; the end is kept."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.silent = asyncio.Event()  # nobody can print any more
        self._printed = b""

    @property
    def said(self) -> str:
        return self._printed.decode("utf-8", "backslashreplace")

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - both outputs are one
        self._printed = (self._printed + data)[-OUTPUT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - any end is one
        if fd == 1:
            self.silent.set()

    def process_exited(self) -> None:
        self.ended.set()


def _hand_over(transport: asyncio.SubprocessTransport, body: str) -> None:
    """Give it the letter, and no more; the loop writes it as the program reads."""
    pipe = transport.get_pipe_transport(0)
    assert isinstance(pipe, asyncio.WriteTransport)
    pipe.write(body.encode() + b"\n")
    pipe.close()


async def _bury(transport: asyncio.SubprocessTransport, program: _Program) -> None:
    """Kill the program and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    await _within(BURIAL, program.ended)


async def _within(seconds: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _problem(code: int | None) -> str:
    assert code is not None, "it has ended"
    if code == 0:
        return ""
    if code < 0:
        return f"it was ended by signal {-code}"
    return _NOT_STARTED.get(code, f"it ended with exit code {code}")


def _environment(body: str) -> Mapping[bytes, bytes]:
    passed = {
        os.fsencode(name): os.fsencode(value)
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith("LC_")
    }
    return passed | dict(environment(body))
