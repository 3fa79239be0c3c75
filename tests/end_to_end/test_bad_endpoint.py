"""Every bad endpoint: its own faults pause it and move no file, a file's faults fail that file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Respond, error

JSON = {"Content-Type": "application/json"}


def with_text(text: str) -> Respond:
    return Respond(headers=JSON, body=json.dumps({"text": text}).encode())


def test_a_refused_connection_pauses_the_endpoint_and_the_file_stays(tmp_path: Path) -> None:
    with LocalEndpoint() as gone:
        content = configuration(tmp_path, endpoint=gone)
    with RunningDaemon(tmp_path, content, key="sk-none") as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        paused = daemon.event("endpoint.paused")
        assert paused["fault"] == "connection_refused"
        assert paused["hint"]
        daemon.event("job.waiting", reason="endpoint paused")
        assert (daemon.inbox / "talk.mp3").exists()
        assert not list(daemon.failed.iterdir())


def test_an_endpoint_that_comes_back_is_probed_and_the_file_is_done(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.script(Respond(status=503), times=2)
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("endpoint.paused")
        daemon.event("endpoint.resumed")
        daemon.event("job.done")
    assert [request.answered for request in endpoint.requests] == [503, 503, 200]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"api_key": {"env": "WRONG_KEY"}}, "key_refused"),
        ({"path": "audio/nowhere"}, "route_missing"),
    ],
    ids=["wrong key", "wrong path"],
)
def test_a_wrong_setting_pauses_the_endpoint_and_says_what_to_change(
    tmp_path: Path, endpoint: LocalEndpoint, keys: dict[str, Any], fault: str
) -> None:
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys=keys)
    environ = {"WRONG_KEY": "sk-wrong-but-secret-0123456789"}
    with RunningDaemon(tmp_path, content, key=endpoint.key, environ=environ) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        paused = daemon.event("endpoint.paused")
        assert paused["fault"] == fault
        assert paused["hint"]
        daemon.event("job.waiting", reason="endpoint paused")
        assert (daemon.inbox / "talk.mp3").exists()
        assert not list(daemon.failed.iterdir())
        assert "sk-wrong" not in json.dumps(daemon.events)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Respond(status=301, headers={"Location": "https://elsewhere.example/v1"}, body=b""), "redirected"),
        (
            Respond(headers={"Content-Type": "text/html"}, body=b"<!doctype html><title>Shop</title>"),
            "web_page",
        ),
        (error(429, "You exceeded your current quota", code="insufficient_quota"), "quota_exhausted"),
        (error(200, "insufficient quota", code="insufficient_user_quota"), "quota_exhausted"),
    ],
    ids=["redirect", "HTML", "empty account", "JSON error with status 200"],
)
def test_an_endpoints_own_fault_moves_no_file(
    tmp_path: Path, endpoint: LocalEndpoint, answer: Respond, fault: str
) -> None:
    endpoint.always(answer)
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        assert daemon.event("endpoint.paused")["fault"] == fault
        daemon.event("job.waiting", reason="endpoint paused")
        assert (daemon.inbox / "talk.mp3").exists()
        assert not list(daemon.failed.iterdir())
    assert len(endpoint.requests) == 1


def test_an_empty_body_is_asked_for_again(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    endpoint.script(Respond(body=b""))
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        assert daemon.event("job.waiting", reason="backoff")["fault"] == "empty_body"
        daemon.event("job.done")
    assert len(endpoint.requests) == 2


def test_an_untimed_answer_is_shared_over_the_duration_with_a_warning(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.always(with_text("Hello there, this is a first sentence. And this is the second one."))
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        assert daemon.event("job.done")["warnings"] == ["untimed"]
        srt = (daemon.done / "talk.srt").read_text()
    assert "Hello there" in srt
    assert "00:00:00,000 --> 00:00:0" in srt
    assert [request.fields["response_format"] for request in endpoint.requests] == ["verbose_json", "srt"]


def test_a_server_without_verbose_json_is_asked_for_srt_and_not_again_for_the_first(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.always(
        lambda request: (
            error(400, "response_format 'verbose_json' is not supported")
            if request.fields["response_format"] == "verbose_json"
            else Respond()
        )
    )
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        for number, name in enumerate(("one.mp3", "two.mp3")):
            daemon.drop(clip("mp3"), name, padding=number)
            daemon.event("job.done", file=name)
    formats = [request.fields["response_format"] for request in endpoint.requests]
    assert formats == ["verbose_json", "srt", "srt"]


def test_a_file_that_the_endpoint_cannot_decode_is_sent_once_more_as_flac(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.script(error(400, "Audio file might be corrupted or unsupported"))
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done")
    assert [request.filename for request in endpoint.requests] == ["audio.mp3", "audio.flac"]


def test_a_file_that_is_refused_for_good_fails_with_what_the_endpoint_said(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    endpoint.always(error(400, "the tone of this file displeases us", headers={"x-request-id": "req-17"}))
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.failed")
        text = (daemon.failed / "talk.mp3.error.json").read_text()
        assert (daemon.failed / "talk.mp3").exists()
        assert not (daemon.inbox / "talk.mp3").exists()
    assert "displeases us" in text
    assert "req-17" in text
    assert endpoint.key not in text


def test_a_file_over_the_limit_however_it_is_cut_fails_with_both_figures(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"max_upload": "5kB"})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("wav"), "talk.wav")
        failed = daemon.event("job.failed")
    assert failed["fault"] == "too_large"
    assert "5,000" in failed["message"]
    assert not endpoint.requests
