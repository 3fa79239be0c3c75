"""Asking: one part and its upload in, its transcript out, or the fault that ends the round for it.

The fall-backs that a refusal calls for (another format, fewer fields, once more without a prompt) belong to
the same round: the file is charged once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import resources

from watcherd.endpoint.client import Ask, Upload
from watcherd.endpoint.gate import ClosedError
from watcherd.endpoint.reply import ReplyFormat, next_format, read_reply
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.job import Job, Part, Refused, Replied, Sending, Unanswered
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.relay import Tell
from watcherd.pipeline.shipping import FLAC
from watcherd.settings import Settings
from watcherd.subtitles.loops import is_looping
from watcherd.transcript import Transcript

SILENCE = b'{"text": "", "segments": []}'  # stands for the answer to audio that is too short to hold speech
LONG_WORK = 60.0  # seconds after which a gateway's timeout tells of the work, not of the moment
MARGIN = 0.9  # of the longest audio that a server names; encoders and servers count differently
CLIP_SECONDS = 7.8  # of the bundled clip


class Asking:
    """One round for one part of a job; `seconds` of audio, where that is known."""

    def __init__(
        self,
        job: Job,
        part: Part,
        seconds: float | None,
        *,
        settings: Settings,
        bench: Bench,
        tell: Tell,
    ) -> None:
        self.seconds = seconds
        self._job = job
        self._part = part
        self._settings = settings
        self._bench = bench
        self._tell = tell
        self._asked = bench.gate.format_for(settings.model)
        self._plain = False
        self._untimed = False  # whether a bare text was refused for the hope of a timed one
        self._prompt = settings.prompt

    async def transcript(self, upload: Upload) -> Transcript:
        """Ask until there is an answer or nothing left to change; raises FaultError and ClosedError."""
        while True:
            try:
                transcript = await self._request(upload)
            except FaultError as error:
                fault = await self._judged(error.fault, upload)
                if fault.remedy is Remedy.SILENT:
                    await self._tell(Replied(SILENCE, ReplyFormat.VERBOSE_JSON, self._part.number))
                    return read_reply(SILENCE, asked=ReplyFormat.VERBOSE_JSON)
                self._change(fault)
                continue
            if self._prompt and is_looping(transcript):
                self._prompt = ""  # prompts make a model repeat itself; what comes now counts
                continue
            await self._bench.gate.learn_format(self._settings.model, self._asked)
            return transcript

    def _change(self, fault: Fault) -> None:
        """Change what the fault calls for; raises FaultError where nothing is left to change here."""
        following = next_format(self._asked)
        if fault.remedy is Remedy.FORMAT and following is not None:
            self._asked, self._untimed = following, self._untimed or fault.code == "untimed"
        elif fault.remedy is Remedy.PLAIN and not self._plain:
            self._plain = True
        else:
            raise FaultError(fault)

    async def _request(self, upload: Upload) -> Transcript:
        """One request; raises the FaultError that its answer amounts to."""
        gate, clock, number = self._bench.gate, self._bench.clock, self._part.number
        began = clock.monotonic()
        try:
            async with gate.client(self.seconds) as client:
                upload.begin()
                await self._tell(Sending(self._bench.endpoint.name, upload.size, self.seconds, number))
                began = clock.monotonic()
                answer = await client.translate(upload, self._ask())
        except FaultError as error:
            fault = error.fault
            if fault.scope is Scope.FILE and fault.status is not None and fault.status < 500:
                await gate.answered()  # a refusal of this file is an answer
            if fault.code == "gateway_timeout" and clock.monotonic() - began > LONG_WORK:
                fault = replace(fault, status=524)
            await self._tell(Unanswered(fault, number))
            raise FaultError(fault) from error
        await self._tell(Replied(answer.body, self._asked, number))
        try:
            last = self._untimed or next_format(self._asked) is None
            transcript = read_reply(answer.body, asked=self._asked, last=last)
        except FaultError as error:
            await self._tell(Refused(error.fault, number))
            raise
        await gate.served()
        if self.seconds is None and transcript.duration is not None:
            self.seconds = transcript.duration
            gate.count(transcript.duration)
        return transcript

    def _ask(self) -> Ask:
        return Ask(
            model=self._settings.model,
            prompt=self._prompt,
            temperature=self._settings.temperature,
            format=self._asked,
            fields=self._settings.fields,
            plain=self._plain,
        )

    # What a fault means for this part, with its history.

    async def _judged(self, fault: Fault, upload: Upload) -> Fault:
        gate, model = self._bench.gate, self._settings.model
        match fault.code:
            case "too_large":
                await gate.learn_size(model, upload.size)
            case "audio_too_long":
                longest = fault.limit_seconds or self.seconds
                if longest is not None:
                    await gate.learn_length(model, MARGIN * longest)
            case "gateway_timeout" if fault.status == 524 and await self._happened_before(fault):
                if self.seconds is not None:
                    await gate.learn_length(model, self.seconds / 2)
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
    learned, fields = bench.gate.format_for(bench.model), bench.settings.fields
    ask = Ask(model=bench.model, prompt="", temperature=0, format=learned, fields=fields)
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
