"""Answering: a settled file in, its transcript out: from the journal if known, else from the endpoint."""

from __future__ import annotations

import math
from dataclasses import replace

from watcherd.endpoint.client import Upload
from watcherd.endpoint.reply import ReplyFormat, read_reply
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.job import (
    Chosen,
    Cut,
    Divided,
    Event,
    Job,
    Listened,
    Part,
    Recognised,
    Refused,
    Replied,
    Reused,
    Sending,
)
from watcherd.journal.answers import Answered
from watcherd.media.cut import Stretch, divide
from watcherd.media.findings import Heard
from watcherd.media.findings import Part as Made
from watcherd.pipeline.asking import Asking
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.crew import Crew
from watcherd.pipeline.original import Original
from watcherd.pipeline.relay import Tell
from watcherd.pipeline.shipping import Shipping
from watcherd.retry import bearable
from watcherd.settings import Settings
from watcherd.subtitles.language import judged
from watcherd.subtitles.merge import PartTranscript, is_doubtful, merge
from watcherd.transcript import Transcript

SHORTEST = 16.0  # seconds; a part that is refused for its length or size at this one is given up
NOTHING = Transcript(segments=())
_NO_MODEL = frozenset({"model_unknown", "model_forbidden", "model_unavailable"})


class Answering:
    """One job's way to a transcript.

    `attempts` counts the rounds of requests, those of earlier journeys included; `settings` are what it is
    asked for with.
    """

    def __init__(self, job: Job, bench: Bench, original: Original) -> None:
        self.attempts = job.attempts
        self.settings = bench.settings
        self._job = job
        self._bench = bench
        self._original = original
        self._parts: list[Part] = []  # in the order of their starts
        self._transcripts: dict[int, Transcript] = {}
        self._unreadable: dict[int, Fault] = {}
        self._answered: set[int] = set()  # numbers of parts
        self._heard: Listened | None = None
        self._bearable = math.inf  # seconds of audio in one request
        self._next = 1  # number of the next part
        self._sent = False
        self._is_known = False  # whether such a file was answered before

    async def recall(self) -> None:
        """Take up what is on record for the job."""
        quick = await self._original.contents.quick() if self._job.plan is None else None
        recalled = await self._bench.journal.answers.recall(self._job.id, quick)
        answered, faults, self._is_known = recalled.answered, recalled.faults, recalled.is_known
        self._bearable = bearable(faults, shortest=SHORTEST)
        if answered.replies and answered.settings is not None:
            refused = bool(faults) and faults[-1][2].code in _NO_MODEL
            self.settings = _kept(answered.settings, now=self._bench.settings, refused=refused)
        self._parts, self._heard = list(answered.parts), answered.heard
        self._next = 1 + max((part.number for part in self._parts), default=0)
        self._read(answered)
        self._answered = {part.number for part in self._parts if part.silent} | self._transcripts.keys()

    @property
    def complete(self) -> bool:
        """Whether every part has its transcript, and no part is to come."""
        whole = self._heard is not None or any(math.isinf(part.end) for part in self._parts)
        return bool(self._parts) and whole and not self._missing

    def shipping(self) -> Shipping:
        """What is sent of the original, once it is open."""
        size = self._job.identity.size
        return Shipping(self._original, size, self._bench, self.settings, bearable=self._bearable)

    @property
    def silences(self) -> tuple[tuple[float, float], ...]:
        """Where nothing is heard, as far as that is known."""
        return () if self._heard is None else self._heard.silences

    def transcript(self) -> Transcript:
        """The transcript on the job's time line, repaired and judged; only once it is complete."""
        heard = self._heard
        parts = [
            PartTranscript(
                self._transcripts.get(part.number, NOTHING), part.start, part.own_start, part.own_end
            )
            for part in self._parts
        ]
        duration = None if heard is None else heard.duration
        merged = judged(merge(parts, duration=duration, silences=self.silences))
        warnings = (*merged.warnings, *(() if heard is None else heard.warnings))
        return replace(merged, warnings=tuple(dict.fromkeys(warnings)))

    async def run(self, tell: Tell) -> None:
        """Reuse what was answered for the same content under the same request settings, or ask for it.

        The whole file is hashed first only where its quick key is known, else while it is sent, or beside
        its parts. Raises what Asking and media passes do.
        """

        async def told(event: Event) -> None:
            if isinstance(event, Sending) and not self._sent:
                self._sent = True
                self.attempts += 1
            await tell(self._counted(event))

        self._tell = told
        await self._tell(Chosen(self.settings))
        for number, fault in self._unreadable.items():
            await self._tell(Refused(fault, number))
        contents = self._original.contents
        quick = await contents.quick()
        if not self._parts and self._is_known:
            await self._adopt(await contents.sha256())
        shipping = self.shipping()
        failure = None if self.complete else await self._asked(shipping)
        await self._tell(Recognised(quick, await contents.sha256(), self.settings.key, shipping.seconds))
        if failure is not None:
            raise failure

    # What is known.

    @property
    def _missing(self) -> list[Part]:
        return [part for part in self._parts if not part.silent and part.number not in self._transcripts]

    def _counted(self, event: Event) -> Event:
        """The event with how far the job is by it."""
        match event:
            case Replied() | Reused():
                self._answered.add(event.part)
                return replace(event, answered=len(self._answered), parts=len(self._parts))
            case Refused():
                self._answered.discard(event.part)
            case Cut() if event.part.silent:
                self._answered.add(event.part.number)
            case _:
                pass
        return event

    def _read(self, answered: Answered) -> None:
        for number, reply in (answered.replies or {}).items():
            try:
                self._transcripts[number] = read_reply(reply.body, asked=ReplyFormat(reply.format), last=True)
            except FaultError as error:
                self._unreadable[number] = error.fault

    async def _adopt(self, sha256: str) -> None:
        """Take over the parts and replies of another job with the same content and request settings."""
        known = await self._bench.journal.answers.to(sha256, self.settings.key)
        if known is None:
            return
        self._read(known)
        self._unreadable.clear()
        for part in known.parts:
            await self._add(part)
        for number, reply in (known.replies or {}).items():
            if number in self._transcripts:
                await self._tell(Reused(reply.body, reply.format, number))
        if known.heard is not None:
            await self._tell(known.heard)
            self._heard = known.heard

    async def _add(self, part: Part) -> None:
        await self._tell(Cut(part))
        self._parts.append(part)
        self._parts.sort(key=lambda one: (one.start, one.number))
        self._next = max(self._next, part.number + 1)

    # What is asked for.

    async def _asked(self, shipping: Shipping) -> FaultError | None:
        """Ask; return the fault of a file that has answers all the same: they serve who tries it again."""
        try:
            await self._ask(shipping)
        except FaultError as error:
            if error.fault.scope is not Scope.FILE or not self._transcripts:
                raise
            return error
        return None

    async def _ask(self, shipping: Shipping) -> None:
        if not self._parts or math.isinf(self._parts[0].end):
            upload = await shipping.as_it_is()
            if upload is not None:
                await self._ask_whole(shipping, upload)
            elif self._parts:
                await self._give_way(self._parts[0], shipping.longest)
        if not self._parts:
            await shipping.check_length()
        while not self.complete:
            await self._ask_parts(shipping)

    async def _ask_whole(self, shipping: Shipping, upload: Upload) -> None:
        """Send the original itself; if it cannot be taken, its place is free for parts afterwards."""
        # Its length counts against a budget, and tells whether it is worth cutting once it was lost.
        if self._bench.endpoint.budget is not None or self.attempts:
            await shipping.measure()
        if not self._parts:
            await self._add(Part(number=0))
        whole = self._parts[0]
        try:
            transcript = await self._one(whole, upload, shipping)
        except FaultError as error:
            encodable = error.fault.remedy in {Remedy.TRANSCODE, Remedy.SPLIT} and shipping.may_encode
            if not encodable:
                raise
            if error.fault.code == "gateway_timeout":
                await shipping.measure()
                if shipping.seconds is not None:
                    await self._bench.gate.learn_length(self.settings.model, shipping.seconds / 2)
            await self._give_way(whole, shipping.longest)
            return
        unplaced = not transcript.timed and transcript.duration is None
        if unplaced or is_doubtful(transcript):
            await self._listened(await self._bench.media.listen(self._original.fd))

    async def _one(self, part: Part, upload: Upload, shipping: Shipping) -> Transcript:
        seconds = shipping.seconds if math.isinf(part.end) else part.end - part.start
        asking = Asking(
            self._job,
            part,
            seconds,
            settings=self.settings,
            bench=self._bench,
            tell=self._tell,
        )
        transcript = self._transcripts[part.number] = await asking.transcript(upload)
        if math.isinf(part.end):
            shipping.seconds = asking.seconds
        return transcript

    async def _ask_parts(self, shipping: Shipping) -> None:
        """One pass through the audio: parts are asked for while later ones are being made.

        It ends early where a part turns out to be too much: the next pass knows better.
        """
        self._original.contents.hash_beside()
        await self._divide(shipping.longest)
        known, only = list(self._parts), self._heard is not None
        missing = {part.number for part in self._missing}
        answered = [index for index, part in enumerate(known) if part.number not in missing]
        again: list[Fault] = []
        codec = shipping.codec
        async with (
            shipping.parts([_stretch(part) for part in known], answered, only=only) as running,
            Crew(self._bench.gate.concurrency + 1) as crew,
        ):
            asked = [part for part in known if part.number in missing] if only else known
            async for made in running:
                part = await self._part_of(made, asked)
                upload = shipping.part(made, codec)
                await crew.start(self._ask_part(part, made, upload, shipping, again))
                if crew.trouble or again:
                    break
        if not again and not only and running.heard is not None:
            await self._listened(running.heard)

    async def _part_of(self, made: Made, known: list[Part]) -> Part:
        if made.index < len(known):
            return known[made.index]
        stretch = made.stretch
        part = Part(
            number=self._next,
            start=stretch.start,
            end=stretch.end,
            own_start=stretch.own_start,
            own_end=stretch.own_end,
            silent=made.silent,
        )
        await self._add(part)
        return part

    async def _ask_part(
        self, part: Part, made: Made, upload: Upload, shipping: Shipping, again: list[Fault]
    ) -> None:
        try:
            if not part.silent:
                shipping.check(upload)
                await self._one(part, upload, shipping)
                await self._original.check()  # the pass that made it goes on
        except FaultError as error:
            if error.fault.remedy is not Remedy.SPLIT or part.end - part.start <= SHORTEST:
                raise
            again.append(error.fault)
        finally:
            self._bench.storage.release(made.fd)

    async def _listened(self, heard: Heard) -> None:
        await self._original.check()
        listened = Listened(heard.duration, heard.silences, tuple(heard.warnings))
        await self._tell(listened)
        self._heard = listened

    # Parts that are too much for one request.

    async def _divide(self, longest: float) -> None:
        """Divide what is missing and over the limits by now."""
        for part in self._missing:
            if part.end - part.start > longest:
                pieces = divide(_stretch(part), self.silences, longest=longest)
                await self._replace(part, pieces)

    async def _give_way(self, whole: Part, longest: float) -> None:
        """Free the place of the whole file for parts: they are cut on the way, unless all is known by now."""
        known = self._heard
        everything = Stretch(0.0, 0.0 if known is None else known.duration, -math.inf, math.inf)
        await self._replace(
            whole, () if known is None else divide(everything, self.silences, longest=longest)
        )

    async def _replace(self, part: Part, pieces: tuple[Stretch, ...]) -> None:
        into = tuple(
            Part(
                number=self._next + index,
                start=piece.start,
                end=piece.end,
                own_start=piece.own_start,
                own_end=piece.own_end,
            )
            for index, piece in enumerate(pieces)
        )
        await self._tell(Divided(part.number, into))
        self._next += len(into)
        self._parts = sorted(
            [*(one for one in self._parts if one is not part), *into], key=lambda one: (one.start, one.number)
        )


def _kept(first: Settings, *, now: Settings, refused: bool) -> Settings:
    """The settings of what is answered already, as far as they have a meaning `now`.

    Another address has its own models and fields; and so has one that `refused` a model that is not asked for
    any more.
    """
    if first.base_url == now.base_url and not (refused and first.model != now.model):
        return first
    return replace(now, prompt=first.prompt, temperature=first.temperature, track=first.track)


def _stretch(part: Part) -> Stretch:
    return Stretch(part.start, part.end, part.own_start, part.own_end)
