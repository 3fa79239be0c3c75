"""An endpoint that fails in the middle: none of the files fails, and hardly a request is made for nothing."""

from __future__ import annotations

import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import HangUp, LocalEndpoint, Request, Respond, error
from tests.waiting import wait_until

FILES = 40
MANY = 300
CONCURRENCY = 4
DOWN = 60  # seconds


def drop_many(daemon: RunningDaemon, files: int = FILES) -> None:
    for number in range(files):
        daemon.drop(clip("mp3"), f"talk {number}.mp3", padding=number)


def all_done(daemon: RunningDaemon, files: int = FILES) -> None:
    wait_until(lambda: len(daemon.found("job.done")) == files, timeout=120)
    assert not list(daemon.failed.iterdir())
    assert not [path for path in daemon.inbox.iterdir() if path.suffix == ".mp3"]


def test_an_outage_in_the_middle_fails_no_file(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        endpoint.script(Respond(), times=10)
        endpoint.always(Respond(status=502))
        drop_many(daemon)
        daemon.event("endpoint.paused")
        wait_until(lambda: sum(request.answered == 502 for request in endpoint.requests) >= 3, timeout=60)
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


def test_an_answer_from_before_a_pause_does_not_end_it(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    wish = {"Retry-After": "3"}
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"concurrency": 2})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        endpoint.script(Respond(hold=True))
        endpoint.script(error(429, "Rate limit reached", code="rate_limit_exceeded", headers=wish))
        drop_many(daemon, 6)
        daemon.event("endpoint.paused", fault="rate_limited")
        endpoint.release()
        all_done(daemon, 6)
    refused = next(request for request in endpoint.requests if request.answered == 429)
    later = [request.started for request in endpoint.requests if request.started > refused.ended]
    assert min(later) > refused.ended + 2.9, "sent while the server had asked for silence"


def test_connections_that_break_cost_attempts_and_no_file(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        endpoint.script(HangUp(), times=3)
        endpoint.script(Respond(cut=20, reset=True), times=3)
        drop_many(daemon)
        all_done(daemon)


def answered(endpoint: LocalEndpoint, status: int = 200) -> int:
    return sum(request.answered == status for request in endpoint.requests)


def stopped_in_the_middle(endpoint: LocalEndpoint) -> None:
    """Let a third of the files through, then hold as many requests as there may be: the server is to stop."""
    wait_until(lambda: answered(endpoint) >= MANY // 3, timeout=120)
    endpoint.always(Respond(hold=True))
    wait_until(lambda: endpoint.held == CONCURRENCY, timeout=30)


def refused_for_a_while(endpoint: LocalEndpoint, daemon: RunningDaemon) -> None:
    """Refuse with a wish of five seconds until the daemon has understood, then serve it again."""
    wait_until(lambda: answered(endpoint) >= 20, timeout=180)
    endpoint.always(
        error(429, "Rate limit reached", code="rate_limit_exceeded", headers={"Retry-After": "5"})
    )
    daemon.event("endpoint.paused", fault="rate_limited")
    wait_until(lambda: not endpoint.in_flight)
    endpoint.always(Respond(delay=0.1))


def locked_out_until_a_reload(endpoint: LocalEndpoint, daemon: RunningDaemon, key_file: Path) -> None:
    """Take another key only; once the daemon has given up on the old one, correct its file and reload."""
    before = answered(endpoint)
    wait_until(lambda: answered(endpoint) >= before + 20, timeout=60)
    endpoint.key = "sk-rotated-0123456789"
    daemon.event("endpoint.paused", fault="key_refused")
    wait_until(lambda: not endpoint.in_flight)
    key_file.write_text(f"{endpoint.key}\n")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    daemon.event("configuration.reloaded")


def check_requests(requests: Sequence[Request], daemon: RunningDaemon) -> None:
    """No file was answered twice; whatever was not answered was in flight at a break, or a probe."""
    answers = defaultdict(list)
    for request in requests:
        if request.whole:
            answers[request.sha256].append(request.answered)
    assert len(answers) == MANY
    for given in answers.values():
        assert given.count(200) == 1
        assert given[-1] == 200, "sent again after its answer"
    statuses = Counter(request.answered for request in requests)
    pauses = Counter(event["fault"] for event in daemon.found("endpoint.paused"))
    waits = Counter((event["reason"], event["fault"]) for event in daemon.found("job.waiting"))
    print(
        f"\n{MANY} files: {len(requests)} requests reached a server, by answer {dict(statuses)};"
        f" {len(daemon.found('part.sent'))} were sent by the log; pauses {dict(pauses)}; waits {dict(waits)}"
    )
    assert set(statuses) == {200, None, 429, 401}
    assert statuses[None] <= CONCURRENCY
    assert statuses[429] <= CONCURRENCY + pauses["rate_limited"] - 1, "those in flight, then a probe a pause"
    assert statuses[401] <= CONCURRENCY + pauses["key_refused"] - 1, "those in flight, then a probe a pause"
    assert pauses["connection_refused"] >= 2
    assert pauses["key_refused"] == 1, "an answer from before ended the pause"


@pytest.mark.slow
def test_three_hundred_files_outlive_an_outage_a_rate_limit_and_a_rotated_key(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    with ExitStack() as stack:
        with LocalEndpoint() as before:
            before.always(Respond(delay=0.1))
            key_file.write_text(f"{before.key}\n")
            keys = {"api_key": {"file": str(key_file)}, "concurrency": CONCURRENCY}
            content = configuration(tmp_path, endpoint=before, endpoint_keys=keys)
            daemon = stack.enter_context(RunningDaemon(tmp_path, content))
            drop_many(daemon, MANY)
            stopped_in_the_middle(before)
        threading.Event().wait(DOWN)  # the outage itself: nothing listens
        after = stack.enter_context(LocalEndpoint(port=before.port))
        after.always(Respond(delay=0.1))
        refused_for_a_while(after, daemon)
        locked_out_until_a_reload(after, daemon, key_file)
        all_done(daemon, MANY)
        assert daemon.stop() == 0
    stems = [f"talk {number}" for number in range(MANY)]
    assert daemon.sidecars() == sorted(
        f"{stem}.{suffix}" for stem in stems for suffix in ("mp3", "srt", "vtt", "txt")
    )
    assert not [*before.violations, *after.violations]
    check_requests([*before.requests, *after.requests], daemon)
