"""The keeper of an intake's ground: a tick in, a found, watched and healed inbox and how it stands out.

Every touch of the inbox runs in its own threads, one call at a time, so that storage that stops answering
costs one thread and this inbox's patience, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from enum import StrEnum
from typing import ParamSpec, Protocol, TypeVar

import structlog

from watcherd.clock import Clock
from watcherd.config.model import Folder
from watcherd.inbox.condition import (
    Condition,
    LockedByOtherError,
    Reach,
    Standing,
    scan_interval,
    standing_after,
    watch_limit,
)
from watcherd.inbox.ground import Ground
from watcherd.inbox.rounds import Scanned
from watcherd.inbox.storage import Storage
from watcherd.inbox.watch import Hint
from watcherd.notify.news import InboxBack, InboxMissing, News
from watcherd.place import Place
from watcherd.trouble import Trouble

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

LISTEN = 1.0  # seconds between two questions whether storage that takes its time answers at all
REBUILD = 300.0  # seconds between two attempts to get a whole watch
FAREWELL = 2.0  # seconds that a stop waits for the folder to be let go
MISSES = 3  # files in a row that no event told of before the watch is replaced


class Witness(Protocol):
    """Who hears that an inbox is missing, each time that this is found again, and that it is back."""

    def hear(self, news: News) -> None:
        """Take note; nothing may be waited for."""
        ...


class Tended(StrEnum):
    """What a tick found."""

    AWAY = "away"
    """There is no ground: the inbox is missing, unreadable, somebody else's."""
    SOUND = "sound"
    HEALED = "healed"
    """The watch is a new one; only a scan knows what happened between."""
    NEW = "new"
    """The ground is a new one."""


class Warden:
    """The keeper of one inbox's folder. Not to be used by two tasks at once."""

    def __init__(
        self,
        folder: Folder,
        hints: asyncio.Queue[Hint],
        *,
        inbox: Place | None,
        storage: Storage,
        clock: Clock,
        witness: Witness,
    ) -> None:
        self.ground: Ground | None = None
        self.standing = Standing(Condition.STARTING)
        self.limited = ""
        """Why events do not cover the inbox, and what to do about it."""
        self._folder = folder
        self._inbox = inbox or Place(folder.inbox)
        self._hints = hints
        self._storage = storage
        self._clock = clock
        self._witness = witness
        self._rebuild = float("-inf")
        self._short = 0
        self._misses = 0
        self._inbox_trouble = Trouble()
        self._watch_trouble = Trouble()
        self._rebuild_trouble = Trouble()
        self._log = log.bind(inbox=folder.name)

    @property
    def blind(self) -> bool:
        """Whether a watch has died and nobody renews it, though nothing keeps them from doing so."""
        ground = self.ground
        return ground is not None and not ground.alive and not self._storage.silent

    async def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` in the inbox's threads and wait for it as long as it takes; silence is a condition."""
        future = self._storage.submit(fn, *args, **kwargs)
        try:
            while not (await asyncio.wait({future}, timeout=LISTEN))[0]:
                if self._storage.silent:
                    await self._sit_out()
        except asyncio.CancelledError:
            future.cancel()
            raise
        return future.result()

    async def tend(self) -> Tended:
        """See that ground and watch are sound, heal them; raises OSError and LockedByOtherError."""
        if self._storage.silent:  # a delivery or an upload met it before the folder's own keeper
            await self._sit_out()
        ground = self.ground
        if ground is None:
            return await self._arrive()
        if not await self.call(ground.is_sound):
            self._log.warning("inbox.replaced", path=str(self._folder.inbox))
            await self.leave()
            return await self._arrive()
        if not ground.alive:
            return await self._rewatch(ground, "a thread of the watch has died")
        if self._clock.monotonic() >= self._rebuild:
            if self.limited:
                return await self._rewatch(ground, "not every folder is watched")
            if self._misses >= MISSES:
                return await self._rewatch(ground, "files arrived that no event told of")
        return Tended.SOUND

    async def leave(self) -> None:
        """Let the ground go."""
        ground, self.ground = self.ground, None
        if ground is not None:
            with contextlib.suppress(OSError):  # it is gone either way
                await self.call(ground.close)

    async def bid_farewell(self) -> None:
        """Let the ground go without waiting for storage that does not answer."""
        ground, self.ground = self.ground, None
        if ground is not None:
            with contextlib.suppress(RuntimeError):  # the threads are closed already
                await asyncio.wait({self._storage.submit(ground.close)}, timeout=FAREWELL)

    def settle_in(self, ground: Ground) -> None:
        """The inbox has been read: only now is it said to be watched, and what was wrong to be over."""
        if self.standing.condition is Condition.WATCHING:
            return
        root, by = ground.root, "events" if ground.watching else "scans"
        before, self.standing = self.standing.condition, Standing(Condition.WATCHING)
        if self._inbox_trouble.over():
            self._log.info("inbox.recovered", after=before)
        self._witness.hear(InboxBack(self._folder.name))
        self._log.info("inbox.watching", path=root.real, by=by, file_system=root.reach)
        if not root.locked:
            self._log.warning(
                "inbox.unlockable", path=root.real, hint="Let only one watcherd use this inbox."
            )

    def blame(self, error: OSError | LockedByOtherError) -> None:
        """Take on the condition that an error on the inbox's folder means."""
        self._stand(standing_after(error, self._folder))

    def take_account(self, scanned: Scanned) -> float:
        """Judge the watch by a whole scan; returns the seconds until the next one."""
        ground = self.ground
        assert ground is not None, "scanned without a ground"
        complete = ground.watching and ground.watched(scanned.marked) >= scanned.folders - len(scanned.unread)
        self._short = 0 if complete or not ground.watching else self._short + 1
        if self._short > 1:  # a folder made during the scan is watched by the next one
            self._limit("raise fs.inotify.max_user_watches with sysctl, or set watch: poll")
        elif complete and self._watch_trouble.over():
            self.limited = ""
            self._log.info("watch.recovered", folders=scanned.folders)
        return scan_interval(
            self._folder, reach=ground.root.reach, complete=complete, seconds=scanned.seconds
        )

    def note_missed(self) -> bool:
        """A scan, and no event, told of a file that has settled; True where events were to be expected."""
        ground = self.ground
        if ground is None or not ground.watching or self.limited or ground.root.reach is not Reach.LOCAL:
            return False
        self._misses += 1
        return True

    async def _arrive(self) -> Tended:
        ground = Ground(self._folder, self._hints, inbox=self._inbox)
        self.ground = ground  # before it is open: whatever stops us lets it go
        await self.call(ground.open)
        self._short = self._misses = 0
        self._judge_limit(ground)
        return Tended.NEW

    async def _rewatch(self, ground: Ground, why: str) -> Tended:
        now = self._clock.monotonic()
        if self._rebuild_trouble.met(now):
            self._log.warning("watch.rebuilt", why=why, times=self._rebuild_trouble.count)
        self._rebuild, self._misses = now + REBUILD, 0
        await self.call(ground.rewatch)
        self._judge_limit(ground)
        return Tended.HEALED

    def _judge_limit(self, ground: Ground) -> None:
        if ground.limit is not None:
            self._rebuild = self._clock.monotonic() + REBUILD
            self._limit(watch_limit(ground.limit))

    def _limit(self, hint: str) -> None:
        self.limited = f"events do not cover every folder, so it is scanned more often: {hint}"
        if self._watch_trouble.met(self._clock.monotonic()):
            self._log.warning("watch.limited", hint=hint, times=self._watch_trouble.count)

    def _stand(self, standing: Standing) -> None:
        """Log a condition at once when it is new, then ever more rarely."""
        if self.standing.condition is not standing.condition:
            self._inbox_trouble.over()
        self.standing = standing
        name, condition = self._folder.name, standing.condition
        self._witness.hear(InboxMissing(name, condition, standing.text, standing.hint))
        if self._inbox_trouble.met(self._clock.monotonic()):
            event = f"inbox.{standing.condition.name.lower()}"
            times = self._inbox_trouble.count
            self._log.warning(event, message=standing.text, hint=standing.hint, times=times)

    async def _sit_out(self) -> None:
        """Wait for storage that does not answer; what stood before stands again when it does."""
        before, began = self.standing, self._clock.monotonic()
        text = f"the storage of {self._folder.inbox}, or of its done or failed folder, does not answer"
        self._stand(Standing(Condition.SILENT, text, "Look at the disk, the mount or the server behind it."))
        while self._storage.silent:  # noqa: ASYNC110 - its threads have nobody to tell
            await asyncio.sleep(LISTEN)
        self._inbox_trouble.over()
        self.standing = before
        if before.condition is Condition.WATCHING:
            self._witness.hear(InboxBack(self._folder.name))
        self._log.info("inbox.answered", seconds=round(self._clock.monotonic() - began, 1))
