"""Complaints: an arrival that will not settle by itself in, a log line out; not a line for each of many."""

from __future__ import annotations

from collections import defaultdict

import structlog

from watcherd.inbox.arrivals import Arrivals
from watcherd.inbox.settle import Look, Note
from watcherd.trouble import Trouble

EMPTY_FOR = 600.0  # seconds after which an empty file is reported

_REPORTS = {
    Note.UNREADABLE: ("arrival.unreadable", "Give the user that watcherd runs as the right to read it."),
    Note.EMPTY: ("arrival.empty", "Nothing was ever written into it; remove it or copy the file again."),
    Note.GROWING: ("arrival.growing", "Is a recording or a copy still running? It is sent once it rests."),
}


class Complaints:
    """What is said of the arrivals of one inbox; each that stands in its book is named once at the most."""

    def __init__(self, arrivals: Arrivals, inbox: str) -> None:
        self._arrivals = arrivals
        self._log = structlog.get_logger().bind(inbox=inbox)
        self._troubles: defaultdict[Note, Trouble] = defaultdict(Trouble)

    def hear(self, path: bytes, seen: Look, now: float) -> None:
        """Say what a look at an arrival calls for, if that was not said before; `now` is monotonic."""
        entry = self._arrivals.get(path)
        if entry is None or entry.note not in _REPORTS or entry.note in entry.told:
            return
        if entry.note is Note.EMPTY and now - entry.arrival.since < EMPTY_FOR:
            return
        entry.told |= {entry.note}
        trouble = self._troubles[entry.note]
        if trouble.met(now):
            event, hint = _REPORTS[entry.note]
            why = {"error": seen.error} if seen.error else {}
            self._log.warning(event, file=path, hint=hint, files=trouble.count, **why)
