"""The letter: one place makes an event's JSON and a hook's environment, whatever a file is called."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.notify.support import DONE, FAILED, PAUSE, REPORT, folder
from watcherd.notify.letter import environment, write
from watcherd.notify.news import EndpointPaused, EndpointResumed, InboxBack, InboxMissing, JobEnded, News

TALKS = folder()


def letter(news: News) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(write(news, event_id="e1", at=1_700_000_000.9, folder=TALKS))
    return content


def test_a_done_file_is_told_with_all_that_a_pipeline_needs() -> None:
    moved = folder(done="/srv/done as it was")
    inbox = {"name": "talks", "path": {"path": "/srv/talks", "uri": "file:///srv/talks"}}
    home = "/srv/done as it was/show"
    assert letter(JobEnded(DONE, moved, 12.5)) == {
        "version": 1,
        "event": "done",
        "id": "e1",
        "at": "2023-11-14T22:13:20Z",
        "inbox": inbox,
        "job": {
            "id": 7,
            "arrived_as": {
                "path": "/srv/talks/show/caf\\xe9.mp3",
                "uri": "file:///srv/talks/show/caf%E9.mp3",
            },
            "file": {
                "path": f"{home}/caf\\xe9 (2).mp3",
                "uri": "file:///srv/done%20as%20it%20was/show/caf%E9%20%282%29.mp3",
            },
            "folder": {"path": home, "uri": "file:///srv/done%20as%20it%20was/show"},
            "bytes": 4096,
            "seconds": 12.5,
            "warnings": ["untimed"],
            "sidecars": [
                {
                    "format": kind,
                    "path": f"{home}/caf\\xe9 (2).{kind}",
                    "uri": f"file:///srv/done%20as%20it%20was/show/caf%E9%20%282%29.{kind}",
                }
                for kind in ("srt", "txt")
            ],
        },
        "fault": None,
        "endpoint": None,
    }


def test_a_failed_file_is_told_with_its_fault_and_its_report() -> None:
    told = letter(JobEnded(FAILED, TALKS))
    assert told["event"] == "failed"
    assert told["fault"] == {
        "scope": "file",
        "code": "no_audio",
        "message": "The file has no audio track.",
        "hint": "Add one.",
    }
    assert told["job"]["seconds"] is None
    (report,) = told["job"]["sidecars"]
    assert (report["format"], report["uri"]) == (
        "report",
        "file:///srv/failed/show/caf%E9%20%282%29.mp3.error.json",
    )


def test_a_file_in_the_root_of_done_has_no_folder_below_it() -> None:
    job = replace(DONE, plan=replace(REPORT, folder=b""))
    assert letter(JobEnded(job, TALKS))["job"]["folder"]["path"] == "/srv/failed"


def test_a_file_that_stays_is_told_where_it_is_and_without_a_report_that_only_we_can_read() -> None:
    for job, names in ((DONE, ["caf\\xe9 (2).srt", "caf\\xe9 (2).txt"]), (FAILED, [])):
        assert job.plan is not None
        told = letter(JobEnded(replace(job, plan=replace(job.plan, stays=True)), TALKS))["job"]
        assert told["folder"]["path"] == "/srv/talks/show"
        assert [one["path"] for one in told["sidecars"]] == [f"/srv/talks/show/{name}" for name in names]


def test_a_pause_names_endpoint_and_reason_and_no_inbox() -> None:
    told = letter(EndpointPaused("here", PAUSE, 60.0))
    assert (told["event"], told["inbox"], told["job"]) == ("endpoint_paused", None, None)
    assert told["endpoint"] == {"name": "here", "until": "1970-01-01T00:01:00Z"}
    assert told["fault"]["code"] == "key_refused"
    assert letter(EndpointPaused("here", PAUSE, None))["endpoint"]["until"] is None
    told = letter(EndpointResumed("here"))
    assert (told["event"], told["inbox"], told["fault"]) == ("endpoint_resumed", None, None)
    assert told["endpoint"]["name"] == "here"


def test_a_missing_inbox_says_why_and_one_that_is_back_does_not() -> None:
    told = letter(InboxMissing("talks", "storage not answering", "It is silent.", "Look."))
    assert (told["event"], told["inbox"]["name"]) == ("inbox_missing", "talks")
    assert told["fault"]["code"] == "storage_not_answering"
    told = letter(InboxBack("talks"))
    assert (told["event"], told["fault"], told["inbox"]["name"]) == ("inbox_back", None, "talks")


def test_a_hooks_environment_has_the_true_bytes_of_names() -> None:
    body = write(JobEnded(FAILED, TALKS), event_id="e1", at=0.0, folder=TALKS)
    assert environment(body) == {
        b"WATCHERD_EVENT": b"failed",
        b"WATCHERD_ID": b"e1",
        b"WATCHERD_INBOX": b"talks",
        b"WATCHERD_JOB": b"7",
        b"WATCHERD_FILE": b"/srv/failed/show/caf\xe9 (2).mp3",
        b"WATCHERD_FOLDER": b"/srv/failed/show",
        b"WATCHERD_FAULT": b"no_audio",
        b"WATCHERD_MESSAGE": b"The file has no audio track.",
    }


@given(
    name=st.binary(min_size=1).filter(lambda name: b"/" not in name and b"\0" not in name),
    said=st.text(),
    warning=st.text(),
)
def test_whatever_a_file_is_called_its_letter_is_one_line_of_ascii_and_the_name_survives(
    name: bytes, said: str, warning: str
) -> None:
    assert FAILED.fault is not None
    job = replace(
        FAILED,
        plan=replace(REPORT, original=name),
        fault=replace(FAILED.fault, message=said),
        warnings=(warning,),
    )
    body = write(JobEnded(job, TALKS), event_id="e1", at=0.0, folder=TALKS)
    assert body.isascii()
    assert "\n" not in body
    named = environment(body)
    assert named[b"WATCHERD_FILE"] == b"/srv/failed/show/" + name
    assert not [value for value in named.values() if b"\0" in value]
    assert os.path.dirname(named[b"WATCHERD_FILE"]) == named[b"WATCHERD_FOLDER"]
