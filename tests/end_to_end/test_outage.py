"""An endpoint that fails in the middle: none of the files fails, and hardly a request is made for nothing."""

from __future__ import annotations

from pathlib import Path

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import HangUp, LocalEndpoint, Respond, error
from tests.waiting import wait_until

FILES = 40


def drop_many(daemon: RunningDaemon) -> None:
    for number in range(FILES):
        daemon.drop(clip("mp3"), f"talk {number}.mp3", padding=number)


def all_done(daemon: RunningDaemon) -> None:
    wait_until(lambda: len(daemon.found("job.done")) == FILES, timeout=120)
    assert not list(daemon.failed.iterdir())
    assert not [path for path in daemon.inbox.iterdir() if path.suffix == ".mp3"]


def test_an_outage_in_the_middle_fails_no_file(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        endpoint.script(Respond(), times=10)
        endpoint.always(Respond(status=502))
        drop_many(daemon)
        daemon.event("endpoint.paused")
        wait_until(lambda: sum(request.answered == 502 for request in endpoint.requests) >= 6, timeout=60)
        endpoint.always(Respond())
        daemon.event("endpoint.resumed", timeout=60)
        all_done(daemon)
    wasted = [request for request in endpoint.requests if request.answered != 200]
    assert len(wasted) <= 4 + len(daemon.found("endpoint.paused")), "those in flight, then one probe a pause"


def test_too_many_requests_slow_everything_down_for_as_long_as_the_server_asks(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    wish = {"Retry-After": "2"}
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        endpoint.script(Respond(), times=5)
        endpoint.script(error(429, "Rate limit reached", code="rate_limit_exceeded", headers=wish), times=3)
        drop_many(daemon)
        paused = daemon.event("endpoint.paused", fault="rate_limited")
        assert 1.5 < paused["seconds"] <= 2
        all_done(daemon)
    refused = [request for request in endpoint.requests if request.answered == 429]
    assert len(refused) == 3
    assert len(endpoint.requests) == FILES + 3


def test_connections_that_break_cost_attempts_and_no_file(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        endpoint.script(HangUp(), times=3)
        endpoint.script(Respond(cut=20, reset=True), times=3)
        drop_many(daemon)
        all_done(daemon)
