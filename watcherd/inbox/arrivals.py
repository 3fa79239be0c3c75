"""The book of arrivals: what was noticed and is not settled, and when to look at each again. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace

from watcherd.inbox import settle
from watcherd.inbox.settle import PASSING, SPACING, Arrival, Look, Note, Settled

UNHANDLED = 30.0  # seconds after which a look that was asked for and never entered is asked for again


@dataclass(slots=True)
class Entry:
    """One arrival in the book. `missed` says that no event told of it, `told` what was logged about it."""

    arrival: Arrival
    due: float
    note: Note = Note.SETTLING
    missed: bool = False
    told: frozenset[Note] = frozenset()


class Arrivals:
    """Every arrival of one inbox by path, looks due in order of time. `settle` is the folder's setting."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._entries: dict[bytes, Entry] = {}
        self._again: list[tuple[float, bytes]] = []  # looks due at what was looked at before
        self._first: list[tuple[float, bytes]] = []  # and at what was not

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, path: bytes) -> Entry | None:
        """The entry of a path, if it is in the book."""
        return self._entries.get(path)

    def notice(self, path: bytes, now: float, *, renamed: bool = False, missed: bool = False) -> None:
        """Enter a path, or have it looked at again soon.

        `renamed` is a rename from a partial name, which puts another file under this one: its clock starts
        anew. An event for a path that only a scan had found clears `missed`: it was late, not lost.
        """
        entry = self._entries.get(path)
        if entry is None:
            arrival = settle.noticed(path, now, renamed=renamed)
            self._entries[path] = Entry(arrival, now, missed=missed)
            self._put(path, now)
            return
        if renamed:
            entry.arrival = replace(settle.noticed(path, now, renamed=True), since=entry.arrival.since)
        entry.missed = entry.missed and missed
        self._put(path, max(now, entry.arrival.looked + SPACING) if entry.arrival.look else now)

    def take_due(self, now: float, limit: int) -> list[bytes]:
        """Paths to look at now. One that is never entered comes again: an error on the way loses nothing.

        Half of the looks are for what was looked at before, if there is so much: what has settled need not
        wait until all that came with it was seen once.
        """
        paths = self._taken(self._again, now, limit // 2)
        paths += self._taken(self._first, now, limit - len(paths))
        return paths + self._taken(self._again, now, limit - len(paths))

    def enter(self, path: bytes, look: Look, *, asked: float, now: float, held: bool) -> Settled | None:
        """Enter a look at a plain file, asked for at one time and answered at another.

        Settled when it has finished arriving; it stays in the book until it is dropped.
        """
        entry = self._entries.get(path)
        if entry is None:
            return None
        entry.arrival = settle.observe(entry.arrival, look, asked=asked, now=now, held=held)
        outcome = settle.verdict(entry.arrival, self._settle)
        if isinstance(outcome, Settled):
            return outcome
        self.wait(path, outcome.when, outcome.note)
        return None

    def wait(self, path: bytes, when: float, note: Note) -> None:
        """Put a path off, and say why."""
        entry = self._entries[path]
        entry.note = note
        self._put(path, when)

    def drop(self, path: bytes) -> Entry | None:
        """Take a path out of the book."""
        return self._entries.pop(path, None)

    def clear(self) -> None:
        """Forget everything: the folder under it is gone or another one."""
        self._entries.clear()
        self._again.clear()
        self._first.clear()

    @property
    def next_due(self) -> float | None:
        """When the next look is due."""
        for queue in (self._again, self._first):
            while queue and not self._is_live(*queue[0]):
                heapq.heappop(queue)
        return min((queue[0][0] for queue in (self._again, self._first) if queue), default=None)

    @property
    def passing(self) -> bool:
        """Whether any arrival may settle by itself, without a person or another program doing something."""
        return any(entry.note in PASSING for entry in self._entries.values())

    def _taken(self, queue: list[tuple[float, bytes]], now: float, limit: int) -> list[bytes]:
        paths: list[bytes] = []
        while queue and queue[0][0] <= now and len(paths) < limit:
            due, path = heapq.heappop(queue)
            if self._is_live(due, path):
                self._put(path, now + UNHANDLED)
                paths.append(path)
        return paths

    def _put(self, path: bytes, due: float) -> None:
        entry = self._entries[path]
        entry.due = due
        heapq.heappush(self._first if entry.arrival.look is None else self._again, (due, path))

    def _is_live(self, due: float, path: bytes) -> bool:
        """Rescheduling leaves the old place in a queue behind."""
        entry = self._entries.get(path)
        return entry is not None and entry.due == due
