"""The jobs over the API: the list with its pages and search, one job whole, and its files."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.status.records import NOW, REFUSED, Records, asked, records
from tests.status.test_app import FAULT
from watcherd.faults import FaultError
from watcherd.job import (
    Chosen,
    Cut,
    Due,
    Identity,
    Job,
    Part,
    Planned,
    Postponed,
    Recognised,
    Replied,
    Reused,
    Sending,
    Started,
    State,
    Unanswered,
    WaitReason,
    Withdrawn,
)
from watcherd.journal.notices import Draft, Means
from watcherd.journal.reader import Asked, Seen, Slice
from watcherd.media.findings import Warned
from watcherd.settings import Settings
from watcherd.status import history
from watcherd.status.server import Server

WRONG = (
    ("GET", "/api/v1/jobs?limit=0", 422, "request_wrong"),
    ("GET", "/api/v1/jobs?limit=501", 422, "request_wrong"),
    ("GET", "/api/v1/jobs?state=lost", 422, "request_wrong"),
    ("GET", "/api/v1/jobs?before=nan-1", 422, "request_wrong"),
    ("GET", "/api/v1/jobs?before=1", 422, "request_wrong"),
    ("GET", "/api/v1/jobs/0", 422, "request_wrong"),
    ("GET", f"/api/v1/jobs/{2**63}", 422, "request_wrong"),
    ("GET", "/api/v1/jobs/7", 404, "unknown_job"),
    ("GET", "/api/v1/jobs/7/files/a.mp3", 404, "unknown_job"),
    ("GET", "/api/v1/nothing", 404, "not_found"),
    ("DELETE", "/api/v1/jobs", 405, "method_not_allowed"),
    ("POST", "/api/v1/pause", 422, "request_wrong"),
)
RANGES = (
    ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
    ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
    ("bytes=-3", 206, b"789", "bytes 7-9/10"),
    ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
    ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
    ("Bytes= 9-9 ", 206, b"9", "bytes 9-9/10"),
    ("bytes=10-", 416, b"", "bytes */10"),
    ("bytes=-0", 416, b"", "bytes */10"),
    ("bytes=0-1,3-4", 200, b"0123456789", None),
    ("bytes=3-1", 200, b"0123456789", None),
    ("bytes=-", 200, b"0123456789", None),
    ("bytes=a-", 200, b"0123456789", None),
    ("lines=0-1", 200, b"0123456789", None),
    ("bytes=" + "9" * 400 + "-", 200, b"0123456789", None),
)


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Records]:
    async with records(tmp_path) as found:
        yield found


def numbers(answer: Mapping[str, Any]) -> list[int]:
    return [job["job"] for job in answer["jobs"]]


# The list.


async def test_pages_show_each_job_once_the_one_that_moved_last_first(shelf: Records) -> None:
    for number in range(6):
        job = await shelf.add(f"{number}.mp3", *asked()[: number % 3])
        if number % 3 == 0:
            shelf.clock.at = NOW  # several moved at the same time
    await shelf.move(job, Withdrawn("vanished"))
    whole = await shelf.get("jobs")
    assert whole["next"] is None
    assert len(numbers(whole)) == 6
    moved = [(one["changed_at"], one["job"]) for one in whole["jobs"]]
    assert moved == sorted(moved, reverse=True)
    for limit in (1, 3, 4):
        pages: list[int] = []
        before: dict[str, str] | None = {}
        while before is not None:
            page = await shelf.get("jobs", limit=limit, **before)
            assert 0 < len(page["jobs"]) <= limit
            pages += numbers(page)
            before = None if page["next"] is None else {"before": page["next"]}
        assert pages == numbers(whole)


async def test_the_list_is_narrowed_by_state_inbox_and_a_part_of_the_path(shelf: Records) -> None:
    done = (await shelf.done("Talks 100%.mp3", "srt")).id
    failed = (await shelf.failed("talks_x.mp3")).id
    queued = (await shelf.add(b"sub/\xff TALKS \xc3\xa9.mp3", inbox="other")).id
    waiting = (await shelf.add("b.mp3", Started(), Postponed(WaitReason.BACKOFF, NOW + 60, REFUSED))).id
    for asking, found in (
        ({}, [waiting, queued, failed, done]),
        ({"state": "done"}, [done]),
        ({"state": ["failed", "waiting"]}, [waiting, failed]),
        ({"inbox": "other"}, [queued]),
        ({"inbox": "nobody's"}, []),
        ({"q": "tAlKs"}, [queued, failed, done]),
        ({"q": "é"}, [queued]),
        ({"q": "É"}, []),
        ({"q": "0%"}, [done]),
        ({"q": "s_x"}, [failed]),
        ({"q": "sub/"}, [queued]),
        ({"q": "talks", "state": "done", "inbox": "inbox"}, [done]),
    ):
        assert numbers(await shelf.get("jobs", **asking)) == found, asking


async def test_everything_that_is_wrong_is_said_in_one_shape(shelf: Records) -> None:
    for method, route, status, code in WRONG:
        answer = await shelf.client.request(method, route)
        assert (answer.status_code, answer.json()["code"]) == (status, code), route
        assert set(answer.json()) == {"code", "message", "hint"}
        assert all(answer.json().values())
        assert ("allow" in answer.headers) == (status == 405)


async def test_what_a_wrong_request_held_is_not_said_back(shelf: Records) -> None:
    for body in (b'{"name": "sec\\u0000ret\\ud800"}', b'["sec\\ud800ret"]', b'{"sec\x1bret'):
        answer = await shelf.client.post(
            "/api/v1/pause", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code in {200, 422}
        assert answer.status_code == 200 or "sec" not in answer.text


# One job.


async def test_a_job_tells_each_step_with_its_time(shelf: Records) -> None:
    fault = replace(REFUSED, said="busy\x1b")
    waits = Postponed(WaitReason.BACKOFF, NOW + 500, fault, charged=True)
    job = await shelf.add("talk.mp3", Started(), Sending("here", 1000), Unanswered(fault), waits)
    shelf.clock.at += 30
    job = await shelf.move(job, Due())
    for event in (*asked(None), Recognised("q", "s", "r", 61.5)):
        job = await shelf.move(job, event)
    found = await shelf.get(f"jobs/{job.id}")
    steps = found["history"]
    assert [step["what"] for step in steps] == ["settled", "request", "waited", "request", "translating"]
    assert [step["outcome"] for step in steps] == ["ok", "failed", "ok", "ok", "under way"]
    first, waited, second = steps[1:4]
    assert first["problem"] == {
        "code": "refused", "message": r"It is\x1b refused", "hint": "Mend it", "scope": "file", "status": 400,
        "said": r"busy\x1b", "request_id": "req_1",
    }  # fmt: skip
    assert (first["endpoint"], first["part"], first["bytes"]) == ("here", 0, 1000)
    assert (waited["at"], waited["ended_at"]) == (first["ended_at"], second["at"])
    assert waited["text"] == "Waited for 34 s, and was tried again."
    assert second["audio_seconds"] == found["audio_seconds"] == 61.5
    assert found["problem"] is None
    assert (found["state"], found["size"], found["files"], found["retry_as"]) == (
        "translating",
        3000,
        [],
        None,
    )


async def test_a_request_without_an_end_is_under_way_only_while_somebody_may_answer(shelf: Records) -> None:
    job = await shelf.add("a.mp3", Started(), Sending("here", 1))
    assert (await shelf.get(f"jobs/{job.id}"))["history"][1]["outcome"] == "under way"
    await shelf.move(job, Postponed(WaitReason.BACKOFF, NOW + 500, REFUSED))
    found = await shelf.get(f"jobs/{job.id}")
    assert found["history"][1]["outcome"] == "cut off"
    assert found["history"][-1]["text"] == "It waits: backoff."
    assert found["problem"]["message"] == r"It is\x1b refused"
    on_record = await shelf.journal.job(job.id)
    assert on_record is not None
    job = on_record
    for event in (Due(), Started(), Sending("here", 1)):
        job = await shelf.move(job, event)
    steps = [step for step in (await shelf.get(f"jobs/{job.id}"))["history"] if step["what"] == "request"]
    assert [step["outcome"] for step in steps] == ["cut off", "under way"]


async def test_a_long_file_shows_every_part_and_how_long_the_rest_will_take(shelf: Records) -> None:
    chosen = Chosen(Settings(base_url="u", model="m", prompt="", temperature=0, track="default", fields=()))
    cuts = [Cut(Part(number=n, start=100.0 * n, end=100.0 * n + 100, silent=n == 3)) for n in range(1, 6)]
    job = await shelf.add("a.mp3", Started(), chosen, *cuts, Reused(b"{}", "text", part=1))
    for number in (2, 4):
        job = await shelf.move(job, Sending("here", 1, 100.0, part=number))
    shelf.clock.at += 8
    job = await shelf.move(job, Replied(b"{}", "text", part=2))
    found = await shelf.get(f"jobs/{job.id}")
    states = ["answered", "answered", "silent", "asked", "waiting"]
    assert [part["state"] for part in found["each_part"]] == states
    assert found["parts"] == {"answered": 3, "known": 5, "all_known": False}
    assert found["seconds_left"] is None, "there may be more parts"
    assert any(step["what"] == "reused" and "1 of its parts" in step["text"] for step in found["history"])


@pytest.mark.parametrize(
    ("ended", "left"), [({}, None), ({1: 10.0}, 20.0), ({1: 10.0, 2: 10.0}, 5.0), ({1: 10.0, 2: 20.0}, 10.0)]
)
def test_the_pace_is_audio_answered_in_the_time_in_which_anything_was_asked(
    ended: Mapping[int, float], left: float | None
) -> None:
    parts = [
        Slice(number=n, start=n, end=n + 60.0, silent=False, answered_at=ended.get(n)) for n in (1, 2, 3)
    ]
    requests = [
        Asked(endpoint="here", part=n, sent_at=0.0, ended_at=ended.get(n), seconds=None, size=1, fault=None)
        for n in (1, 2)
    ]
    assert history.seconds_left(known(requests, parts)) == left
    endless = [replace(parts[0], end=math.inf)]
    assert history.seconds_left(known(requests, endless)) is None


def known(requests: list[Asked], parts: list[Slice]) -> history.Known:
    identity = Identity(0, 0, 0, 0, 0)
    job = Job(id=1, inbox="in", path=b"a", identity=identity, settled_at=NOW, state=State.TRANSLATING)
    return history.Known(seen=Seen(job, NOW), requests=requests, parts=parts)


def test_every_warning_has_its_sentence() -> None:
    merging = ["times_repaired", "times_unusable", "loops: 2", "invented: 3", "past_end: 1", "untimed"]
    for warning in (*Warned, *merging, "nothing_heard", "not_english: de"):
        found = history.explained(warning)
        assert found.code == warning
        assert found.text != history.explained("nobody knows").text
        assert warning.partition(": ")[2] in found.text


async def test_notices_and_other_jobs_of_the_path_are_part_of_a_jobs_story(shelf: Records) -> None:
    first = await shelf.failed("a.mp3")
    second = await shelf.done("a.mp3", "vtt", warnings=["loops: 2"])
    draft = Draft(
        event_id="e", event="done", kind=Means.HOOK, inbox="inbox", job_id=second.id, target="/bin/x",
        mark="m", body="{}", at=shelf.clock.at,
    )  # fmt: skip
    await shelf.journal.notices.add([draft])
    found = await shelf.get(f"jobs/{second.id}")
    assert found["history"][-1]["text"] == "hook /bin/x: not told yet, 0 attempts"
    assert [job["job"] for job in found["others"]] == [first.id]
    assert found["explained"][0]["code"] == "loops: 2"
    older = await shelf.get(f"jobs/{first.id}")
    assert older["retry_as"] == f"file://{quote(bytes(shelf.home))}/inbox/a.mp3"
    assert older["problem"]["said"] == "We do not like it"
    assert older["history"][-1]["outcome"] == "failed"


# Files.


async def test_what_a_job_left_behind_comes_whole_with_a_type_that_runs_nothing(shelf: Records) -> None:
    done = await shelf.done(b'a "\xff" \xc3\xa9.html.mp3', "srt", "vtt", "txt", "json")
    failed = await shelf.failed("x.html")
    types = {
        "": "audio/mpeg",
        "srt": "application/x-subrip; charset=utf-8",
        "vtt": "text/vtt; charset=utf-8",
        "txt": "text/plain; charset=utf-8",
        "json": "application/json",
    }
    for file in (await shelf.get(f"jobs/{done.id}"))["files"]:
        answer = await shelf.client.get(file["url"])
        assert answer.status_code == 200
        assert answer.content.startswith(b'a "\xff" \xc3\xa9.html')
        assert answer.headers["content-type"] == file["type"] == types[file["format"]]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith(
            "inline; filename*=UTF-8''a%20%22%EF%BF%BD%22"
        )
        shelf.control.files.clear()
        head = await shelf.client.head(file["url"])
        assert len(shelf.control.files) == 1, "nothing is read for it"
        assert (head.status_code, head.content) == (200, b"")
        assert {**head.headers} == {**answer.headers}
        saved = await shelf.client.get(file["url"] + "?download")
        assert saved.headers["content-disposition"].startswith("attachment;")
    original, report = (await shelf.get(f"jobs/{failed.id}"))["files"]
    assert (original["kind"], original["type"]) == ("original", "application/octet-stream")
    assert (report["kind"], report["type"]) == ("report", "application/json")
    assert (await shelf.client.get(report["url"])).content == b"x.html.error.json"


async def test_files_that_stay_are_served_from_where_they_are(shelf: Records) -> None:
    done, failed = await shelf.done("a.mp3", "srt", stays=True), await shelf.failed("b.mp3", stays=True)
    for job in (done, failed):
        for file in (await shelf.get(f"jobs/{job.id}"))["files"]:
            assert (await shelf.client.get(file["url"])).text == file["name"]


async def url(shelf: Records, content: bytes = b"0123456789") -> str:
    """Where a file of this content is served."""
    job = await shelf.done("a.mp4")
    (shelf.home / "done" / "a.mp4").write_bytes(content)
    return f"/api/v1/jobs/{job.id}/files/a.mp4"


async def test_a_range_is_served_as_players_ask_for_it(shelf: Records) -> None:
    at = await url(shelf)
    for asking, status, content, where in RANGES:
        answer = await shelf.client.get(at, headers={"range": asking})
        assert (answer.status_code, answer.content) == (status, content), asking
        assert answer.headers.get("content-range") == where
        assert answer.headers["content-length"] == str(len(content))
        assert answer.headers["accept-ranges"] == "bytes"


async def test_a_range_goes_on_only_with_the_same_file_and_one_that_is_there_is_not_sent_again(
    shelf: Records,
) -> None:
    at = await url(shelf)
    first = (await shelf.client.get(at)).headers
    same = [{"if-range": first["etag"]}, {"if-range": first["last-modified"]}]
    other = [{"if-range": '"other"'}, {"if-range": "Thu, 01 Jan 1970 00:00:00 GMT"}]
    for headers in same:
        assert (await shelf.client.get(at, headers=headers | {"range": "bytes=1-2"})).content == b"12"
    for headers in other:
        assert (await shelf.client.get(at, headers=headers | {"range": "bytes=1-2"})).status_code == 200
    known = {"if-none-match": f'"x", W/{first["etag"]}'}
    assert (await shelf.client.get(at, headers=known)).status_code == 304
    os.utime(shelf.home / "done" / "a.mp4", ns=(1, 1))
    assert (await shelf.client.get(at, headers=known)).status_code == 200


async def test_only_files_of_the_jobs_plan_are_served(shelf: Records) -> None:
    job = await shelf.done("a.mp3", "srt")
    open_job = await shelf.add("b.mp3", *asked())
    shelf.write("done", b"other.mp3")
    shelf.write("inbox", b"b.mp3")
    (shelf.home / "secret").write_bytes(b"secret")
    names = [
        "other.mp3",
        "..%2fsecret",
        "%2e%2e/secret",
        "a.mp3%00",
        "",
        "A.mp3",
        "%61.mp3x",
    ]
    for name in names:
        answer = await shelf.client.get(f"/api/v1/jobs/{job.id}/files/{name}")
        assert answer.status_code == 404, name
    assert (await shelf.client.get(f"/api/v1/jobs/{open_job.id}/files/b.mp3")).status_code == 404
    plan = (await shelf.failed("b.mp3.old")).plan
    assert plan is not None
    delivering = await shelf.move(open_job, Planned(replace(plan, original=b"b.mp3")))
    shelf.write("failed", b"b.mp3")
    assert (await shelf.get(f"jobs/{delivering.id}"))["files"] == []
    assert shelf.control.files == []
    assert (await shelf.client.get(f"/api/v1/jobs/{delivering.id}/files/b.mp3")).status_code == 404
    assert (await shelf.client.get(f"/api/v1/jobs/{job.id}/files/%61.mp3")).status_code == 200


async def test_nothing_is_reached_through_a_link_and_nothing_but_a_plain_file(shelf: Records) -> None:
    job = await shelf.done("a.mp3", "srt", "vtt")
    done = shelf.home / "done"
    (shelf.home / "secret").write_bytes(b"secret")
    for name, make in (
        ("a.mp3", lambda path: os.symlink(shelf.home / "secret", path)),
        ("a.srt", os.mkfifo),
        ("a.vtt", os.mkdir),
    ):
        (done / name).unlink()
        assert (await shelf.client.get(f"/api/v1/jobs/{job.id}/files/{name}")).status_code == 404
        make(done / name)
        assert (await shelf.client.get(f"/api/v1/jobs/{job.id}/files/{name}")).status_code == 404, name


async def test_storage_in_trouble_is_said(shelf: Records) -> None:
    at = await url(shelf)
    shelf.control.error = FaultError(FAULT)
    answer = await shelf.client.get(at)
    assert (answer.status_code, answer.json()["code"]) == (503, "disk_full")


async def test_a_client_that_stalls_holds_no_file_and_one_that_changes_meanwhile_is_not_patched_together(
    shelf: Records, caplog: pytest.LogCaptureFixture
) -> None:
    at = await url(shelf, bytes(32 << 20))
    path = shelf.home / "done" / "a.mp4"
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(shelf.app, listener)
    serving = asyncio.create_task(server.run_to_the_end())
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(f"GET {at} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    while len(shelf.control.files) < 3:  # noqa: ASYNC110 - no event says that it is on its way
        await asyncio.sleep(0)
    assert not shelf.control.left_open
    path.write_bytes(b"x" * (32 << 20))
    async with asyncio.timeout(20):
        received = await reader.read(-1)
    assert len(received) < 32 << 20
    assert not any(received)
    assert not [record for record in caplog.records if record.exc_info]
    writer.close()
    server.stop()
    await serving


# Health.


async def test_it_is_ready_while_it_watches_an_inbox_and_its_journal_can_be_written(shelf: Records) -> None:
    async def ready() -> tuple[int, str]:
        shelf.clock.at += 60
        answer = await shelf.client.get("/readyz")
        assert answer.json()["ready"] == (answer.status_code == 200)
        return answer.status_code, " ".join(answer.json()["reasons"])

    assert (await shelf.client.get("/healthz")).json() == {"alive": True}
    assert await ready() == (200, "")
    shelf.control.error = FaultError(FAULT)
    assert await ready() == (503, "the journal cannot be written")
    shelf.control.error = None
    inbox = shelf.control.inboxes[0]
    missing = replace(inbox, condition="missing", text="it is gone: /srv")
    shelf.control.inboxes = (missing, inbox)
    assert await ready() == (200, "")
    shelf.control.inboxes = (missing,)
    assert await ready() == (503, "no inbox is watched")
    assert (await shelf.client.get("/healthz")).status_code == 200


async def test_asking_often_writes_nothing_more(shelf: Records) -> None:
    assert (await shelf.client.get("/readyz")).status_code == 200
    shelf.control.error = FaultError(FAULT)
    assert (await shelf.client.get("/readyz")).status_code == 200


async def test_the_journal_is_really_written(shelf: Records) -> None:
    wal = Path(f"{shelf.home}/journal.sqlite3-wal")
    before = wal.stat().st_mtime_ns, wal.stat().st_size
    await shelf.journal.see_it_writes()
    assert (wal.stat().st_mtime_ns, wal.stat().st_size) != before
    assert json.dumps(await shelf.get("jobs")) == '{"jobs": [], "next": null}'
