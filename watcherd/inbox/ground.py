"""An inbox's folder together with its watch: opened, checked and let go as one. Rim; every method blocks.

A stop may come while opening is still blocked in another thread, so each method holds the lock: whatever an
opening brought is let go by the closing that follows it.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Collection, Sequence

from watcherd.config.model import Folder
from watcherd.inbox import root as roots
from watcherd.inbox.accept import Kind, Rules, accept_folder, covers, holders, rules_of
from watcherd.inbox.condition import Reach
from watcherd.inbox.root import Root
from watcherd.inbox.rounds import below
from watcherd.inbox.settle import Look
from watcherd.inbox.touch import look
from watcherd.inbox.watch import Hint, Watch
from watcherd.place import Place

_LIMITS = {errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Ground:
    """Where an intake stands. Made on the event loop; `open` it in a thread, once."""

    def __init__(self, folder: Folder, hints: asyncio.Queue[Hint], *, inbox: Place) -> None:
        self._folder = folder
        self._inbox = inbox
        self._hints = hints
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._closed = False
        self._root: Root | None = None
        self._watch: Watch | None = None
        self.limit: OSError | None = None
        """Why there is no watch, where the system's limits forbid it."""

    def open(self) -> None:
        """Open, lock and watch it; raises OSError and LockedByOtherError, and wants closing then too."""
        with self._lock:
            if self._closed:
                return
            folder = self._folder
            targets = () if folder.stays else (folder.done, folder.failed)
            self._root = roots.take(self._inbox, targets=targets)
            self._start_watch()

    def is_sound(self) -> bool:
        """Whether the configured path still leads here; raises OSError where it cannot be read at all."""
        with self._lock:
            return self._root is not None and roots.is_current(self._root, self._inbox)

    def rewatch(self) -> None:
        """Replace the watch by a new one; raises OSError."""
        with self._lock:
            if self._root is not None:
                self._stop_watch()
                self._start_watch()

    def look_at(self, paths: Sequence[bytes]) -> list[Look]:
        """Look at each path, with the names beside it that would hold or cover it."""
        rules, leases = self.rules, self.root.reach is not Reach.REMOTE
        looks = []
        for path in paths:
            name = path.rpartition(b"/")[2]
            beside, cover = holders(name), covers(name, rules)
            looks.append(look(self.root.fd, path, beside=beside, covers=cover, leases=leases))
        return looks

    def close(self) -> None:
        """Stop watching, close the folder and unlock it. A second call does nothing."""
        with self._lock:
            self._closed = True
            self._let_go()

    @property
    def root(self) -> Root:
        """The open folder; only after `open`."""
        assert self._root is not None, "the ground is not open"
        return self._root

    @property
    def rules(self) -> Rules:
        """Which names count, in this folder."""
        return rules_of(self._folder, self.root.own)

    @property
    def watching(self) -> bool:
        """Whether there is a watch at all; scanning alone may be the setting, or forced by a limit."""
        return self._watch is not None

    @property
    def alive(self) -> bool:
        """Whether the watch, if there is one, still works."""
        return self._watch is None or self._watch.alive

    def watched(self, marked: Collection[bytes]) -> int:
        """How many of the folders that a scan meets are watched.

        Done, failed and foreign folders are not met, and neither is what lies below the `marked` ones.
        """
        rules = self.rules
        watched = [] if self._watch is None else self._watch.folders
        return sum(
            not folder
            or (accept_folder(folder, rules=rules).kind is Kind.MEDIA and not below(folder, marked))
            for folder in watched
        )

    def _start_watch(self) -> None:
        self.limit = None
        if self._folder.watch == "poll":
            return
        watch = Watch(self.root.real, self._hints, self._loop, recursive=self._folder.recursive)
        try:
            watch.start()
        except OSError as error:
            if error.errno not in _LIMITS:
                raise
            self.limit = error
        else:
            self._watch = watch

    def _stop_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def _let_go(self) -> None:
        self._stop_watch()
        root, self._root = self._root, None
        if root is not None:
            root.close()
