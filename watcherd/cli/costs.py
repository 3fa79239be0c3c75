"""What one file has before it: a job and its open file in, its cost and its names out. Nothing is written."""

from __future__ import annotations

import math
import os
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from watcherd.cli.outlook import NOTHING, ORIGINAL, Cost, Foreseen, Verdict
from watcherd.delivery import files, names
from watcherd.faults import FaultError
from watcherd.job import Identity, Job, Outcome, Plan
from watcherd.journal.answers import Answered
from watcherd.media.cut import expected
from watcherd.pipeline.answering import Answering
from watcherd.pipeline.bench import Bench
from watcherd.pipeline.original import Original
from watcherd.pipeline.shipping import Shipping
from watcherd.pipeline.staying import Staying

_NOBODY = Identity(0, 0, 0, 0, 0)


async def cost_of(job: Job, original: Original, bench: Bench) -> Cost:
    """What is still to be sent of a file; raises FaultError, with scope file where it would fail for it."""
    answering = Answering(job, bench, original)
    await answering.recall()
    answered = await _answered(job, original, bench, request=answering.settings.key)
    shipping = answering.shipping()
    if answered.complete:
        seconds = await _length(shipping, answered)
        return Cost(sent_as=NOTHING, seconds=seconds, parts=len(answered.parts), requests=0)
    whole = not answered.parts or math.isinf(answered.parts[0].end)
    if whole and await shipping.as_it_is() is not None:
        seconds = await _length(shipping, answered)
        return Cost(sent_as=ORIGINAL, seconds=seconds, parts=1, requests=1)
    await shipping.track()
    await shipping.measure()
    return _in_parts(shipping, Answered() if whole else answered, longest=bench.media.most_seconds)


def _in_parts(shipping: Shipping, answered: Answered, *, longest: float) -> Cost:
    """What is left of a file that is sent in parts: those on record, and those to come."""
    seconds, done = shipping.seconds, answered.parts
    cost = partial(Cost, sent_as=shipping.codec.value, seconds=seconds)
    if answered.heard is not None:
        return cost(parts=len(done), requests=len(answered.missing))
    if seconds is None or seconds > longest:  # the container may lie: such a file is listened to first
        return cost(parts=None, requests=None)
    left = seconds - max((part.own_end for part in done), default=0.0)
    more = expected(left, shipping.planned, rate=shipping.codec.rate) if left > 0 or not done else 0
    return cost(parts=len(done) + more, requests=len(answered.missing) + more)


async def _length(shipping: Shipping, answered: Answered) -> float | None:
    """How long the audio is, for what nobody has to decode."""
    if answered.heard is not None:
        return answered.heard.duration
    with suppress(FaultError):  # the endpoint reads it
        await shipping.measure()
    return shipping.seconds


async def _answered(job: Job, original: Original, bench: Bench, *, request: str) -> Answered:
    """What is on record for the job, or for the same content under the same request settings."""
    answers = bench.journal.answers
    recalled = await answers.recall(job.id, await original.contents.quick())
    own = recalled.answered
    if own.parts or not recalled.is_known:
        return own
    return await answers.to(await original.contents.sha256(), request) or own


class Naming:
    """The names that the files of one inbox will have, given out in the order in which they are asked for."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._given: dict[bytes, set[bytes]] = {}  # by folder

    async def named(self, one: Foreseen, plan: Plan | None) -> Foreseen:
        """The same with its names, those of its `plan` if it has one.

        Raises FaultError and OSError where they cannot be chosen.
        """
        if plan is None:
            plan = await (self._beside(one) if self._bench.folder.stays else self._moved(one))
        if plan is None:
            return one
        sidecars = tuple(sidecar.name for sidecar in plan.sidecars)
        chosen = sidecars if plan.stays else (plan.original, *sidecars)
        into = self._into(plan.outcome, plan.folder, stays=plan.stays)
        self._given.setdefault(into, set()).update(chosen)
        return replace(one, names=chosen, into=into)

    async def _moved(self, one: Foreseen) -> Plan:
        bench, folder = self._bench, self._bench.folder
        outcome = Outcome.FAILED if one.verdict is Verdict.FAIL else Outcome.DONE
        target = bench.places.failed if outcome is Outcome.FAILED else bench.places.done
        below = one.file.rpartition(b"/")[0]
        given = self._given.get(self._into(outcome, below, stays=False), set())
        reserved = bench.journal.names.within(below) | given
        chosen = partial(_planned, one.file, outcome, folder.formats, folder.sidecar_name)
        return await bench.storage.call(files.choose, target, below, chosen, reserved=reserved)

    async def _beside(self, one: Foreseen) -> Plan | None:
        """Sidecars beside a file that stays; the report of one that fails goes elsewhere."""
        if one.verdict is Verdict.FAIL:
            return None
        inbox = self._bench.folder.name
        job = Job(id=0, inbox=inbox, path=one.file, identity=_NOBODY, settled_at=0)
        return await Staying(job, self._bench, Original(job, self._bench)).plan()

    def _into(self, outcome: Outcome, below: bytes, *, stays: bool) -> bytes:
        folder = self._bench.folder
        target = folder.done if outcome is Outcome.DONE else folder.failed
        return os.path.join(bytes(folder.inbox if stays else target), below).rstrip(b"/") or b"/"


def _planned(
    path: bytes, outcome: Outcome, formats: Sequence[str], sidecar_name: str, taken: Container[bytes]
) -> Plan:
    return names.plan(path=path, outcome=outcome, formats=formats, sidecar_name=sidecar_name, taken=taken)
