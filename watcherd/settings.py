"""Request settings: all that decides what an endpoint answers, the audio apart. A pure value, and its key."""

from __future__ import annotations

import functools
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
        return _key(self)


@functools.lru_cache(maxsize=64)
def _key(settings: Settings) -> str:
    """Asked for several times a file, and the same for nearly all of them."""
    return hashlib.sha256(json.dumps(astuple(settings)).encode()).hexdigest()
