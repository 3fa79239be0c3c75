"""What is wrong with a configuration: one `Problem` per mistake, all of them in one `ConfigError`. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SHOWN = 120  # characters of a value that a message repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake: where it is, what stands there, and what would be right.

    `line` counts from 1 and is None for what has no line (a missing file); `key` is dotted, such as
    `folders[1].settle`; `value` is ready to be shown: quoted, short, and empty for a secret.
    """

    line: int | None
    key: str
    value: str
    message: str

    def __str__(self) -> str:
        return printable(": ".join(part for part in (self.key, self.value, self.message) if part))


class ConfigError(Exception):
    """A configuration that cannot be used, with all its problems, in the order of their lines.

    `source` is the file as the user named it. `str()` gives one line per problem, such as
    `watcherd.yaml:7: folders[0].settel: unknown key; did you mean "settle"?`.
    """

    def __init__(self, problems: Iterable[Problem], *, source: str = "") -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0))
        self.source = printable(source)
        super().__init__(self.source, self.problems)

    def __str__(self) -> str:
        return "\n".join(f"{self._place(problem)}{problem}" for problem in self.problems)

    def _place(self, problem: Problem) -> str:
        parts = (self.source, "" if problem.line is None else str(problem.line))
        place = ":".join(part for part in parts if part)
        return f"{place}: " if place else ""


def printable(text: str) -> str:
    """Write what a terminal would obey (control characters) as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def quoted(text: str) -> str:
    """Show a value as a message does: in quotes, printable, at most 120 characters of it."""
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return f'"{printable(shown)}"'


def nearest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Ask `; did you mean "settle"?` after a slip of `settle`, and nothing where no known word is near."""
    plain = word.strip().lower().replace("-", "_")
    found = difflib.get_close_matches(plain, list(known), n=1, cutoff=likeness)
    return f'; did you mean "{found[0]}"?' if found else ""


def listed(words: Sequence[str], *, last: str = "or") -> str:
    """Join words as in `a, b or c`."""
    return f" {last} ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
