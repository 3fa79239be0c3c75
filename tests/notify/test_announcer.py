"""Who hears of what: hooks of their folder's files, webhooks of all of it; each event once for each."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.notify.support import DONE, FAILED, FAULT, PAUSE, folder, office
from watcherd.faults import FaultError
from watcherd.job import Delivered, State
from watcherd.journal.notices import Draft, Means
from watcherd.journal.store import Move, StaleMoveError
from watcherd.notify.addressees import addressees, command, webhook
from watcherd.notify.news import EndpointPaused, EndpointResumed, InboxBack, InboxMissing, JobEnded

A, B, C = ({"url": f"https://h.example/{name}?key=k", "secret": "s"} for name in "abc")
MISSING = InboxMissing("talks", "missing", "It is gone.", "Mount it.")


def test_a_folders_hooks_and_webhooks_hear_of_its_files_in_their_order() -> None:
    hooks = {"done": [["/bin/one", "x"], ["two"]], "failed": [["three"]]}
    talks, other = folder(hooks=hooks, notify=[A, B]), folder("other", hooks=hooks, notify=[C])
    heard = addressees(JobEnded(DONE, talks), [other, talks])
    assert [one.shown for one in heard] == ["/bin/one", "two", *["https://h.example"] * 2]
    assert [one.kind for one in heard] == [Means.HOOK] * 2 + [Means.WEBHOOK] * 2
    assert next(one.shown for one in addressees(JobEnded(FAILED, talks), [talks])) == "three"
    assert not addressees(JobEnded(DONE, talks), [other])


def test_of_an_endpoint_hears_each_webhook_of_the_folders_that_use_it_once() -> None:
    folders = [
        folder("a", notify=[A, B], hooks={"done": [["x"]]}),
        folder("b", notify=[B, C]),
        folder("c", endpoint="there", notify=[A]),
    ]
    heard = addressees(EndpointResumed("here"), folders)
    found = [webhook(folders, one.folder.name, one.mark) for one in heard]
    assert [one and one.url.get_secret_value()[-7] for one in found] == ["a", "b", "c"]
    assert [one.folder.name for one in heard] == ["a", "a", "b"]


def test_a_command_or_address_is_found_again_by_its_mark_as_long_as_it_is_configured() -> None:
    talks = folder(hooks={"done": [["x", "1"], ["x", "2"], ["x 2"]]}, notify=[A])
    marks = [one.mark for one in addressees(JobEnded(DONE, talks), [talks])]
    assert len(set(marks)) == 4
    assert command([talks], "talks", "done", marks[1]) == ("x", "2")
    assert command([talks], "talks", "failed", marks[1]) is None
    assert command([talks], "other", "done", marks[1]) is None
    assert webhook([talks], "talks", marks[3]) == talks.notify[0]
    assert webhook([folder(notify=[B])], "talks", marks[3]) is None


async def test_a_move_to_done_carries_its_notices_with_their_one_name_and_no_secret(tmp_path: Path) -> None:
    talks = folder(hooks={"done": [["/bin/true", "argument-secret"]]}, notify=[A])
    async with office(tmp_path / "journal", talks, run=False) as here:
        job = await here.end()
        await here.end(b"b.mp3", fault=FAULT)
        hook, post, failed = here.notices()
    assert job.state is State.DONE
    assert (hook.draft.event, failed.draft.event) == ("done", "failed")
    assert hook.draft.event_id == post.draft.event_id != failed.draft.event_id
    assert json.loads(post.draft.body)["id"] == post.draft.event_id
    assert (hook.draft.job_id, hook.attempts, hook.ended_at) == (job.id, 0, None)
    assert (hook.draft.target, post.draft.target) == ("/bin/true", "https://h.example")
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"argument-secret" not in on_disk
    assert b"key=k" not in on_disk


async def test_a_move_that_is_refused_tells_nobody_and_one_that_cannot_be_told_is_not_made(
    tmp_path: Path,
) -> None:
    async with office(tmp_path / "journal", folder(notify=[A]), run=False) as here:
        job = await here.end()
        notices = await here.announcer.of_move(job, Delivered(), here.folders[0])
        with pytest.raises(StaleMoveError):
            await here.journal.record(Move(replace(job, state=State.DELIVERING), job, Delivered(), notices))
        assert len(here.notices()) == 1
        await here.journal._connection.select("DROP TABLE notices")
        with pytest.raises(FaultError):
            await here.end(b"b.mp3")
        (state,) = await here.journal._connection.select("SELECT state FROM jobs WHERE path = ?", b"b.mp3")
        assert state["state"] == "delivering"
        await here.journal._connection.select(
            "CREATE TABLE notices (kind, inbox, mark, attempts, id, ended_at)"
        )


async def test_a_pause_is_told_once_until_it_is_over_and_an_end_only_after_it(tmp_path: Path) -> None:
    pause, longer = EndpointPaused("here", PAUSE, 60.0), EndpointPaused("here", PAUSE, 120.0)
    async with office(tmp_path / "journal", folder(notify=[A]), run=False) as here:
        for news in (EndpointResumed("here"), InboxBack("talks"), pause, longer, MISSING, MISSING):
            here.announcer.hear(news)
        for later in (EndpointResumed("here"), EndpointResumed("here"), InboxBack("talks"), pause):
            here.announcer.hear(later)
        await here.announcer.record()
        await here.announcer.record()
        assert [notice.draft.event for notice in here.notices()] == [
            "endpoint_paused",
            "inbox_missing",
            "endpoint_resumed",
            "inbox_back",
            "endpoint_paused",
        ]


async def test_a_restart_knows_what_was_told(tmp_path: Path) -> None:
    pause = EndpointPaused("here", PAUSE, 60.0)
    async with office(tmp_path / "journal", folder(notify=[A]), run=False) as here:
        for news in (pause, MISSING, InboxBack("talks")):
            here.announcer.hear(news)
    async with office(tmp_path / "journal", folder(notify=[A]), run=False) as here:
        for later in (pause, InboxBack("talks"), EndpointResumed("here"), MISSING):
            here.announcer.hear(later)
        await here.announcer.record()
        events = [notice.draft.event for notice in here.notices()]
    assert events == ["endpoint_paused", "inbox_missing", "inbox_back", "endpoint_resumed", "inbox_missing"]


async def test_what_nobody_heard_is_told_when_somebody_can_hear_it(tmp_path: Path) -> None:
    async with office(tmp_path / "journal", folder(), run=False) as here:
        here.announcer.hear(MISSING)
        here.folders[:] = [folder(notify=[A])]
        here.announcer.hear(MISSING)
        await here.announcer.record()
        assert len(here.notices()) == 1


async def test_what_a_failing_journal_does_not_take_is_recorded_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path / "journal", folder(notify=[A]), run=False) as here:
        add, failing = here.journal.notices.add, asyncio.Event()

        async def unwilling(drafts: tuple[Draft, ...]) -> None:
            if not failing.is_set():
                failing.set()
                raise FaultError(FAULT)
            await add(drafts)

        monkeypatch.setattr(here.journal.notices, "add", unwilling)
        here.announcer.hear(MISSING)
        with pytest.raises(FaultError):
            await here.announcer.record()
        await here.announcer.record()
        assert len(here.notices()) == 1
