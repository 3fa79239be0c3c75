"""The bench: what the journeys of one inbox work with. Plain references to other rooms."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from watcherd.clock import Clock
from watcherd.config.model import Endpoint, Folder
from watcherd.endpoint.gate import Gate
from watcherd.inbox.storage import Storage
from watcherd.job import Outcome, Plan
from watcherd.journal.store import Journal
from watcherd.media.pool import MediaPool
from watcherd.place import Place
from watcherd.retry import Policy
from watcherd.settings import Settings


@dataclass(frozen=True, slots=True)
class Places:
    """An inbox's three folders, each reached as it was at first."""

    inbox: Place
    done: Place
    failed: Place

    @classmethod
    def of(cls, folder: Folder) -> Places:
        """The places that a configured folder names."""
        inbox, done, failed = folder.inbox, folder.done, folder.failed
        return cls(Place(inbox), Place(done, bare=inbox), Place(failed, bare=inbox))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the journeys of one inbox work with.

    `work` is our own folder for encoded audio, `reports` for what is wrong with files that stay. With
    `beside` the original stays where it is and its sidecars go into that folder.
    """

    folder: Folder
    gate: Gate
    storage: Storage
    media: MediaPool
    journal: Journal
    clock: Clock
    work: Path
    reports: Path
    planning: asyncio.Lock
    beside: Path | None = None
    policy: Policy = field(default_factory=Policy)
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", Places.of(self.folder))

    def place_of(self, plan: Plan, name: bytes) -> tuple[Place, bytes]:
        """Where one of the files of a delivery stands: a place, and a folder below it."""
        if not plan.stays:
            return (self.places.done if plan.outcome is Outcome.DONE else self.places.failed), plan.folder
        if plan.outcome is Outcome.FAILED and name != plan.original:
            return Place(self.reports), b""
        return self.places.inbox, plan.folder

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint of the inbox."""
        return self.gate.endpoint

    @property
    def model(self) -> str:
        """The model that the inbox asks for."""
        return self.folder.model or self.endpoint.model

    @property
    def settings(self) -> Settings:
        """What audio is asked for with, as it is configured now."""
        folder, endpoint = self.folder, self.endpoint
        return Settings(
            base_url=endpoint.base_url,
            model=self.model,
            prompt=folder.prompt,
            temperature=folder.temperature,
            track=folder.track,
            fields=tuple(sorted(endpoint.fields.items())),
        )
