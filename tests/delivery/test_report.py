"""The failure report: everything a person needs, nothing secret, whatever the names are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from watcherd.delivery.report import Settings, is_report, render
from watcherd.faults import Fault, Remedy, Scope
from watcherd.job import Identity, Job

FAULT = Fault(
    scope=Scope.FILE,
    code="not_decodable",
    message="The endpoint cannot decode the file",
    hint="Play it; if that works, convert it to FLAC.",
    remedy=Remedy.FAIL,
    said="Invalid file format.",
    status=400,
    request_id="req-1",
)
SETTINGS = Settings(
    endpoint="cometapi",
    base_url="https://api.example.com/v1",
    model="whisper-1",
    prompt="Wolfgang",
    temperature=0,
    formats=("srt", "vtt"),
    inbox=Path("/srv/inbox"),
    stays=False,
)
JOB = Job(
    id=12,
    inbox="podcasts",
    path=b"sub/talk.mp3",
    identity=Identity(1, 2, 345, 6, 7),
    settled_at=1_800_000_000,
)


def rendered(job: Job = JOB, fault: Fault = FAULT, settings: Settings = SETTINGS) -> dict[str, Any]:
    body = render(
        job,
        fault,
        settings=settings,
        attempts=[(1_800_000_010.9, FAULT), (1_800_000_020, None)],
        now=1_800_000_030,
    )
    assert body.endswith(b"}\n")
    assert is_report(body)
    found: dict[str, Any] = json.loads(body)
    return found


def test_a_report_says_what_went_wrong_and_what_to_do() -> None:
    assert rendered() == {
        "kind": "watcherd failure report",
        "version": 1,
        "file": "sub/talk.mp3",
        "inbox": {"name": "podcasts", "path": "/srv/inbox"},
        "job": 12,
        "bytes": 345,
        "settled_at": "2027-01-15T08:00:00Z",
        "failed_at": "2027-01-15T08:00:30Z",
        "fault": {
            "scope": "file",
            "code": "not_decodable",
            "message": "The endpoint cannot decode the file",
            "hint": "Play it; if that works, convert it to FLAC.",
        },
        "endpoint_said": {"status": 400, "text": "Invalid file format.", "request_id": "req-1"},
        "attempts": [
            {
                "at": "2027-01-15T08:00:10Z",
                "code": "not_decodable",
                "message": "The endpoint cannot decode the file",
                "status": 400,
                "text": "Invalid file format.",
                "request_id": "req-1",
            },
            {"at": "2027-01-15T08:00:20Z"},
        ],
        "settings": {
            "endpoint": "cometapi",
            "base_url": "https://api.example.com/v1",
            "model": "whisper-1",
            "prompt": "Wolfgang",
            "temperature": 0,
            "formats": ["srt", "vtt"],
        },
        "how_to_retry": (
            "Say watcherd retry and this file's name, or move the file back into the inbox: /srv/inbox/sub"
        ),
    }


def test_a_fault_that_the_endpoint_had_no_part_in_says_so() -> None:
    assert rendered(fault=replace(FAULT, said="", status=None, request_id=None))["endpoint_said"] is None


def test_a_file_at_the_top_goes_back_to_the_inbox_itself() -> None:
    assert rendered(replace(JOB, path=b"talk.mp3"))["how_to_retry"].endswith(": /srv/inbox")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@api.example.com:8443/v1", "https://api.example.com:8443/v1"),
        ("https://api.example.com/v1?key=secret#secret", "https://api.example.com/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_secrets_in_the_address_are_not_shown(url: str, shown: str) -> None:
    report = rendered(settings=replace(SETTINGS, base_url=url))
    assert report["settings"]["base_url"] == shown
    assert "secret" not in json.dumps(report)


def test_names_of_any_bytes_can_be_printed() -> None:
    report = rendered(replace(JOB, path=b"\xff\x1b\n/\xe2\x82\xac.mp3"))
    assert report["file"] == "\\xff\x1b\n/€.mp3"
    body = render(
        replace(JOB, path=b"\x1b.mp3"),
        replace(FAULT, message="half \udcff"),
        settings=SETTINGS,
        attempts=(),
        now=0,
    )
    assert b"\x1b" not in body
    assert body.decode("utf-8")


def test_the_same_arguments_make_the_same_bytes() -> None:
    assert rendered() == rendered()
    assert render(JOB, FAULT, settings=SETTINGS, attempts=(), now=5) == render(
        JOB, FAULT, settings=SETTINGS, attempts=(), now=5
    )


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'{"kind": "other"}', b"\xff\xfe", b"[" * 100_000])
def test_other_content_is_no_report(content: bytes) -> None:
    assert not is_report(content)


@pytest.mark.parametrize(("path", "where"), [(b"talk.mp3", "talk.mp3"), (b"a/\xff.mp3", "a/\\xff.mp3")])
def test_a_file_that_stays_is_tried_again_where_it_is(path: bytes, where: str) -> None:
    found = rendered(replace(JOB, path=path), settings=replace(SETTINGS, stays=True))
    assert found["how_to_retry"] == (
        f"Say watcherd retry and this file's path; it is also tried again when it changes: /srv/inbox/{where}"
    )
