"""The sender: notices on record in, hooks started and webhooks called, one task of the daemon.

The hooks of an inbox run one after the other, and so do the requests to one address; nobody waits for anybody
else's. A hook is started once, and again only if the daemon died or stopped under it. A webhook that fails
gets a rest, which grows to five minutes: one request then, however many notices wait, and all of them once it
answers. What is older than a day when it still fails is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

import structlog

from watcherd.clock import Clock
from watcherd.faults import FaultError
from watcherd.journal.notices import Ending, Means, Notice, Notices
from watcherd.notify import addressees, hook
from watcherd.notify.announcer import Announcer
from watcherd.notify.webhook import Post

log = structlog.get_logger()

DAY = 24 * 3600.0  # seconds for which a webhook is tried
RESTS = 2.0, 300.0  # seconds: the first rest and the longest, before jitter
STARTS = 3  # of a hook; the daemon died or stopped in the middle of each
CRASH_REST = 60.0  # seconds after a bug
JOURNAL_WAIT = 5.0  # seconds between two tries of a journal that fails
_NO_MORE = "not configured any more"


def rest(failures: int, uniform: float) -> float:
    """Seconds until the next try after so many failures in a row: full jitter, `uniform` from [0, 1)."""
    first, longest = RESTS
    return min(longest, first * 2.0 ** min(failures - 1, 30)) * uniform


class Sender:
    """Works the journal's notices off, as `announcer` wakes it."""

    def __init__(self, notices: Notices, announcer: Announcer, *, clock: Clock) -> None:
        self._notices = notices
        self._announcer = announcer
        self._clock = clock
        self._wake = announcer.wake
        self._busy: dict[str, asyncio.Task[None]] = {}  # by lane
        self._rests: dict[str, float] = {}  # by lane, until when (monotonic)
        self._failures: Counter[str] = Counter()  # in a row
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Tell what is to be told, until `stop`."""
        async with Post() as post:
            try:
                while not self._stopped.is_set():
                    self._wake.clear()
                    try:
                        until = await self._turn(post)
                    except FaultError:  # the queue says it
                        until = self._clock.monotonic() + JOURNAL_WAIT
                    await self._sleep(until)
                await asyncio.gather(*self._busy.values(), return_exceptions=True)
            finally:
                for task in self._busy.values():
                    task.cancel()

    async def stop(self, grace: float) -> None:
        """Begin nothing more; give running hooks `grace` seconds. What was not told is told after a start."""
        self._stopped.set()
        self._wake.set()
        with contextlib.suppress(FaultError):
            await self._announcer.record()
        tasks = dict(self._busy)
        for lane, task in tasks.items():
            if lane.startswith(Means.WEBHOOK):  # nothing is lost by asking again
                task.cancel()
        if tasks:
            await asyncio.wait(tasks.values(), timeout=grace)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    def retry(self) -> None:
        """Try every webhook at once: something was mended."""
        self._rests.clear()
        self._wake.set()

    async def resting(self) -> bool:
        """Whether nothing is being told, and nothing can be now; raises FaultError."""
        if self._busy or self._wake.is_set():
            return False
        await self._announcer.record()
        waiting = [self._rested(notice.lane) for notice in await self._notices.next()]
        return not any(waiting) and not self._busy

    # The loop.

    async def _turn(self, post: Post) -> float | None:
        """Begin what may begin; returns when to look again."""
        await self._announcer.record()
        for notice in await self._notices.next():
            lane = notice.lane
            if lane not in self._busy and self._rested(lane) and not self._stopped.is_set():
                self._busy[lane] = asyncio.create_task(self._tell(notice, post), name=f"notice {notice.id}")
        now = self._clock.monotonic()
        return min((until for until in self._rests.values() if until > now), default=None)

    def _rested(self, lane: str) -> bool:
        return self._rests.get(lane, float("-inf")) <= self._clock.monotonic()

    async def _sleep(self, until: float | None) -> None:
        seconds = None if until is None else max(0.0, until - self._clock.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _tell(self, notice: Notice, post: Post) -> None:
        """Tell one notice; whatever happens costs its lane a rest, nothing else."""
        try:
            match notice.draft.kind:
                case Means.HOOK:
                    await self._start(notice)
                case Means.WEBHOOK:
                    await self._post(notice, post)
        except FaultError:  # it is told again when the journal works
            self._rests[notice.lane] = self._clock.monotonic() + JOURNAL_WAIT
        except Exception:
            log.exception("notice.crashed", notice=notice.id, target=notice.draft.target)
            self._rests[notice.lane] = self._clock.monotonic() + CRASH_REST
        finally:
            del self._busy[notice.lane]
            self._wake.set()

    # Hooks.

    async def _start(self, notice: Notice) -> None:
        draft = notice.draft
        command = addressees.command(self._announcer.folders(), draft.inbox, draft.event, draft.mark)
        if command is None:
            await self._end(notice, Ending.NOT_CONFIGURED, _NO_MORE)
            return
        line = log.bind(inbox=draft.inbox, job=draft.job_id, hook=draft.target, on=draft.event)
        if notice.attempts >= STARTS:
            problem = f"watcherd ended {STARTS} times in the middle of it"
            line.warning("hook.failed", message=problem)
            await self._end(notice, Ending.FAILED, problem)
            return
        await self._notices.begin(notice)
        began = self._clock.monotonic()
        ended = await hook.run(command, draft.body)
        seconds = round(self._clock.monotonic() - began, 1)
        if ended.problem:
            line.warning("hook.failed", message=ended.problem, seconds=seconds)
        else:
            line.info("hook.done", seconds=seconds)
        ending = Ending.FAILED if ended.problem else Ending.TOLD
        await self._end(notice, ending, ended.problem, ended.output)

    # Webhooks.

    async def _post(self, notice: Notice, post: Post) -> None:
        draft, lane = notice.draft, notice.lane
        webhook = addressees.webhook(self._announcer.folders(), draft.inbox, draft.mark)
        if webhook is None:
            await self._end(notice, Ending.NOT_CONFIGURED, _NO_MORE)
            return
        line = log.bind(inbox=draft.inbox, job=draft.job_id, target=draft.target, on=draft.event)
        await self._notices.begin(notice)
        problem, answer = await post.send(webhook, notice, now=self._clock.now())
        if not problem:
            self._failures.pop(lane, None)
            self._rests.pop(lane, None)
            await self._end(notice, Ending.TOLD)
            line.info("notice.delivered", id=draft.event_id, attempt=notice.attempts + 1)
            return
        self._failures[lane] += 1
        now, draw = self._clock.now(), random.random()  # noqa: S311 - jitter, not a secret
        seconds = rest(self._failures[lane], draw)
        self._rests[lane] = self._clock.monotonic() + seconds
        say = line.warning if self._failures[lane] == 1 else line.debug
        say("notice.postponed", id=draft.event_id, message=problem, seconds=round(seconds, 1))
        await self._notices.postpone(notice, until=now + seconds, detail=problem, output=answer)
        given_up = await self._notices.give_up(lane, made_before=now - DAY, now=now)
        if given_up:
            line.warning("notice.given_up", message=problem, notices=given_up)

    async def _end(self, notice: Notice, ending: Ending, detail: str = "", output: str = "") -> None:
        await self._notices.end(notice, ending, now=self._clock.now(), detail=detail, output=output)
