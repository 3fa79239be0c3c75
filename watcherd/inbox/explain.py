"""Every rule for one file: a relative path in, the rules in their order and what each said out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from watcherd.inbox.accept import FOLDER_RULES, NAME_RULES, Rules, Verdict


@dataclass(frozen=True, slots=True)
class Applied:
    """A rule as it was applied: its name, what it says, and the verdict where it ends the matter."""

    name: str
    rule: str
    verdict: Verdict | None

    @property
    def passed(self) -> bool:
        """Whether the rule left the file to the next one."""
        return self.verdict is None


def explain(path: bytes, *, rules: Rules, siblings: Collection[bytes] = ()) -> tuple[Applied, ...]:
    """The rules that `accept` applies to a path, up to the one that fails; `siblings` as there.

    Where all have passed, the file is media. For a file in the inbox itself those for folders are left out.
    """
    return tuple(_applied(path, rules, siblings))


def _applied(path: bytes, rules: Rules, siblings: Collection[bytes]) -> Iterator[Applied]:
    folder = path.rpartition(b"/")[0]
    applying = [(rule, folder) for rule in FOLDER_RULES if folder] + [(rule, path) for rule in NAME_RULES]
    for rule, subject in applying:
        verdict = rule.judge(subject, rules, siblings)
        yield Applied(rule.name, rule.text, verdict)
        if verdict is not None:
            return
