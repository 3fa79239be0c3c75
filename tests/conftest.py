"""Fixtures that every room's tests may use, and the order in which files are given to the workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import audio
from tests.servers.endpoint import LocalEndpoint

settings.register_profile("here", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("here")

# Half of a run's time is theirs, most of it spent waiting: begun last, one would keep a single worker busy.
LONGEST = (
    "reliability/test_kills.py",
    "reliability/test_kills_across_devices.py",
    "end_to_end/test_lifetime.py",
    "reliability/test_steps.py",
    "whisper/test_transport.py",
    "end_to_end/test_paid_once.py",
    "end_to_end/test_main_job.py",
    "whisper/test_server.py",
    "media/test_pool.py",
    "end_to_end/test_bad_endpoint.py",
    "end_to_end/test_outage.py",
    "end_to_end/test_hostile_folder.py",
    "endpoint/test_fuzz.py",
    "media/test_parts.py",
    "end_to_end/test_library.py",
    "reliability/test_system_calls.py",
    "delivery/test_stops.py",
    "end_to_end/test_steering.py",
    "end_to_end/test_queue.py",
    "end_to_end/test_reload.py",
    "inbox/test_intake.py",
    "pipeline/test_parts.py",
    "cli/test_commands.py",
    "cli/test_steer.py",
    "subtitles/test_formats.py",
    "media/test_sniff.py",
    "inbox/test_healing.py",
)


def pytest_configure() -> None:
    """Before there are workers: make the folder for media, which they share, and let bytecode be kept.

    Without it each daemon that a test starts would compile the whole package, which an installation has done.
    """
    audio.folder()
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    tests = Path(__file__).parent
    rank = {tests / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture
def endpoint() -> Iterator[LocalEndpoint]:
    """A local translation endpoint; the test fails if any request to it broke the contract."""
    with LocalEndpoint() as running:
        yield running
    assert not running.violations
