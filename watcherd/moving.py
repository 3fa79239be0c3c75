"""Moving: a job and what happened to it in, the job as it is now out: on record first, then told.

The one caller of `step`. Who hears of a move (log, listener, hooks) hears of what is on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from watcherd.clock import Clock
from watcherd.config.model import Folder
from watcherd.job import FINAL, Event, Job, State, step
from watcherd.journal.notices import Draft
from watcherd.journal.store import Journal, Move
from watcherd.notify.announcer import Announcer
from watcherd.pipeline.telling import Teller

Listener = Callable[[Job, Event], None]


class Mover:
    """Moves jobs. `listener` hears of every move, and `announcer` of those that hooks are told of."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        listener: Listener | None = None,
        announcer: Announcer | None = None,
    ) -> None:
        self.finished: Counter[State] = Counter()  # final states reached since the start
        self._journal = journal
        self._listener = listener
        self._announcer = announcer
        self._teller = Teller(clock)

    async def move(self, job: Job, *events: Event, folder: Folder | None = None) -> Job:
        """Move a job by events, which are recorded together; returns it after the last.

        Hooks of `folder` hear of it. Raises FaultError where the journal fails, and StaleMoveError.
        """
        moves = []
        for event in events:
            before, job = job, step(job, event)
            moves.append(Move(before, job, event, await self._notices(job, event, folder)))
        await self._journal.record(*moves)
        for move in moves:
            self._tell(move)
        return job

    async def _notices(self, job: Job, event: Event, folder: Folder | None) -> Sequence[Draft]:
        if self._announcer is None or folder is None:
            return ()
        return await self._announcer.of_move(job, event, folder)

    def _tell(self, move: Move) -> None:
        job = move.after
        if self._announcer is not None and move.notices:
            self._announcer.recorded()
        if job.state in FINAL:
            self.finished[job.state] += 1
        self._teller.tell(job, move.event)
        if self._listener is not None:
            self._listener(job, move.event)
