"""A home with a past: an inbox in which the daemon has run once, and what came into it since."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from tests.audio import clip, tone
from tests.cli.test_commands import watcherd, written
from tests.running import configuration
from tests.servers.endpoint import LocalEndpoint


@dataclass(frozen=True)
class Home:
    """Where everything lies; `say` runs a command there and proves that it touched nothing."""

    path: Path
    endpoint: LocalEndpoint

    @property
    def inbox(self) -> Path:
        return self.path / "inbox"

    def say(self, *arguments: str | Path) -> CompletedProcess[str]:
        environ = {"TEST_KEY": self.endpoint.key}
        with self.untouched():
            said = watcherd(
                *arguments, "--config", self.path / "watcherd.yaml", home=self.path, environ=environ
            )
        assert "Traceback" not in said.stderr
        return said

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Prove that no file and no folder changed, byte for byte, and that no request was sent."""
        before, requests = self._all(), len(self.endpoint.requests)
        yield
        assert self._all() == before
        assert len(self.endpoint.requests) == requests

    def _all(self) -> dict[str, tuple[int, bytes]]:
        found = [
            self.path,
            *(path for name in ("inbox", "done", "failed", "state") for path in self._below(name)),
        ]
        return {
            str(path): (
                path.lstat().st_mtime_ns,
                path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
            )
            for path in found
        }

    def _below(self, name: str) -> list[Path]:
        folder = self.path / name
        return [folder, *folder.rglob("*")] if folder.exists() else []


def home_with_a_past(path: Path, endpoint: LocalEndpoint) -> Home:
    """One file was translated and one failed; then others came, of every kind."""
    home = Home(path, endpoint)
    keys = {"max_part": "1m", "budget": {"minutes_per_day": 2}}
    content = configuration(path, endpoint=endpoint, endpoint_keys=keys, folder_keys={"settle": "100ms"})
    written(path, content)
    for name in ("inbox", "done", "failed"):
        (path / name).mkdir()
    shutil.copyfile(clip("mp3"), home.inbox / "good.mp3")
    (home.inbox / "bad.mp3").write_text("no sound\n" * 100)
    ran = watcherd("run", "--once", home=path, environ={"TEST_KEY": endpoint.key})
    assert ran.returncode == 1, ran.stderr
    _fill(home.inbox)
    return home


def _fill(inbox: Path) -> None:
    (inbox / "sub").mkdir()
    for name, source in {
        "again.mp3": clip("mp3"),
        "talk.flac": clip("flac"),
        "talk.mkv": clip("mkv"),
        "talk.wav": clip("wav"),
        "sub/long.wav": tone(150),
    }.items():
        shutil.copyfile(source, inbox / name)
    (inbox / "broken.mp4").write_text("no film\n" * 100)
    (inbox / "empty.mp3").touch()
    (inbox / "notes.txt").write_text("notes")
    (inbox / "more.txt").write_text("more")
    os.symlink("talk.wav", inbox / "link.mp3")
    (inbox / "quiet").mkdir()
    (inbox / "quiet" / ".watcherdignore").touch()
    shutil.copyfile(clip("mp3"), inbox / "quiet" / "talk.mp3")
