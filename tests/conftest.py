"""Fixtures that every room's tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.endpoint import LocalEndpoint


@pytest.fixture
def endpoint() -> Iterator[LocalEndpoint]:
    """A local translation endpoint; the test fails if any request to it broke the contract."""
    with LocalEndpoint() as running:
        yield running
    assert not running.violations
