"""Connections from the network: a client's bytes in, requests out, few, small and soon. uvicorn.

A connection is waiting (for a whole request), answering, or stuck (its client reads nothing of what it
asked for). Waiting and stuck ones are ended after a time; where there are too many, the one that has waited
longest goes, so that who opens connections and says nothing keeps nobody out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from watcherd.status.guard import SECURE

MOST = 100  # connections
WAITING = 15.0  # seconds from the beginning of a connection, or from an answer, to the next request, whole
STUCK = 60.0  # seconds without a byte taken; a player that is paused takes none, and asks again


class Connection(H11Protocol):
    """One client's connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take it, unless all that there may be are busy."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._unsent, self._unsent_since = 0, self._since
        _make_room(self.connections)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._since = self.loop.time()
        super().on_response_complete()

    @property
    def waits(self) -> bool:
        """Whether the client has yet to say all that it asks for."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    @property
    def since(self) -> float:
        """When it began to wait, by the loop's clock."""
        return self._since

    def look(self, now: float) -> None:
        """End the connection if it has waited or been stuck too long."""
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent or not unsent:
            self._unsent, self._unsent_since = unsent, now
        if now - self._unsent_since > STUCK or (self.waits and now - self._since > WAITING):
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as strictly as everything else."""
        headers = [*SECURE.items(), ("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=msg.encode("ascii")), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _make_room(connections: Iterable[asyncio.BaseProtocol]) -> None:
    """Where there are too many, end the one that has waited longest; the newest waits, too."""
    ours = [one for one in connections if isinstance(one, Connection) and not one.transport.is_closing()]
    if len(ours) > MOST:
        min((one for one in ours if one.waits), key=lambda one: one.since).transport.abort()
