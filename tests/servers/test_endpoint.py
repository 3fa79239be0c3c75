"""The local endpoint itself: it must notice whatever breaks the contract, and misbehave as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.servers.behaviour import HangUp, Respond, error
from tests.servers.contract import container_of
from tests.servers.endpoint import LocalEndpoint
from tests.waiting import wait_until

FILE = ("audio.flac", b"fLaC" + bytes(1000), "audio/flac")
FIELDS = {"model": "whisper-1"}


@pytest.fixture
def lax() -> Iterator[LocalEndpoint]:
    """An endpoint whose violations are what the test is about."""
    with LocalEndpoint(extra_fields={"translate"}) as running:
        yield running


def post(endpoint: LocalEndpoint, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's arguments
    headers = {"Authorization": f"Bearer {endpoint.key}", **request.pop("headers", {})}
    url = f"{endpoint.base_url}/audio/translations"
    return httpx.post(url, headers=headers, trust_env=False, timeout=10, **request)


@pytest.mark.parametrize(
    ("response_format", "beginning"),
    [
        ("json", '{"text"'),
        ("text", "This file"),
        ("srt", "1\n00:00:00,000 --> 00:00:02,000\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> "),
        ("verbose_json", '{"task": "translate"'),
    ],
)
def test_every_format_is_answered(endpoint: LocalEndpoint, response_format: str, beginning: str) -> None:
    answer = post(endpoint, data=FIELDS | {"response_format": response_format}, files={"file": FILE})
    assert answer.status_code == 200
    assert answer.text.startswith(beginning)
    assert "This file has 1004 bytes." in answer.text


@pytest.mark.parametrize(
    ("fields", "file", "violation"),
    [
        ({}, FILE, "'model' is missing"),
        (FIELDS, None, "'file' is missing"),
        (FIELDS | {"language": "de"}, FILE, "'language' is not in the contract"),
        (FIELDS | {"prompt": ""}, FILE, "'prompt' is empty"),
        (FIELDS | {"response_format": "lrc"}, FILE, "'lrc' is none of the five"),
        (FIELDS | {"temperature": "2"}, FILE, "'2' is not between 0 and 1"),
        (FIELDS | {"model": ["a", "b"]}, FILE, "'model' comes twice"),
        (FIELDS, ("audio.opus", b"OggS", "audio/ogg"), "none of the five"),
        (FIELDS, ("audio.mp3", FILE[1], "audio/mpeg"), "its bytes say flac"),
        (FIELDS, ("audio.flac", FILE[1], "audio/mpeg"), "content type of 'audio.flac' is 'audio/mpeg'"),
        (FIELDS, ("Audio.flac", FILE[1], "audio/flac"), "described by"),
        (FIELDS, ("größe.flac", FILE[1], "audio/flac"), "described by"),
    ],
)
def test_a_request_that_breaks_the_contract_is_refused_and_noted(
    lax: LocalEndpoint, fields: dict[str, Any], file: tuple[str, bytes, str] | None, violation: str
) -> None:
    files = {"file": file} if file else {"other": (None, "x")}
    answer = post(lax, data=fields, files=files)
    assert answer.status_code == 400
    assert violation in answer.json()["error"]["message"]
    assert any(violation in noted for noted in lax.violations)


def test_a_chunked_body_is_noted(lax: LocalEndpoint) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert post(lax, content=iter([b"--x--\r\n"]), headers=headers).status_code == 400
    assert any("chunked" in noted for noted in lax.violations)


def test_a_body_that_is_no_form_is_noted(lax: LocalEndpoint) -> None:
    assert post(lax, json={"model": "whisper-1"}).status_code == 400
    assert any("content type is 'application/json'" in noted for noted in lax.violations)


def test_fields_of_the_configuration_are_allowed_where_the_endpoint_says_so(lax: LocalEndpoint) -> None:
    assert post(lax, data=FIELDS | {"translate": "true"}, files={"file": FILE}).status_code == 200
    assert not lax.violations


def test_another_key_is_refused_without_being_a_violation(endpoint: LocalEndpoint) -> None:
    answer = post(endpoint, data=FIELDS, files={"file": FILE}, headers={"Authorization": "Bearer other"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_another_path_is_not_found(endpoint: LocalEndpoint) -> None:
    answer = httpx.get(f"{endpoint.base_url}/elsewhere", trust_env=False)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Invalid URL (GET /v1/elsewhere)")


def test_the_script_comes_first_and_then_what_is_always_done(endpoint: LocalEndpoint) -> None:
    endpoint.always(Respond(status=503))
    endpoint.script(error(429, "slow down"), times=2)
    endpoint.script(lambda request: Respond(body=request.filename.encode()))
    answers = [post(endpoint, data=FIELDS, files={"file": FILE}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 200, 503]
    assert answers[2].text == "audio.flac"
    assert [request.answered for request in endpoint.requests] == [429, 429, 200, 503]


def test_a_request_that_was_cut_off_is_noted_as_such(endpoint: LocalEndpoint) -> None:
    endpoint.script(HangUp(after=100))
    with pytest.raises(httpx.TransportError):
        post(endpoint, data=FIELDS, files={"file": FILE})
    wait_until(lambda: endpoint.requests)
    assert (endpoint.requests[0].whole, endpoint.requests[0].answered) == (False, None)
    assert endpoint.in_flight == 0


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"fLaC\x00", "flac"),
        (b"OggS\x00", "ogg"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "wav"),
        (b"\x00\x00\x00\x20ftypM4A ", "m4a"),
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "nothing known"),
        (b"", "nothing known"),
    ],
)
def test_containers_are_told_by_their_first_bytes(head: bytes, container: str) -> None:
    assert container_of(head) == container
