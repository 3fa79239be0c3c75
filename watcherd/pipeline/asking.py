"""Asking: what is to be sent of a file in; one round of requests, and its reply or fault out.

The fall-backs that a refusal calls for (another format, our own encoding, fewer fields) belong to the same
round: the file is charged once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from importlib import resources

from watcherd.endpoint.client import Ask, Upload
from watcherd.endpoint.gate import ClosedError
from watcherd.endpoint.reply import ReplyFormat, next_format, read_reply
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.job import Event, Job, Refused, Replied, Resending, Sending
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original
from watcherd.pipeline.shipping import FLAC, Shipping
from watcherd.transcript import Transcript

SILENCE = b'{"text": "", "segments": []}'  # stands for the answer to audio that is too short to hold speech
LONG_WORK = 60.0  # seconds after which a gateway's timeout tells of the work, not of the moment
MARGIN = 0.9  # of the longest audio that a server names; encoders and servers count differently
CLIP_SECONDS = 7.8  # of the bundled clip


class Asking:
    """One round for one job. `transcript` is set when `events()` has ended without a FaultError."""

    def __init__(self, job: Job, bench: Bench, original: Original, shipping: Shipping) -> None:
        self.transcript: Transcript | None = None
        self._job = job
        self._bench = bench
        self._original = original
        self._shipping = shipping
        self._asked = bench.gate.format_for(bench.model)
        self._plain = False
        self._untimed = False  # whether a bare text was refused for the hope of a timed one
        self._fault: Fault | None = None  # what ended the last request

    async def events(self) -> AsyncGenerator[Event, None]:
        """Ask until there is an answer or nothing left to change; raises FaultError and ClosedError."""
        upload = await self._shipping.first_choice()
        if self._bench.endpoint.budget is not None:
            await self._shipping.measure()
        while self.transcript is None:
            try:
                async with aclosing(self._request(upload)) as events:
                    async for event in events:
                        yield event
            except FaultError as error:
                fault = self._fault = await self._judged(error.fault, upload)
                if fault.remedy is Remedy.SILENT:
                    yield Replied(SILENCE, ReplyFormat.VERBOSE_JSON)
                    self.transcript = read_reply(SILENCE, asked=ReplyFormat.VERBOSE_JSON)
                else:
                    upload = await self._changed(upload, fault)
        await self._bench.gate.learn_format(self._bench.model, self._asked)

    async def _changed(self, upload: Upload, fault: Fault) -> Upload:
        """Change what the fault calls for; raises FaultError where nothing is left to change."""
        following = next_format(self._asked)
        if fault.remedy is Remedy.FORMAT and following is not None:
            self._asked, self._untimed = following, self._untimed or fault.code == "untimed"
        elif self._shipping.may_encode and (fault.remedy is Remedy.TRANSCODE or fault.code == "too_large"):
            return await self._shipping.encode()
        elif fault.remedy is Remedy.PLAIN and not self._plain:
            self._plain = True
        else:
            raise FaultError(fault)
        return upload

    async def _request(self, upload: Upload) -> AsyncGenerator[Event, None]:
        """One request; sets the transcript, or raises the FaultError that its answer amounts to."""
        gate, asked, clock = self._bench.gate, self._asked, self._bench.clock
        began = clock.monotonic()
        try:
            async with gate.client(self._shipping.seconds) as client:
                yield self._departure(upload)
                began = clock.monotonic()
                answer = await client.translate(upload, self._ask())
        except FaultError as error:
            fault = error.fault
            if fault.scope is Scope.FILE and fault.status is not None and fault.status < 500:
                await gate.answered()  # a refusal of this file is an answer
            if fault.code == "gateway_timeout" and clock.monotonic() - began > LONG_WORK:
                fault = replace(fault, status=524)
            raise FaultError(fault) from error
        yield Replied(answer.body, asked)
        await self._original.check()
        try:
            last = self._untimed or next_format(asked) is None
            self.transcript = read_reply(answer.body, asked=asked, last=last)
        except FaultError as error:
            yield Refused(error.fault)
            raise
        await gate.served()
        if self._shipping.seconds is None and self.transcript.duration is not None:
            self._shipping.seconds = self.transcript.duration
            gate.count(self.transcript.duration)

    def _departure(self, upload: Upload) -> Event:
        name, seconds = self._bench.endpoint.name, self._shipping.seconds
        if self._fault is None:
            return Sending(name, upload.size, seconds)
        return Resending(name, upload.size, self._fault, seconds)

    def _ask(self) -> Ask:
        folder = self._bench.folder
        return Ask(
            model=self._bench.model,
            prompt=folder.prompt,
            temperature=folder.temperature,
            format=self._asked,
            plain=self._plain,
        )

    # What a fault means for this file, with its history.

    async def _judged(self, fault: Fault, upload: Upload) -> Fault:
        gate, model, seconds = self._bench.gate, self._bench.model, self._shipping.seconds
        match fault.code:
            case "too_large":
                await gate.learn_size(model, upload.size)
                self._shipping.max_upload = gate.max_upload(model)
            case "audio_too_long":
                longest = fault.limit_seconds or seconds
                if longest is not None:
                    await gate.learn_length(model, MARGIN * longest)
            case "gateway_timeout" if fault.status == 524 and await self._happened_before(fault):
                await self._shipping.measure()
                if self._shipping.seconds is not None:
                    await gate.learn_length(model, self._shipping.seconds / 2)
                return replace(fault, scope=Scope.FILE, remedy=Remedy.SPLIT)
            case "empty_body" if await self._happened_before(fault):
                return replace(fault, remedy=Remedy.FORMAT)
            case _:
                pass
        return fault

    async def _happened_before(self, fault: Fault) -> bool:
        """Whether an earlier round for this file ended the same way."""
        rounds = await self._bench.journal.attempts(self._job.id)
        return any(one.fault is not None and one.fault.code == fault.code for one in rounds[:-1])


async def fault_of(bench: Bench) -> Fault | None:
    """Ask the endpoint for a clip that it is sure to understand; None when it answers.

    So a file that fails again and again is told from an endpoint that fails for every file.
    """
    clip = resources.files("watcherd.whisper").joinpath("demo.flac").read_bytes()

    async def blocks() -> AsyncIterator[bytes]:
        yield clip

    name, kind = FLAC
    upload = Upload(name=name, content_type=kind, size=len(clip), blocks=blocks)
    ask = Ask(model=bench.model, prompt="", temperature=0, format=bench.gate.format_for(bench.model))
    sent_at, fault = bench.clock.now(), None
    try:
        async with bench.gate.client(CLIP_SECONDS) as client:
            await client.translate(upload, ask)
    except ClosedError as error:
        return error.fault
    except FaultError as error:
        fault = error.fault
    await bench.journal.ledger.probed(
        bench.endpoint.name, seconds=CLIP_SECONDS, size=len(clip), now=sent_at, fault=fault
    )
    if fault is None:
        await bench.gate.served()
    return fault
