"""The room's one fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pipeline.world import World, running_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A queue over one inbox and one local endpoint."""
    async with running_world(tmp_path) as running:
        yield running
