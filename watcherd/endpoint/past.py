"""The past: what gates keep over restarts and reloads, in the journal's ledger. Plain values in and out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from watcherd.faults import Fault
from watcherd.journal.ledger import Kind, Ledger, StoredPause


def day_of(now: float) -> tuple[float, float]:
    """The local calendar day that `now` is in: its first moment and that of the next, UTC seconds.

    A day at which the clocks change is an hour longer or shorter.
    """
    today = datetime.combine(datetime.fromtimestamp(now).astimezone().date(), time())
    return today.timestamp(), (today + timedelta(days=1)).timestamp()


@dataclass(slots=True)
class Sent:
    """Seconds of audio that went to one endpoint on the local day that ends at `until`."""

    until: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class Past:
    """What gates remember. Without a ledger it ends with the process; `recall` reads what others left."""

    ledger: Ledger | None = None
    _pauses: dict[str, StoredPause] = field(default_factory=dict)
    _held: dict[str, StoredPause] = field(default_factory=dict)
    _learned: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    _sent: dict[str, Sent] = field(default_factory=dict)

    async def recall(self, now: float) -> None:
        """Read the ledger; raises FaultError when it cannot be read."""
        if self.ledger is None:
            return
        for pause in await self.ledger.pauses():
            if pause.kind is Kind.ENDPOINT:
                (self._held if pause.by_hand else self._pauses)[pause.name] = pause
        self._learned = {key: dict(values) for key, values in (await self.ledger.learned()).items()}
        since, until = day_of(now)
        totals = await self.ledger.seconds_sent(since)
        self._sent = {name: Sent(until, seconds) for name, seconds in totals.items()}

    # Pauses.

    def pause_of(self, endpoint: str) -> StoredPause | None:
        """The pause that a fault made, as it was recorded last."""
        return self._pauses.get(endpoint)

    def held_since(self, endpoint: str) -> float | None:
        """Since when a person keeps the endpoint paused."""
        held = self._held.get(endpoint)
        return None if held is None else held.since

    async def paused(self, endpoint: str, *, fault: Fault, since: float, until: float) -> None:
        """Remember a fault's pause."""
        await self._keep(
            self._pauses,
            StoredPause(kind=Kind.ENDPOINT, name=endpoint, since=since, until=until, fault=fault),
        )

    async def held(self, endpoint: str, *, since: float) -> None:
        """Remember that a person paused the endpoint."""
        await self._keep(
            self._held, StoredPause(kind=Kind.ENDPOINT, name=endpoint, since=since, until=None, fault=None)
        )

    async def _keep(self, pauses: dict[str, StoredPause], pause: StoredPause) -> None:
        pauses[pause.name] = pause
        if self.ledger is not None:
            await self.ledger.pause(pause)

    async def resumed(self, endpoint: str) -> None:
        """Forget a fault's pause."""
        if self._pauses.pop(endpoint, None) is not None and self.ledger is not None:
            await self.ledger.end_pause(Kind.ENDPOINT, endpoint, by_hand=False)

    async def released(self, endpoint: str) -> None:
        """Forget that a person paused the endpoint."""
        if self._held.pop(endpoint, None) is not None and self.ledger is not None:
            await self.ledger.end_pause(Kind.ENDPOINT, endpoint, by_hand=True)

    # What servers taught us.

    def learned(self, base_url: str, model: str, what: str) -> str | None:
        """What a server taught us of itself and a model; None where it has not."""
        return self._learned.get((base_url, model), {}).get(what)

    async def learn(self, base_url: str, model: str, what: str, value: str, *, now: float) -> None:
        """Remember what a server taught us."""
        self._learned.setdefault((base_url, model), {})[what] = value
        if self.ledger is not None:
            await self.ledger.learn(base_url, model, what, value, now=now)

    # Audio sent. The requests themselves are on record with their jobs.

    def sent_today(self, endpoint: str, now: float) -> Sent:
        """What went to an endpoint on this local day; callers add to it."""
        sent = self._sent.setdefault(endpoint, Sent())
        if now >= sent.until:
            sent.until, sent.seconds = day_of(now)[1], 0.0
        return sent
