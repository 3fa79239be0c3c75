"""The running inbox: hints, walks and looks in, settled files out through `Desk.admit`. One asyncio task.

Watch first, then scan: nothing falls between the two. One task waits for all of it, one call into the inbox's
threads at a time; `warden` keeps the folder itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import assert_never

import structlog

from watcherd.clock import Clock
from watcherd.config.model import Folder
from watcherd.faults import Fault, FaultError
from watcherd.inbox.accept import MARKER, accept, was_partial
from watcherd.inbox.accept import Kind as NameKind
from watcherd.inbox.arrivals import Arrivals
from watcherd.inbox.complaints import Complaints
from watcherd.inbox.condition import Condition, InboxState, LockedByOtherError, Waiting
from watcherd.inbox.desk import Desk, Inquiry, Meter, Window
from watcherd.inbox.ground import Ground
from watcherd.inbox.pace import Pace
from watcherd.inbox.reconcile import (
    Arrived,
    Changed,
    Found,
    Gone,
    Listing,
    asks_for_kept,
    idle,
    reconcile,
)
from watcherd.inbox.rounds import Rounds
from watcherd.inbox.scan import Walk
from watcherd.inbox.settle import Kind, Look, Note, Settled
from watcherd.inbox.storage import Storage
from watcherd.inbox.warden import Tended, Warden
from watcherd.inbox.watch import Asked, Hint, Noticed, Overflowed
from watcherd.job import Identity, Job
from watcherd.place import Place
from watcherd.trouble import Trouble

log = structlog.get_logger()

TICK = 1.0  # seconds between two looks at the inbox's own folder
RETRY = 5.0  # seconds after a fault of the desk
AFTER_OVERFLOW = 1.0  # seconds after which watchdog has rebuilt its own watches
AFTER_WITHDRAWAL = 1.0  # seconds until a changed file is offered again: its old job must be gone
LOOKS = 64  # paths in one call; what has settled starts while the next ones are looked at
HINTS = 2000  # hints in one turn
FLOOD = 20_000  # hints beyond which a scan is cheaper

_WITHDRAWN = {Kind.IGNORED: "ignored", Kind.COVERED: "covered"}
"""Why a job is withdrawn whose file is none any more; `vanished` where nothing else is to be said."""


class Intake:
    """One inbox at work, opened as `inbox`. `run` it as a task; the rest may be read any time on its loop."""

    def __init__(
        self,
        folder: Folder,
        *,
        storage: Storage,
        desk: Desk,
        clock: Clock,
        inbox: Place | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.surveyed = asyncio.Event()
        """Set once the first scan is over, or has to wait for something that is in trouble."""
        self._meter = meter or Meter()
        self._folder = folder
        self._window = Window(desk, folder)
        self._clock = clock
        self._hints: asyncio.Queue[Hint] = asyncio.Queue()
        self._warden = Warden(folder, self._hints, inbox=inbox, storage=storage, clock=clock, witness=desk)
        self._arrivals = Arrivals(folder.settle)
        self._complaints = Complaints(self._arrivals, folder.name)
        self._pace = Pace()
        self._rounds = Rounds(clock.monotonic())
        self._walk: Walk | None = None
        self._tick = float("-inf")
        self._scanned_at: float | None = None
        self._missed = 0
        self._troubles: defaultdict[str, Trouble] = defaultdict(Trouble)
        self._log = log.bind(inbox=folder.name)

    # For everyone else.

    @property
    def state(self) -> InboxState:
        """A snapshot for the status."""
        warden = self._warden
        ahead = self._clock.now() - self._clock.monotonic()
        return InboxState(
            name=self._folder.name,
            standing=warden.standing,
            live=warden.ground is not None and warden.ground.watching,
            blind=warden.blind,
            limited=warden.limited,
            arrivals=tuple(
                Waiting(entry.arrival.path, entry.arrival.since + ahead, entry.note)
                for entry in self._arrivals
            ),
            missed_by_events=self._missed,
            scanned=self._rounds.last,
            scanned_at=self._scanned_at,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing more comes by itself: all is scanned and nothing settles, or it is out of reach."""
        condition = self._warden.standing.condition
        if condition is not Condition.WATCHING:
            return condition is not Condition.STARTING
        scanned = self._rounds.last is not None and not self._rounds.under_way
        return scanned and self._hints.empty() and not self._arrivals.passing

    @property
    def held(self) -> bool:
        """Whether something was not handed over: an arrival, a folder, or the inbox as a whole."""
        watching = self._warden.standing.condition is Condition.WATCHING
        last = self._rounds.last
        return not watching or len(self._arrivals) > 0 or (last is not None and bool(last.unread))

    def rescan(self) -> None:
        """Walk through the inbox at once."""
        self._hints.put_nowait(Asked())

    async def run(self) -> None:
        """Serve until cancelled. Trouble with the inbox or the desk is said and waited out, never raised."""
        try:
            while True:
                try:
                    await self._turn()
                except (OSError, LockedByOtherError) as error:
                    self._forget()
                    await self._warden.leave()
                    self._warden.blame(error)
                    self.surveyed.set()
                except FaultError as error:
                    self._put_off(error.fault)
                    self.surveyed.set()
                await self._rest()
        finally:
            await self._warden.bid_farewell()

    # The loop.

    async def _turn(self) -> None:
        now = self._clock.monotonic()
        if now >= self._tick:
            self._tick = now + TICK
            await self._tend()
        self._take_hints()
        ground = self._warden.ground
        if ground is not None:
            await self._advance_scan(ground)
            await self._look_around(ground)

    async def _rest(self) -> None:
        """Sleep until a hint comes, a look or a scan is due, or the next tick."""
        times = [self._tick]
        if self._warden.ground is not None:
            times += [float("-inf") if self._rounds.under_way else self._rounds.due]
            due = self._arrivals.next_due
            times += [] if due is None else [max(due, self._pace.due)]
        seconds = min(times) - self._clock.monotonic()
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                self._hints.put_nowait(await self._hints.get())

    async def _tend(self) -> None:
        tended = await self._warden.tend()
        now = self._clock.monotonic()
        if tended is Tended.NEW:
            self._forget()
            self._rounds = Rounds(now)
        elif tended is Tended.HEALED:
            self._rounds.request(now)

    def _forget(self) -> None:
        """What was seen of one folder says nothing about another in its place."""
        self._walk = None
        self._arrivals.clear()

    def _put_off(self, fault: Fault) -> None:
        """The desk is in trouble: what it did not take comes again."""
        now = self._clock.monotonic()
        if self._troubles["desk"].met(now):
            self._log.warning("arrivals.postponed", message=fault.message, hint=fault.hint)
        self._walk = None
        self._rounds.interrupt(now + RETRY)

    # Hints.

    def _take_hints(self) -> None:
        now = self._clock.monotonic()
        if self._hints.qsize() > FLOOD:
            while not self._hints.empty():
                self._hints.get_nowait()
            self._rounds.request(now)
        for _ in range(min(self._hints.qsize(), HINTS)):
            hint = self._hints.get_nowait()
            match hint:
                case Noticed(path, before):
                    self._hear_of(path, before, now)
                case Overflowed():
                    if self._troubles["overflow"].met(now):
                        self._log.warning("watch.overflowed", times=self._troubles["overflow"].count)
                    self._rounds.request(now + AFTER_OVERFLOW)
                case Asked():
                    self._rounds.request(now)
                case _ as unreachable:
                    assert_never(unreachable)

    def _hear_of(self, path: bytes, before: bytes | None, now: float) -> None:
        """An event: a path worth a look is noticed; a job's path too, its file may be gone."""
        if path.rpartition(b"/")[2] == MARKER:
            self._rounds.request(now)  # jobs of files below it are withdrawn
        ground = self._warden.ground
        if ground is None or accept(path, rules=ground.rules).kind is not NameKind.MEDIA:
            return
        self._arrivals.notice(path, now, renamed=before is not None and was_partial(before))

    # Scans.

    async def _advance_scan(self, ground: Ground) -> None:
        """One step of the walk, so that hints and looks go on meanwhile."""
        began = self._clock.monotonic()
        if self._walk is None:
            if began < self._rounds.due:
                return
            self._walk = Walk(ground.root.fd, ground.rules)
            if self._rounds.last is None:
                await self._window.learn()
            self._rounds.begin(self._window.folders, self._clock.now())
        listings = await self._warden.call(self._walk.step)
        self._warden.settle_in(ground)
        for listing in listings:
            await self._compare(ground, listing)
            self._rounds.visit(listing)
            self._say_unread(listing)
        self._rounds.spend(self._clock.monotonic() - began)
        if not listings:
            await self._finish_scan(ground)

    async def _finish_scan(self, ground: Ground) -> None:
        for folder in self._rounds.vanished:
            await self._compare(ground, Listing(folder=folder))
        self._walk = None
        scanned = self._rounds.finish()
        self._scanned_at = self._clock.now()
        self.surveyed.set()
        self._rounds.plan(self._clock.monotonic() + self._warden.take_account(scanned))
        self._troubles["desk"].over()
        if not scanned.unread and self._troubles["unread"].over():
            self._log.info("folder.recovered", folders=scanned.folders)
        self._log.debug("inbox.scanned", seconds=round(scanned.seconds, 3), files=scanned.files)

    async def _compare(self, ground: Ground, listing: Listing) -> None:
        """One folder against its open jobs and kept files. Where none can be, nobody is asked."""
        folder, gone = listing.folder, []
        if not listing.files and folder not in self._window.folders:
            return
        rows = await self._window.jobs_in(folder)
        kept = await self._window.kept_in(folder) if asks_for_kept(listing, rows) else {}
        now = self._clock.monotonic()
        for action in reconcile(listing, rows, kept):
            match action:
                case Arrived(found):
                    self._come_upon(found, now, is_new=found.path not in kept)
                case Changed(job, found):
                    await self._window.withdraw(job, "changed")
                    self._arrivals.notice(found.path, now)
                case Gone(job):
                    gone.append(job)
                case _ as unreachable:
                    assert_never(unreachable)
        if gone:
            await self._miss(ground, gone)

    def _come_upon(self, found: Found, now: float, *, is_new: bool) -> None:
        """A scan found a file without a job: new, or another one than the last look saw."""
        entry = self._arrivals.get(found.path)
        if entry is None:
            missed = is_new and self._rounds.tells_first_of(found)
            self._arrivals.notice(found.path, now, missed=missed)
            return
        seen = entry.arrival.look
        if seen is not None and (seen.identity != found.identity or entry.arrival.held != found.held):
            self._arrivals.notice(found.path, now, missed=True)

    async def _miss(self, ground: Ground, jobs: Sequence[Job]) -> None:
        """A listing lacks jobs' files. Looks have the last word: a busy folder's listing may lack a name."""
        looks = await self._warden.call(ground.look_at, [job.path for job in jobs])
        for job, seen in zip(jobs, looks, strict=True):
            if seen.kind is not Kind.FILE:
                await self._window.withdraw(job, _WITHDRAWN.get(seen.kind, "vanished"))
            elif seen.identity is not None and seen.identity != job.identity:
                await self._window.withdraw(job, "changed")
                self._arrivals.notice(job.path, self._clock.monotonic())

    def _say_unread(self, listing: Listing) -> None:
        if listing.error and self._troubles["unread"].met(self._clock.monotonic()):
            times = self._troubles["unread"].count
            self._log.warning("folder.unreadable", folder=listing.folder, error=listing.error, times=times)

    # Looks, and what they lead to.

    async def _look_around(self, ground: Ground) -> None:
        """Look at what is due; hand over what has settled, in the order of the names, and all at once."""
        asked = self._clock.monotonic()
        paths = self._arrivals.take_due(asked, LOOKS) if asked >= self._pace.due else []
        if not paths:
            return
        looks = await self._warden.call(ground.look_at, paths)
        inquiry, settled = Inquiry(self._window), {}
        for path, seen in zip(paths, looks, strict=True):
            if (outcome := await self._weigh(path, seen, inquiry, asked)) is not None:
                settled[path] = outcome.identity
        handing = [self._hand_over(path, settled[path]) for path in sorted(settled)]
        for ended in await asyncio.gather(*handing, return_exceptions=True):
            if ended is not None:
                raise ended
        self._pace.looked(began=asked, now=self._clock.monotonic(), plenty=self._window.has_plenty)

    async def _weigh(self, path: bytes, seen: Look, inquiry: Inquiry, asked: float) -> Settled | None:
        """Enter one look. A job of the same file ends the arrival; one of another file has to go first."""
        job = await inquiry.job_of(path)
        if await self._needs_nothing(path, seen, job, inquiry):
            self._arrivals.drop(path)
            return None
        if job is not None and idle(job) and seen.identity is not None:
            await self._window.withdraw(job, "changed")
        entry = self._arrivals.get(path)
        if entry is not None and entry.arrival.look is None:
            self._log.info("arrival.noticed", file=path)
            self._meter.noticed(self._folder.name)
        now = self._clock.monotonic()
        outcome = self._arrivals.enter(path, seen, asked=asked, now=now, held=bool(seen.beside))
        if outcome is not None and job is not None:
            self._arrivals.wait(path, now + AFTER_WITHDRAWAL, Note.TAKEN)
            return None
        if outcome is not None and await inquiry.is_kept(path, outcome.identity):
            self._arrivals.drop(path)
            return None
        self._complaints.hear(path, seen, now)
        return outcome

    async def _needs_nothing(self, path: bytes, seen: Look, job: Job | None, inquiry: Inquiry) -> bool:
        """Whether a look ends the arrival: it is no file to be had, one with its job, or a kept one.

        What is kept is asked at the first look, and when the file has settled: a copy may bring the old time
        stamps in the end.
        """
        if seen.kind is not Kind.FILE:
            if job is not None and idle(job):
                await self._window.withdraw(job, _WITHDRAWN.get(seen.kind, "vanished"))
            return True
        if job is not None:
            return job.identity == seen.identity
        entry = self._arrivals.get(path)
        looked = entry is not None and entry.arrival.look is not None
        return not looked and seen.identity is not None and await inquiry.is_kept(path, seen.identity)

    async def _hand_over(self, path: bytes, identity: Identity) -> None:
        await self._window.admit(path, identity)
        entry = self._arrivals.drop(path)
        self._troubles["desk"].over()
        if entry is not None:
            seconds = self._clock.monotonic() - entry.arrival.since
            self._log.debug("arrival.settled", file=path, bytes=identity.size, seconds=round(seconds, 1))
            missed = entry.missed and self._warden.note_missed()
            self._missed += missed
            self._meter.settled(self._folder.name, seconds, missed=missed)
