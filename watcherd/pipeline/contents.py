"""Contents: an open original in, what it holds out: its keys, its head, its blocks for an upload.

Each byte is read as seldom as can be: the upload's read is the one that hashes, and a small file is hashed
with its first look. Reading happens in the inbox's own threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncGenerator

from watcherd.inbox import content
from watcherd.inbox.storage import Storage
from watcherd.media.head import read_head

BLOCK = 1 << 20  # bytes read and sent at a time
FAREWELL = 1.0  # seconds that a hash that is to stop is waited for


class CutShortError(Exception):
    """The file became shorter while it was sent."""


class Contents:
    """What one open file of `size` bytes holds; the descriptor stays the caller's."""

    def __init__(self, storage: Storage, fd: int, size: int) -> None:
        self._storage = storage
        self._fd = fd
        self._size = size
        self._quick = ""
        self._head = b""
        self._sha256: str | None = None
        self._stop = threading.Event()
        self._hashing: asyncio.Task[str] | None = None

    async def quick(self) -> str:
        """Its quick key (see inbox.content)."""
        await self._look()
        return self._quick

    async def head(self) -> bytes:
        """Its first bytes, for `sniff`."""
        await self._look()
        return self._head

    async def sha256(self) -> str:
        """SHA-256 of the whole file."""
        if self._sha256 is None:
            self.hash_beside()
            assert self._hashing is not None
            self._sha256 = await self._hashing
        return self._sha256

    def hash_beside(self) -> None:
        """Hash it while something else goes on, where nothing reads all of it anyway."""
        if self._sha256 is None and self._hashing is None:
            hashing = self._storage.ask(content.sha256_of, self._fd, self._stop)
            self._hashing = asyncio.create_task(hashing)

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The whole file; the next block is read while the last one is on its way. Raises CutShortError."""
        hashing = hashlib.sha256() if self._sha256 is None and self._hashing is None else None
        block, offset = await self._read(0, hashing), 0
        while True:
            offset += len(block)
            ahead = asyncio.create_task(self._read(offset, hashing)) if offset < self._size else None
            try:
                yield block
                if ahead is None:
                    break
                block = await ahead
            finally:
                if ahead is not None:
                    _let_go(ahead)
        if hashing is not None:
            self._sha256 = hashing.hexdigest()

    async def close(self) -> None:
        """Stop what goes on; storage may not answer, so that is not waited for long."""
        self._stop.set()
        if self._hashing is not None:
            await asyncio.wait({self._hashing}, timeout=FAREWELL)
            _let_go(self._hashing)

    async def _look(self) -> None:
        if not self._quick:
            found = await self._storage.ask(_first_look, self._fd, self._size)
            self._quick, self._sha256, self._head = found

    async def _read(self, offset: int, hashing: hashlib._Hash | None) -> bytes:
        length = min(BLOCK, self._size - offset)
        block = await self._storage.ask(_block, self._fd, length, offset, hashing)
        if not block:
            raise CutShortError
        return block


def _first_look(fd: int, size: int) -> tuple[str, str | None, bytes]:
    quick, whole = content.keys(fd, size)
    return quick, whole, read_head(fd)


def _block(fd: int, length: int, offset: int, hashing: hashlib._Hash | None) -> bytes:
    block = os.pread(fd, length, offset)
    if hashing is not None:
        hashing.update(block)
    return block


def _let_go(task: asyncio.Task[bytes] | asyncio.Task[str]) -> None:
    """Nobody waits for it any more, whatever comes of it."""
    task.cancel()
    if task.done() and not task.cancelled():
        task.exception()
