"""The vigil: how the daemon is doing in; what systemd hears of it out: READY, STATUS and WATCHDOG=1.

A ping says that the event loop turns, that every watch that should be alive is, and that the journal's thread
answers. Storage that hangs withholds none, since it stops one inbox only; nor does a journal that answers
with an error (a full disk): a restart would mend neither.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from watcherd.clock import Clock
from watcherd.control import EndpointLive, InboxLive, Live
from watcherd.escaping import plain
from watcherd.faults import FaultError
from watcherd.inbox.condition import Condition
from watcherd.journal.store import Journal
from watcherd.systemd import notify, ping_interval

log = structlog.get_logger()

FIRST_WATCH = 10.0  # seconds that READY waits for inboxes: one whose storage hangs keeps nobody waiting
FIRST_LOOK = 0.05
STATUS_EVERY = 5.0  # seconds between two lines
LOOK = 0.5  # seconds between two looks at a watch that has died; the inbox renews it each second
NAMED = 3  # how many inboxes or endpoints a line names
LONGEST = 1000  # characters; a datagram of more than 4096 bytes is not heard at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The daemon at one moment. `blind` names the inboxes whose watch has died and is not renewed yet."""

    live: Live
    in_hand: int
    waiting: int
    blind: Sequence[str] = ()

    @property
    def starting(self) -> bool:
        """Whether any inbox has not been looked at yet."""
        return any(inbox.condition == Condition.STARTING for inbox in self.live.inboxes)


class Vigil:
    """Run it as a task, as long as the daemon is to be called well."""

    def __init__(self, glance: Callable[[], Glance], *, journal: Journal, clock: Clock) -> None:
        self._glance = glance
        self._journal = journal
        self._clock = clock
        self._waits_for = ""
        self._said = ""

    async def run(self) -> None:
        """Say READY once every inbox has been looked at, found or not; then stay true until cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WATCH):
                while self._glance().starting:  # noqa: ASYNC110 - no event says so
                    await asyncio.sleep(FIRST_LOOK)
        self.ready()
        interval = ping_interval()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell())
            if interval is not None:
                tasks.create_task(self._ping(interval))

    def ready(self) -> None:
        """Say that a start or a reload is over, and what is there now."""
        self._said = line(self._glance())
        notify("READY=1", f"STATUS={self._said}")

    async def _tell(self) -> None:
        """Keep the status line true, without a word where nothing changes."""
        while True:
            await asyncio.sleep(STATUS_EVERY)
            now = line(self._glance())
            if now != self._said:
                self._said = now
                notify(f"STATUS={now}")

    async def _ping(self, interval: float) -> None:
        """Ping in every interval in which all is well; a late one comes when all is well again."""
        while True:
            began = self._clock.monotonic()
            await self._see_to_it(interval)
            notify("WATCHDOG=1")
            await asyncio.sleep(max(0.0, began + interval - self._clock.monotonic()))

    async def _see_to_it(self, interval: float) -> None:
        """Wait until all is well, and say in time for what: after the kill there is nobody to ask."""
        well = asyncio.create_task(self._all_is_well())
        try:
            if (await asyncio.wait({well}, timeout=interval / 2))[0]:
                return await well
            log.error(
                "watchdog.withheld",
                waits_for=self._waits_for,
                hint="Unless this ends, systemd kills watcherd and starts it anew.",
            )
            await well
            log.info("watchdog.resumed")
        finally:
            well.cancel()

    async def _all_is_well(self) -> None:
        self._waits_for = "the journal"
        with contextlib.suppress(FaultError):  # an answer, too
            await self._journal.job(0)  # there is none: the cheapest read
        while blind := self._glance().blind:
            self._waits_for = f"the watch of {', '.join(blind)}"
            await asyncio.sleep(LOOK)


def line(glance: Glance) -> str:
    """One line for `systemctl status`: inboxes, jobs, and what is wrong."""
    live = glance.live
    watched = sum(inbox.condition == Condition.WATCHING for inbox in live.inboxes)
    total = len(live.inboxes)
    count = f"{total}" if watched == total else f"{watched} of {total}"
    parts = [
        f"watching {count} {'inbox' if total == 1 else 'inboxes'}{_named(_inboxes(live.inboxes))}",
        f"{glance.in_hand} {'job' if glance.in_hand == 1 else 'jobs'} in hand, {glance.waiting} waiting",
    ]
    if paused := list(_endpoints(live.endpoints)):
        parts.append(f"endpoints paused{_named(paused)}")
    if live.rejected is not None:
        parts.append("the last reload was rejected")
    return "; ".join(parts)[:LONGEST]


def _inboxes(inboxes: Sequence[InboxLive]) -> Iterator[str]:
    for inbox in inboxes:
        if inbox.condition != Condition.WATCHING:
            yield plain(f"{inbox.name}: {inbox.condition}")
        elif inbox.held_since is not None:
            yield plain(f"{inbox.name}: paused by hand")


def _endpoints(endpoints: Sequence[EndpointLive]) -> Iterator[str]:
    for endpoint in endpoints:
        if endpoint.held_since is not None:
            yield plain(f"{endpoint.name}: by hand")
        elif endpoint.paused_until is not None:
            why = "" if endpoint.fault is None else f": {endpoint.fault.message}"
            yield plain(f"{endpoint.name}{why}")


def _named(troubles: Iterator[str] | Sequence[str]) -> str:
    named = list(troubles)
    if not named:
        return ""
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f" ({', '.join(named[:NAMED])}{more})"
