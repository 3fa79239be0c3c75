"""A file in a library, beside which one subtitle is ours already and two are missing."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.delivery.world import BYSTANDER, JOB, SPEECH, WAYS, Machine
from watcherd.delivery import beside, names
from watcherd.delivery.files import Result
from watcherd.delivery.look import identity
from watcherd.job import Identity, Plan

OLD = b"what we wrote before, at length"
NEW = b"what we write now, and more of it than before"


@dataclass
class Library:
    """`films/sub/talk.mkv` with `talk.srt`, which is ours; `talk.vtt` (empty) and `talk.txt` are missing."""

    root: Path
    inbox: Path = field(init=False)
    plan: Plan = field(init=False)
    contents: Mapping[bytes, bytes] = field(init=False)
    settled: Identity = field(init=False)
    ours: dict[bytes, str] = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = self.root / "films"
        (self.inbox / "sub").mkdir(parents=True)
        self.original.write_bytes(SPEECH)
        self["other.srt"].write_bytes(BYSTANDER)
        self["talk.srt"].write_bytes(OLD)
        self.ours = {b"talk.srt": hashlib.sha256(OLD).hexdigest()}
        found = identity(self.original.stat())
        assert found is not None
        self.settled = found
        self.plan_anew()

    def __getitem__(self, name: str) -> Path:
        return self.inbox / "sub" / name

    @property
    def original(self) -> Path:
        return self["talk.mkv"]

    def plan_anew(self, without: bytes = b"") -> None:
        """Plan what overwrite writes; `without` is a name that turned out to be somebody's."""
        self.ours.pop(without, None)
        self.plan = names.plan_beside(
            path=b"sub/talk.mkv",
            formats=("srt", "vtt", "txt"),
            sidecar_name="{stem}",
            existing="overwrite",
            taken={b"talk.mkv", *map(os.fsencode, self.files())},
            ours=self.ours,
        )
        contents = {"srt": NEW, "vtt": b"", "txt": b"text"}
        self.contents = {sidecar.name: contents[sidecar.format] for sidecar in self.plan.sidecars}

    def deliver(self) -> Result:
        inbox_fd = os.open(self.inbox, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return beside.deliver(
                self.plan,
                job_id=JOB,
                inbox_fd=inbox_fd,
                path=b"sub/talk.mkv",
                identity=self.settled,
                contents=self.contents,
                ours=self.ours,
            )
        finally:
            os.close(inbox_fd)

    def files(self) -> dict[str, bytes]:
        """What is beside the original, and the original if it changed; a bystander must be as it was."""
        found = {path.name: path.read_bytes() for path in (self.inbox / "sub").iterdir()}
        assert found.pop("other.srt") == BYSTANDER
        if found.get("talk.mkv") == SPEECH:
            del found["talk.mkv"]
        return found

    def assert_delivered(self) -> None:
        assert self.files() == {"talk.srt": NEW, "talk.vtt": b"", "talk.txt": b"text"}
        assert identity(self.original.stat()) == self.settled


@contextmanager
def library_of(way: str, **settings: object) -> Iterator[tuple[Library, Machine]]:
    """A fresh library in memory, on a machine of this kind."""
    memory = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        with pytest.MonkeyPatch.context() as monkeypatch:
            library = Library(root)
            machine = Machine(**WAYS[way], **settings)  # type: ignore[arg-type]  # a table of keywords
            machine.install(monkeypatch)
            yield library, machine
    finally:
        shutil.rmtree(root)
