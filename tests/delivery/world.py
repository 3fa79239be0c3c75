"""An inbox and a done folder, a file to deliver, and an operating system that can stop or be tampered with.

`Machine` stands in for `os` in the rim modules: it counts system calls, runs a stranger's hand before one of
them, makes the process die after one of them, and refuses what some file systems refuse.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from watcherd.delivery import beside, carry, copying, folders, look, names, publish, sidecars
from watcherd.delivery.files import Result, deliver
from watcherd.job import Identity, Outcome, Plan
from watcherd.place import Place

SPEECH = b"original speech " * 200
STRANGER = b"somebody else's file, of another length"
BYSTANDER = b"a bystander"
JOB = 7
NEVER = 1 << 30


class Stopped(BaseException):
    """The process died here."""


T = TypeVar("T")
FREE = {"close", "fsencode", "fsdecode", "strerror"}  # a dead process closes everything


@dataclass
class Machine:
    """See above. `stop_after` and `tamper_before` are numbers of system calls, the first being 1."""

    refuse_flag: int = 0  # what renameat2 answers: 0, EINVAL, EPERM
    refuse_link: int = 0
    devices_differ: bool = False
    stop_after: int = NEVER
    tamper_before: int = NEVER
    tamper: Callable[[], None] = lambda: None
    calls: int = 0
    log: list[str] = field(default_factory=list)
    fail_at: int = NEVER  # the disk is full at this call

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = publish._renameat2
        monkeypatch.setattr(publish, "_renameat2", lambda *args: self.run("renameat2", real, args, {}))
        for module in (beside, carry, copying, folders, look, publish, sidecars):
            monkeypatch.setattr(module, "os", self)
        monkeypatch.setattr(copying, "BLOCK", 1000)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any function or constant of os
        value = getattr(os, name)
        if name in FREE or not callable(value) or isinstance(value, type):
            return value
        return lambda *args, **keywords: self.run(name, value, args, keywords)

    def run(self, name: str, call: Callable[..., T], args: tuple[Any, ...], keywords: dict[str, Any]) -> T:
        self.calls += 1
        self.log.append(name)
        if self.calls > self.stop_after:
            raise Stopped
        if self.calls == self.tamper_before:
            self.tamper()
        self.refuse(name, args, keywords)
        result = call(*args, **keywords)
        if self.calls == self.stop_after:
            if name == "open":
                os.close(cast("int", result))
            raise Stopped
        return result

    def refuse(self, name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        code = errno.ENOSPC if self.calls == self.fail_at and name in {"open", "write", "fsync"} else 0
        if name in {"renameat2", "link", "rename"}:
            ends = (
                (args[0], args[2])
                if name == "renameat2"
                else (keywords["src_dir_fd"], keywords["dst_dir_fd"])
            )
            if self.devices_differ and not os.path.samestat(*map(os.fstat, ends)):
                code = errno.EXDEV
            elif name == "renameat2":
                code = code or self.refuse_flag
            elif name == "link":
                code = code or self.refuse_link
        if code:
            raise OSError(code, os.strerror(code))


WAYS: Mapping[str, dict[str, Any]] = {
    "rename": {},
    "link": {"refuse_flag": errno.EINVAL},
    "placeholder": {"refuse_flag": errno.EPERM},
    "placeholder where links are refused": {"refuse_flag": errno.ENOSYS, "refuse_link": errno.EOPNOTSUPP},
    "copy": {"devices_differ": True},
    "copy and link": {"devices_differ": True, "refuse_flag": errno.EINVAL},
    "copy and placeholder": {"devices_differ": True, "refuse_flag": errno.EPERM},
}


@dataclass
class World:
    """A file `sub/NAME` in an inbox that is to go to done, with a bystander in both folders."""

    root: Path
    far: Path | None = None  # the done folder's place, if it is to be elsewhere
    outcome: Outcome = Outcome.DONE
    name: bytes = b"talk.mp3"
    fresh: bool = True  # whether nothing was delivered yet, nor left behind
    inbox: Path = field(init=False)
    target: Path = field(init=False)
    contents: Mapping[bytes, bytes] = field(init=False)
    plan: Plan = field(init=False)
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = self.root / "inbox"
        self.target = (self.far or self.root) / "done"
        for folder in (self.inbox / "sub", self.target / "sub"):
            folder.mkdir(parents=True)
            (folder / "other.srt").write_bytes(BYSTANDER)
        self.original.write_bytes(SPEECH)
        os.utime(self.original, ns=(1, 1_600_000_000_123_456_789))
        self.plan_anew()

    @property
    def original(self) -> Path:
        return self.inbox / "sub" / os.fsdecode(self.name)

    @property
    def arrived(self) -> Path:
        return self.target / "sub" / os.fsdecode(self.plan.original)

    def plan_anew(self, *taken: bytes) -> None:
        self.plan = names.plan(
            path=b"sub/" + self.name, outcome=self.outcome, formats=("srt", "vtt", "txt"), taken=set(taken)
        )
        self.contents = {
            sidecar.name: b"" if sidecar.format == "vtt" else sidecar.format.encode() * 100
            for sidecar in self.plan.sidecars
        }
        status = self.original.stat()
        self.identity = Identity(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )

    def deliver(self) -> Result:
        fresh, self.fresh = self.fresh, False  # a stop leaves something from the first call on
        inbox_fd = os.open(self.inbox, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return deliver(
                self.plan,
                job_id=JOB,
                inbox_fd=inbox_fd,
                path=b"sub/" + self.name,
                identity=self.identity,
                target=Place(self.target),
                contents=self.contents,
                fresh=fresh,
            )
        finally:
            os.close(inbox_fd)

    def files(self, root: Path) -> dict[str, bytes]:
        """Every file below a folder, without the bystander, which must be as it was."""
        found = {
            str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if not path.is_dir()
        }
        assert found.pop("sub/other.srt") == BYSTANDER
        return found

    @property
    def delivered(self) -> dict[str, bytes]:
        """What must be in done in the end."""
        found = {f"sub/{os.fsdecode(name)}": content for name, content in self.contents.items()}
        return found | {f"sub/{os.fsdecode(self.plan.original)}": SPEECH}

    def assert_delivered(self) -> None:
        assert self.files(self.target) == self.delivered
        assert self.files(self.inbox) == {}
        assert self.arrived.stat().st_mtime_ns == self.identity.mtime_ns
        assert self.arrived.stat().st_nlink == 1

    def assert_nothing_lost(self) -> None:
        """What must hold at any moment: the original is somewhere, and no sidecar is half written."""
        inbox, target = self.files(self.inbox), self.files(self.target)
        assert SPEECH in [*inbox.values(), *target.values()]
        for name, content in self.contents.items():
            if found := target.get(f"sub/{os.fsdecode(name)}"):  # an empty one is a placeholder
                assert found == content
        assert target.get(f"sub/{os.fsdecode(self.plan.original)}") in {None, b"", SPEECH}
