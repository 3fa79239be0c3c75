"""What a plan foresees for files: values in, lines for a terminal or JSON objects out. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from watcherd.escaping import escaped

NOTHING, ORIGINAL = "nothing", "original"  # what is sent, where it is none of the codecs
SHORT = 40  # characters of a file's name before its columns give way


class Verdict(StrEnum):
    """What will become of a file."""

    TRANSLATE = "translate"
    OPEN = "open job"
    """It has settled, and its job is not over yet."""
    NOT_YET = "not yet"
    FAIL = "would fail"
    LEAVE = "left alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a file asks for: seconds of audio, parts, requests still to be sent; None where that is not known.

    Of more than one part the number is an estimate until the audio was listened to.
    """

    sent_as: str
    seconds: float | None
    parts: int | None
    requests: int | None

    @property
    def due(self) -> float:
        """Seconds of audio that are still to be sent."""
        if not self.seconds or not self.parts or not self.requests:
            return 0.0
        return self.seconds * min(1.0, self.requests / self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What will become of one file (a folder's path ends in /), and the rule behind it.

    `names` are those that original and sidecars will have, `into` the folder in which.
    """

    file: bytes
    verdict: Verdict
    rule: str
    cost: Cost | None = None
    names: tuple[bytes, ...] = ()
    into: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What one inbox has ahead; `trouble` is why it, or some of it, could not be looked at."""

    inbox: str
    path: bytes
    endpoint: str
    files: list[Foreseen] = field(default_factory=list)
    left_alone: list[Foreseen] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An endpoint's minutes of audio: what a day may have, and what was sent today."""

    endpoint: str
    per_day: float
    spent: float


# For programs.


def objects(outlook: Outlook, *, everything: bool) -> Iterator[dict[str, Any]]:
    """The files of an inbox, each as the help text of the command describes it."""
    for one in (*outlook.files, *(outlook.left_alone if everything else ())):
        cost = one.cost
        yield {
            "inbox": outlook.inbox,
            "file": escaped(one.file),
            "verdict": one.verdict.value,
            "rule": one.rule,
            "endpoint": None if cost is None else outlook.endpoint,
            "sent_as": None if cost is None else cost.sent_as,
            "seconds": None if cost is None or cost.seconds is None else round(cost.seconds, 3),
            "parts": None if cost is None else cost.parts,
            "requests": None if cost is None else cost.requests,
            "folder": escaped(one.into) if one.names else None,
            "names": [escaped(name) for name in one.names],
        }


# For people.


def lines(outlook: Outlook, *, everything: bool) -> Iterator[str]:
    """An inbox as a table, with what is left alone counted by rule, or listed."""
    yield f"inbox {outlook.inbox}  ({escaped(outlook.path)} -> {outlook.endpoint})"
    yield from (f"  {trouble}" for trouble in outlook.trouble)
    shown = [*outlook.files, *(outlook.left_alone if everything else ())]
    width = min(SHORT, max((len(escaped(one.file)) for one in shown), default=0))
    for one in shown:
        yield from _file(one, width)
    if not everything:
        counted = Counter(one.rule for one in outlook.left_alone)
        for rule, times in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
            yield f"  {times} left alone: {rule}"
    if not (shown or outlook.left_alone or outlook.trouble):
        yield "  nothing there"


def summary(outlooks: Sequence[Outlook], budgets: Sequence[Budget]) -> Iterator[str]:
    """What all of it comes to, and how that goes with the day's budgets."""
    ahead = [
        (outlook.endpoint, one.cost)
        for outlook in outlooks
        for one in outlook.files
        if one.cost is not None and one.verdict is not Verdict.FAIL
    ]
    costs = [cost for _, cost in ahead]
    unknown = sum(cost.seconds is None for cost in costs)
    requests = sum(cost.requests or 0 for cost in costs)
    about = "about " if any(_is_estimate(cost) for cost in costs) else ""
    text = (
        f"{_count(len(costs), 'file')} to translate, {_minutes(sum(cost.seconds or 0 for cost in costs))}"
        f" of audio, {about}{_count(requests, 'request')}"
    )
    yield text + (f" (and {unknown} whose length is not known)" if unknown else "")
    due = Counter[str]()
    for endpoint, cost in ahead:
        due[endpoint] += math.ceil(cost.due)
    yield from (_budget(budget, due) for budget in budgets)


def _budget(budget: Budget, due: Mapping[str, int]) -> str:
    asked = due.get(budget.endpoint, 0) / 60
    over = budget.spent + asked - budget.per_day
    verdict = "all of it fits" if over <= 0 else f"{over:.1f} too many: what does not fit waits for midnight"
    return (
        f"endpoint {budget.endpoint}: {asked:.1f} minutes to send, {budget.spent:.1f} sent today,"
        f" {budget.per_day:g} a day: {verdict}"
    )


def _file(one: Foreseen, width: int) -> Iterator[str]:
    name = escaped(one.file)
    yield f"  {name:<{width}}  {one.verdict}: {one.rule}"
    indent = " " * (width + 4)
    if one.cost is not None:
        yield indent + _cost(one.cost)
    if one.names:
        yield f"{indent}{', '.join(map(escaped, one.names))}  in {escaped(one.into)}"


def _cost(cost: Cost) -> str:
    length = "length not known" if cost.seconds is None else _minutes(cost.seconds)
    if cost.requests == 0:
        return f"{length}, no request: it was answered before"
    sent = f"{length}, sent as {'it is' if cost.sent_as == ORIGINAL else cost.sent_as}"
    if cost.parts is None or cost.requests is None:
        return f"{sent}, number of parts not known"
    about = "about " if _is_estimate(cost) else ""
    return f"{sent}, {about}{_count(cost.parts, 'part')}, {_count(cost.requests, 'request')}"


def _is_estimate(cost: Cost) -> bool:
    return bool(cost.requests) and (cost.parts or 0) > 1


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
