"""The status on a screen: a Status and the screen's size in, what rich draws out. Pure; times are local."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from watcherd.status.shapes import DaemonStatus, EndpointStatus, InboxStatus, JobStatus, Status

LEAST_ROWS = 3  # jobs under each heading, however small the screen
_HEADS = 5  # lines of the heading and of the first two titles
_TITLE = 3  # lines around a list of jobs
_NARROW = 72  # columns
_WELL = {"running", "watching", "open", "done"}
_WRONG = {"failed", "missing", "unreadable", "troubled", "busy", "storage not answering", "stopping"}

_Row = tuple[Text, Text, Text]


def screen(status: Status | None, note: str, *, width: int, height: int) -> RenderableType:
    """The whole status as far as it is known; `note` says why nothing newer is."""
    if status is None:
        return Text(note, style="bold red")
    troubled = [inbox for inbox in status.inboxes if inbox.text]
    paused = [endpoint for endpoint in status.endpoints if endpoint.reason is not None]
    lists = [
        (title, jobs)
        for title, jobs in (
            ("in flight", status.in_flight),
            ("waiting", status.waiting),
            ("last done and failed", status.recent),
        )
        if jobs
    ]
    beside, listed, each = (_stacked, _stacked, 2) if width < _NARROW else (_beside, _listed, 1)
    above = each * (len(status.inboxes) + len(troubled) + len(status.endpoints) + len(paused))
    left = (height - _HEADS - above) // max(1, len(lists))
    rows = max(LEAST_ROWS, (left - _TITLE) // each)
    return Group(
        *_head(status.daemon, status.at, note),
        Text("\ninboxes", style="bold"),
        beside([_inbox(inbox) for inbox in status.inboxes]),
        *(_said(f"{inbox.name}: {inbox.text}", "red") for inbox in troubled),
        Text("\nendpoints", style="bold"),
        beside([_endpoint(endpoint) for endpoint in status.endpoints]),
        *(_reason(endpoint) for endpoint in paused),
        *(line for title, jobs in lists for line in _jobs(title, jobs, rows, listed)),
    )


def _beside(rows: Sequence[_Row]) -> RenderableType:
    """Rows of three columns: a name, its state, and what there is to say in the rest of the line."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=26)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _listed(rows: Sequence[_Row]) -> RenderableType:
    """Rows of three columns: a state, a file, and a remark that is as wide."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return table


def _stacked(rows: Sequence[_Row]) -> RenderableType:
    """The same for a narrow screen: what is third goes below."""
    lines: list[RenderableType] = []
    for first, second, third in rows:
        lines.append(Text.assemble(first, "  ", second, no_wrap=True, overflow="ellipsis"))
        if third.plain:
            lines.append(Padding(third, (0, 0, 0, 4)))
    return Group(*lines)


def _head(daemon: DaemonStatus, at: datetime, note: str) -> Iterator[Text]:
    head = Text("watcherd ", style="bold", no_wrap=True, overflow="ellipsis")
    head.append(daemon.state, style=_style(daemon.state))
    if daemon.pid is not None:
        head.append(f", process {daemon.pid}", style="not bold")
    head.append(f"  {_clock(at, at)}", style="not bold dim")
    yield head
    if note:
        yield Text(note, style="bold red")
    if daemon.rejected is not None:
        yield Text("the last reload was rejected; the older file is in force", style="red")


def _inbox(inbox: InboxStatus) -> _Row:
    arriving = [f"{inbox.arriving} arriving"] if inbox.arriving else []
    counts = [*arriving, *(f"{count} {state}" for state, count in inbox.jobs.items())]
    return _name(inbox.name), _state(inbox.state), Text(", ".join(counts) or "nothing yet")


def _endpoint(endpoint: EndpointStatus) -> _Row:
    state = _state(endpoint.state)
    if endpoint.until is not None and endpoint.state == "paused":
        state.append(f" until {_clock(endpoint.until, endpoint.until)}")
    budget = "" if endpoint.minutes_per_day is None else f" of {endpoint.minutes_per_day:g}"
    requests = f"{endpoint.in_flight} of {endpoint.concurrency} requests"
    use = Text(f"{requests}, {endpoint.minutes_today:.4g}{budget} min today")
    return _name(endpoint.name), state, use


def _reason(endpoint: EndpointStatus) -> RenderableType:
    reason = endpoint.reason
    assert reason is not None, "only a pause with a reason is explained"
    return _said(f"{endpoint.name}: {reason.message}. {reason.hint}", "yellow")


def _said(text: str, style: str) -> RenderableType:
    return Padding(Text(text, style=style), (0, 0, 0, 4))


def _jobs(
    title: str, jobs: Sequence[JobStatus], rows: int, draw: Callable[[Sequence[_Row]], RenderableType]
) -> Iterator[RenderableType]:
    yield Text(f"\n{title}", style="bold")
    yield draw(
        [
            (_name(job.state, _style(job.state)), Text(f"{job.inbox}: {job.file}"), Text(_remark(job)))
            for job in jobs[:rows]
        ]
    )
    if len(jobs) > rows:
        yield Text(f"  and {len(jobs) - rows} more", style="dim")


def _remark(job: JobStatus) -> str:
    """What there is to say of a job in a few words."""
    said = []
    if job.parts is not None and job.parts.known > 1:
        said.append(
            f"{job.parts.answered} of {'' if job.parts.all_known else 'at least '}{job.parts.known} parts"
        )
    if job.reason is not None:
        until = "" if job.until is None else f" until {_clock(job.until, job.changed_at)}"
        said.append(job.reason + until)
    elif job.fault is not None:
        said.append(job.fault.code)
    return ", ".join([*said, *job.warnings])


def _name(text: str, style: str = "") -> Text:
    return Text(f"  {text}", style=style)


def _state(state: str) -> Text:
    return Text(state, style=_style(state))


def _style(state: str) -> str:
    return "green" if state in _WELL else "red" if state in _WRONG else "yellow"


def _clock(at: datetime, near: datetime) -> str:
    """The time of a day, and the day where it is another one than that of `near`."""
    local, other = at.astimezone(), near.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == other.date() else f"{local:%Y-%m-%d %H:%M}"
