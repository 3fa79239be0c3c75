"""A child of the soak test: `watcherd` as ever, which writes what it holds to a file at each SIGUSR1.

    python -m tests.reliability.counted_daemon FIGURES run --config FILE

A line a signal: {"threads": …, "descriptors": …, "connections": …, "tasks": …, "resident": bytes}.
Connections are TCP's, those to the endpoint, and not among the descriptors. The signal's handler runs in the
event loop's own thread, so the count of tasks is one of a single moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

import psutil

from watcherd.cli import main


def figures() -> dict[str, int]:
    """What this process holds now."""
    connections = len(psutil.Process().net_connections("tcp"))
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")) - 1 - connections,  # without that of the listing
        "connections": connections,
        "tasks": len(asyncio.all_tasks()),
        "resident": pages * os.sysconf("SC_PAGE_SIZE"),
    }


if __name__ == "__main__":
    target = sys.argv.pop(1)

    def write(*_: object) -> None:
        with open(target, "a") as file:
            file.write(json.dumps(figures()) + "\n")

    signal.signal(signal.SIGUSR1, write)
    main()
