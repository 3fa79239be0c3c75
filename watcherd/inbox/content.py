"""What a file holds, by name: an open descriptor in, keys of its content out. Rim; blocks."""

from __future__ import annotations

import hashlib
import os
import threading

from watcherd import pulse

ENDS = 1 << 20  # bytes of beginning and end that the quick key covers
BLOCK = 1 << 20


def keys(fd: int, size: int) -> tuple[str, str | None]:
    """The quick key: size, and SHA-256 of first and last MiB; nearly always different where files are.

    With it the SHA-256 of the whole file, where that is so small that both need the same bytes.
    """
    first = os.pread(fd, ENDS, 0)
    ends = hashlib.sha256(first)
    whole = ends.hexdigest() if len(first) == size else None
    ends.update(first if whole is not None else os.pread(fd, ENDS, max(0, size - ENDS)))
    return f"{size}-{ends.hexdigest()}", whole


def sha256_of(fd: int, stop: threading.Event, begun: hashlib._Hash | None = None, offset: int = 0) -> str:
    """SHA-256 of the whole file, in constant memory; of less when it is stopped.

    `begun` is of the file up to `offset` already, and goes on from there.
    """
    whole = begun or hashlib.sha256()
    while not stop.is_set() and (block := os.pread(fd, BLOCK, offset)):
        whole.update(block)
        pulse.beat()
        offset += len(block)
    return whole.hexdigest()
