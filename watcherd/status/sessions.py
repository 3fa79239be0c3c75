"""Sessions and the door: who has shown the token in, yes or no out. In memory; a restart ends them all."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets

LASTING = 7 * 24 * 3600.0  # seconds until the token is asked for again
MOST = 100  # sessions; a further one ends the oldest
SPACING = 0.2  # seconds between two wrong tokens, whoever sends them
QUEUE = 50  # tokens that wait to be compared


class Sessions:
    """The browsers that have shown the token; `now` is monotonic, in seconds."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def open(self, now: float) -> str:
        """Begin a session; what its cookie holds."""
        name = secrets.token_urlsafe(32)
        if len(self._ends) >= MOST:
            del self._ends[next(iter(self._ends))]
        self._ends[name] = now + LASTING
        return name

    def knows(self, name: str, now: float) -> bool:
        """Whether a session is open."""
        return self._ends.get(name, now) > now

    def close(self, name: str) -> None:
        """End a session, if it is one."""
        self._ends.pop(name, None)

    def clear(self) -> None:
        """End all."""
        self._ends.clear()


class CrowdedError(Exception):
    """Too many wait at the door."""


class Door:
    """Compares tokens one after the other, and takes its time after a wrong one.

    However many ask, few are tried in a second; and since nobody is turned away for another's mistakes, the
    owner gets in even while somebody guesses: after those who wait already.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def opens(self, said: str, token: str) -> bool:
        """Whether that is the token; raises CrowdedError."""
        if self._waiting >= QUEUE:
            raise CrowdedError
        self._waiting += 1
        try:
            async with self._turn:
                if hmac.compare_digest(_digest(said), _digest(token)):
                    return True
                await asyncio.sleep(SPACING)
                return False
        finally:
            self._waiting -= 1


def _digest(text: str) -> bytes:
    """Of one length for every text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
