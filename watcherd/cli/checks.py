"""Every rule that a file has to pass, in order: its path and a look at it in, checks out. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from watcherd.cli.outlook import Verdict
from watcherd.inbox.accept import MARKER, Kind, Rules, covers
from watcherd.inbox.explain import explain
from watcherd.inbox.reconcile import Kept, is_kept
from watcherd.inbox.settle import Kind as Thing
from watcherd.inbox.settle import Lease, Look, quiet_time

NO_SUCH_FILE = "there is no such file"

_VERDICTS = {Kind.HELD: Verdict.NOT_YET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule as it was applied: what it says and, where a file fails it, what was found and the verdict."""

    name: str
    rule: str
    found: str = ""
    verdict: Verdict | None = None


def checks(path: bytes, seen: Look, *, rules: Rules, kept: Kept) -> Iterator[Check]:
    """The rules for a path and for what a look at it told, up to the one that it fails.

    The look was asked for the names of `holders` and `covers`.
    """
    for check in (*_of_name(path, seen, rules), *_of_look(path, seen, kept)):
        yield check
        if check.verdict is not None:
            return


def _of_name(path: bytes, seen: Look, rules: Rules) -> Iterator[Check]:
    siblings: Collection[bytes] = seen.beside
    if seen.kind is Thing.COVERED:
        siblings = covers(path.rpartition(b"/")[2], rules)
    for applied in explain(path, rules=rules, siblings=siblings):
        if applied.verdict is None:
            yield Check(name=applied.name, rule=applied.rule)
        else:
            verdict = _VERDICTS.get(applied.verdict.kind, Verdict.LEAVE)
            yield Check(name=applied.name, rule=applied.rule, found=applied.verdict.rule, verdict=verdict)


def _of_look(path: bytes, seen: Look, kept: Kept) -> Iterator[Check]:
    marker = MARKER.decode()
    yield _check(
        "marker",
        f"Nothing is taken from below a folder that holds {marker}.",
        f"{marker} lies in its folder or above it" if seen.kind is Thing.IGNORED else "",
        Verdict.LEAVE,
    )
    yield _check(
        "there",
        "There must be a file of that name.",
        NO_SUCH_FILE if seen.kind is Thing.GONE else "",
        Verdict.LEAVE,
    )
    yield _check(
        "plain file",
        "Links, folders and devices are left alone.",
        f"it is a {seen.kind}" if seen.kind is not Thing.FILE else "",
        Verdict.LEAVE,
    )
    yield _check(
        "writer",
        "A file waits while a program has it open for writing.",
        "a program has it open for writing" if seen.lease is Lease.BUSY else "",
        Verdict.NOT_YET,
    )
    yield _check(
        "readable",
        "It must be possible to read it.",
        f"it cannot be read: {seen.error}" if seen.error else "",
        Verdict.NOT_YET,
    )
    identity = seen.identity
    yield _check(
        "empty",
        "An empty file waits until something is written into it.",
        "it is empty" if identity is not None and identity.size == 0 else "",
        Verdict.NOT_YET,
    )
    same = identity is not None and is_kept(path, identity, kept)
    yield _check(
        "kept",
        "With after: keep, a file is taken again only when it changes.",
        "it has the size and time that it had when its last job ended" if same else "",
        Verdict.LEAVE,
    )


def resting(seen: Look, settle: float, *, now: float) -> Check:
    """Whether a file has been quiet for as long as it must, by its own times (UTC seconds)."""
    quiet, age = quiet_time(seen, settle, renamed=False), math.inf
    if seen.identity is not None:
        age = max(0.0, now - max(seen.identity.mtime_ns, seen.identity.ctime_ns) / 1e9)
    found = f"it changed {age:.1f} seconds ago, and must rest for {quiet:g}" if age < quiet else ""
    return _check("quiet", f"It must have rested for {quiet:g} seconds.", found, Verdict.NOT_YET)


def _check(name: str, rule: str, found: str, verdict: Verdict) -> Check:
    """A rule that passed, unless something was found that speaks against the file."""
    return Check(name=name, rule=rule, found=found, verdict=verdict if found else None)
