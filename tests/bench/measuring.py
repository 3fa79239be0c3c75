"""Measuring: what every bench needs: rounds, medians, peaks of memory; figures in, a table and JSON out."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

MB = 1e6
BRIEF = 10.0  # seconds; of rounds that take less, there are more
MANY, FEW = 5, 3

DAEMON, WORKER = 100.0, 150.0  # MB: the most memory that they should have


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a bench's table; `most` and `least` are what is aimed at, None where nothing is."""

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def aim(self) -> str:
        """The aim in words: `< 1.3` or `> 0.9`; empty where there is none."""
        bounds = (("> ", self.least), ("< ", self.most))
        return " ".join(f"{sign}{bound:g}" for sign, bound in bounds if bound is not None)

    @property
    def verdict(self) -> str:
        """Whether the aim was reached; empty where there is none."""
        if not self.aim:
            return ""
        too_much = self.most is not None and self.value > self.most
        too_little = self.least is not None and self.value < self.least
        return "MISSED" if too_much or too_little else "reached"


@dataclass(frozen=True, slots=True)
class Result:
    """What a bench found out, and in how many rounds at the least."""

    bench: str
    about: str
    rounds: int
    figures: Sequence[Figure]

    def table(self) -> str:
        width = max(len(figure.name) for figure in self.figures)
        rows = [f"{self.bench}: {self.about}; rounds: {self.rounds}"]
        for one in self.figures:
            row = f"  {one.name:{width}} {one.value:10.3f} {one.unit:8} {one.aim:12} {one.verdict}"
            rows.append(row.rstrip())
        return "\n".join(rows)

    def json(self) -> str:
        return json.dumps(asdict(self))


class Bench(Protocol):
    """A module's `run`; `short` only proves that it works: its figures say nothing."""

    def __call__(self, *, short: bool) -> Result: ...


def rounds(once: Callable[[], float], *, short: bool) -> list[float]:
    """What `once` says in each of five rounds, or of three where it takes long; `once` returns seconds."""
    found = [once()]
    count = 1 if short else MANY if found[0] < BRIEF else FEW
    return found + [once() for _ in range(count - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def peak_memory(pid: int) -> float:
    """The most memory that a process has had so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / MB
