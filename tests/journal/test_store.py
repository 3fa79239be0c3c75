"""The journal against real SQLite: what is recorded is there, and a move from the wrong state is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from watcherd.clock import SystemClock
from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.job import (
    Chosen,
    Cut,
    Delivered,
    Divided,
    Due,
    Event,
    Identity,
    Interrupted,
    Job,
    Listened,
    Outcome,
    Part,
    Plan,
    Planned,
    Postponed,
    Recognised,
    Refused,
    Replied,
    Reused,
    Sending,
    Sidecar,
    Started,
    State,
    Unanswered,
    WaitReason,
    Withdrawn,
    step,
)
from watcherd.journal.answers import StoredReply
from watcherd.journal.errors import JournalError
from watcherd.journal.ledger import Kind, StoredPause
from watcherd.journal.reader import Progress, reading
from watcherd.journal.store import LEARNED_KEPT, Journal, Move, StaleMoveError
from watcherd.settings import Settings

IDENTITY = Identity(2049, 2**63 - 1, 12, 1_700_000_000_123_456_789, -5)
FAULT = Fault(
    scope=Scope.FILE, code="undecodable", message="no\nsound", hint="Look.", remedy=Remedy.FAIL, status=400
)
PLAN = Plan(
    outcome=Outcome.FAILED,
    folder=b"d\xff",
    original=b"a\xfe.mp3",
    sidecars=(Sidecar(b"a\xfe.mp3.error.json", "report"),),
    at=1.5,
)


FILE = "journal #1?.sqlite3"
DONE_PLAN = replace(PLAN, outcome=Outcome.DONE)
SENDING = Sending("e", 1000, 12.5)
SETTINGS = Settings(
    base_url="http://h/v1", model="m", prompt="Ærø", temperature=0.1, track="1", fields=(("a", "b"),)
)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / FILE, SystemClock())
    yield opened
    await opened.close()


async def moved(journal: Journal, job: Job, *events: Event) -> Job:
    for event in events:
        after = step(job, event)
        await journal.record(Move(job, after, event))
        job = after
    return job


async def added(journal: Journal, path: bytes = b"a.mp3", inbox: str = "in") -> Job:
    job = await journal.add(inbox, path, IDENTITY)
    assert job is not None
    return job


async def in_turn(one: Callable[..., Awaitable[Job | None]]) -> list[int]:
    """The jobs of an inbox in the order in which they are taken."""
    found: list[int] = []
    while (job := await one("in", besides=found)) is not None:
        found.append(job.id)
    return found


async def knows(journal: Journal, quick: str) -> bool:
    return (await journal.answers.recall(0, quick)).is_known


async def reply(journal: Journal, job_id: int) -> StoredReply | None:
    """What was answered for a job's one part."""
    return ((await journal.answers.of(job_id)).replies or {}).get(0)


async def reply_to(journal: Journal, sha256: str, request: str) -> StoredReply | None:
    found = await journal.answers.to(sha256, request)
    return None if found is None else (found.replies or {})[0]


async def test_a_job_comes_back_as_it_was_recorded(journal: Journal) -> None:
    job = await added(journal, b"d\xff/a\xfe\n.mp3")
    planned = await moved(journal, job, Started(), SENDING, Planned(PLAN, ("untimed",), FAULT))
    assert await journal.job(job.id) == planned
    assert planned.plan == PLAN
    assert planned.fault == FAULT


async def test_one_path_has_one_open_job_and_may_come_again_after_it(journal: Journal) -> None:
    job = await added(journal)
    assert await journal.add("in", b"a.mp3", replace(IDENTITY, size=99)) is None
    assert await journal.add("other", b"a.mp3", IDENTITY) is not None
    await moved(journal, job, Withdrawn("vanished"))
    again = await journal.add("in", b"a.mp3", IDENTITY)
    assert again is not None
    assert again.id != job.id


async def test_a_move_from_a_state_that_is_not_on_record_is_refused_and_changes_nothing(
    journal: Journal,
) -> None:
    job = await added(journal)
    started = await moved(journal, job, Started())
    with pytest.raises(StaleMoveError, match=f"job {job.id} is not queued"):
        await moved(journal, job, Started())
    assert await journal.job(job.id) == started


async def test_a_reply_is_kept_until_it_is_refused(journal: Journal) -> None:
    job = await moved(journal, await added(journal), Started(), SENDING)
    job = await moved(journal, job, Replied(b"\x00{}", "srt"))
    assert await reply(journal, job.id) == StoredReply(b"\x00{}", "srt")
    job = await moved(journal, job, Refused(FAULT))
    assert await reply(journal, job.id) is None
    attempts = await journal.attempts(job.id)
    assert [attempt.fault for attempt in attempts] == [FAULT]


async def test_a_reply_is_found_by_content_and_request_whatever_the_job(journal: Journal) -> None:
    first = await moved(journal, await added(journal, b"1"), Started(), SENDING, Replied(b"old", "srt"))
    assert not await knows(journal, "3-q")
    await moved(journal, first, Recognised("3-q", "sha", "settings"))
    assert await knows(journal, "3-q")
    assert not await knows(journal, "4-q")
    assert await reply_to(journal, "sha", "settings") == StoredReply(b"old", "srt")
    assert await reply_to(journal, "sha", "other settings") is None
    assert await reply_to(journal, "other", "settings") is None
    second = await moved(journal, await added(journal, b"2"), Started(), Reused(b"old", "srt"))
    assert await reply(journal, second.id) == StoredReply(b"old", "srt")


async def test_a_withdrawn_jobs_reply_is_kept_only_if_its_content_is_known(journal: Journal) -> None:
    first = await moved(journal, await added(journal, b"1"), Started(), SENDING, Replied(b"a", "srt"))
    second = await moved(journal, await added(journal, b"2"), Started(), SENDING, Replied(b"b", "srt"))
    second = await moved(journal, second, Recognised("3-q", "sha", "settings"))
    for job in (first, second):
        await moved(journal, job, Withdrawn("changed"))
    assert await reply(journal, first.id) is None
    assert await reply_to(journal, "sha", "settings") == StoredReply(b"b", "srt")


async def test_a_reply_outlives_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    first = await Journal.open(path, SystemClock())
    job = await moved(first, await added(first), Started(), SENDING, Replied(b"{}", "verbose_json"))
    await first.close()
    second = await Journal.open(path, SystemClock())
    assert await second.mid_flight() == [job]
    assert await reply(second, job.id) == StoredReply(b"{}", "verbose_json")
    await second.close()


async def test_unfinished_deliveries_start_first_then_the_oldest_settled(journal: Journal) -> None:
    first, second, third = [await added(journal, name) for name in (b"1", b"2", b"3")]
    await added(journal, b"4", "other")
    third = await moved(journal, third, Started(), Planned(PLAN, (), FAULT))
    for count in (1, 2, 3, 10):
        found = [job.id for job in await journal.startable("in", count)]
        assert found == [third.id, first.id, second.id][:count]
    assert [job.id for job in await journal.startable("in", 9, besides=[third.id, first.id])] == [second.id]


async def test_a_waiting_job_is_due_at_its_time(journal: Journal) -> None:
    job = await moved(
        journal, await added(journal), Started(), Postponed(WaitReason.BACKOFF, 1000.0, FAULT, charged=True)
    )
    assert await journal.next_due() == 1000.0
    assert await journal.due(999.9) == []
    assert await journal.due(1000.0) == [job]
    assert await journal.held_up() == []
    job = await moved(journal, job, Due())
    assert await journal.next_due() is None
    job = await moved(journal, job, Started(), Postponed(WaitReason.STORAGE, 2000.0, FAULT))
    assert await journal.held_up() == [job]


async def test_names_of_open_plans_are_reserved_by_folder(journal: Journal, tmp_path: Path) -> None:
    job = await moved(journal, await added(journal), Started(), Planned(PLAN, (), FAULT))
    later = await Journal.open(tmp_path / FILE, SystemClock())
    for one in (journal, later):
        assert one.names.within(b"d\xff") == {b"a\xfe.mp3", b"a\xfe.mp3.error.json"}
        assert one.names.within(b"") == set()
    await later.close()
    await moved(journal, job, Delivered())
    assert journal.names.within(b"d\xff") == set()


async def test_open_jobs_are_those_directly_in_the_folder(journal: Journal) -> None:
    here = await added(journal, b"sub/a.mp3")
    await added(journal, b"sub/deep/a.mp3")
    await added(journal, b"a.mp3")
    assert await journal.open_jobs("in", b"sub") == [here]
    assert sorted(await journal.open_folders()) == [("in", b""), ("in", b"sub"), ("in", b"sub/deep")]


async def test_a_journal_of_a_newer_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    await (await Journal.open(path, SystemClock())).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(JournalError, match="newer watcherd"):
        await Journal.open(path, SystemClock())


async def test_a_file_that_is_no_journal_is_set_aside_whole_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    garbage = b"not a database, but long enough to be looked at" * 100
    path.write_bytes(garbage)
    journal = await Journal.open(path, SystemClock())
    await added(journal)
    await journal.close()
    (aside,) = tmp_path.glob("journal.sqlite3.damaged-*")
    assert aside.read_bytes() == garbage


async def test_a_journal_that_was_damaged_inside_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    journal = await Journal.open(path, SystemClock())
    for number in range(200):
        await added(journal, b"%d.mp3" % number)
    await journal.close()
    content = bytearray(path.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 64] = b"\xa5" * 64
    path.write_bytes(content)
    journal = await Journal.open(path, SystemClock())
    assert await journal.counts() == {}
    await journal.close()
    assert len(list(tmp_path.glob("journal.sqlite3.damaged-*"))) == 1


async def test_a_journal_in_order_is_left_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    for _ in range(2):
        journal = await Journal.open(path, SystemClock())
        await journal.add("in", b"a.mp3", IDENTITY)
        assert await journal.counts() == {State.QUEUED: 1}
        await journal.close()
    assert not list(tmp_path.glob("*damaged*"))


async def test_what_is_final_and_old_is_forgotten_and_nothing_else(journal: Journal) -> None:
    answered = (Started(), SENDING, Replied(b"{}", "srt"), Recognised("3-q", "sha", "settings"))
    final = await moved(journal, await added(journal, b"1"), *answered, Planned(DONE_PLAN), Delivered())
    waiting = await moved(journal, await added(journal, b"2"), *answered)
    await journal.prune(jobs_before=0, replies_before=0)
    assert await reply(journal, final.id) is not None
    await journal.prune(jobs_before=0, replies_before=1e12)
    assert await reply(journal, final.id) is None
    assert await journal.job(final.id) == final
    await journal.prune(jobs_before=1e12, replies_before=1e12)
    assert await journal.job(final.id) is None
    assert await journal.job(waiting.id) == waiting
    assert await reply(journal, waiting.id) is not None
    assert len(await journal.attempts(waiting.id)) == 1


async def test_forgetting_what_was_answered_for_a_content_leaves_other_contents_and_open_jobs_theirs(
    journal: Journal,
) -> None:
    answered = (Started(), SENDING, Replied(b"{}", "srt"))
    ended = (Planned(DONE_PLAN), Delivered())
    known = Recognised("3-q", "sha", "settings")
    first = await moved(journal, await added(journal, b"1"), *answered, known, *ended)
    same = await moved(journal, await added(journal, b"2"), *answered, known, *ended)
    still_open = await moved(journal, await added(journal, b"3"), *answered, known)
    other = await moved(
        journal, await added(journal, b"4"), *answered, Recognised("4-q", "another", "settings"), *ended
    )
    await journal.forget_replies("sha")
    kept = [await reply(journal, job.id) for job in (first, same, still_open, other)]
    assert [reply is not None for reply in kept] == [False, False, True, True]


async def test_a_probe_takes_the_job_that_was_left_alone_longest(journal: Journal) -> None:
    first, second = [await added(journal, name) for name in (b"1", b"2")]
    pause = Postponed(WaitReason.ENDPOINT_PAUSED, 1.0, FAULT)
    await moved(journal, first, Started(), pause, Due())
    assert [job.id for job in await journal.startable("in", 2)] == [first.id, second.id]
    assert await in_turn(journal.probing) == [second.id, first.id]


# Requests.


async def rows(journal: Journal) -> list[tuple[object, ...]]:
    query = "SELECT round, seconds, bytes, ended_at IS NOT NULL, fault IS NOT NULL FROM requests ORDER BY id"
    return [tuple(row) for row in await journal._connection.select(query)]


async def test_each_request_is_on_record_before_it_leaves_with_how_it_ended(journal: Journal) -> None:
    job = await moved(journal, await added(journal), Started(), Sending("e", 1000))
    assert await rows(journal) == [(1, None, 1000, 0, 0)]
    job = await moved(journal, job, Unanswered(FAULT), Sending("e", 2000, 3.0))
    assert await rows(journal) == [(1, None, 1000, 1, 1), (1, 3.0, 2000, 0, 0)]
    job = await moved(journal, job, Replied(b"{}", "srt"), Recognised("3-q", "sha", "settings", 3.5))
    assert await rows(journal) == [(1, 3.5, 1000, 1, 1), (1, 3.0, 2000, 1, 0)]
    job = await moved(journal, job, Planned(PLAN, (), FAULT))
    assert (await rows(journal))[1] == (1, 3.0, 2000, 1, 0), "an answered request has no fault"


async def test_a_round_is_one_attempt_with_its_first_time_and_the_fault_that_is_left(
    journal: Journal,
) -> None:
    other = replace(FAULT, code="other")
    job = await moved(journal, await added(journal), Started(), SENDING, Unanswered(FAULT), SENDING)
    job = await moved(journal, job, Unanswered(other))
    job = await moved(journal, job, Postponed(WaitReason.BACKOFF, 1.0, other, charged=True), Due())
    job = await moved(journal, job, Started(), SENDING)
    assert [one.fault for one in await journal.attempts(job.id)] == [other, None]


async def test_parts_of_a_round_fail_each_for_itself(journal: Journal) -> None:
    second = replace(SENDING, part=2)
    job = await moved(journal, await added(journal), Started(), SENDING, second, Unanswered(FAULT, 2))
    job = await moved(journal, job, Replied(b"{}", "srt"))
    assert [one.fault for one in await journal.attempts(job.id)] == [FAULT]
    assert job.attempts == 1
    query = "SELECT part, fault IS NULL FROM requests ORDER BY part"
    assert [tuple(row) for row in await journal._connection.select(query)] == [(0, 1), (2, 0)]


# Parts.

FIRST = Part(number=1, start=0.0, end=600.5, own_start=0.0, own_end=598.0)
SECOND = Part(number=2, start=595.5, end=900.0, own_start=598.0, own_end=900.0, silent=True)
WHOLE = Part(number=0)


async def test_parts_come_back_with_their_replies_in_the_order_of_their_starts(journal: Journal) -> None:
    job = await moved(journal, await added(journal), Started(), Cut(SECOND), Cut(FIRST))
    answered = await journal.answers.of(job.id)
    assert (answered.parts, answered.missing, answered.complete) == ((FIRST, SECOND), (FIRST,), False)
    job = await moved(journal, job, replace(SENDING, part=1), Replied(b"{}", "srt", 1))
    answered = await journal.answers.of(job.id)
    assert answered.replies == {1: StoredReply(b"{}", "srt")}
    assert (answered.missing, answered.complete) == ((), False), "more may come"
    heard = Listened(900.0, ((598.0, 900.0),), ("w",))
    await moved(journal, job, heard)
    answered = await journal.answers.of(job.id)
    assert (answered.heard, answered.complete) == (heard, True)


async def test_the_settings_that_were_chosen_last_come_back(journal: Journal) -> None:
    earlier = replace(SETTINGS, prompt="")
    job = await moved(journal, await added(journal), Started(), Chosen(earlier), SENDING)
    await moved(journal, job, Chosen(SETTINGS))
    recorded = (await journal.answers.of(job.id)).settings
    assert recorded == SETTINGS
    assert recorded.key == SETTINGS.key
    assert recorded.key != earlier.key


async def test_faults_come_back_with_the_part_and_the_length_of_what_was_asked_for(journal: Journal) -> None:
    job = await moved(journal, await added(journal), Started(), Chosen(SETTINGS))
    job = await moved(journal, job, Sending("e", 1000, None, 3), Unanswered(FAULT, 3))
    job = await moved(journal, job, SENDING, Replied(b"", "srt"), Refused(replace(FAULT, code="empty_body")))
    await moved(journal, job, SENDING)
    faults = (await journal.answers.recall(job.id, None)).faults
    found = [(part, seconds, fault.code) for part, seconds, fault in faults]
    assert found == [(3, None, "undecodable"), (0, 12.5, "empty_body")]


async def test_how_far_jobs_have_come_is_read_at_once(journal: Journal, tmp_path: Path) -> None:
    third = replace(FIRST, number=3, start=900.0, end=1500.0)
    first = await moved(journal, await added(journal), Started(), Cut(FIRST), Cut(SECOND), Cut(third))
    await moved(journal, first, replace(SENDING, part=1), Replied(b"{}", "srt", 1))
    whole = await moved(journal, await added(journal, b"whole"), Started(), Cut(WHOLE))
    heard = await moved(journal, await added(journal, b"heard"), Started(), Cut(FIRST), Listened(600.5))
    empty = await added(journal, b"empty")
    with reading(tmp_path / "journal #1?.sqlite3") as reader:
        found = reader.progress([job.id for job in (first, whole, empty)])
        assert found == {first.id: Progress(2, 3, whole=False), whole.id: Progress(0, 1, whole=True)}
        assert reader.progress([heard.id]) == {heard.id: Progress(0, 1, whole=True)}
        assert reader.progress([]) == {}


async def test_a_part_that_is_divided_is_replaced_at_once(journal: Journal) -> None:
    job = await moved(journal, await added(journal), Started(), Cut(WHOLE))
    assert (await journal.answers.of(job.id)).parts == (WHOLE,), "no bounds survive, too"
    await moved(journal, job, Divided(0, (FIRST, SECOND)))
    assert (await journal.answers.of(job.id)).parts == (FIRST, SECOND)


async def test_a_storage_fault_before_any_request_marks_no_earlier_one(journal: Journal) -> None:
    job = await moved(journal, await added(journal), Started(), SENDING)
    job = await moved(journal, job, Interrupted(charged=True), Started())
    await moved(journal, job, Postponed(WaitReason.STORAGE, 1.0, FAULT))
    assert [one.fault for one in await journal.attempts(job.id)] == [None]


async def test_the_seconds_that_an_endpoint_heard_are_summed_since_a_time(journal: Journal) -> None:
    foreign = replace(FAULT, scope=Scope.ENDPOINT)
    ledger = journal.ledger
    await ledger.probed("e", seconds=100, size=1, now=50.0, fault=None)
    for now, fault in ((60.0, None), (70.0, FAULT), (80.0, foreign)):
        await ledger.probed("e", seconds=10, size=1, now=now, fault=fault)
    await ledger.probed("other", seconds=3, size=1, now=60.0, fault=None)
    assert await ledger.seconds_sent(60.0) == {"e": 20, "other": 3}


async def test_requests_outlive_their_job_for_as_long_as_a_budget_needs_them(journal: Journal) -> None:
    final = (Started(), SENDING, Replied(b"{}", "srt"), Planned(DONE_PLAN), Delivered())
    await moved(journal, await added(journal), *final)
    await journal.prune(jobs_before=1e12, replies_before=1e12)
    assert await journal.ledger.seconds_sent(0) == {"e": 12.5}
    await journal._connection.select("UPDATE requests SET sent_at = sent_at - 3 * 24 * 3600")
    await journal.prune(jobs_before=1e12, replies_before=1e12)
    assert await journal.ledger.seconds_sent(0) == {}


# Pauses and lessons.


async def test_a_pause_is_replaced_by_its_own_kind_only(journal: Journal) -> None:
    ledger = journal.ledger
    first = StoredPause(kind=Kind.ENDPOINT, name="x", since=1, until=2, fault=FAULT)
    second = replace(first, until=9.0)
    by_hand = StoredPause(kind=Kind.ENDPOINT, name="x", since=3, until=None, fault=None)
    inbox = replace(by_hand, kind=Kind.INBOX)
    for pause in (first, by_hand, inbox, second):
        await ledger.pause(pause)
    assert sorted(await ledger.pauses(), key=repr) == sorted((second, by_hand, inbox), key=repr)
    await ledger.end_pause(Kind.ENDPOINT, "x", by_hand=True)
    await ledger.end_pause(Kind.ENDPOINT, "nobody", by_hand=True)
    assert sorted(await ledger.pauses(), key=repr) == sorted((second, inbox), key=repr)


async def test_what_a_server_taught_is_forgotten_after_a_month(journal: Journal) -> None:
    now = SystemClock().now()
    await journal.ledger.learn("u", "m", "format", "srt", now=now - LEARNED_KEPT - 60)
    await journal.ledger.learn("u", "m", "max_bytes", "1", now=now)
    await journal.ledger.learn("u", "m", "max_bytes", "2", now=now)
    assert await journal.ledger.learned() == {("u", "m"): {"format": "srt", "max_bytes": "2"}}
    await journal.prune(jobs_before=0, replies_before=0)
    assert await journal.ledger.learned() == {("u", "m"): {"max_bytes": "2"}}


async def test_over_is_what_was_given_out_and_is_open_no_more(journal: Journal) -> None:
    final = await moved(journal, await added(journal, b"1"), Withdrawn("vanished"))
    queued = await added(journal, b"2")
    is_over = await journal.what_is_over()
    assert is_over(final.id)
    assert not is_over(queued.id)
    assert not is_over(queued.id + 1), "a job that is made after the question"


async def test_the_journal_is_durable_by_its_settings(journal: Journal) -> None:
    assert (await journal._connection.select("PRAGMA synchronous"))[0][0] == 2
    assert (await journal._connection.select("PRAGMA journal_mode"))[0][0] == "wal"


async def test_the_reader_counts_and_lists_beside_the_writer(journal: Journal, tmp_path: Path) -> None:
    failed = await moved(journal, await added(journal), Started(), Planned(PLAN, (), FAULT), Delivered())
    waiting = await moved(
        journal, await added(journal), Started(), Postponed(WaitReason.BACKOFF, 1.0, FAULT, charged=True)
    )
    with reading(tmp_path / "journal #1?.sqlite3") as reader:
        assert reader.counts() == {"in": {State.FAILED: 1, State.WAITING: 1}}
        assert [seen.job for seen in reader.recent(5)] == [failed]
        assert [seen.job for seen in reader.waiting(5)] == [waiting]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM jobs")


async def test_a_full_disk_is_a_machine_fault_that_leaves_nothing_half_done(journal: Journal) -> None:
    job = await moved(journal, await added(journal), Started(), SENDING)
    pages = (await journal._connection.select("PRAGMA page_count"))[0][0]
    await journal._connection.select(f"PRAGMA max_page_count = {pages}")
    replied = Replied(b"x" * 200_000, "verbose_json")
    with pytest.raises(FaultError) as caught:
        await moved(journal, job, replied)
    assert caught.value.fault.code == "disk_full"
    assert caught.value.fault.scope is Scope.MACHINE
    assert await reply(journal, job.id) is None
    await journal._connection.select("PRAGMA max_page_count = 100000")
    await moved(journal, job, replied)
    assert await reply(journal, job.id) is not None
