"""What systemd and we say to each other: its environment in, datagrams out. Nothing where there is none.

The protocol is sd_notify(3): lines joined into one datagram, sent to the socket that $NOTIFY_SOCKET names.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE = 0.2  # seconds that a service manager has to take a datagram
EXTENSION = 60.0  # seconds more that are asked for at a time


def notify(*lines: str) -> None:
    """Send the lines in one datagram to $NOTIFY_SOCKET, where a leading @ means abstract."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # A service manager that went away, or takes nothing, is no reason to stop translating.
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
    ):
        sender.settimeout(PATIENCE)
        sender.sendto("\n".join(lines).encode(), address)


def reloading() -> None:
    """Say that a reload begins. Both lines are one message; without the time systemd waits for ever."""
    usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={usec}")


def stopping(seconds: float) -> None:
    """Say that the end begins, and that it may take so many seconds, whatever the unit's own limit is."""
    notify("STOPPING=1", "STATUS=stopping", _extension(seconds))


@asynccontextmanager
async def taking_its_time(status: str) -> AsyncIterator[None]:
    """Ask for more time, again and again, for as long as the body of a start takes."""

    async def ask() -> None:
        while True:
            notify(_extension(EXTENSION), f"STATUS={status}")
            await asyncio.sleep(EXTENSION / 3)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()


def ping_interval() -> float | None:
    """Seconds between two pings: half of what systemd waits for one. None where it watches somebody else."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(usec) / 2e6 if ours and usec.isdecimal() and int(usec) else None


def _extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"
