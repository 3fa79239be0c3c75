"""Contents: an open original in, what it holds out: its keys, its head, its blocks for an upload.

Each byte is read as seldom as can be: a small file is hashed with its first look, a large one as it is sent.
Where sending is faster than hashing, the rest is read again while the answer is awaited: no upload waits for
a hash. Reading happens in the inbox's own threads, and who reads the last byte of a file sees in the same
errand that it still is the one that settled.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from watcherd.inbox import content
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import identity_of
from watcherd.job import Identity
from watcherd.media.head import read_head
from watcherd.pipeline.withdrawn import WithdrawnError

BLOCK = 1 << 21  # bytes read and sent at a time; up to three of them are held for each upload
FAREWELL = 1.0  # seconds that a hash that is to stop is waited for


class Contents:
    """What one open file holds; the descriptor stays the caller's.

    Each method raises WithdrawnError where it is not the file of that `identity` any more.
    """

    def __init__(self, storage: Storage, fd: int, identity: Identity) -> None:
        self._storage = storage
        self._fd = fd
        self._identity = identity
        self._quick = ""
        self._head = b""
        self._sha256: str | None = None
        self._hash = hashlib.sha256()
        self._hashed = 0  # bytes that the hash holds
        self._first: asyncio.Task[bytes] | None = None  # the first block of the next upload
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

    def begin(self) -> None:
        """Read the first block while something else goes on; `blocks` will be asked for soon."""
        if self._first is None:
            self._first = asyncio.create_task(self._read(0))

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The whole file, a block at a time; hashed on the way."""
        self.begin()
        first, self._first = self._first, None
        assert first is not None
        offset = 0
        async with aclosing(_blocks(first, self._read, self._identity.size)) as blocks:
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
        for task in (self._hashing, self._along, self._first):
            if task is not None:
                _let_go(task)

    async def _look(self) -> None:
        if not self._quick:
            found = await self._storage.ask(_first_look, self._fd, self._identity)
            self._quick, self._sha256, self._head = found

    async def _read(self, offset: int) -> bytes:
        return await self._storage.ask(_block, self._fd, self._identity, offset)

    def _hash_along(self, block: bytes, offset: int) -> None:
        """Hash a block that is at hand anyway, if it is the next one and the one before is through."""
        free = self._along is None or (self._along.done() and self._along.exception() is None)
        if free and offset == self._hashed and self._sha256 is None and self._hashing is None:
            self._hashed += len(block)
            self._along = asyncio.create_task(self._storage.ask(self._hash.update, block))

    async def _hash_rest(self) -> str:
        if self._along is not None:
            await self._along
        begun, offset = self._hash, self._hashed
        return await self._storage.ask(_hashed, self._fd, self._identity, self._stop, begun, offset)


async def blocks_of(storage: Storage, fd: int, size: int) -> AsyncGenerator[bytes, None]:
    """A file of ours of `size` bytes, a block at a time."""

    async def read(offset: int) -> bytes:
        return await storage.ask(os.pread, fd, min(BLOCK, size - offset), offset)

    async with aclosing(_blocks(asyncio.create_task(read(0)), read, size)) as blocks:
        async for block in blocks:
            yield block


async def _blocks(
    first: asyncio.Task[bytes], read: Callable[[int], Coroutine[Any, Any, bytes]], size: int
) -> AsyncGenerator[bytes, None]:
    """Blocks from the first on; each is read while the one before is on its way."""
    ahead: asyncio.Task[bytes] | None = first
    offset = 0
    try:
        while ahead is not None:
            block = await ahead
            if not block:
                raise WithdrawnError("changed")
            offset += len(block)
            ahead = asyncio.create_task(read(offset)) if offset < size else None
            yield block
    finally:
        if ahead is not None:
            _let_go(ahead)


# In the inbox's threads.


def _first_look(fd: int, identity: Identity) -> tuple[str, str | None, bytes]:
    quick, whole = content.keys(fd, identity.size)
    head = read_head(fd)
    _see_it_is(fd, identity)
    return quick, whole, head


def _block(fd: int, identity: Identity, offset: int) -> bytes:
    block = os.pread(fd, min(BLOCK, identity.size - offset), offset)
    if offset + len(block) == identity.size:
        _see_it_is(fd, identity)
    return block


def _hashed(fd: int, identity: Identity, stop: threading.Event, begun: hashlib._Hash, offset: int) -> str:
    digest = content.sha256_of(fd, stop, begun, offset)
    _see_it_is(fd, identity)
    return digest


def _see_it_is(fd: int, identity: Identity) -> None:
    if identity_of(os.fstat(fd)) != identity:
        raise WithdrawnError("changed")


def _let_go(task: asyncio.Task[bytes] | asyncio.Task[str] | asyncio.Task[None]) -> None:
    """Nobody waits for it any more, whatever comes of it."""
    task.cancel()
    if task.done() and not task.cancelled():
        task.exception()
