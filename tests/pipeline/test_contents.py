"""What a file holds is the same however it was read: at the first look, on its way out, or beside."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from watcherd.faults import FaultError
from watcherd.inbox.content import keys
from watcherd.inbox.storage import Storage
from watcherd.inbox.touch import identity_of
from watcherd.pipeline.contents import BLOCK, Contents, blocks_of
from watcherd.pipeline.withdrawn import WithdrawnError

SIZES = (1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7)


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    storage = Storage("inbox")
    yield storage
    storage.close()


@pytest.fixture(params=SIZES)
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(request.param))
    return path


@pytest.fixture
def fd(file: Path) -> Iterator[int]:
    with file.open("rb") as opened:
        yield opened.fileno()


def contents_of(storage: Storage, fd: int) -> Contents:
    return Contents(storage, fd, identity_of(os.fstat(fd)))


async def sent(contents: Contents) -> bytes:
    return b"".join([block async for block in contents.blocks()])


@pytest.mark.parametrize("looked", [True, False])
@pytest.mark.parametrize("way", ["alone", "sent", "sent twice", "broken off", "beside"])
async def test_the_hash_is_that_of_the_whole_file(
    storage: Storage, file: Path, fd: int, way: str, *, looked: bool
) -> None:
    body = file.read_bytes()
    contents = contents_of(storage, fd)
    if looked:
        assert await contents.quick() == keys(fd, len(body))[0]
        assert body.startswith((await contents.head())[:100])
    match way:
        case "sent" | "sent twice":
            for _ in way.split():
                assert await sent(contents) == body
        case "broken off":
            async with aclosing(contents.blocks()) as blocks:
                assert body.startswith(await anext(blocks))
        case "beside":
            contents.hash_beside()
            assert await sent(contents) == body
        case _:
            pass
    assert await contents.sha256() == hashlib.sha256(body).hexdigest()
    await contents.close()


async def test_sending_waits_for_no_hash_and_the_rest_is_read_afterwards(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, go_on = tmp_path / "file", threading.Event()
    path.write_bytes(os.urandom(4 * BLOCK))

    class Slow:
        def __init__(self) -> None:
            self.real = hashlib.sha256()

        def update(self, block: bytes) -> None:
            assert go_on.wait(30)
            self.real.update(block)

        def hexdigest(self) -> str:
            return self.real.hexdigest()

    with path.open("rb") as file:
        contents = contents_of(storage, file.fileno())
        monkeypatch.setattr(contents, "_hash", Slow())
        try:
            assert await sent(contents) == path.read_bytes()
        finally:
            go_on.set()
        assert await contents.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
        await contents.close()


async def test_a_file_that_became_shorter_is_cut_short(storage: Storage, file: Path, fd: int) -> None:
    size = file.stat().st_size
    with pytest.raises(WithdrawnError):
        async for _ in blocks_of(storage, fd, size + 1):
            pass


@pytest.mark.parametrize("ask", [Contents.quick, Contents.sha256, sent], ids=["look", "hash", "upload"])
async def test_what_changed_by_its_last_byte_is_not_what_settled(
    storage: Storage, file: Path, fd: int, ask: Callable[[Contents], Awaitable[object]]
) -> None:
    contents = contents_of(storage, fd)
    os.utime(file, ns=(1, 1))
    with pytest.raises(WithdrawnError) as caught:
        await ask(contents)
    assert caught.value.why == "changed"
    await contents.close()


async def test_the_first_block_is_read_once_also_where_it_was_begun_before(
    storage: Storage, file: Path, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets: list[int] = []
    real = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        offsets.append(offset)
        return real(fd, length, offset)

    contents = contents_of(storage, fd)
    monkeypatch.setattr(os, "pread", pread)
    contents.begin()
    body = await sent(contents)
    begun = offsets.count(0)
    monkeypatch.undo()
    assert (body, begun) == (file.read_bytes(), 1)
    await contents.close()


async def test_a_hash_is_given_up_where_storage_does_not_answer(tmp_path: Path) -> None:
    storage, hang = Storage("inbox", size=1, patience=0.05), threading.Event()
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * BLOCK))
    try:
        with path.open("rb") as file:
            contents = contents_of(storage, file.fileno())
            hanging = storage.submit(hang.wait)
            contents.hash_beside()
            with pytest.raises(FaultError):
                await contents.sha256()
            await contents.close()
    finally:
        hang.set()
        await asyncio.wait({hanging})
        storage.close()
