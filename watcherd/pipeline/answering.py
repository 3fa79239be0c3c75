"""Answering: a settled file in, its transcript out: from the journal if known, else from the endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from importlib import resources

from watcherd.endpoint.client import Ask, Upload
from watcherd.endpoint.reply import ReplyFormat, next_format, read_reply
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.inbox import content
from watcherd.job import Event, Job, Recognised, Refused, Replied, Reused, Sending
from watcherd.journal.store import StoredReply
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original
from watcherd.pipeline.shipping import FLAC, Shipping
from watcherd.transcript import Transcript

FAREWELL = 1.0  # seconds that a hash that is to stop is waited for
SILENCE = b'{"text": "", "segments": []}'  # stands for the answer to audio that is too short to hold speech


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
            yield Recognised(quick, sha256, self._request_key())
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
        """One round of requests: the fall-backs that a refusal calls for belong to the same attempt."""
        gate, model = self._bench.gate, self._bench.model
        asked, plain, untimed = gate.format_for(model), False, False
        async with self._shipping() as shipping:
            upload = await shipping.first_choice()
            self.attempts += 1
            yield Sending()
            while True:
                try:
                    async with aclosing(self._request(upload, asked, plain=plain, last=untimed)) as events:
                        async for event in events:
                            yield event
                except FaultError as error:
                    fault = error.fault
                    following = next_format(asked)
                    if fault.remedy is Remedy.FORMAT and following is not None:
                        asked, untimed = following, untimed or fault.code == "untimed"
                    elif fault.remedy is Remedy.TRANSCODE and not shipping.encoded:
                        upload = await shipping.encode()
                    elif fault.remedy is Remedy.PLAIN and not plain:
                        plain = True
                    elif fault.remedy is Remedy.SILENT:
                        yield Replied(SILENCE, ReplyFormat.VERBOSE_JSON)
                        self.take(StoredReply(SILENCE, ReplyFormat.VERBOSE_JSON))
                        return
                    else:
                        raise
                else:
                    gate.learn_format(model, asked)
                    return

    def _shipping(self) -> Shipping:
        bench = self._bench
        return Shipping(
            self._original.fd,
            self._job.identity.size,
            endpoint=bench.endpoint,
            storage=bench.storage,
            media=bench.media,
            work=bench.work,
        )

    async def _request(
        self, upload: Upload, asked: ReplyFormat, *, plain: bool, last: bool
    ) -> AsyncGenerator[Event, None]:
        """One request; sets the transcript, or raises the FaultError that its answer amounts to."""
        folder, gate = self._bench.folder, self._bench.gate
        ask = Ask(
            model=self._bench.model,
            prompt=folder.prompt,
            temperature=folder.temperature,
            format=asked,
            plain=plain,
        )
        try:
            async with gate.client() as client:
                answer = await client.translate(upload, ask)
        except FaultError as error:
            status = error.fault.status
            if error.fault.scope is Scope.FILE and status is not None and status < 500:
                gate.answered()  # a refusal of this file is an answer
            raise
        yield Replied(answer.body, asked)
        await self._original.check()
        try:
            self.transcript = read_reply(answer.body, asked=asked, last=last or next_format(asked) is None)
        except FaultError as error:
            yield Refused(error.fault)
            raise
        gate.answered()


async def fault_of(bench: Bench) -> Fault | None:
    """Ask the endpoint for a clip that it is sure to understand; None when it answers.

    So a file that fails again and again is told from an endpoint that fails for every file.
    """
    clip = resources.files("watcherd.whisper").joinpath("demo.flac").read_bytes()

    async def blocks() -> AsyncIterator[bytes]:
        yield clip

    name, kind = FLAC
    ask = Ask(model=bench.model, prompt="", temperature=0, format=bench.gate.format_for(bench.model))
    try:
        async with bench.gate.client() as client:
            await client.translate(Upload(name=name, content_type=kind, size=len(clip), blocks=blocks), ask)
    except FaultError as error:
        return error.fault
    bench.gate.answered()
    return None
