"""The pace: how soon an inbox looks at further arrivals while plenty of its files are queued. Pure.

Twenty thousand files that settle at once would take the processor from those in hand for minutes, to no
purpose: whatever settles now is queued behind all of them.
"""

from __future__ import annotations

REST = 9.0  # times as long as the looks took, so that these take a tenth of the time
LONGEST = 5.0  # seconds; storage that was slow once must not hold arrivals up for long


class Pace:
    """When the next looks may be made: `due` is a monotonic time in seconds."""

    def __init__(self) -> None:
        self.due = float("-inf")

    def looked(self, *, began: float, now: float, plenty: bool) -> None:
        """Looks took from `began` to `now`, with what came of them; with `plenty`, nobody waits for more."""
        self.due = now + min(LONGEST, REST * (now - began)) if plenty else now
