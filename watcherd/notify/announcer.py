"""The announcer: news in, notices on record out. Rim: it draws the names of events.

Of a job the notices go into the journal with its last move. Whatever else is new comes from code that cannot
wait, so it is noted here and recorded at once by the sender, which tries again while the journal fails.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence

from watcherd.clock import Clock
from watcherd.config.model import Folder
from watcherd.job import Delivered, Event, Job
from watcherd.journal.notices import Draft
from watcherd.journal.store import Journal
from watcherd.notify.addressees import addressees
from watcherd.notify.letter import name_of, write
from watcherd.notify.news import EndpointPaused, EndpointResumed, InboxBack, InboxMissing, JobEnded, News


class Announcer:
    """Who is told what. `folders` are those configured now; `wake` is set when there is something to send."""

    def __init__(self, journal: Journal, *, folders: Callable[[], Sequence[Folder]], clock: Clock) -> None:
        self.folders = folders
        self.wake = asyncio.Event()
        self._journal = journal
        self._clock = clock
        self._unrecorded: list[Draft] = []
        self._told: dict[tuple[str, str], str] = {}  # the last event of endpoints and inboxes

    async def recall(self) -> None:
        """Read what was told last, so that a restart tells of no pause twice, and of the end of each."""
        self._told = dict(await self._journal.notices.last_told())

    async def of_move(self, job: Job, event: Event, folder: Folder) -> Sequence[Draft]:
        """What to record with a move to done or failed; nothing with any other."""
        if not isinstance(event, Delivered) or not addressees(JobEnded(job, folder), self.folders()):
            return ()
        return self._drafts(JobEnded(job, folder, await self._journal.answers.seconds_of(job.id)))

    def recorded(self) -> None:
        """Notices have gone on record."""
        self.wake.set()

    def hear(self, news: News) -> None:
        """Tell of an endpoint or an inbox, unless that is what was told of it last."""
        match news:
            case EndpointPaused(name) | EndpointResumed(name):
                place = "endpoint", name
            case InboxMissing(name) | InboxBack(name):
                place = "inbox", name
            case JobEnded():
                raise AssertionError("a job's notices are recorded with its move")
        is_over = isinstance(news, EndpointResumed | InboxBack)
        if self._told.get(place) == name_of(news) or (is_over and place not in self._told):
            return
        drafts = self._drafts(news)
        if drafts:
            self._told[place] = name_of(news)
            self._unrecorded += drafts
            self.wake.set()

    async def record(self) -> None:
        """Put on record what was heard of; raises FaultError, and keeps it, when the journal fails."""
        if drafts := tuple(self._unrecorded):
            await self._journal.notices.add(drafts)
            del self._unrecorded[: len(drafts)]

    def _drafts(self, news: News) -> list[Draft]:
        event_id, at = uuid.uuid4().hex, self._clock.now()
        return [
            Draft(
                event_id=event_id,
                event=name_of(news),
                kind=one.kind,
                inbox=one.folder.name,
                job_id=news.job.id if isinstance(news, JobEnded) else None,
                target=one.shown,
                mark=one.mark,
                body=write(news, event_id=event_id, at=at, folder=one.folder),
                at=at,
            )
            for one in addressees(news, self.folders())
        ]
