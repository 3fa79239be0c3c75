"""Seven writers against the settling rule: real files, real leases, real stamps; only the time is played."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from watcherd.inbox.accept import holders
from watcherd.inbox.arrivals import Arrivals
from watcherd.inbox.settle import Kind, Lease, Look, Settled
from watcherd.inbox.touch import look, open_root

NAME = b"talk.mp3"
BLOCK = bytes(range(256)) * 256
Step = tuple[float, Callable[[], object]]


class Writer:
    """A file on its way: what happens to it, and when (seconds). The last step makes it whole."""

    def __init__(self, inbox: Path) -> None:
        self.path = inbox / NAME.decode()
        self.part = inbox / (NAME.decode() + ".part")
        self._file: BinaryIO | None = None
        self._map: mmap.mmap | None = None

    def cp(self) -> Iterator[Step]:
        yield 0, self._open
        for second in (0.5, 1, 1.5, 2):
            yield second, self._write
        yield 2.5, self._close

    def holding_it_open_with_pauses(self) -> Iterator[Step]:
        yield 0, self._open
        for second in (0, 6, 12):
            yield second, self._write
        yield 12.01, self._close

    def preallocating(self) -> Iterator[Step]:
        yield 0, self._open
        yield 0, lambda: self._the_file.truncate(3 * len(BLOCK))
        for second in (0, 6, 12):
            yield second, self._write
        yield 12.01, self._close

    def mapping(self) -> Iterator[Step]:
        yield 0, self._open
        yield 0, lambda: self._the_file.truncate(3 * len(BLOCK))
        yield 0.01, self._map_and_close
        yield 12, self._write_mapped
        yield 12.01, self._unmap

    def placeholder_and_rename_over(self) -> Iterator[Step]:
        yield 0, self.path.touch
        yield 0, lambda: self.part.write_bytes(BLOCK)
        yield 6, lambda: self.part.write_bytes(2 * BLOCK)
        yield 12, lambda: self.part.rename(self.path)

    def placeholder_without_a_part_beside_it(self) -> Iterator[Step]:
        yield 0, self.path.touch
        hidden = self.path.with_name(".hidden")
        yield 12, lambda: hidden.write_bytes(BLOCK)
        yield 12, lambda: hidden.rename(self.path)

    def appending_every_3_seconds(self) -> Iterator[Step]:
        return self._appending(3)

    def appending_every_8_seconds(self) -> Iterator[Step]:
        return self._appending(8)

    def _appending(self, pause: float) -> Iterator[Step]:
        for number in range(4):
            yield number * pause, self._append

    def give_up(self) -> None:
        """Close what a test left open."""
        if self._file is not None:
            self._file.close()
        if self._map is not None:
            self._map.close()

    @property
    def _the_file(self) -> BinaryIO:
        assert self._file is not None
        return self._file

    @property
    def _the_map(self) -> mmap.mmap:
        assert self._map is not None
        return self._map

    def _open(self) -> None:
        self._file = self.path.open("w+b", buffering=0)

    def _write(self) -> None:
        self._the_file.write(BLOCK)

    def _close(self) -> None:
        self._the_file.close()

    def _append(self) -> None:
        with self.path.open("ab") as file:
            file.write(BLOCK)

    def _map_and_close(self) -> None:
        self._map = mmap.mmap(self._the_file.fileno(), 3 * len(BLOCK))
        self._the_file.close()

    def _unmap(self) -> None:
        self._the_map.close()

    def _write_mapped(self) -> None:
        self._the_map[: len(BLOCK)] = BLOCK


Play = Callable[[Writer], Iterator[Step]]


@pytest.fixture
def writer(inbox: Path) -> Iterator[Writer]:
    writer = Writer(inbox)
    yield writer
    writer.give_up()


def read_whole(
    steps: Iterator[Step], inbox: Path, *, settle: float, see: Callable[[Look], Look] = lambda seen: seen
) -> bool:
    """Play a writer against the rule; whether the file was whole when it settled. `see` may dim the eyes."""
    book, root, left, now = Arrivals(settle), open_root(inbox), list(steps), 0.0
    try:
        book.notice(NAME, 0)
        while now < 1000:
            while left and left[0][0] <= now:
                left.pop(0)[1]()
                time.sleep(0.005)  # older kernels stamp files by a clock that ticks every 4 ms
                book.notice(NAME, now)  # every event is heard
            for path in book.take_due(now, 1):
                seen = see(look(root, path, beside=holders(NAME)))
                if seen.kind is Kind.FILE and isinstance(
                    book.enter(path, seen, asked=now, now=now, held=bool(seen.beside)), Settled
                ):
                    return not left
            due = book.next_due
            assert due is not None
            now = min(due, left[0][0]) if left else due
        raise AssertionError("it never settled")
    finally:
        os.close(root)


def without_leases(seen: Look) -> Look:
    return replace(seen, lease=Lease.FREE)


def blind(seen: Look) -> Look:
    return replace(seen, lease=Lease.UNKNOWN)


WRITERS = [
    Writer.cp,
    Writer.holding_it_open_with_pauses,
    Writer.preallocating,
    Writer.mapping,
    Writer.placeholder_and_rename_over,
    Writer.placeholder_without_a_part_beside_it,
    Writer.appending_every_3_seconds,
    Writer.appending_every_8_seconds,
]


@pytest.mark.parametrize("play", WRITERS[:-1])
def test_five_seconds_and_the_lease_read_no_usual_writers_file_half(
    play: Play, writer: Writer, inbox: Path
) -> None:
    assert read_whole(play(writer), inbox, settle=5)


@pytest.mark.parametrize("play", WRITERS)
def test_ten_seconds_and_the_lease_read_nobodys_file_half(play: Play, writer: Writer, inbox: Path) -> None:
    assert read_whole(play(writer), inbox, settle=10)


@pytest.mark.parametrize("play", WRITERS)
def test_where_there_are_no_leases_fifteen_seconds_do(play: Play, writer: Writer, inbox: Path) -> None:
    assert read_whole(play(writer), inbox, settle=5, see=blind)


@pytest.mark.parametrize(
    ("play", "settle"), [(Writer.appending_every_8_seconds, 5), (Writer.appending_every_3_seconds, 2)]
)
def test_a_writer_that_closes_and_comes_back_needs_a_longer_settle(
    play: Play, settle: float, writer: Writer, inbox: Path
) -> None:
    assert not read_whole(play(writer), inbox, settle=settle)


@pytest.mark.parametrize("play", [Writer.holding_it_open_with_pauses, Writer.preallocating, Writer.mapping])
def test_these_writers_are_why_there_is_a_lease(play: Play, writer: Writer, inbox: Path) -> None:
    assert not read_whole(play(writer), inbox, settle=5, see=without_leases)
