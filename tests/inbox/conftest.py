"""The inbox's fixtures: an inbox on disk, a desk, and a tick that does not keep tests waiting."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from tests.inbox.support import FakeDesk, Logged
from watcherd.inbox import intake


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    place = tmp_path / "inbox"
    place.mkdir()
    return place


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user may reach, unlike pytest's own."""
    place = Path(tempfile.mkdtemp(prefix="watcherd-test-"))
    place.chmod(0o755)
    yield place
    os.system(f"chmod -R u+rwX {place}")
    shutil.rmtree(place)


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def logged() -> Iterator[Logged]:
    """The log, whatever another test has made of its configuration."""
    before = structlog.get_config()
    structlog.reset_defaults()
    with capture_logs() as entries:
        yield Logged(entries)
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def _quick_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "TICK", 0.1)
