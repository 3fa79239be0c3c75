"""How a delivery ended. Plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """Sidecars and original stand where the plan says."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Under the original's name is not the file that settled any more. Nothing of the plan is left."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """The original has gone. Nothing of the plan is left."""


@dataclass(frozen=True, slots=True)
class NameTaken:
    """Somebody else's file has a planned name. Nothing of the plan is left; make one without `name`."""

    name: bytes


Result = Delivered | Changed | Vanished | NameTaken
