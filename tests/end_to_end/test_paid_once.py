"""Nothing is paid for twice, and a file is blamed only when the endpoint is not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Respond
from tests.waiting import wait_until

BROKEN = Respond(status=500, body=b"Internal Server Error")


def test_the_same_content_under_another_name_and_in_another_inbox_is_not_asked_for_again(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    first = content["folders"][0]
    second = first | {"inbox": str(tmp_path / "second"), "name": "second", "formats": ["vtt"]}
    (tmp_path / "second").mkdir()
    with RunningDaemon(tmp_path, content | {"folders": [first, second]}, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done", file="talk.mp3")
        daemon.drop(clip("mp3"), "copy.mp3")
        daemon.event("job.done", file="copy.mp3")
        shutil.copyfile(clip("mp3"), tmp_path / "second" / "again.mp3")
        daemon.event("job.done", file="again.mp3")
        texts = {(daemon.done / name).read_text() for name in ("talk.vtt", "copy.vtt", "again.vtt")}
        assert len(texts) == 1
        assert len(daemon.found("part.reused")) == 2
    assert len(endpoint.requests) == 1


def test_the_same_content_with_other_request_settings_is_asked_for(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    first = content["folders"][0]
    second = first | {"inbox": str(tmp_path / "second"), "name": "second", "prompt": "Kubernetes"}
    (tmp_path / "second").mkdir()
    with RunningDaemon(tmp_path, content | {"folders": [first, second]}, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done", file="talk.mp3")
        shutil.copyfile(clip("mp3"), tmp_path / "second" / "other.mp3")
        daemon.event("job.done", file="other.mp3")
    assert [request.fields.get("prompt") for request in endpoint.requests] == [None, "Kubernetes"]


def test_a_file_with_the_same_ends_but_another_middle_is_asked_for(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    """Same size, same first and last MiB: only the whole file's hash tells them apart."""
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"upload": "original"})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        for name, middle in (("one.wav", b"\1"), ("two.wav", b"\2")):
            header = clip("wav").read_bytes()[:44]
            (daemon.inbox / name).write_bytes(header + bytes(1 << 20) + middle * 1000 + bytes(1 << 20))
            daemon.event("job.done", file=name)
        assert not daemon.found("part.reused")
    assert len(endpoint.requests) == 2


def test_a_file_that_alone_gets_500_fails_after_its_attempts(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    size = clip("mp3").stat().st_size
    endpoint.always(lambda request: BROKEN if request.size == size else Respond())
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "poison.mp3")
        assert daemon.event("job.failed", timeout=90)["fault"] == "server_error"
        report = json.loads((daemon.failed / "poison.mp3.error.json").read_text())
        assert len(report["attempts"]) == 5
        assert not daemon.found("endpoint.paused")
    answered = [request.answered for request in endpoint.requests]
    assert answered == [500] * 5 + [200], "five attempts, then the clip that shows that the endpoint works"


def test_an_endpoint_that_gives_500_to_every_file_is_paused_and_fails_none(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.always(BROKEN)
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "good.mp3")
        assert daemon.event("endpoint.paused", timeout=90)["fault"] == "server_error"
        assert (daemon.inbox / "good.mp3").exists()
        endpoint.always(Respond())
        daemon.event("job.done", timeout=60)
        assert not list(daemon.failed.iterdir())


def test_a_file_that_was_in_hand_at_three_deaths_fails_with_that_reason(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        endpoint.always(Respond(hold=True))
        daemon.drop(clip("mp3"), "deadly.mp3")
        daemon.event("part.sent")
        assert daemon.process is not None
        daemon.process.kill()
        daemon.ended()
        journal = sqlite3.connect(tmp_path / "state" / "journal.sqlite3")
        journal.execute("UPDATE jobs SET crashes = 2")  # two deaths before this one
        journal.commit()
        journal.close()
        daemon.start()
        assert daemon.event("job.failed")["fault"] == "crashed_repeatedly"
        wait_until((daemon.failed / "deadly.mp3").exists)
        assert daemon.stop() == 0
    assert len(daemon.found("part.sent")) == 1


def test_files_that_were_in_hand_at_two_deaths_travel_alone(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    """So the third death tells which of them it was."""
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        endpoint.always(Respond(hold=True))
        for number in range(3):
            daemon.drop(clip("mp3"), f"talk {number}.mp3", padding=number)
        for _ in range(2):
            wait_until(lambda: endpoint.held == 3, timeout=30)
            assert daemon.process is not None
            daemon.process.kill()
            daemon.ended()
            endpoint.release()
            wait_until(lambda: not endpoint.held)
            endpoint.max_in_flight = 0
            daemon.start()
        wait_until(lambda: endpoint.held == 1, timeout=30)
        endpoint.always(Respond())
        endpoint.release()
        wait_until(lambda: len(daemon.found("job.done")) == 3, timeout=30)
    assert endpoint.max_in_flight == 1
