"""The sender against real programs and a real receiver: each event at least once, nobody held up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import structlog

from tests.notify.receiver import SECRET, Receiver
from tests.notify.support import FAULT, PAUSE, Office, folder, office
from tests.waiting import eventually
from watcherd.config.model import Folder, Keep
from watcherd.faults import FaultError
from watcherd.journal.notices import Ending, Notice
from watcherd.notify import hook, sender
from watcherd.notify.news import EndpointPaused, EndpointResumed, InboxMissing
from watcherd.notify.sender import DAY, RESTS, rest


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "RESTS", (0.02, 0.05))


def listening(receiver: Receiver, name: str = "talks", **keys: object) -> Folder:
    """A folder with a webhook at the receiver."""
    return folder(name, notify=[{"url": receiver.url, "secret": SECRET}], **keys)


def script(text: str) -> dict[str, list[list[str]]]:
    """A hook of done files, as a shell script."""
    return {"done": [["/bin/sh", "-c", text]]}


def age(path: Path, seconds: float) -> None:
    """Make every notice so much older."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE notices SET made_at = made_at - ?", (seconds,))
    connection.close()


@pytest.mark.parametrize(("failures", "longest"), [(1, 2), (2, 4), (5, 32), (9, 300), (10_000, 300)])
def test_a_rest_is_full_jitter_below_a_cap(
    failures: int, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "RESTS", RESTS)
    assert [rest(failures, draw) for draw in (0.0, 0.5, 1.0)] == [0, longest / 2, longest]


async def test_a_receiver_that_is_down_for_a_while_hears_of_everything_once_it_is_up(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.stop()
    with structlog.testing.capture_logs() as logged:
        async with office(tmp_path / "journal", listening(receiver)) as here:
            for number in range(5):
                await here.end(b"%d.mp3" % number)
            here.announcer.hear(EndpointPaused("here", PAUSE, 60.0))
            await eventually(lambda: any(notice.attempts > 1 for notice in here.notices()))
            assert "no connection" in {notice.detail for notice in here.notices()}
            receiver.start()
            notices = await here.settled()
    assert {notice.ending for notice in notices} == {Ending.TOLD}
    names = {got.headers["X-Watcherd-Id"] for got in receiver.received}
    assert len(names) == 6
    assert names == {notice.draft.event_id for notice in notices}
    assert all(got.is_signed for got in receiver.received)
    assert sorted(receiver.told) == ["done"] * 5 + ["endpoint_paused"]
    postponed = [line["log_level"] for line in logged if line["event"] == "notice.postponed"]
    assert (postponed[0], set(postponed[1:])) == ("warning", {"debug"}), "said once"


async def test_an_event_keeps_its_name_over_tries_and_restarts(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers += [500, 404, 302]
    async with office(tmp_path / "journal", listening(receiver)) as here:
        await here.end(fault=FAULT)
        await eventually(lambda: len(receiver.received) >= 2)
    async with office(tmp_path / "journal", listening(receiver)) as here:
        (notice,) = await here.settled()
    assert {got.headers["X-Watcherd-Id"] for got in receiver.received} == {notice.draft.event_id}
    attempts = [int(got.headers["X-Watcherd-Attempt"]) for got in receiver.received]
    assert attempts == sorted(set(attempts))
    assert receiver.told == ["failed"]
    assert notice.ended_at is not None


async def test_one_receiver_that_hangs_holds_up_neither_another_nor_hooks_nor_the_stop(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers.append(None)
    with Receiver() as other:
        both = folder(
            notify=[{"url": receiver.url}, {"url": other.url}], hooks=script(f"echo >>{tmp_path}/ran")
        )
        async with office(tmp_path / "journal", both, grace=60) as here:
            await here.end()
            await eventually(lambda: receiver.received and other.told and (tmp_path / "ran").exists())
            await here.end(b"b.mp3")
            await eventually(lambda: len(other.told) == 2)
            hanging = here.notices()[1]
        assert hanging.ended_at is None
    assert len(receiver.received) == 1
    receiver.answers.clear()
    async with office(tmp_path / "journal", both) as here:
        await eventually(lambda: len(receiver.told) == 2)
    assert receiver.received[0].headers["X-Watcherd-Id"] == hanging.draft.event_id
    assert hanging.draft.event_id in {got.headers["X-Watcherd-Id"] for got in receiver.received[1:]}


async def test_a_letter_that_a_receiver_never_takes_does_not_hold_up_the_others(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with office(tmp_path / "journal", listening(receiver), run=False) as here:
        for number in range(3):
            await here.end(b"%d.mp3" % number)
    receiver.answers += [400]
    async with office(tmp_path / "journal", listening(receiver)):
        await eventually(lambda: len(receiver.received) == 4)
    names = [got.headers["X-Watcherd-Id"] for got in receiver.received]
    assert names[0] == names[3]
    assert len(set(names[:3])) == 3


async def test_an_answer_ends_the_growth_of_rests(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers += [500, 204, 500]
    with structlog.testing.capture_logs() as logged:
        async with office(tmp_path / "journal", listening(receiver)) as here:
            for name in (b"1.mp3", b"2.mp3"):
                await here.end(name)
                await here.settled()
    levels = [line["log_level"] for line in logged if line["event"] == "notice.postponed"]
    assert levels == ["warning", "warning"], "each is the first in a row"


async def test_a_webhook_that_fails_is_tried_once_for_all_its_notices(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "RESTS", (1e6, 1e6))
    receiver.answers += [500] * 9
    async with office(tmp_path / "journal", listening(receiver)) as here:
        for number in range(5):
            await here.end(b"%d.mp3" % number)
        await eventually(lambda: any(notice.detail for notice in here.notices()))
        await here.end(b"another.mp3")
        assert await until_resting(here)
        assert len(receiver.received) == 1
        assert [notice.detail for notice in here.notices() if notice.detail] == ["it answered 500"]
        assert here.notices()[0].output == "the receiver says no"
        assert here.notices()[0].due_at > 0
        here.sender.retry()
        await eventually(lambda: len(receiver.received) == 2)


async def until_resting(here: Office) -> bool:
    while not await here.sender.resting():  # noqa: ASYNC110 - as --once does
        await asyncio.sleep(0.01)
    return True


async def test_a_receiver_that_fails_for_a_day_is_given_up_and_one_that_is_back_later_is_not(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with office(tmp_path / "journal", listening(receiver), run=False) as here:
        await here.end(b"1.mp3")
        await here.end(b"2.mp3")
    age(tmp_path / "journal", DAY + 60)
    async with office(tmp_path / "journal", listening(receiver), run=False) as here:
        await here.end(b"3.mp3")
    receiver.answers += [204, 500]
    with structlog.testing.capture_logs() as logged:
        async with office(tmp_path / "journal", listening(receiver)) as here:
            notices = await here.settled()
    assert [notice.ending for notice in notices] == [Ending.TOLD, Ending.FAILED, Ending.TOLD]
    (line,) = [line for line in logged if line["event"] == "notice.given_up"]
    assert (line["notices"], line["log_level"]) == (1, "warning")


async def test_hooks_of_an_inbox_run_one_after_the_other_and_those_of_others_beside_them(
    tmp_path: Path,
) -> None:
    log = f"{tmp_path}/$WATCHERD_INBOX"
    one = f"echo begin $WATCHERD_JOB >>{log}; sleep 0.02; echo end >>{log}"
    waits = f"while ! test -e {tmp_path}/talks; do sleep 0.01; done"
    folders = folder(hooks=script(one)), folder("other", hooks=script(waits))
    async with office(tmp_path / "journal", *folders) as here:
        await here.end(b"0.mp3", "other")
        for number in range(1, 4):
            await here.end(b"%d.mp3" % number)
        await here.settled()
    said = (tmp_path / "talks").read_text()
    assert said == "begin 2\nend\nbegin 3\nend\nbegin 4\nend\n"


async def test_how_hooks_ended_is_on_record_with_their_last_words_and_in_the_log(tmp_path: Path) -> None:
    hooks = {"failed": [["/bin/sh", "-c", "echo $WATCHERD_FAULT; exit 4"], ["no-such-program"], ["true"]]}
    with structlog.testing.capture_logs() as logged:
        async with office(tmp_path / "journal", folder(hooks=hooks)) as here:
            job = await here.end(fault=FAULT)
            notices = await here.settled()
    assert [(notice.ending, notice.detail, notice.output) for notice in notices] == [
        (Ending.FAILED, "it ended with exit code 4", "no_audio\n"),
        (Ending.FAILED, "there is no such program", "no-such-program: No such file or directory\n"),
        (Ending.TOLD, "", ""),
    ]
    assert [notice.attempts for notice in notices] == [1, 1, 1], "a hook that fails is not started again"
    lines = [line for line in logged if line["event"].startswith("hook.")]
    assert [(line["event"], line["log_level"], line["hook"], line["job"]) for line in lines] == [
        ("hook.failed", "warning", "/bin/sh", job.id),
        ("hook.failed", "warning", "no-such-program", job.id),
        ("hook.done", "info", "true", job.id),
    ]
    assert "no_audio" not in str(lines), "what it prints is not logged"


async def test_a_stop_gives_a_running_hook_its_grace(tmp_path: Path) -> None:
    waits = f"echo >{tmp_path}/began; while ! test -e {tmp_path}/go; do sleep 0.01; done"
    async with office(tmp_path / "journal", folder(hooks=script(waits)), grace=60) as here:
        await here.end()
        await eventually((tmp_path / "began").exists)
        stopping = asyncio.create_task(here.sender.stop(60))
        await here.end(b"b.mp3")
        (tmp_path / "go").touch()
        await stopping
        assert [notice.ending for notice in here.notices()] == [Ending.TOLD, None]


async def test_a_hook_that_outlasts_the_grace_is_killed_and_started_again_but_not_for_ever(
    tmp_path: Path,
) -> None:
    hooks = script(f"echo >>{tmp_path}/began; exec sleep 300")
    for number in range(1, sender.STARTS + 1):
        async with office(tmp_path / "journal", folder(hooks=hooks)) as here:
            if number == 1:
                await here.end()
            await eventually(partial(has_begun, tmp_path, number))
            (notice,) = here.notices()
            assert (notice.attempts, notice.ended_at) == (number, None)
    async with office(tmp_path / "journal", folder(hooks=hooks)) as here:
        (notice,) = await here.settled()
    assert (notice.ending, notice.detail) == (Ending.FAILED, "watcherd ended 3 times in the middle of it")
    assert began(tmp_path) == sender.STARTS


def has_begun(home: Path, times: int) -> bool:
    return began(home) == times


def began(home: Path) -> int:
    try:
        return (home / "began").read_text().count("\n")
    except FileNotFoundError:
        return 0


async def test_a_slow_hook_is_ended_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = hook.run
    monkeypatch.setattr(hook, "run", lambda command, body: run(command, body, seconds=0.1))
    async with office(tmp_path / "journal", folder(hooks=script("echo begun; exec sleep 300"))) as here:
        await here.end()
        (notice,) = await here.settled()
    assert (notice.detail, notice.output) == ("it took longer than 0.1 s and was killed", "begun\n")


async def test_what_is_not_configured_any_more_is_told_to_nobody(tmp_path: Path, receiver: Receiver) -> None:
    both = listening(receiver, hooks=script(f"echo >>{tmp_path}/began"))
    async with office(tmp_path / "journal", both, run=False) as here:
        await here.end()
    changed = folder(hooks=script("true"), notify=[{"url": f"{receiver.url}&more"}])
    async with office(tmp_path / "journal", changed) as here:
        notices = await here.settled()
    assert {(notice.ending, notice.attempts) for notice in notices} == {(Ending.NOT_CONFIGURED, 0)}
    assert not receiver.received
    assert not began(tmp_path)


async def test_a_failing_journal_starts_nothing_and_is_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "JOURNAL_WAIT", 0.02)
    async with office(tmp_path / "journal", folder(hooks=script(f"echo >>{tmp_path}/began"))) as here:
        begin = here.journal.notices.begin
        failures: list[Notice] = []

        async def unwilling(notice: Notice) -> None:
            if len(failures) < 2:
                failures.append(notice)
                raise FaultError(FAULT)
            await begin(notice)

        monkeypatch.setattr(here.journal.notices, "begin", unwilling)
        await here.end()
        await here.settled()
    assert began(tmp_path) == 1


async def test_a_bug_costs_its_lane_a_rest_and_nobody_else_anything(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> hook.Ended:
        raise ZeroDivisionError

    monkeypatch.setattr(hook, "run", broken)
    with structlog.testing.capture_logs() as logged:
        async with office(tmp_path / "journal", listening(receiver, hooks=script("true"))) as here:
            await here.end()
            await eventually(lambda: receiver.told)
            await eventually(lambda: [one for one in logged if one["event"] == "notice.crashed"])
            assert await until_resting(here)
            assert here.notices()[0].ended_at is None


async def test_neither_address_nor_secret_nor_letter_is_in_the_log_or_in_the_journal(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers += [500]
    with structlog.testing.capture_logs() as logged:
        async with office(tmp_path / "journal", listening(receiver)) as here:
            await here.end()
            await here.settled()
            await eventually(lambda: "notice.delivered" in {line["event"] for line in logged})
    everything = str(logged).encode() + b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert {line["event"] for line in logged} == {"notice.postponed", "notice.delivered"}
    assert logged[0]["target"] == f"http://127.0.0.1:{receiver.port}"
    assert b"fake-token" not in everything
    assert SECRET.encode() not in everything
    assert "arrived_as" not in str(logged)


async def test_old_notices_are_forgotten_with_old_jobs_and_open_ones_never(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with office(tmp_path / "journal", listening(receiver)) as here:
        await here.end(b"1.mp3")
        await here.settled()
        await here.sender.stop(0)
        await here.end(b"2.mp3")
        now = here.notices()[1].draft.at
        await here.journal.prune(jobs_before=now - Keep().jobs, replies_before=0)
        assert len(here.notices()) == 2
        await here.journal.prune(jobs_before=now + 60, replies_before=0)
        (left,) = here.notices()
    assert (left.draft.job_id, left.ended_at) == (None, None)


async def test_events_of_endpoints_and_inboxes_reach_the_webhook(tmp_path: Path, receiver: Receiver) -> None:
    async with office(tmp_path / "journal", listening(receiver)) as here:
        here.announcer.hear(EndpointPaused("here", PAUSE, None))
        here.announcer.hear(EndpointResumed("here"))
        here.announcer.hear(InboxMissing("talks", "missing", "It is gone.", "Mount it."))
        await eventually(lambda: len(receiver.told) == 3)
    assert receiver.told == ["endpoint_paused", "endpoint_resumed", "inbox_missing"]
