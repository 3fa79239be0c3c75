from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from watchdog.events import DirMovedEvent, FileCreatedEvent
from watchdog.observers import inotify_c

from tests.inbox.support import eventually, run
from watcherd.inbox import watch as watches
from watcherd.inbox.watch import Hint, Noticed, Overflowed, Watch


class Heard:
    """Every hint so far."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Hint] = asyncio.Queue()
        self._hints: list[Hint] = []

    @property
    def hints(self) -> list[Hint]:
        while not self.queue.empty():
            self._hints.append(self.queue.get_nowait())
        return self._hints

    @property
    def paths(self) -> set[bytes]:
        return {hint.path for hint in self.hints if isinstance(hint, Noticed)}


@asynccontextmanager
async def watching(inbox: Path, *, recursive: bool = True) -> AsyncIterator[tuple[Watch, Heard]]:
    heard = Heard()
    watch = Watch(os.fsencode(inbox), heard.queue, asyncio.get_running_loop(), recursive=recursive)
    watch.start()
    try:
        yield watch, heard
    finally:
        watch.stop()


def overflow(watch: Watch, inbox: Path) -> None:
    """Hold watchdog's reader up while more events happen than the kernel's queue takes."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    assert watch._observer is not None
    (emitter,) = watch._observer.emitters
    with emitter._inotify._lock:  # type: ignore[attr-defined]  # the private lock that the reader needs
        for _ in range(limit // 2 + 3000):
            for name in ("a", "b"):
                os.close(os.open(inbox / name, os.O_CREAT | os.O_WRONLY))


async def test_a_written_file_is_heard_of(inbox: Path) -> None:
    async with watching(inbox) as (watch, heard):
        (inbox / "a.mp3").write_bytes(b"sound")
        await eventually(lambda: heard.paths == {b"a.mp3"})
        assert watch.alive
        assert len(watch.folders) == 1


async def test_files_in_new_folders_are_heard_of(inbox: Path) -> None:
    async with watching(inbox) as (watch, heard):
        (inbox / "one" / "two").mkdir(parents=True)
        (inbox / "one" / "two" / "a.mp3").write_bytes(b"sound")
        await eventually(lambda: b"one/two/a.mp3" in heard.paths)
        await eventually(lambda: set(watch.folders) == {b"", b"one", b"one/two"})


async def test_without_recursion_folders_below_are_not(inbox: Path) -> None:
    (inbox / "one").mkdir()
    async with watching(inbox, recursive=False) as (watch, heard):
        (inbox / "one" / "a.mp3").write_bytes(b"sound")
        (inbox / "b.mp3").write_bytes(b"sound")
        await eventually(lambda: heard.paths == {b"b.mp3"})
        assert len(watch.folders) == 1


async def test_a_folder_moved_in_tells_its_files_and_what_is_written_there_later(
    inbox: Path, tmp_path: Path
) -> None:
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "a.mp3").write_bytes(b"sound")
    async with watching(inbox) as (_, heard):
        (tmp_path / "talks").rename(inbox / "talks")
        await eventually(lambda: b"talks/a.mp3" in heard.paths)
        (inbox / "talks" / "b.mp3").write_bytes(b"sound")
        await eventually(lambda: b"talks/b.mp3" in heard.paths)


async def test_a_rename_tells_both_names(inbox: Path) -> None:
    (inbox / "a.mp3.part").write_bytes(b"sound")
    async with watching(inbox) as (_, heard):
        (inbox / "a.mp3.part").rename(inbox / "a.mp3")
        await eventually(lambda: Noticed(b"a.mp3", before=b"a.mp3.part") in heard.hints)
        assert Noticed(b"a.mp3.part") in heard.hints


@pytest.mark.parametrize("name", [b"caf\xe9\xff.mp3", b"a\nb.mp3", b"x" * 251 + b".mp3"])
async def test_names_are_bytes(inbox: Path, name: bytes) -> None:
    async with watching(inbox) as (_, heard):
        os.close(os.open(os.fsencode(inbox) + b"/" + name, os.O_CREAT | os.O_WRONLY))
        await eventually(lambda: heard.paths == {name})


async def test_reading_and_writing_make_no_noise(inbox: Path) -> None:
    (inbox / "a.mp3").write_bytes(b"sound")
    with (inbox / "a.mp3").open("ab") as writer:
        async with watching(inbox) as (_, heard):
            (inbox / "a.mp3").read_bytes()
            writer.write(b"more")
            writer.flush()
            (inbox / "marker.mp3").touch()
            await eventually(lambda: b"marker.mp3" in heard.paths)
            assert heard.paths == {b"marker.mp3"}


async def test_a_handler_that_fails_asks_for_a_scan_and_stays_alive(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(inbox) as (watch, heard):
        with monkeypatch.context() as patch:
            patch.setattr(watches._Handler, "_relative", lambda *_: 1 / 0)
            (inbox / "a.mp3").touch()
            await eventually(lambda: Overflowed() in heard.hints)
        (inbox / "b.mp3").touch()
        await eventually(lambda: b"b.mp3" in heard.paths)
        assert watch.alive


def test_a_hint_for_a_loop_that_is_gone_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    handler = watches._Handler(watches._Sink(asyncio.Queue(), loop), b"/in")
    handler.dispatch(FileCreatedEvent("/in/a.mp3"))


async def test_events_of_folders_and_from_elsewhere_are_no_hints() -> None:
    heard = Heard()
    handler = watches._Handler(watches._Sink(heard.queue, asyncio.get_running_loop()), b"/in")
    handler.dispatch(DirMovedEvent("/in/a", "/in/b"))
    handler.dispatch(FileCreatedEvent("/inbox/a.mp3"))
    await asyncio.sleep(0)
    assert heard.hints == []


async def test_an_overflow_of_the_kernels_queue_is_heard_of_and_survived(inbox: Path) -> None:
    async with watching(inbox) as (watch, heard):
        overflow(watch, inbox)
        await eventually(lambda: Overflowed() in heard.hints)
        for number in count():  # its own watches are a moment late
            (inbox / f"{number}.mp3").touch()
            await asyncio.sleep(0.05)
            if heard.paths - {b"a", b"b"}:
                break
        assert watch.alive


async def test_other_warnings_are_no_overflow(inbox: Path) -> None:
    async with watching(inbox) as (_, heard):
        logging.getLogger("watchdog.observers.inotify_c").warning("something else")
        (inbox / "a.mp3").touch()
        await eventually(lambda: b"a.mp3" in heard.paths)
        assert Overflowed() not in heard.hints


async def test_the_hook_hears_whatever_level_watchdog_is_set_to(inbox: Path) -> None:
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
    try:
        async with watching(inbox) as (_, heard):
            logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
            await eventually(lambda: Overflowed() in heard.hints)
    finally:
        logging.getLogger("watchdog").setLevel(logging.NOTSET)


async def test_stopping_leaves_no_thread_no_descriptor_and_no_hook(inbox: Path) -> None:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    async with watching(inbox) as (watch, _):
        assert threading.active_count() > threads
    watch.stop()
    assert not watch.alive
    assert len(watch.folders) == 0
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert logging.getLogger("watchdog.observers.inotify_c").handlers == []


async def test_a_folder_that_is_not_there_raises_and_leaves_nothing_over(tmp_path: Path) -> None:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        async with watching(tmp_path / "none"):
            pass
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert logging.getLogger("watchdog.observers.inotify_c").handlers == []


def limited_to(folders: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the kernel refuse after so many watches, as it does at max_user_watches; returns the undoing."""
    real, given = inotify_c.inotify_add_watch, [0]

    def add(descriptor: int, path: bytes, mask: int) -> int:
        given[0] += 1
        if given[0] > folders:
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return real(descriptor, path, mask)

    monkeypatch.setattr(inotify_c, "inotify_add_watch", add)
    return lambda: monkeypatch.setattr(inotify_c, "inotify_add_watch", real)


async def test_folders_over_the_limit_are_missing_from_the_count(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (inbox / str(number)).mkdir()
    limited_to(3, monkeypatch)
    async with watching(inbox) as (watch, _):
        assert watch.alive
        assert len(watch.folders) == 3


async def test_a_root_over_the_limit_raises_and_leaves_nothing_over(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    limited_to(0, monkeypatch)
    with pytest.raises(OSError, match="watch limit") as raised:
        async with watching(inbox):
            pass
    assert raised.value.errno == errno.ENOSPC
    assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_a_removed_root_ends_the_watch_and_shows(inbox: Path) -> None:
    async with watching(inbox) as (watch, _):
        inbox.rmdir()
        await eventually(lambda: not watch.alive)


@pytest.mark.parametrize("thread", ["reader", "emitter", "dispatcher"])
async def test_any_dead_thread_shows(inbox: Path, thread: str) -> None:
    async with watching(inbox) as (watch, _):
        observer = watch._observer
        assert observer is not None
        (emitter,) = observer.emitters
        victim: Any = {"reader": observer._inotify_fd, "emitter": emitter, "dispatcher": observer}[thread]
        if thread == "dispatcher":
            observer._stopped_event.set()
            observer.event_queue.put(observer.stop_event)
        else:
            victim.stop()
        await eventually(lambda: not victim.is_alive())
        assert not watch.alive


async def test_copied_trees_are_heard_of(inbox: Path, tmp_path: Path) -> None:
    for folder in range(10):
        (tmp_path / "tree" / str(folder)).mkdir(parents=True)
        for number in range(50):
            (tmp_path / "tree" / str(folder) / f"{number}.mp3").write_bytes(b"sound")
    async with watching(inbox) as (watch, heard):
        await run("cp", "-r", tmp_path / "tree", inbox)
        await eventually(lambda: len(heard.paths) == 500)
        assert watch.alive


async def test_watchdogs_warnings_about_its_own_table_stay_unsaid(inbox: Path) -> None:
    """A copied tree may make it watch a folder twice, which it warns of with a dump of every watch."""
    async with watching(inbox) as (watch, _):
        assert watch._observer is not None
        (emitter,) = watch._observer.emitters
        group = emitter._inotify  # type: ignore[attr-defined]  # its private table
        with warnings.catch_warnings(record=True) as caught:
            group._add_callback(os.fsencode(inbox))
        assert caught == []
