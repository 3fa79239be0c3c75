"""What runs next: inboxes take turns, requests stay within the concurrency, waiting jobs are rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Respond
from tests.waiting import wait_until


def states(daemon: RunningDaemon) -> dict[str, int]:
    """How many jobs stand in each state, from the journal itself."""
    connection = sqlite3.connect(f"file:{daemon.home}/state/journal.sqlite3?mode=ro", uri=True)
    try:
        return dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state"))
    finally:
        connection.close()


def test_inboxes_take_turns_however_many_files_one_of_them_has(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.always(Respond(hold=True))
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"concurrency": 1})
    first = content["folders"][0]
    second = first | {"inbox": str(tmp_path / "second"), "name": "second"}
    content = content | {"folders": [first, second]}
    (tmp_path / "second").mkdir()
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        for number in range(8):
            daemon.drop(clip("mp3"), f"many {number}.mp3", padding=number)
        wait_until(lambda: len(daemon.found("job.settled")) == 8, timeout=30)
        (tmp_path / "second" / "few.mp3").write_bytes(clip("mp3").read_bytes() + bytes(99))
        daemon.event("job.settled", inbox="second")
        wait_until(lambda: endpoint.held, timeout=30)
        endpoint.always(Respond())
        endpoint.release()
        wait_until(lambda: len(daemon.found("job.done")) == 9, timeout=60)
        order = [event["inbox"] for event in daemon.found("part.sent")]
    assert order.index("second") <= 3, "two jobs were past queued already, the next turn is the second's"


def test_no_more_requests_than_the_endpoints_concurrency_and_the_rest_are_rows(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.always(Respond(hold=True))
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"concurrency": 2})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        for number in range(10):
            daemon.drop(clip("mp3"), f"talk {number}.mp3", padding=number)
        wait_until(lambda: len(daemon.found("job.settled")) == 10, timeout=30)
        wait_until(lambda: endpoint.held == 2, timeout=30)
        wait_until(lambda: states(daemon).get("queued") == 6, timeout=10)
        assert sum(states(daemon).values()) == 10
        endpoint.always(Respond())
        endpoint.release()
        wait_until(lambda: len(daemon.found("job.done")) == 10, timeout=60)
    assert endpoint.max_in_flight == 2


def test_a_file_that_is_replaced_while_it_waits_its_turn_settles_anew(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.script(Respond(hold=True))
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"concurrency": 1})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        for name in ("a.mp3", "b.mp3", "c.mp3"):
            daemon.drop(clip("mp3"), name)
            daemon.event("job.settled", file=name)
        wait_until(lambda: endpoint.held, timeout=30)
        daemon.drop(clip("wav"), "c.mp3")
        daemon.event("job.skipped", file="c.mp3", why="changed")
        wait_until(lambda: len(daemon.found("job.settled", file="c.mp3")) == 2, timeout=30)
        endpoint.release()
        wait_until(lambda: len(daemon.found("job.done")) == 3, timeout=60)
        assert (daemon.done / "c.mp3").read_bytes() == clip("wav").read_bytes()


def test_a_file_that_changes_while_it_is_sent_is_not_delivered_with_the_old_text(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.script(Respond(hold=True))
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        target = daemon.drop(clip("mp3"), "talk.mp3")
        wait_until(lambda: endpoint.held, timeout=30)
        with target.open("ab") as file:
            file.write(clip("mp3").read_bytes())
        endpoint.release()
        daemon.event("job.skipped", why="changed")
        daemon.event("job.done", file="talk.mp3")
        assert (daemon.done / "talk.mp3").stat().st_size == 2 * clip("mp3").stat().st_size
        sizes = [request.size for request in endpoint.requests]
        assert sizes == [clip("mp3").stat().st_size, 2 * clip("mp3").stat().st_size]
        assert str(sizes[1]) in (daemon.done / "talk.srt").read_text()


def test_a_file_that_vanishes_before_its_turn_is_skipped_quietly(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.script(Respond(hold=True))
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"concurrency": 1})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        targets = {}
        for name in ("a.mp3", "b.mp3", "c.mp3"):
            targets[name] = daemon.drop(clip("mp3"), name)
            daemon.event("job.settled", file=name)
        wait_until(lambda: endpoint.held, timeout=30)
        targets["c.mp3"].unlink()
        daemon.event("job.skipped", file="c.mp3", why="vanished")
        endpoint.release()
        wait_until(lambda: len(daemon.found("job.done")) == 2, timeout=30)
        assert not daemon.found("job.failed")
