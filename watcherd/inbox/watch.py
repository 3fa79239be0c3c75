"""watchdog's events turned into hints: a folder's path in, hints on an asyncio queue out. Rim.

Events only wake the scan, which is the truth. What watchdog 7.1 does not tell, or tells only its log, and
what is done about it here: a queue overflow is one warning in its log (hooked); a handler that raises ends
its thread for ever (ours only enqueues); a folder that cannot be watched is left out in silence (`folders`);
dead threads and a replaced root look healthy (`alive`, and the intake compares the root each second).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import warnings
from dataclasses import dataclass

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyEmitter, InotifyObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    FileClosedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
"""Closed alone misses whatever is moved in; Modified is noise: 6,000 events for a copy of 1 GB."""

PAIRING = 0.02
"""Seconds that watchdog may wait for the other half of a rename, and with it for all that follows.

Every delivery takes a file out of the inbox, which has no other half. Those of any other rename stand
side by side in the kernel's queue; should they be parted, they are a file that went and one that came.
"""

_OVERFLOW_LOGGER = "watchdog.observers.inotify_c"


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something happened to a path, relative to the inbox; `before` is what it was called before a rename."""

    path: bytes
    before: bytes | None = None


@dataclass(frozen=True, slots=True)
class Overflowed:
    """Events were lost: only a scan can tell which."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants a scan."""


Hint = Noticed | Overflowed | Asked


class Watch:
    """watchdog on one folder. `start` and `stop` block and belong in the inbox's threads."""

    def __init__(
        self, root: bytes, hints: asyncio.Queue[Hint], loop: asyncio.AbstractEventLoop, *, recursive: bool
    ) -> None:
        self._root = root
        self._recursive = recursive
        self._sink = _Sink(hints, loop)
        self._overflow = _OverflowHook(self._sink)
        self._observer: InotifyObserver | None = None
        # Their text dumps the whole watch table: half a megabyte for one copied tree.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")

    def start(self) -> None:
        """Watch the folder and all below; raises OSError and leaves nothing over (ENOSPC, EMFILE: limits).

        `root` must be free of symbolic links, or watchdog starts and sees nothing.
        """
        logger = logging.getLogger(_OVERFLOW_LOGGER)
        logger.setLevel(logging.WARNING)  # whatever the program's own level: the hook needs it
        logger.addHandler(self._overflow)
        InotifyMoveEventGrouper.delay = PAIRING  # 0.5 by itself; nothing else sets it
        try:
            self._observer = InotifyObserver()
            self._observer.schedule(
                _Handler(self._sink, self._root),
                os.fsdecode(self._root),
                recursive=self._recursive,
                event_filter=EVENTS,
            )
            self._observer.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop watching; joins watchdog's threads. A second call does nothing."""
        logging.getLogger(_OVERFLOW_LOGGER).removeHandler(self._overflow)
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            with contextlib.suppress(RuntimeError):  # it never started
                observer.join()

    @property
    def alive(self) -> bool:
        """Whether every thread that events pass through is there: reader, emitters, dispatcher."""
        observer = self._observer
        if observer is None:
            return False
        reader = observer._inotify_fd  # noqa: SLF001 - nothing public tells whether it lives
        emitters = observer.emitters
        return (
            observer.is_alive()
            and reader.is_alive()
            and bool(emitters)
            and all(e.is_alive() for e in emitters)
        )

    @property
    def folders(self) -> list[bytes]:
        """Folders that are really watched, relative to the root: some are left out in silence."""
        observer = self._observer
        if observer is None:
            return []
        emitters = (emitter for emitter in observer.emitters.copy() if isinstance(emitter, InotifyEmitter))
        start = len(self._root.rstrip(b"/")) + 1
        return [path[start:] for emitter in emitters for path in _watched(emitter)]


class _Sink:
    """Hands hints from watchdog's threads to the event loop."""

    def __init__(self, hints: asyncio.Queue[Hint], loop: asyncio.AbstractEventLoop) -> None:
        self._hints = hints
        self._loop = loop

    def put(self, hint: Hint) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the program is ending
            self._loop.call_soon_threadsafe(self._hints.put_nowait, hint)


class _Handler(FileSystemEventHandler):
    def __init__(self, sink: _Sink, root: bytes) -> None:
        self._sink = sink
        self._prefix = root.rstrip(b"/") + b"/"

    def dispatch(self, event: FileSystemEvent) -> None:
        """Enqueue, and nothing else: an exception here would end watchdog's thread without a word."""
        try:
            for hint in self._hints_of(event):
                self._sink.put(hint)
        except Exception:  # noqa: BLE001 - a thread's outermost frame; the scan finds what was missed
            self._sink.put(Overflowed())

    def _hints_of(self, event: FileSystemEvent) -> list[Hint]:
        if event.is_directory:
            return []  # watchdog tells each file of a folder that appears
        source, target = self._relative(event.src_path), self._relative(event.dest_path)
        if target is None:
            return [] if source is None else [Noticed(source)]
        moved: list[Hint] = [Noticed(target, before=source)]
        return moved if source is None else [Noticed(source), *moved]

    def _relative(self, path: bytes | str) -> bytes | None:
        absolute = os.fsencode(path)
        return absolute[len(self._prefix) :] if absolute.startswith(self._prefix) else None


class _OverflowHook(logging.Handler):
    """watchdog tells of an overflow by one warning in its log and by nothing else."""

    def __init__(self, sink: _Sink) -> None:
        super().__init__(logging.WARNING)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._sink.put(Overflowed())


def _watched(emitter: InotifyEmitter) -> list[bytes]:
    group = emitter._inotify  # noqa: SLF001 - nothing public tells which folders could not be watched
    if group is None:
        return []
    table = group._active_callbacks_by_path.copy()  # noqa: SLF001
    return [path for path, descriptor in table.items() if descriptor != -1]
