"""The metrics: what is counted, how it is named, and that Prometheus' own parser reads it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.status.records import NOW, REFUSED, Records, asked, records
from watcherd.control import EndpointLive
from watcherd.job import (
    Delivered,
    Due,
    Interrupted,
    Outcome,
    Plan,
    Planned,
    Postponed,
    Recognised,
    Refused,
    Reused,
    Sending,
    Started,
    Unanswered,
    WaitReason,
)
from watcherd.notify.news import EndpointPaused, EndpointResumed, InboxBack

LABELS = {"inbox", "endpoint", "state", "outcome", "reason", "le", "version"}
PLAN = Plan(outcome=Outcome.DONE, folder=b"", original=b"a.mp3", sidecars=())


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[Records]:
    async with records(tmp_path) as found:
        yield found


async def families(counted: Records) -> Sequence[Metric]:
    answer = await counted.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return list(text_string_to_metric_families(answer.text))


async def values(counted: Records, name: str) -> dict[tuple[str, ...], float]:
    """The values of a sample that are not 0, by those of its labels."""
    samples = [sample for family in await families(counted) for sample in family.samples]
    return {tuple(one.labels.values()): one.value for one in samples if one.name == name and one.value}


async def test_names_labels_and_types_are_as_prometheus_wants_them(counted: Records) -> None:
    await counted.done('a"\\\n.mp3', "srt")
    counted.metrics.noticed('in"\\\nbox')
    found = await families(counted)
    assert len(found) > 25
    for family in found:
        assert re.fullmatch(r"(watcherd|process)_[a-z_]+", family.name), family.name
        assert family.documentation
        for sample in family.samples:
            assert set(sample.labels) <= LABELS, sample
            assert "a.mp3" not in sample.labels.values()
            if family.type == "counter":
                assert sample.name.endswith("_total")
            assert not sample.name.endswith("_created")
    assert (await values(counted, "watcherd_arrivals_total")) == {('in"\\\nbox',): 1}
    assert {len(labels) for labels in await values(counted, "watcherd_build_info")} == {1}


async def test_a_job_is_counted_on_its_way(counted: Records) -> None:
    job = await counted.add("a.mp3", *asked(None), Recognised("q", "s", "r", 61.5))
    job = await counted.move(job, Refused(REFUSED))
    job = await counted.move(job, Sending("here", 500, 10.0, part=1))
    job = await counted.move(job, Sending("here", 500, 10.0, part=2))
    job = await counted.move(job, Unanswered(REFUSED, part=2))
    job = await counted.move(job, Postponed(WaitReason.ENDPOINT_PAUSED, NOW, REFUSED))
    for event in (Due(), Started(), Reused(b"{}", "text"), Planned(PLAN), Delivered()):
        job = await counted.move(job, event)
    await counted.failed("b.mp3")
    for name, expected in (
        ("requests_total", {("here", "answered"): 1, ("here", "refused"): 1, ("here", "cut_off"): 1}),
        ("sent_bytes_total", {("here",): 2000}),
        ("sent_audio_seconds_total", {("here",): 81.5}),
        ("replies_refused_total", {("inbox", "refused"): 1}),
        ("replies_reused_total", {("inbox",): 1}),
        ("retries_total", {("inbox", "endpoint_paused"): 1}),
        ("jobs_ended_total", {("inbox", "done"): 1, ("inbox", "failed"): 1}),
        ("jobs", {("inbox", "done"): 1, ("inbox", "failed"): 1}),
        ("wait_seconds_count", {("inbox",): 3}),
        ("wait_seconds_sum", {("inbox",): 3}),
        ("request_seconds_count", {("here",): 3}),
        ("request_seconds_sum", {("here",): 5}),
        ("delivery_seconds_count", {("inbox",): 2}),
        ("delivery_seconds_sum", {("inbox",): 2}),
    ):
        assert await values(counted, f"watcherd_{name}") == expected, name


async def test_a_delivery_that_was_broken_off_is_not_measured(counted: Records) -> None:
    job = await counted.add("a.mp3", *asked(), Planned(PLAN))
    job = await counted.move(job, Postponed(WaitReason.DISK_FULL, NOW, REFUSED))
    counted.clock.at += 4000
    for event in (Due(), Delivered()):
        job = await counted.move(job, event)
    assert await values(counted, "watcherd_delivery_seconds_count") == {}
    assert not counted.metrics._jobs, "nothing is remembered of jobs that are over"


async def test_a_job_that_was_taken_back_waits_anew(counted: Records) -> None:
    job = await counted.add("a.mp3", Started(), Interrupted(charged=False))
    counted.clock.at += 99
    await counted.move(job, Started())
    assert await values(counted, "watcherd_wait_seconds_sum") == {("inbox",): 101}


async def test_arrivals_are_counted_and_measured(counted: Records) -> None:
    for missed in (True, False):
        counted.metrics.noticed("inbox")
        counted.metrics.settled("inbox", 5.5, missed=missed)
    assert await values(counted, "watcherd_arrivals_total") == {("inbox",): 2}
    assert await values(counted, "watcherd_settled_total") == {("inbox",): 2}
    assert await values(counted, "watcherd_missed_by_events_total") == {("inbox",): 1}
    assert await values(counted, "watcherd_settle_seconds_sum") == {("inbox",): 11}


async def test_a_pause_counts_once_however_often_it_is_told(counted: Records) -> None:
    busy = replace(REFUSED, code="busy")
    hear = counted.metrics.hear
    for news in (
        EndpointPaused("here", REFUSED, NOW),
        EndpointPaused("here", REFUSED, NOW + 5),
        EndpointPaused("here", busy, NOW),
        EndpointResumed("here"),
        EndpointPaused("here", busy, None),
        InboxBack("inbox"),
    ):
        hear(news)
    assert await values(counted, "watcherd_pauses_total") == {("here", "refused"): 1, ("here", "busy"): 2}


async def test_how_things_stand_is_read_when_somebody_asks(
    counted: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    await counted.add("a.mp3", inbox="old")
    counted.clock.at += 59
    endpoint = EndpointLive(
        name="here", base_url="u", model="m", slots=4, concurrency=2, in_flight=1, minutes_today=1.5,
        minutes_per_day=None, held_since=NOW, child=1,
    )  # fmt: skip
    inbox = replace(counted.control.inboxes[0], arriving=3, held_since=NOW)
    live = replace(counted.control.live(), inboxes=(inbox,), endpoints=(endpoint,))
    monkeypatch.setattr(counted.control, "live", lambda: live)
    memory = await values(counted, "watcherd_embedded_memory_bytes")
    assert memory.keys() == {("here",)}
    assert min(memory.values()) > 1e5
    for name, expected in (
        ("jobs", {("old", "queued"): 1}),
        ("queue_age_seconds", {("old",): 59}),
        ("arriving_files", {("inbox",): 3}),
        ("inbox_watched", {("inbox",): 1}),
        ("inbox_held", {("inbox",): 1}),
        ("endpoint_paused", {("here",): 1}),
        ("requests_in_flight", {("here",): 1}),
        ("request_slots", {("here",): 2}),
        ("audio_today_seconds", {("here",): 90}),
        ("journal_readable", {(): 1}),
    ):
        assert await values(counted, f"watcherd_{name}") == expected, name


async def test_without_a_journal_the_rest_is_told(counted: Records) -> None:
    await counted.journal.close()
    for name in ("journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"):
        Path(counted.home / name).unlink(missing_ok=True)
    found = {family.name: family for family in await families(counted)}
    assert found["watcherd_journal_readable"].samples[0].value == 0
    assert "watcherd_jobs" not in found
    assert "watcherd_arrivals" in found
