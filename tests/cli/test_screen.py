"""The screen of `status --follow`: everything there is to see, at the width and height that there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from watcherd.cli.screen import screen
from watcherd.status.shapes import (
    DaemonStatus,
    EndpointStatus,
    InboxStatus,
    JobStatus,
    PartsStatus,
    Status,
    Trouble,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
QUOTA = Trouble(code="quota", message="The account is empty", hint="Top it up.")


def job(number: int, state: str, **more: object) -> JobStatus:
    made = {"job": number, "inbox": "talks", "file": f"a/talk {number}.mp3", "state": state, "attempts": 0}
    return JobStatus.model_validate({**made, "changed_at": NOW, **more})


def status(**lists: Sequence[JobStatus]) -> Status:
    inbox = InboxStatus(
        name="talks", path="/t", endpoint="api", state="watching", arriving=2, jobs={"done": 7}
    )
    silent = InboxStatus(
        name="[red]films", path="/f", endpoint="api", state="missing", text="there is no folder /f"
    )
    endpoint = EndpointStatus(
        name="api",
        base_url="https://api",
        model="whisper-1",
        state="paused",
        reason=QUOTA,
        until=NOW + timedelta(minutes=15),
        in_flight=1,
        concurrency=4,
        slots=4,
        minutes_today=12.345,
        minutes_per_day=600,
    )
    return Status(
        version="1",
        at=NOW,
        daemon=DaemonStatus(state="running", pid=4711),
        inboxes=[inbox, silent],
        endpoints=[endpoint],
        in_flight=list(lists.get("in_flight", ())),
        waiting=list(lists.get("waiting", ())),
        recent=list(lists.get("recent", ())),
    )


def drawn(shown: Status | None, note: str = "", *, width: int = 80, height: int = 40) -> str:
    """What a terminal of that size would show."""
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(screen(shown, note, width=width, height=height))
    return capture.get()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_everything_is_there_and_no_line_is_too_long(width: int) -> None:
    shown = status(
        in_flight=[job(1, "translating", parts=PartsStatus(answered=3, known=7, all_known=False))],
        waiting=[job(2, "waiting", reason="backoff", until=NOW + timedelta(minutes=1))],
        recent=[job(3, "done", warnings=["loops: 2"]), job(4, "failed", fault=QUOTA)],
    )
    text = drawn(shown, width=width)
    assert max(map(len, text.splitlines())) <= width
    joined = " ".join(text.split())
    for said in (
        "watcherd running, process 4711",
        "2 arriving, 7 done",
        "[red]films",
        "there is no folder /f",
        "1 of 4 requests, 12.35 of 600 min today",
        "The account is empty. Top it up.",
        "3 of at least 7 parts",
        "backoff until ",
        "loops: 2",
        "quota",
    ):
        assert said in joined
    for number in range(1, 5):
        assert f"talk {number}.mp3" in joined


def test_long_lists_are_cut_to_the_height_and_counted() -> None:
    shown = status(waiting=[job(number, "waiting") for number in range(100)])
    small, large = drawn(shown, height=24), drawn(shown, height=60)
    assert "talk 0.mp3" in small
    assert len(small.splitlines()) <= 24
    assert 40 < len(large.splitlines()) <= 60
    count = large.count(".mp3")
    assert f"and {100 - count} more" in large


def test_a_single_part_is_no_progress_worth_a_word() -> None:
    shown = status(in_flight=[job(1, "translating", parts=PartsStatus(answered=0, known=1, all_known=True))])
    assert "parts" not in drawn(shown)


def test_a_time_of_another_day_has_its_date() -> None:
    shown = status(waiting=[job(1, "waiting", reason="budget", until=NOW + timedelta(days=1))])
    assert "budget until 2026-05-02 " in drawn(shown)


def test_what_is_the_matter_stands_above_what_was_last_known_or_alone() -> None:
    assert drawn(status(), "it has stopped").splitlines()[1] == "it has stopped"
    assert drawn(None, "it starts").strip() == "it starts"
