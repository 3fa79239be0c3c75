"""Drawing: shapes in, HTML out, by the templates beside this file. Jinja; everything in it is escaped.

The overview's sections are drawn each for itself, since live updates send those that have changed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from watcherd import __version__
from watcherd.job import FINAL, State
from watcherd.status.shapes import JobStatus, Status

SHOWN = 25  # jobs in each list of the overview
SECTIONS = ("daemon", "totals", "inboxes", "endpoints", "in-flight", "waiting", "recent")
_HERE = Path(__file__).parent
_TONES = MappingProxyType(
    {
        "good": {"watching", "open", "done", "answered"},
        "busy": {"preparing", "translating", "delivering", "starting", "probing", "asked", "under way"},
        "held": {"waiting", "paused", "paused by hand", "not configured", "cut off"},
        "bad": {"failed", "missing", "unreadable", "busy", "troubled", "storage not answering"},
    }
)
_UNMARKED = FINAL | {State.QUEUED}
_DOING = {"preparing": "its audio is being read", "delivering": "its subtitles are being written"}


@dataclass(frozen=True, slots=True)
class Message:
    """What became of a wish: `lines` are files, and what is to be said of each."""

    text: str
    hint: str = ""
    good: bool = True
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Static:
    """A file that pages load; its address changes with its content, so that it may be kept for good."""

    content: bytes
    media_type: str
    address: str


def draw(template: str, **values: object) -> str:
    """A whole page; `session` and `message` are there in all of them."""
    given = {"session": False, "message": None, "follows": False, "here": ""}
    return _ENVIRONMENT.get_template(template).render(given | values)


def sections(status: Status, left: Mapping[int, float]) -> dict[str, str]:
    """The overview's sections by their names; `left` are the seconds that jobs still take, where known."""
    macros = _ENVIRONMENT.get_template("sections.html").make_module({"left": Left(left)})
    return {name: getattr(macros, name.replace("-", "_"))(status).strip() for name in SECTIONS}


def counts(status: Status) -> Counter[str]:
    """How many jobs there are of each state, in all inboxes; in flight are those that are worked on."""
    total: Counter[str] = Counter()
    for jobs in (*(inbox.jobs for inbox in status.inboxes), *status.not_configured.values()):
        total.update(jobs)
    total["in flight"] = sum(total[state] for state in ("preparing", "translating", "delivering"))
    return total


def summary(status: Status) -> str:
    """The overview in a sentence, for those who listen."""
    total = counts(status)
    return ", ".join(
        f"{total[state]:,} {state}" for state in ("in flight", "queued", "waiting", "done", "failed")
    )


def mark(job: JobStatus) -> str:
    """How far a job is: where this changes, its page is drawn anew. Empty in line, and at the end."""
    if job.state in _UNMARKED:
        return ""
    parts = "" if job.parts is None else f" {job.parts.answered}/{job.parts.known}"
    return f"{job.state}{parts}" if job.until is None else f"{job.state} {iso(job.until)}"


# Words.


def files(count: int) -> str:
    """So many files."""
    return f"{count:,} file{'' if count == 1 else 's'}"


def tone(word: str) -> str:
    """The colour of a state."""
    return next((name for name, words in _TONES.items() if word in words), "")


def clock(seconds: float) -> str:
    """A place or a length on a time line: 4:05, 1:04:05."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """About how long: coarse, so that it does not change each second."""
    if seconds < 10:
        return "10 s"
    if seconds < 55:
        return f"{round(seconds, -1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{max(1, minutes)} min"
    return f"{minutes // 60} h {minutes % 60 // 10 * 10} min"


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1000:
        return f"{count} bytes"
    amount = count / 1000
    for unit in ("kB", "MB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"


def minutes(count: float) -> str:
    """Minutes of audio."""
    return f"{count:,.0f}" if count >= 100 or count == int(count) else f"{count:.1f}"


def sentence(text: str) -> str:
    """A text with its first letter large and an end."""
    text = text.strip()
    end = "" if text.endswith((".", "!", "?", "…")) else "."
    return f"{text[:1].upper()}{text[1:]}{end}" if text else ""


def iso(at: datetime) -> str:
    """A time for programs."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def utc(at: datetime) -> str:
    """A time for people whose zone is not known."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Left:
    """What templates call: about how long a job still takes, empty where nobody knows."""

    def __init__(self, left: Mapping[int, float]) -> None:
        self._left = left

    def __call__(self, job: JobStatus) -> str:
        """In words."""
        seconds = self._left.get(job.job)
        return "" if seconds is None else duration(seconds)


def _doing(state: str) -> str:
    return _DOING.get(state, "")


def _loaded() -> dict[str, Static]:
    kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    found: dict[str, Static] = {}
    for path in sorted((_HERE / "static").iterdir()):
        content = path.read_bytes()
        address = f"/static/{path.name}?{hashlib.sha256(content).hexdigest()[:12]}"
        found[path.name] = Static(content, f"{kinds[path.suffix]}; charset=utf-8", address)
    return found


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "tone": tone, "clock": clock, "duration": duration, "bytes": size, "minutes": minutes,
        "doing": _doing, "sentence": sentence, "iso": iso, "utc": utc, "counts": counts,
    }  # fmt: skip
    environment.globals |= {
        "SHOWN": SHOWN,
        "STATES": [state.value for state in State],
        "version": __version__,
        "left": Left({}),
        "static": lambda name: STATIC[name].address,
    }
    return environment


STATIC = MappingProxyType(_loaded())
_ENVIRONMENT = _environment()
