"""Answering: a settled file in, its transcript out: from the journal if known, else from the endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

from watcherd.endpoint.reply import ReplyFormat, read_reply
from watcherd.inbox import content
from watcherd.job import Event, Job, Recognised, Reused, Sending
from watcherd.journal.store import StoredReply
from watcherd.pipeline.asking import Asking
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original
from watcherd.pipeline.shipping import Shipping
from watcherd.transcript import Transcript

FAREWELL = 1.0  # seconds that a hash that is to stop is waited for


class Answering:
    """One job's way to a transcript: `events()` ends when there is one, or raises FaultError.

    `attempts` counts the rounds of requests, those of earlier journeys included.
    """

    def __init__(self, job: Job, bench: Bench, original: Original) -> None:
        self._job = job
        self._bench = bench
        self._original = original
        self.attempts = job.attempts
        self.transcript: Transcript | None = None
        self._seconds: float | None = None

    def take(self, stored: StoredReply) -> None:
        """Read a reply that is on record; raises FaultError where it is none."""
        self.transcript = read_reply(stored.body, asked=ReplyFormat(stored.format), last=True)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Reuse what was answered for the same content under the same request settings, or ask.

        The whole file is hashed first only where its quick key is known, else beside the request.
        """
        bench = self._bench
        quick = await bench.storage.call(content.quick_key, self._original.fd, self._job.identity.size)
        stop = threading.Event()
        hashing = asyncio.ensure_future(bench.storage.call(content.sha256_of, self._original.fd, stop))
        try:
            if self.transcript is None and await bench.journal.knows_content(quick):
                known = await bench.journal.reply_to(await hashing, self._request_key())
                if known is not None:
                    await self._original.check()
                    self.take(known)
                    yield Reused(known.body, known.format)
            if self.transcript is None:
                async with aclosing(self._asked()) as events:
                    async for event in events:
                        yield event
            sha256 = await hashing
            await self._original.check()
            yield Recognised(quick, sha256, self._request_key(), self._seconds)
        finally:
            stop.set()
            await asyncio.wait({hashing}, timeout=FAREWELL)  # storage may not answer

    def _request_key(self) -> str:
        """All that decides what the endpoint answers, beside the content; formats and names do not."""
        bench = self._bench
        asked = (
            bench.endpoint.base_url,
            bench.model,
            bench.folder.prompt,
            bench.folder.temperature,
            sorted(bench.endpoint.fields.items()),
        )
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    async def _asked(self) -> AsyncGenerator[Event, None]:
        """One round of requests."""
        async with self._shipping() as shipping:
            asking = Asking(self._job, self._bench, self._original, shipping)
            async with aclosing(asking.events()) as events:
                async for event in events:
                    self.attempts += isinstance(event, Sending)
                    yield event
            self.transcript = asking.transcript
            self._seconds = shipping.seconds

    def _shipping(self) -> Shipping:
        bench = self._bench
        return Shipping(
            self._original.fd,
            self._job.identity.size,
            endpoint=bench.endpoint,
            max_upload=bench.gate.max_upload(bench.model),
            storage=bench.storage,
            media=bench.media,
            work=bench.work,
        )
