"""How often a failing thing is said: each failure in, "say it now" or not out. Pure; monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

_FIRST_SPACING = 30.0
_LONGEST_SPACING = 3600.0


@dataclass(slots=True)
class Trouble:
    """One failing thing's right to speak: at once, then ever more rarely (30 s to 1 h), with a count.

    What has not failed for an hour starts afresh, for things of which nobody can say that they are over.
    """

    count: int = 0
    _spacing: float = field(default=_FIRST_SPACING, repr=False)
    _next: float = field(default=float("-inf"), repr=False)
    _last: float = field(default=float("-inf"), repr=False)

    def met(self, now: float) -> bool:
        """Count one more; True when it may be said."""
        if now - self._last > _LONGEST_SPACING:
            self.over()
        self._last = now
        self.count += 1
        if now < self._next:
            return False
        if self.count > 1:
            self._spacing = min(2 * self._spacing, _LONGEST_SPACING)
        self._next = now + self._spacing
        return True

    def over(self) -> bool:
        """It works again; True when it had failed, so that this can be said."""
        failed = self.count > 0
        self.count, self._spacing, self._next = 0, _FIRST_SPACING, float("-inf")
        return failed
