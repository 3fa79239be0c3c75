"""The pages over an application of its own: every job drawn, every name escaped, what forms do, subtitles."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.status.html import EVIL, HEBREW, Html
from tests.status.records import NOW, REFUSED, Records, records
from watcherd.control import InboxLive, Retried
from watcherd.faults import FaultError
from watcherd.job import Cut, Job, Part, Postponed, Sending, Started, WaitReason, Withdrawn
from watcherd.subtitles.formats import read_vtt, write_srt
from watcherd.transcript import Cue


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Records]:
    async with records(tmp_path) as found:
        yield found


async def look(shelf: Records, path: str, *, status: int = 200) -> Html:
    answer = await shelf.client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Html(answer.text)


# A job.


async def jobs_of_every_state(shelf: Records) -> list[Job]:
    parts = [Cut(Part(number=1, start=0, end=3725.2)), Cut(Part(number=2, start=3725.2, end=math.inf))]
    later = Postponed(WaitReason.BACKOFF, NOW + 60, REFUSED)
    return [
        await shelf.add("queued.mp3"),
        await shelf.add("preparing.mp3", Started()),
        await shelf.add("translating.mp3", Started(), *parts, Sending("here", 1_250_000, 3725.2, 1)),
        await shelf.add("waiting.mp3", Started(), Sending("here", 1000, 60.0), later),
        await shelf.done(HEBREW, "srt", "vtt", warnings=["loops: 2"]),
        await shelf.done("film.mp4", "srt"),
        await shelf.done("film.xyz", "txt"),
        await shelf.failed("failed.mp3"),
        await shelf.add("skipped.mp3", Withdrawn("vanished")),
    ]


async def test_a_job_of_every_state_has_a_page_and_a_place_in_the_lists(shelf: Records) -> None:
    for job in await jobs_of_every_state(shelf):
        page = await look(shelf, f"/jobs/{job.id}")
        assert f"{job.path.decode()} {job.state}" in page.text
        is_open = job.state in {"queued", "preparing", "translating", "waiting"}
        assert bool(page.all("span", id="live")) == is_open
        assert bool(page.all("body", **{"data-job": str(job.id)})) == is_open
        assert bool(page.all("form", action=f"/jobs/{job.id}/retry")) == (job.state == "failed")
        found = (await look(shelf, f"/jobs?state={job.state}&q={job.path.decode()}")).all(
            "a", href=f"/jobs/{job.id}"
        )
        assert len(found) == 1
    every = await look(shelf, "/")
    assert len({link["href"] for link in every.all("a") if link["href"].startswith("/jobs/")}) == 7
    assert "2 in flight 1 queued 1 waiting 3 done 1 failed" in every.text


async def test_a_job_tells_its_parts_its_problem_its_warnings_and_its_files(shelf: Records) -> None:
    _, _, translating, waiting, done, _, _, failed, _ = await jobs_of_every_state(shelf)
    page = await look(shelf, f"/jobs/{translating.id}")
    assert "1 0:00 1:02:05 asked 2 1:02:05 end waiting" in page.text
    assert "1:02:05 of audio, 1.25 MB" in page.text
    page = await look(shelf, f"/jobs/{waiting.id}")
    assert r"Why it waits refused It is\x1b refused. Mend it. It is tried again at 2023" in page.text
    page = await look(shelf, f"/jobs/{failed.id}")
    assert "The endpoint said (HTTP 400): We do not like it request id req_1" in page.text
    assert page.all("a", href=f"/api/v1/jobs/{failed.id}/files/failed.mp3.error.json")
    page = await look(shelf, f"/jobs/{done.id}")
    assert "the repetitions were dropped (2). loops: 2" in page.text
    downloads = [link["href"] for link in page.all("a") if "download" in link]
    assert [href.rpartition(".")[2] for href in downloads] == ["mp3?download", "srt?download", "vtt?download"]


async def test_a_player_has_the_subtitles_that_there_are(shelf: Records) -> None:
    *_, audio, film, other, _, _ = await jobs_of_every_state(shelf)
    for job, element, track in (
        (audio, "audio", f"/api/v1/jobs/{audio.id}/files/%D7%A9%D7%99%D7%97%D7%94%201.vtt"),
        (film, "video", f"/jobs/{film.id}/subtitles.vtt"),
    ):
        page = await look(shelf, f"/jobs/{job.id}")
        assert len(page.all(element, preload="metadata")) == 1
        assert [given["src"] for given in page.all("track")] == [track]
    page = await look(shelf, f"/jobs/{other.id}")
    assert not page.all("audio") + page.all("video")


async def test_an_srt_is_shown_as_vtt(shelf: Records) -> None:
    job = await shelf.done("film.mp4", "srt")
    cues = [Cue(0.5, 2.0, "One & <two>\nthree"), Cue(3.0, 4.0, "\u05e9")]
    (shelf.home / "done" / "film.srt").write_text(write_srt(cues))
    answer = await shelf.client.get(f"/jobs/{job.id}/subtitles.vtt")
    assert answer.headers["content-type"] == "text/vtt; charset=utf-8"
    assert answer.text.startswith("WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nOne &amp; &lt;two&gt;")
    assert read_vtt(answer.text) == cues
    for path in (f"/jobs/{(await shelf.done('b.mp4', 'vtt')).id}", "/jobs/77", "/jobs/x"):
        assert "no such subtitles" in (await look(shelf, f"{path}/subtitles.vtt", status=404)).text
    (shelf.home / "done" / "film.srt").unlink()
    await look(shelf, f"/jobs/{job.id}/subtitles.vtt", status=404)


async def test_no_name_and_no_answer_becomes_markup_or_turns_its_direction(shelf: Records) -> None:
    name = EVIL.replace("/", "\u2215")
    evil = replace(REFUSED, message=f"{EVIL} message", hint=f"{EVIL} hint", said=f"{EVIL} said")
    waiting = await shelf.add(f"w{name}", Started(), Postponed(WaitReason.BACKOFF, NOW + 60, evil))
    done = await shelf.done(name, "vtt", warnings=[f"{EVIL}"])
    shelf.control.inboxes = (
        *shelf.control.inboxes,
        InboxLive(name=EVIL, path=EVIL.encode(), endpoint=EVIL, condition="missing", text=EVIL, hint=EVIL),
    )
    for path in ("/", "/jobs?state=all", f"/jobs/{waiting.id}", f"/jobs/{done.id}", f"/jobs?q={EVIL}"):
        answer = await shelf.client.get(path)
        assert "<script>alert" not in answer.text
        page = Html(answer.text)
        assert "<script>alert(1)" in page.text
        assert "\u202e" not in answer.text or path.startswith("/jobs?q")  # what was typed stays as it was
        assert path == "/" or not page.all("script")[1:]


async def test_a_job_that_there_is_not_is_said_in_html(shelf: Records) -> None:
    for number in ("0", "7", "x", "9" * 19, "%C2%B2", "-1"):
        page = await look(shelf, f"/jobs/{number}", status=404)
        assert "There is no such job." in page.text
        assert page.all("a", href="/jobs")


# The list.


async def test_pages_of_the_list_keep_what_was_asked(shelf: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watcherd.status.page.ROWS", 2)
    jobs = [await shelf.done(f"talk & {number}.mp3", "txt") for number in range(5)]
    await shelf.add("talk queued.mp3")
    path, seen = "/jobs?q=talk+%26&state=", list[str]()
    for left in (2, 1, 0):
        page = await look(shelf, path)
        seen += [link["href"] for link in page.all("a") if link["href"].startswith("/jobs/")]
        older = [link["href"] for link in page.all("a", rel="next")]
        assert len(older) == bool(left)
        if older:
            (path,) = older
            assert parse_qs(urlsplit(path).query)["q"] == ["talk &"]
    assert seen == [f"/jobs/{job.id}" for job in reversed(jobs)]
    assert [link["href"] for link in page.all("a", **{"class": "button"})] == ["/jobs?q=talk+%26"]


async def test_a_list_that_there_is_not_is_said_in_html(shelf: Records) -> None:
    for query in ("state=lost", "before=x", "before=1", "before=1-x"):
        assert "There is no such list." in (await look(shelf, f"/jobs?{query}", status=400)).text


async def test_a_list_without_jobs_says_what_was_looked_for(shelf: Records) -> None:
    await shelf.failed("bad.mp3")
    assert "anywhere in the path" in (await look(shelf, "/jobs?q=nothing")).text
    for query, offered in (("state=failed", True), ("", False)):
        assert bool((await look(shelf, f"/jobs?{query}")).all("form", action="/retry")) == offered


# Forms.


async def test_a_pause_leads_back_and_says_so_once_it_is_true(shelf: Records) -> None:
    answer = await shelf.client.post("/pause", data={"name": "inbox"})
    assert (answer.status_code, shelf.control.asked) == (303, ["inbox"])
    page = await look(shelf, answer.headers["location"])
    assert "The inbox inbox is paused until you resume it" in page.text


async def test_an_address_of_somebody_else_makes_the_page_say_nothing(shelf: Records) -> None:
    for query in (
        "did=paused&what=inbox:other", "did=paused&what=endpoint:inbox", "did=paused&what=inbox",
        "did=owned&what=inbox:inbox", "did=retried&count=many", "did=retried&count=99999999", "did=retried",
    ):  # fmt: skip
        assert not (await look(shelf, f"/?{query}")).all("div", **{"class": "note good"})


async def test_what_cannot_be_done_is_said_in_html(shelf: Records) -> None:
    shelf.control.error = FaultError(replace(REFUSED, message="the disk is full", hint="free it"))
    answer = await shelf.client.post("/pause", data={"name": "inbox"})
    assert answer.status_code == 503
    page = Html(answer.text)
    assert "the disk is full Free it. Go back" in page.text
    assert page.all("div", **{"class": "note bad"})
    shelf.control.error = None
    answer = await shelf.client.post("/pause", content=b"&".join([b"a=b"] * 11))
    assert (answer.status_code, shelf.control.asked) == (400, ["inbox"])


async def test_a_retry_asks_for_the_files_own_place(shelf: Records) -> None:
    failed, done = await shelf.failed("bad \u00e9.mp3"), await shelf.done("a.mp3", "txt")
    place = bytes(shelf.home / "inbox" / "bad \u00e9.mp3")
    for data, fresh in (({}, False), ({"fresh": "on"}, True)):
        answer = await shelf.client.post(f"/jobs/{failed.id}/retry", data=data)
        assert answer.status_code == 303
        assert shelf.control.asked.pop() == ([place], fresh)
        page = await look(shelf, answer.headers["location"])
        assert "1 file goes round again, as new jobs." in page.text
    answer = await shelf.client.post("/retry")
    assert (answer.headers["location"], shelf.control.asked.pop()) == (
        "/jobs?state=failed&did=retried&count=1",
        (None, False),
    )
    assert (await shelf.client.post(f"/jobs/{done.id}/retry")).status_code == 409
    assert (await shelf.client.post("/jobs/77/retry")).status_code == 404
    assert not shelf.control.asked


async def test_files_that_do_not_go_back_are_named_with_the_reason(
    shelf: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def retry(files: object, *, fresh: bool) -> list[Retried]:
        assert files is None
        assert not fresh
        gone = Retried(file=EVIL.encode(), inbox="inbox", text="it is not there any more")
        return [gone, Retried(file=b"/a", inbox="inbox", back_as=b"a")]

    monkeypatch.setattr(shelf.control, "retry", retry)
    answer = await shelf.client.post("/retry")
    page = Html(answer.text)
    assert answer.status_code == 409
    assert "1 file could not go back; 1 did." in page.text
    assert r"<script>alert(1)</script> \u202egpj.mp3 : it is not there any more" in page.text


# The rest.


async def test_static_files_are_kept_by_browsers_until_they_change(shelf: Records) -> None:
    page = await look(shelf, "/")
    loaded = [given["src"] for given in page.all("script")] + [given["href"] for given in page.all("link")]
    assert len(loaded) == 3
    for path in loaded:
        answer = await shelf.client.get(path)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] in {
            "text/css; charset=utf-8", "text/javascript; charset=utf-8", "image/svg+xml; charset=utf-8",
        }  # fmt: skip
        assert len(path.partition("?")[2]) == 12
    for name in ("nothing.css", "..%2Fpage.py", "page.css%00"):
        assert (await shelf.client.get(f"/static/{name}")).status_code == 404


async def test_a_journal_that_cannot_be_read_is_said_in_html(shelf: Records) -> None:
    await shelf.journal.close()
    (shelf.home / "journal.sqlite3").unlink()
    for path in ("/", "/jobs", "/jobs/1"):
        assert "The journal cannot be read" in (await look(shelf, path, status=503)).text
