"""Names of endpoints and inboxes, as a person says them."""

from __future__ import annotations

import pytest

from watcherd.control import RefusedError, Target, find
from watcherd.journal.ledger import Kind

ENDPOINTS = ("cometapi", "local", "both")
INBOXES = ("podcasts", "both", "endpoint:local")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("cometapi", Target(Kind.ENDPOINT, "cometapi")),
        ("podcasts", Target(Kind.INBOX, "podcasts")),
        ("endpoint:both", Target(Kind.ENDPOINT, "both")),
        ("inbox:both", Target(Kind.INBOX, "both")),
        ("inbox:podcasts", Target(Kind.INBOX, "podcasts")),
        ("endpoint:local", Target(Kind.INBOX, "endpoint:local")),
    ],
)
def test_a_name_is_found(name: str, target: Target) -> None:
    assert find(name, endpoints=ENDPOINTS, inboxes=INBOXES) == target


def test_a_name_that_both_have_is_refused_with_what_to_write() -> None:
    with pytest.raises(RefusedError) as refused:
        find("both", endpoints=ENDPOINTS, inboxes=INBOXES)
    assert refused.value.code == "ambiguous_name"
    assert str(refused.value) == "both is an endpoint and an inbox; write endpoint:both or inbox:both"


@pytest.mark.parametrize("name", ["podcast", "inbox:cometapi", "endpoint:", "", "x"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        find(name, endpoints=ENDPOINTS, inboxes=INBOXES)
    assert refused.value.code == "unknown_name"
    assert "endpoints: both, cometapi, local; inboxes: both, endpoint:local, podcasts" in refused.value.hint
    assert ('did you mean "podcasts"?' in refused.value.hint) == (name == "podcast")
