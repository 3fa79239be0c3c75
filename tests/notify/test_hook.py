"""Hooks as real programs: fed, bounded, killed with all that they started, and never a way to our secrets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.notify.support import DONE, folder
from tests.waiting import eventually, wait_until
from watcherd.notify import hook
from watcherd.notify.letter import write
from watcherd.notify.news import JobEnded

BODY = write(JobEnded(DONE, folder()), event_id="e1", at=0.0, folder=folder())


def shell(script: str) -> tuple[str, ...]:
    return "/bin/sh", "-c", script


def is_over(pid: int) -> bool:
    """Whether a process has ended; one that nobody reaps yet has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_hook_gets_the_letter_its_words_as_they_are_and_the_root_as_its_folder() -> None:
    ended = await hook.run((*shell('cat; pwd; printf "%s|" "$@"'), "sh", "a b", "", "$HOME;*"), BODY)
    letter, folder, words = ended.output.splitlines()
    assert letter == BODY
    assert folder == "/"
    assert words == "a b||$HOME;*|"
    assert ended.problem == ""


async def test_a_hook_gets_the_event_in_its_environment_and_none_of_our_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COMETAPI_KEY", "sk-secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("LC_MESSAGES", "C")
    ended = await hook.run(("env", "-0"), BODY)
    environ = dict(one.split("=", 1) for one in ended.output.split("\0") if one)
    assert environ.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python's own, in an old locale
    ours = {name: value for name, value in environ.items() if name.startswith("WATCHERD_")}
    assert ours["WATCHERD_EVENT"] == "done"
    assert ours["WATCHERD_FILE"] == "/srv/done/show/caf\\xe9 (2).mp3"
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"}
    assert {name for name in environ if not name.startswith("LC_")} - set(ours) <= allowed
    assert environ["LC_MESSAGES"] == "C"
    assert environ["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    ("command", "problem", "output"),
    [
        (shell("echo no >&2; exit 3"), "it ended with exit code 3", "no\n"),
        (shell("kill -TERM $$"), "it was ended by signal 15", ""),
        (("no-such-program",), "there is no such program", "no-such-program: No such file or directory\n"),
        (
            ("/no/such/program", "x"),
            "there is no such program",
            "/no/such/program: No such file or directory\n",
        ),
    ],
)
async def test_a_hook_that_fails_says_how(command: tuple[str, ...], problem: str, output: str) -> None:
    assert await hook.run(command, BODY) == hook.Ended(problem, output)


@pytest.mark.parametrize(("mode", "why"), [(0o755, "Exec format error"), (0o644, "Permission denied")])
async def test_a_script_without_its_first_line_or_its_right_says_so(
    tmp_path: Path, mode: int, why: str
) -> None:
    script = tmp_path / "script"
    script.write_text("echo a\n")
    script.chmod(mode)
    ended = await hook.run((str(script),), BODY)
    assert ended == hook.Ended("the program cannot be executed", f"{script}: {why}\n")


async def test_ten_megabytes_of_output_are_taken_and_only_the_end_is_kept() -> None:
    ended = await hook.run(shell("head -c 10000000 /dev/zero | tr '\\0' x; printf 'the end'"), BODY)
    assert ended.problem == ""
    assert len(ended.output) == 8192
    assert ended.output.endswith("xxthe end")


async def test_a_closed_pipe_ends_a_hooks_programs_as_it_does_in_a_shell() -> None:
    ended = await hook.run(shell("yes | head -n 1"), BODY)
    assert (ended.problem, ended.output) == ("", "y\n")


async def test_a_hook_that_reads_nothing_of_a_long_letter_is_no_trouble() -> None:
    content = json.loads(BODY)
    content["job"]["warnings"] = ["x" * 500_000]
    assert await hook.run(("true",), json.dumps(content)) == hook.Ended("", "")


async def test_a_slow_hook_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"echo started; sleep 300 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait"
    running = asyncio.create_task(hook.run(shell(script), BODY, seconds=0.3))
    ended = await running
    assert ended == hook.Ended("it took longer than 0.3 s and was killed", "started\n")
    for pid in map(int, pids.read_text().split()):
        await eventually(partial(is_over, pid))


async def test_a_cancelled_hook_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    running = asyncio.create_task(
        hook.run(shell(f"echo $$ >{pids}.new; mv {pids}.new {pids}; sleep 300"), BODY)
    )
    await eventually(pids.exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert is_over(int(pids.read_text()))


async def test_what_a_hook_leaves_running_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "LAST_WORDS", 0.05)
    pids = tmp_path / "pids"
    ended = await hook.run(shell(f"sleep 300 & echo $! >{pids}; echo left"), BODY)
    assert ended == hook.Ended("", "left\n")
    left = int(pids.read_text())
    assert not is_over(left)
    os.kill(left, signal.SIGKILL)


async def test_what_comes_late_of_the_output_is_waited_for() -> None:
    ended = await hook.run(shell("(sleep 0.05; echo late) & echo early"), BODY)
    assert ended == hook.Ended("", "early\nlate\n")


PARENT = """
import asyncio, sys
from watcherd.notify import hook
script = "echo $$ >$0.new; mv $0.new $0; exec sleep 300"
asyncio.run(hook.run(("/bin/sh", "-c", script, sys.argv[1]), sys.argv[2]))
"""


def test_a_hook_does_not_outlive_the_daemon(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(pids), BODY]) as parent:
        pid = int(wait_until(lambda: pids.exists() and pids.read_text()) or 0)
        assert not is_over(pid)
        parent.kill()
    wait_until(lambda: is_over(pid))
