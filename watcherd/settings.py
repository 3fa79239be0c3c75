"""Request settings: all that decides what an endpoint answers, the audio apart. A pure value, and its key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What audio is asked for with; `fields` are the endpoint's own, by name. Formats do not belong to it."""

    base_url: str
    model: str
    prompt: str
    temperature: float
    track: str
    fields: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """A name for exactly these: what was answered for one job serves every other one that has it."""
        return hashlib.sha256(json.dumps(astuple(self)).encode()).hexdigest()
