"""A child for tests/test_children.py: answers, prints, sleeps, dies or eats memory as the question says."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

from watcherd import children
from watcherd.children import Message


def _limits() -> Message:
    with open("/proc/self/limits", encoding="ascii") as file:
        limits = file.read()
    return {"limits": limits, "path": sys.path, "session": os.getsid(0), "parent": os.getppid()}


def _print(times: int) -> Message:
    for _ in range(times):
        sys.stdout.write("words on the standard output\n")
    sys.stderr.write("last words\n")
    return {}


def _sleep(seconds: float) -> Message:
    time.sleep(seconds)
    return {}


def _spin(seconds: float) -> Message:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return {}


def _signal(number: int) -> Message:
    os.kill(os.getpid(), number)
    return {"alive": True}


def _nonsense() -> Message:
    channel._link.sendall(b"\x00\x00\x00\x02[]")
    return {}


def _exit(code: int) -> Message:
    sys.exit(code)


_DEEDS: dict[str, Callable[..., Message]] = {
    "echo": lambda **words: words | {"arguments": sys.argv[1:]},
    "environ": lambda: {"environ": dict(os.environ)},
    "descriptors": lambda: {"count": len(os.listdir("/proc/self/fd"))},
    "stdin": lambda: {"stdin": sys.stdin.read()},
    "eat": lambda size: {"length": len(bytearray(size))},
    "huge": lambda size: {"text": "x" * size},
    "limits": _limits,
    "print": _print,
    "sleep": _sleep,
    "spin": _spin,
    "signal": _signal,
    "nonsense": _nonsense,
    "exit": _exit,
}


def _answer(message: Message, fds: Sequence[int]) -> Message:
    if message["do"] == "read":
        return {"texts": [os.pread(fd, 100, 0).decode() for fd in fds]}
    words = {key: value for key, value in message.items() if key != "do"}
    return _DEEDS[message["do"]](**words)


if __name__ == "__main__":
    channel = children.enter()
    if "--deaf" in sys.argv:
        signal.pause()
    children.serve(channel, _answer)
