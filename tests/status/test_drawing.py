"""What is drawn of endpoints, inboxes and jobs, and the words for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.status.html import Html
from tests.status.test_app import Fake
from tests.status.test_snapshot import ENDPOINT, FAULT, INBOX, JOB, NOW, snapshot
from watcherd.control import EndpointLive, InboxLive, Rejected
from watcherd.job import State
from watcherd.journal.reader import Progress, Seen
from watcherd.status import drawing
from watcherd.status.drawing import Message
from watcherd.status.snapshot import NOTHING, daemon_of


def overview(**parts: Any) -> Html:  # noqa: ANN401 - of any part of a status
    drawn = drawing.sections(snapshot(**parts), {})
    return Html(drawing.draw("overview.html", drawn=drawn, here="overview", follows=True))


FAULTED = replace(ENDPOINT, paused_since=NOW - 5, paused_until=NOW + 60, fault=FAULT)


@pytest.mark.parametrize(
    ("endpoint", "said", "button"),
    [
        (ENDPOINT, "1 of 2 (4 configured; it asked for fewer)", "Pause endpoint here"),
        (replace(ENDPOINT, minutes_today=600), "600 of 600", "Pause endpoint here"),
        (replace(ENDPOINT, minutes_per_day=None), "minutes today 1.3", "Pause endpoint here"),
        (
            replace(ENDPOINT, held_since=NOW),
            "paused by hand since 2023-11-14 22:13:20 UTC",
            "Resume endpoint here",
        ),
        (
            FAULTED,
            r"The key\x1b[2J is refused. Mend\x0ait. next try 2023-11-14 22:14:20 UTC",
            "Resume endpoint here",
        ),
        (
            replace(FAULTED, paused_until=NOW),
            "one request is finding out whether it works again",
            "Resume endpoint here",
        ),
    ],
)
def test_an_endpoint_says_how_it_is_and_what_may_be_done(
    endpoint: EndpointLive, said: str, button: str
) -> None:
    page = overview(endpoint=endpoint)
    assert said in page.text
    assert button in page.text
    assert page.all("form", action=f"/{button.split(maxsplit=1)[0].lower()}")
    assert page.all("input", name="name", value="endpoint:here")
    over = [given for given in page.all("progress") if given.get("class") == "over"]
    assert bool(over) == (endpoint.minutes_today == 600)


@pytest.mark.parametrize(
    ("inbox", "tone", "said", "button"),
    [
        (INBOX, "good", "arriving 0 queued 2", "Pause inbox talks"),
        (replace(INBOX, held_since=NOW), "held", "files settle, none is taken up", "Resume inbox talks"),
        (
            replace(INBOX, condition="missing", text="it is gone", hint="mount it"),
            "bad",
            "It is gone. Mount it.",
            "Pause inbox talks",
        ),
        (
            replace(INBOX, text="too many folders", hint="raise it"),
            "good",
            "Too many folders. Raise it.",
            "Pause inbox talks",
        ),
    ],
)
def test_an_inbox_says_how_it_is_and_what_is_wrong(
    inbox: InboxLive, tone: str, said: str, button: str
) -> None:
    counts = {"talks": {State.QUEUED: 2, State.FAILED: 1}, "<gone>": {State.DONE: 7}}
    page = overview(inbox=inbox, record=replace(NOTHING, counts=counts))
    assert said in page.text
    assert button in page.text
    assert page.all("span", **{"class": f"state {tone}"})
    assert "<gone> not configured done 7" in page.text
    assert page.all("a", href="/jobs?state=failed", **{"class": "bad"})


@pytest.mark.parametrize(
    ("progress", "left", "said"),
    [
        (Progress(7, 18, whole=True), 250.0, "7 of 18 parts, about 4 min left"),
        (Progress(7, 12, whole=False), None, "7 of at least 12 parts"),
        (Progress(0, 1, whole=True), None, "one part, asked for"),
        (None, None, "one part, asked for"),
    ],
)
def test_a_file_in_flight_shows_how_far_it_is(
    progress: Progress | None, left: float | None, said: str
) -> None:
    job = replace(JOB, state=State.TRANSLATING, reason=None, until=None, fault=None)
    known = {} if progress is None else {JOB.id: progress}
    status = snapshot(record=replace(NOTHING, in_flight=[Seen(job, NOW)], progress=known))
    page = Html(drawing.sections(status, {} if left is None else {JOB.id: left})["in-flight"])
    assert said in page.text
    assert ("left" in page.text) == (left is not None)
    shown = page.all("progress")
    assert [(bar["value"], bar["max"]) for bar in shown] == (
        [(str(progress.answered), str(progress.known))] if progress is not None and progress.known > 1 else []
    )
    assert all(bar["aria-label"] for bar in shown)


def test_what_waits_says_why_and_until_when_and_the_rest_is_counted() -> None:
    jobs = [Seen(replace(JOB, id=number), NOW) for number in range(drawing.SHOWN + 2)]
    counts = {"talks": {State.WAITING: 1234}}
    page = overview(record=replace(NOTHING, waiting=jobs, counts=counts))
    assert page.text.count("endpoint paused, next try 2023-11-14 22:14:20 UTC") == drawing.SHOWN
    assert "All 1,234" in page.text
    assert page.all("time", datetime="2023-11-14T22:14:20Z")


def test_a_rejected_configuration_and_a_stop_are_said() -> None:
    live = replace(Fake().live(), stopping=True, rejected=Rejected(NOW, ("line 3: <what>",)))
    status = snapshot().model_copy(update={"daemon": daemon_of(live)})
    page = Html(drawing.sections(status, {})["daemon"])
    assert "The configuration file was not applied on 2023-11-14 22:13:20 UTC" in page.text
    assert "line 3: <what>" in page.text
    assert "watcherd is stopping." in page.text
    assert drawing.sections(snapshot(), {})["daemon"] == ""


def test_who_logged_in_may_log_out() -> None:
    page = Html(drawing.draw("wrong.html", title="t", back="/", message=Message("m"), session=True))
    assert page.all("form", action="/logout", method="post")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "10 s"), (14, "10 s"), (54, "50 s"), (55, "1 min"), (89, "1 min"), (3569, "59 min"),
        (3570, "1 h 0 min"), (8000, "2 h 10 min"),
    ],
)  # fmt: skip
def test_what_is_left_is_told_coarsely(seconds: float, said: str) -> None:
    assert drawing.duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (999_499, "999 kB"), (999_500, "1 MB"),
        (2_345_678_901, "2.35 GB"), (345_678_901_234, "346 GB"),
    ],
)  # fmt: skip
def test_sizes_are_for_people(count: int, said: str) -> None:
    assert drawing.size(count) == said


def test_a_mark_changes_with_what_a_jobs_page_shows() -> None:
    progress = {JOB.id: Progress(1, 2, whole=True)}
    status = snapshot(record=replace(NOTHING, waiting=[Seen(JOB, NOW)], progress=progress))
    (job,) = status.waiting
    changed = [
        job,
        job.model_copy(update={"until": None}),
        job.model_copy(update={"state": "translating", "until": None}),
        job.model_copy(update={"until": None, "parts": None}),
    ]
    assert len({drawing.mark(one) for one in changed}) == 4
    for state in ("queued", "done", "failed", "skipped"):
        assert drawing.mark(job.model_copy(update={"state": state})) == ""
