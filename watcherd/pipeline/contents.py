"""Contents: an open original in, what it holds out: its keys, its head, its blocks for an upload.

Each byte is read as seldom as can be: a small file is hashed with its first look, a large one as it is sent.
Where sending is faster than hashing, the rest is read again while the answer is awaited: no upload waits for
a hash. Reading happens in the inbox's own threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

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
        self._hash = hashlib.sha256()
        self._hashed = 0  # bytes that the hash holds
        self._along: asyncio.Task[None] | None = None  # a block on its way into the hash
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
            self._hashing = asyncio.create_task(self._hash_rest())

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The whole file, as `blocks_of` yields it; hashed on the way."""
        offset = 0
        async with aclosing(blocks_of(self._storage, self._fd, self._size)) as blocks:
            async for block in blocks:
                self._hash_along(block, offset)
                offset += len(block)
                yield block
        self.hash_beside()

    async def close(self) -> None:
        """Stop what goes on; storage may not answer, so that is not waited for long."""
        self._stop.set()
        if self._hashing is not None:
            await asyncio.wait({self._hashing}, timeout=FAREWELL)
            _let_go(self._hashing)
        if self._along is not None:
            _let_go(self._along)

    async def _look(self) -> None:
        if not self._quick:
            found = await self._storage.ask(_first_look, self._fd, self._size)
            self._quick, self._sha256, self._head = found

    def _hash_along(self, block: bytes, offset: int) -> None:
        """Hash a block that is at hand anyway, if it is the next one and the one before is through."""
        free = self._along is None or (self._along.done() and self._along.exception() is None)
        if free and offset == self._hashed and self._sha256 is None and self._hashing is None:
            self._hashed += len(block)
            self._along = asyncio.create_task(self._storage.ask(self._hash.update, block))

    async def _hash_rest(self) -> str:
        if self._along is not None:
            await self._along
        rest = self._storage.ask(content.sha256_of, self._fd, self._stop, self._hash, self._hashed)
        return await rest


async def blocks_of(storage: Storage, fd: int, size: int) -> AsyncGenerator[bytes, None]:
    """A file of `size` bytes; each block is read while the one before is on its way. Raises CutShortError."""

    async def read(offset: int) -> bytes:
        block = await storage.ask(os.pread, fd, min(BLOCK, size - offset), offset)
        if not block:
            raise CutShortError
        return block

    block, offset = await read(0), 0
    while True:
        offset += len(block)
        ahead = asyncio.create_task(read(offset)) if offset < size else None
        try:
            yield block
            if ahead is None:
                break
            block = await ahead
        finally:
            if ahead is not None:
                _let_go(ahead)


def _first_look(fd: int, size: int) -> tuple[str, str | None, bytes]:
    quick, whole = content.keys(fd, size)
    return quick, whole, read_head(fd)


def _let_go(task: asyncio.Task[bytes] | asyncio.Task[str] | asyncio.Task[None]) -> None:
    """Nobody waits for it any more, whatever comes of it."""
    task.cancel()
    if task.done() and not task.cancelled():
        task.exception()
