"""The gates of all endpoints: a configuration's endpoints in, a gate for each out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from watcherd.clock import Clock
from watcherd.config.model import Endpoint
from watcherd.endpoint.client import Client
from watcherd.endpoint.gate import Gate
from watcherd.endpoint.past import Past
from watcherd.notify.news import Hear, unheard
from watcherd.whisper.transport import EmbeddedTransport


class Gates:
    """Gates by the names of their endpoints. At the end all connections and embedded children are gone."""

    def __init__(
        self, *, wake: asyncio.Event, clock: Clock, cache: Path, past: Past, hear: Hear = unheard
    ) -> None:
        self._wake = wake
        self._past = past
        self._hear = hear
        self._clock = clock
        self._cache = cache
        self._gates: dict[str, Gate] = {}
        self._embedded: dict[str, EmbeddedTransport] = {}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    def __getitem__(self, name: str) -> Gate:
        return self._gates[name]

    def child(self, name: str) -> int | None:
        """The process of an embedded endpoint; None while there is none."""
        transport = self._embedded.get(name)
        return None if transport is None else transport.pid

    def furnish(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Make a gate for each endpoint that is new or changed. The others stay; all may be probed at once.

        A gate that is replaced serves the requests that it has, and is closed with all others at the end.
        """
        old, self._gates = self._gates, {}
        for name, endpoint in endpoints.items():
            kept = old.get(name)
            if kept is not None and kept.endpoint == endpoint:
                kept.reopen()
                self._gates[name] = kept
            else:
                self._gates[name] = self._made(endpoint)

    def _made(self, endpoint: Endpoint) -> Gate:
        new_client: Callable[[], Client] = partial(Client, endpoint)
        if endpoint.embedded is not None:
            transport = EmbeddedTransport(endpoint.embedded, cache=self._cache)
            self._embedded[endpoint.name] = transport
            self._closing.push_async_callback(transport.aclose)
            new_client = partial(Client, endpoint, transport=transport)
        gate = Gate(
            endpoint,
            client=new_client,
            wake=self._wake,
            clock=self._clock,
            past=self._past,
            hear=self._hear,
        )
        gate.report()
        self._closing.push_async_callback(gate.close)
        return gate
