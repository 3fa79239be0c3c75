"""Children: the one way to start a child process. A module's name in; an open channel to it out.

The parent's side is `start` and `Child`, the child's side is `enter`, `Channel` and `serve`. Both speak
length-prefixed JSON (4 bytes, big-endian, then UTF-8) over one Unix socket pair, which is the child's
standard input and can carry open descriptors. What a child prints is captured, and its last words kept.

A child never outlives its parent, never dumps core, has its memory capped, hears no signal meant for the
parent, and gets an environment that is chosen name by name: no key of the parent's ever reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import json
import os
import resource
import signal
import socket
import struct
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import watcherd

Message = dict[str, Any]

LARGEST_MESSAGE = 1 << 20
MOST_DESCRIPTORS = 8
LAST_WORDS = 4096
KILL_GRACE = 5.0  # a process that reads from a dead mount may take its time even to be killed

_LENGTH = struct.Struct(">I")
_ENTRY = "WATCHERD_CHILD"
_PR_SET_PDEATHSIG = 1
_PASSED_ON = frozenset(
    {
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_RUNTIME_DIR",
    }
)


class ChildDiedError(Exception):
    """The child ended, or closed its channel, with a question open or before one could be asked.

    `returncode` is subprocess's (negative: the signal's number), None when it could not be had;
    `last_words` are the last 4 KiB of what it printed.
    """

    def __init__(self, module: str, *, returncode: int | None, last_words: str) -> None:
        super().__init__(f"{module} {_ending(returncode)}")
        self.returncode = returncode
        self.last_words = last_words


class ChildTimeoutError(Exception):
    """The child missed its deadline, or did not run at all for its patience (`seconds`), and was killed.

    `stuck` says that it was waiting inside the kernel, as for a disk or a mount that does not answer.
    """

    def __init__(self, module: str, *, seconds: float, stuck: bool, last_words: str) -> None:
        super().__init__(f"{module} did not answer within {seconds:g} s")
        self.seconds = seconds
        self.stuck = stuck
        self.last_words = last_words


class _AsleepError(Exception):
    """The child has not run for a while."""


class Child:
    """The parent's end of a running child. Ask one question at a time; `stop` it before the loop ends."""

    def __init__(
        self,
        module: str,
        process: asyncio.subprocess.Process,
        *,
        channel: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._module = module
        self._process = process
        self._channel = channel
        self._reader = reader
        self._writer = writer
        self._printed = b""
        self._asking = False
        self._ended = asyncio.create_task(self._follow(), name=f"child {process.pid}")

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs and can be asked."""
        return self._process.returncode is None and not self._writer.is_closing()

    @property
    def last_words(self) -> str:
        """The last 4 KiB of what it printed, for a log at debug level."""
        return self._printed.decode(errors="backslashreplace").strip()

    async def ask(
        self, message: Message, *, fds: Sequence[int] = (), deadline: float, patience: float | None = None
    ) -> Message:
        """Send `message`, and copies of the descriptors `fds`, and wait `deadline` seconds for the answer.

        With `patience`, a child that does not run for so many seconds (twice that at most) is given up: it
        waits for a mount that does not answer, and whoever waits for it may be somebody else's file.
        Raises ChildTimeoutError and ChildDiedError; after either, and when the wait is cancelled, the
        child is dead: a late answer can never be taken for the answer to the next question.
        """
        if self._asking:
            raise RuntimeError("a child is asked one question at a time")
        self._asking = True
        try:
            async with asyncio.timeout(deadline):
                await self._send(message, fds)
                answer = await self._receive_from_running(patience)
        except _AsleepError:
            await self.stop(grace=0)
            raise ChildTimeoutError(
                self._module, seconds=patience or 0, stuck=True, last_words=self.last_words
            ) from None
        except TimeoutError:
            stuck = _waits_in_kernel(self.pid)
            await self.stop(grace=0)
            raise ChildTimeoutError(
                self._module, seconds=deadline, stuck=stuck, last_words=self.last_words
            ) from None
        except (OSError, EOFError, ValueError, TypeError):
            await self.stop(grace=KILL_GRACE)
            raise ChildDiedError(
                self._module, returncode=self._process.returncode, last_words=self.last_words
            ) from None
        except BaseException:
            self.kill()
            raise
        finally:
            self._asking = False
        return answer

    async def stop(self, grace: float) -> None:
        """Close the channel, which tells the child to leave; kill it `grace` seconds later. Idempotent.

        Returns at the latest 5 s after the kill, even where the kernel cannot end the process yet.
        """
        self._hang_up()
        if not await self._gone(within=grace):
            self.kill()
            await self._gone(within=KILL_GRACE)

    def kill(self) -> None:
        """End it at once; `stop` waits for it."""
        self._hang_up()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _send(self, message: Message, fds: Sequence[int]) -> None:
        body = json.dumps(message).encode()
        # One question at a time: the socket's buffer is empty, so these four bytes never block or split.
        socket.send_fds(self._channel, [_LENGTH.pack(len(body))], list(fds))
        self._writer.write(body)
        await self._writer.drain()

    async def _receive(self) -> Message:
        (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
        if length > LARGEST_MESSAGE:
            raise ValueError("the answer is too large")
        return _message(await self._reader.readexactly(length))

    async def _receive_from_running(self, patience: float | None) -> Message:
        receiving = asyncio.ensure_future(self._receive())
        try:
            ran: bytes | None = None
            while not (await asyncio.wait({receiving}, timeout=patience))[0]:
                before, ran = ran, _processor_time(self.pid)
                if ran is not None and ran == before:
                    raise _AsleepError
        finally:
            receiving.cancel()
        return receiving.result()

    async def _gone(self, *, within: float) -> bool:
        await asyncio.wait({self._ended}, timeout=within)
        return self._ended.done()

    async def _follow(self) -> None:
        """Keep its output flowing, so that it never blocks on a full pipe, and reap it when it ends."""
        assert self._process.stdout is not None
        try:
            while block := await self._process.stdout.read(LAST_WORDS):
                self._printed = (self._printed + block)[-LAST_WORDS:]
            await self._process.wait()
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        self._writer.close()
        self._channel.close()


async def start(
    module: str,
    *arguments: str,
    memory: int | None,
    pass_fds: Sequence[int] = (),
    environ: Mapping[str, str] | None = None,
) -> Child:
    """Start `python -m module arguments…` as a child, which calls `enter` first of all.

    `memory` caps its address space, in bytes (None: no cap, as for a GPU, whose driver maps far more
    than there is); `pass_fds` stay open in it under their own numbers; `environ` is added to the few
    variables that every child gets. Call it from the loop's thread, and let that thread live: the kernel
    kills the child when the *thread* that started it ends. Raises OSError when the system refuses.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the current folder may be an inbox: nothing is imported from there
                "-m",
                module,
                *arguments,
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=tuple(pass_fds),
                start_new_session=True,  # the terminal's Ctrl-C and hang-up are the parent's
                env=_environment(memory) | dict(environ or {}),
            )
        channel = ours.dup()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
    except BaseException:
        ours.close()  # a child that has started already finds its channel closed, and leaves
        raise
    return Child(module, process, channel=channel, reader=reader, writer=writer)


@dataclass(frozen=True, slots=True)
class Request:
    """One question as the child receives it, with the descriptors that came along (the child's to close)."""

    message: Message
    fds: tuple[int, ...]


class Channel:
    """The child's end."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def receive(self) -> Request | None:
        """Wait for the next question; None when the parent has closed the channel: leave."""
        header, fds = self._header()
        body = self._exactly(_LENGTH.unpack(header)[0]) if header else b""
        if not body:
            return None
        return Request(_message(body), fds)

    def send(self, message: Message) -> None:
        """Answer. A parent that is gone is no error: the next `receive` says so."""
        body = json.dumps(message).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._link.sendall(_LENGTH.pack(len(body)) + body)

    def _header(self) -> tuple[bytes, tuple[int, ...]]:
        try:
            header, fds, _flags, _address = socket.recv_fds(self._link, _LENGTH.size, MOST_DESCRIPTORS)
        except ConnectionResetError:
            return b"", ()
        for fd in fds:
            os.set_inheritable(fd, False)
        return header, tuple(fds)

    def _exactly(self, count: int) -> bytes:
        blocks = bytearray()
        while len(blocks) < count:
            block = self._link.recv(count - len(blocks))
            if not block:
                return b""
            blocks += block
        return bytes(blocks)


def enter() -> Channel:
    """Become a child: the first call of a module that `start` runs.

    Ties this process's life to the parent's, applies the memory cap, takes the channel off the standard
    input, and leaves Ctrl-C, SIGTERM and SIGHUP to the parent: a service manager signals the whole group,
    and a worker that left at once would make its file look broken.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    parent, memory = os.environ.pop(_ENTRY).split(":")
    _die_with(int(parent))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    link = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return Channel(link)


def serve(channel: Channel, handler: Callable[[Message, Sequence[int]], Message]) -> None:
    """Answer questions until the parent closes the channel; descriptors are closed after each answer.

    An exception of the handler's ends the child: the parent sees ChildDiedError with the traceback as
    last words.
    """
    while request := channel.receive():
        try:
            answer = handler(request.message, request.fds)
        finally:
            for fd in request.fds:
                os.close(fd)
        channel.send(answer)


def _environment(memory: int | None) -> dict[str, str]:
    passed = {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("LC_")
    }
    passed[_ENTRY] = f"{os.getpid()}:{'' if memory is None else memory}"
    passed["PYTHONUNBUFFERED"] = "1"
    home = str(Path(watcherd.__file__).parent.parent)
    if home not in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        passed["PYTHONPATH"] = os.pathsep.join(filter(None, (home, passed.get("PYTHONPATH"))))
    return passed


def _die_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it died before the kernel knew of our wish
        os._exit(0)


def _message(body: bytes) -> Message:
    message = json.loads(body)
    if not isinstance(message, dict):
        raise TypeError("a message is an object")
    return message


def _ending(returncode: int | None) -> str:
    if returncode is None:
        return "closed its channel"
    if returncode < 0:
        return f"was ended by signal {-returncode}"
    return f"ended with exit code {returncode}"


def _processor_time(pid: int) -> bytes | None:
    """How long its main thread has run, to the nanosecond; None where the system does not tell."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:
            return file.read().split()[0]
    except (OSError, IndexError):
        return None


def _waits_in_kernel(pid: int) -> bool:
    """Whether the process is in the state "disk sleep" (proc(5), field 3 of stat)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"D"
    except (OSError, IndexError):
        return False
