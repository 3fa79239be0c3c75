"""What a status says of endpoints, inboxes and jobs. Pure values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from watcherd.cli.table import table
from watcherd.control import EndpointLive, InboxLive
from watcherd.faults import Fault, Remedy, Scope
from watcherd.job import Identity, Job, State, WaitReason
from watcherd.journal.reader import Progress, Seen
from watcherd.status.shapes import DaemonStatus, Status
from watcherd.status.snapshot import NOTHING, Record, status_of

NOW = 1_700_000_000.0
FAULT = Fault(
    scope=Scope.ENDPOINT,
    code="key_refused",
    message="The key\x1b[2J is refused",
    hint="Mend\nit",
    remedy=Remedy.CONFIGURE,
)
ENDPOINT = EndpointLive(
    name="here",
    base_url="http://127.0.0.1:1/v1",
    model="whisper-1",
    slots=4,
    concurrency=2,
    in_flight=1,
    minutes_today=1.26,
    minutes_per_day=600,
)
INBOX = InboxLive(name="talks", path=b"/srv/t\x1b", endpoint="here", condition="watching")
JOB = Job(
    id=7,
    inbox="talks",
    path=b"a\x1b[31m\n\xff.mp3",
    identity=Identity(0, 0, 0, 0, 0),
    settled_at=0,
    state=State.WAITING,
    reason=WaitReason.ENDPOINT_PAUSED,
    until=NOW + 60,
    fault=FAULT,
)


def snapshot(
    *, endpoint: EndpointLive = ENDPOINT, inbox: InboxLive = INBOX, record: Record = NOTHING
) -> Status:
    daemon = DaemonStatus(state="running", pid=1)
    return status_of(record, daemon=daemon, inboxes=[inbox], endpoints=[endpoint], now=NOW)


@pytest.mark.parametrize(
    ("pause", "state"),
    [
        ({}, "open"),
        ({"paused_since": NOW - 5, "paused_until": NOW + 5, "fault": FAULT}, "paused"),
        ({"paused_since": NOW - 5, "paused_until": NOW, "fault": FAULT}, "probing"),
        ({"held_since": NOW}, "paused by hand"),
        (
            {"held_since": NOW, "paused_since": NOW - 5, "paused_until": NOW + 5, "fault": FAULT},
            "paused by hand",
        ),
    ],
)
def test_an_endpoint_is_open_paused_probing_or_paused_by_hand(pause: dict[str, float], state: str) -> None:
    shown = snapshot(endpoint=replace(ENDPOINT, **pause)).endpoints[0]  # type: ignore[arg-type]  # of several types
    assert shown.state == state
    assert (shown.reason is not None) == (state in {"paused", "probing"})
    assert (shown.until is not None) == (state in {"paused", "probing"})
    assert (shown.since is not None) == (state != "open")


@pytest.mark.parametrize(
    ("condition", "held", "state"),
    [
        ("watching", None, "watching"),
        ("watching", NOW, "paused by hand"),
        ("not watched", NOW, "paused by hand"),
        ("missing", None, "missing"),
        ("missing", NOW, "missing"),
    ],
)
def test_trouble_with_an_inbox_is_said_before_a_pause_by_hand(
    condition: str, held: float | None, state: str
) -> None:
    shown = snapshot(inbox=replace(INBOX, condition=condition, held_since=held)).inboxes[0]
    assert (shown.state, shown.since is not None) == (state, held is not None)


def test_jobs_are_counted_by_inbox_and_those_of_no_configured_one_stand_apart() -> None:
    counts = {"talks": {State.QUEUED: 3, State.DONE: 1}, "old": {State.FAILED: 2}}
    shown = snapshot(record=replace(NOTHING, counts=counts))
    assert shown.inboxes[0].jobs == {"done": 1, "queued": 3}
    assert shown.not_configured == {"old": {"failed": 2}}
    assert "old: 2 failed  (not configured)" in table(shown)


def test_no_control_character_of_a_name_or_an_answer_gets_through() -> None:
    paused = replace(ENDPOINT, paused_since=NOW - 5, paused_until=NOW + 5, fault=FAULT)
    record = replace(NOTHING, waiting=[Seen(JOB, NOW)])
    shown = snapshot(endpoint=paused, record=record)
    assert shown.waiting[0].file == r"a\x1b[31m\x0a\xff.mp3"
    assert shown.inboxes[0].path == r"/srv/t\x1b"
    assert all(line.isprintable() for line in table(shown).splitlines())
    assert r"The key\x1b[2J is refused" in table(shown)


def test_times_are_whole_seconds_in_utc() -> None:
    shown = snapshot(record=replace(NOTHING, waiting=[Seen(JOB, NOW + 0.9)]))
    assert '"changed_at":"2023-11-14T22:13:20Z"' in shown.model_dump_json()
    assert '"until":"2023-11-14T22:14:20Z"' in shown.model_dump_json()


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress(7, 18, whole=True), "[7 of 18 parts]"),
        (Progress(7, 12, whole=False), "[7 of at least 12 parts]"),
        (Progress(0, 1, whole=True), ""),
        (None, ""),
    ],
)
def test_a_file_of_several_parts_shows_how_far_it_is(progress: Progress | None, said: str) -> None:
    known = {} if progress is None else {JOB.id: progress}
    jobs = [Seen(replace(JOB, fault=None), NOW)]
    in_flight = [Seen(replace(JOB, state=State.TRANSLATING, reason=None, fault=None), NOW)]
    shown = snapshot(record=replace(NOTHING, waiting=jobs, in_flight=in_flight, progress=known))
    lines = [line for line in table(shown).splitlines() if r"\xff.mp3" in line]
    assert [said in line for line in lines] == [True, True]
    assert ["parts]" in line for line in lines] == [bool(said)] * 2
    expected = None if progress is None else (progress.answered, progress.known, progress.whole)
    for parts in (shown.waiting[0].parts, shown.in_flight[0].parts):
        assert (None if parts is None else (parts.answered, parts.known, parts.all_known)) == expected


def test_a_file_that_is_done_tells_no_parts() -> None:
    """What was answered for it may be forgotten by then."""
    known = {JOB.id: Progress(1, 3, whole=True)}
    shown = snapshot(record=replace(NOTHING, recent=[Seen(JOB, NOW)], progress=known))
    assert shown.recent[0].parts is None


def test_the_table_shows_ten_jobs_of_a_kind_and_counts_the_rest() -> None:
    record = replace(NOTHING, waiting=[Seen(replace(JOB, id=n, fault=None), NOW) for n in range(12)])
    lines = table(snapshot(record=record)).splitlines()
    assert sum(line.startswith("  waiting") for line in lines) == 10
    assert lines[-1] == "  and 2 more"
