"""Fixtures of the commands' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.past import Home, home_with_a_past
from tests.servers.endpoint import LocalEndpoint


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which the daemon has run once; tests leave it as it is."""
    with LocalEndpoint() as endpoint:
        yield home_with_a_past(tmp_path_factory.mktemp("past"), endpoint)
    assert not endpoint.violations
