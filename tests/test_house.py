"""The house: imports point down the list of rooms, and pure rooms import nothing that touches the world."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import watcherd

HOUSE = Path(watcherd.__file__).parent
# In the order in which a file passes through; a room may use what stands below it, never what stands above.
ROOMS = (
    "cli",
    "daemon",
    "vigil",
    "steering",
    "status",
    "again",
    "control",
    "queue",
    "backlog",
    "moving",
    "pipeline",
    "inbox",
    "media",
    "endpoint",
    "whisper",
    "subtitles",
    "delivery",
    "notify",
    "journal",
    "config",
    "state",
    "retry",
    "job",
    "settings",
    "transcript",
    "faults",
    "clock",
    "place",
    "children",
    "logs",
    "escaping",
    "systemd",
    "trouble",
)
PURE = (
    "inbox/accept.py",
    "inbox/explain.py",
    "inbox/settle.py",
    "inbox/reconcile.py",
    "inbox/rounds.py",
    "media/sniff.py",
    "media/tracks.py",
    "media/cut.py",
    "media/levels.py",
    "media/codec.py",
    "endpoint/reply.py",
    "endpoint/diagnose.py",
    "subtitles/merge.py",
    "subtitles/repair.py",
    "subtitles/loops.py",
    "subtitles/inventions.py",
    "subtitles/phrases.py",
    "subtitles/language.py",
    "subtitles/cues.py",
    "subtitles/breaks.py",
    "subtitles/english.py",
    "subtitles/grouping.py",
    "subtitles/lines.py",
    "subtitles/pieces.py",
    "subtitles/shape.py",
    "subtitles/spoken.py",
    "subtitles/timing.py",
    "subtitles/formats.py",
    "delivery/names.py",
    "delivery/report.py",
    "notify/news.py",
    "notify/letter.py",
    "notify/addressees.py",
    "cli/screen.py",
    "cli/table.py",
    "cli/checks.py",
    "cli/outlook.py",
    "cli/story.py",
    "status/shapes.py",
    "status/jobshapes.py",
    "status/history.py",
    "status/mediatypes.py",
    "status/ranges.py",
    "status/sites.py",
    "status/login.py",
    "control.py",
    "escaping.py",
    "journal/rows.py",
    "job.py",
    "retry.py",
    "faults.py",
    "settings.py",
    "transcript.py",
    "trouble.py",
)
WORLD = {
    "asyncio",
    "av",
    "ctypes",
    "fcntl",
    "httpx",
    "os",
    "random",
    "shutil",
    "socket",
    "sqlite3",
    "structlog",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "watchdog",
}
HEAVY = {"av", "ctranslate2", "faster_whisper", "numpy", "onnxruntime"}  # only children need these
SERVING = {"fastapi", "starlette", "uvicorn"}  # the daemon's, a tenth of a second; never a fast command's
LOGGING = {"structlog", "rich", "pygments"}  # a twentieth of a second; what only asks logs nothing
ASKING = ("watcherd.cli.app", "watcherd.cli.status", "watcherd.cli.steer", "watcherd.cli.why")
MODULES = sorted(path for path in HOUSE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, except for types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room(module: str) -> str | None:
    """The room that a dotted name lies in; None for what is not ours or has no room."""
    parts = module.split(".")
    return parts[1] if parts[0] == "watcherd" and len(parts) > 1 and parts[1] in ROOMS else None


def relative(path: Path) -> str:
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_point_down(path: Path) -> None:
    own = room("watcherd." + ".".join(path.relative_to(HOUSE).with_suffix("").parts))
    if own is None:
        return
    above = ROOMS[: ROOMS.index(own)]
    assert not {name for name in imports(path) if room(name) in above}


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_nothing_of_the_world(name: str) -> None:
    assert not {module.split(".")[0] for module in imports(HOUSE / name)} & WORLD


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_every_module_says_in_one_line_what_it_is(path: Path) -> None:
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()
    assert first
    assert first[0]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_module_is_two_rooms(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def loaded_by(*modules: str) -> set[str]:
    """The packages that a fresh interpreter has loaded after importing some modules."""
    code = f"import sys, {', '.join(modules)}; print(' '.join(m.split('.')[0] for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(loaded.split())


def test_the_daemon_never_loads_what_only_its_children_need() -> None:
    assert not loaded_by("watcherd.daemon") & HEAVY


def test_the_daemon_starts_without_the_application_that_nobody_asked_yet() -> None:
    assert not loaded_by("watcherd.cli.run") & {"fastapi", "jinja2"}


def test_commands_that_only_ask_load_no_web_framework_and_no_http_client() -> None:
    assert not loaded_by(*ASKING) & (HEAVY | SERVING | {"httpx"})


def test_commands_that_only_ask_load_neither_the_log_nor_what_it_draws_with() -> None:
    assert not loaded_by(*ASKING) & LOGGING


def test_a_status_that_the_daemon_tells_needs_no_journal() -> None:
    assert "sqlite3" in loaded_by("watcherd.cli.unasked")
    assert "sqlite3" not in loaded_by("watcherd.cli.status")


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_web_framework_is_used_in_two_rooms_alone(path: Path) -> None:
    if room("watcherd." + ".".join(path.relative_to(HOUSE).parts[:1])) not in {"status", "whisper"}:
        assert not {module.split(".")[0] for module in imports(path)} & SERVING
