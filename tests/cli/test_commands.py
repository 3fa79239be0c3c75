"""The commands as a user types them: what they print, what they leave behind, how they exit."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, error
from watcherd.cli.check import _page
from watcherd.config.load import parse
from watcherd.state import StateFolder


def watcherd(
    *arguments: str | Path, home: Path, environ: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command in `home`, with nothing of the tester's own configuration in reach."""
    env = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_STATE_HOME": str(home / ".state"),
        **(environ or {}),
    }
    command = [sys.executable, "-m", "watcherd", *map(str, arguments)]
    return subprocess.run(
        command, cwd=home, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )


def written(home: Path, content: Mapping[str, Any]) -> Path:
    path = home / "watcherd.yaml"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("inbox", "done", "failed"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_version_and_help_name_the_program_and_its_commands(home: Path) -> None:
    assert watcherd("--version", home=home).stdout == "watcherd 0.1.0\n"
    text = watcherd("--help", home=home).stdout
    commands = (
        "run",
        "check",
        "plan",
        "why",
        "status",
        "retry",
        "pause",
        "resume",
        "translate",
        "demo",
        "init",
        "schema",
    )
    for command in commands:
        assert f"  {command} " in text


def test_an_unknown_command_is_a_usage_error(home: Path) -> None:
    assert watcherd("rum", home=home).returncode == 2


def test_init_writes_a_private_starter_that_check_finds_by_itself(home: Path) -> None:
    made = watcherd("init", home=home)
    assert made.returncode == 0
    assert stat.S_IMODE((home / "watcherd.yaml").stat().st_mode) == 0o600
    (home / "watcherd" / "inbox").mkdir(parents=True)
    checked = watcherd("check", home=home)
    assert "watcherd.yaml: valid" in checked.stdout


def test_init_never_writes_over_a_file(home: Path) -> None:
    (home / "watcherd.yaml").write_text("mine")
    refused = watcherd("init", home=home)
    assert refused.returncode == 1
    assert "exists already" in refused.stderr
    assert (home / "watcherd.yaml").read_text() == "mine"


def test_check_says_where_the_page_will_be_and_who_may_see_it(home: Path) -> None:
    state = StateFolder(home / "state")
    state.create()

    def said(page: object) -> str:
        text = json.dumps(configuration(home, top_keys={"status": page}))
        return str(list(_page(parse(text, source=None, environ={}))))

    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        here = {"listen": f"127.0.0.1:{number}"}
        taken = said(here)
        held = state.lock()
        state.announce(control=Path("/s"), page=f"http://127.0.0.1:{number}/")
        ours = said(here)
        os.close(held)
    network = said({"listen": f"0.0.0.0:{number}", "token": "obviously-fake-token"})
    assert "'page', found='off'" in said("off")
    assert f"http://127.0.0.1:{number}/, for this machine, no token" in said(here)
    assert f"NOTE: 'note'>, what='page', found='cannot listen on 127.0.0.1:{number}: Address already" in taken
    assert (
        f"OK: 'ok'>, what='page', found='http://127.0.0.1:{number}/, served by the daemon that runs" in ours
    )
    assert f"http://127.0.0.1:{number}/, for the network, with a token, which could be read" in network
    assert "plain http shows names, subtitles and the token" in network
    assert "obviously-fake" not in network


@pytest.mark.parametrize("command", ["run", "check", "status"])
def test_a_wrong_file_is_refused_with_every_problem_and_78(home: Path, command: str) -> None:
    (home / "watcherd.yaml").write_text("folders:\n  - inbox: inbox\n    settel: 5s\nstop_grace: soon\n")
    refused = watcherd(command, home=home)
    assert refused.returncode == 78
    assert 'watcherd.yaml:3: folders[0].settel: unknown key; did you mean "settle"?' in refused.stderr
    assert "watcherd.yaml:4: stop_grace" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_no_file_at_all_says_where_it_looked_and_how_to_make_one(home: Path) -> None:
    refused = watcherd("run", home=home)
    assert refused.returncode == 78
    assert "watcherd init" in refused.stderr


def test_check_says_how_to_create_what_is_missing(home: Path, endpoint: LocalEndpoint) -> None:
    shutil.rmtree(home / "inbox")
    path = written(home, configuration(home, endpoint=endpoint))
    checked = watcherd("check", "--config", path, home=home, environ={"TEST_KEY": endpoint.key})
    assert checked.returncode == 1
    assert f"mkdir -p {home / 'inbox'}" in checked.stdout
    (home / "inbox").mkdir()
    shutil.rmtree(home / "done")
    checked = watcherd("check", "--config", path, home=home, environ={"TEST_KEY": endpoint.key})
    assert checked.returncode == 1
    assert f"mkdir -p {home / 'done'}" in checked.stdout


def test_check_is_content_with_a_world_in_order(home: Path, endpoint: LocalEndpoint) -> None:
    path = written(home, configuration(home, endpoint=endpoint))
    checked = watcherd("check", "--config", path, home=home, environ={"TEST_KEY": endpoint.key})
    assert checked.returncode == 0, checked.stdout
    assert "watched by events" in checked.stdout
    assert f"{endpoint.base_url} answers" in checked.stdout
    assert not endpoint.requests


def test_check_says_that_a_key_is_refused_without_showing_it(home: Path, endpoint: LocalEndpoint) -> None:
    path = written(home, configuration(home, endpoint=endpoint))
    checked = watcherd(
        "check", "--config", path, home=home, environ={"TEST_KEY": "sk-wrong-0123456789abcdef"}
    )
    assert checked.returncode == 1
    assert "BAD   endpoint here" in checked.stdout
    assert "sk-wrong" not in checked.stdout + checked.stderr


def test_check_notes_a_model_that_the_endpoint_does_not_list(home: Path, endpoint: LocalEndpoint) -> None:
    content = configuration(home, endpoint=endpoint, endpoint_keys={"model": "whisper-99"})
    path = written(home, content)
    checked = watcherd("check", "--config", path, home=home, environ={"TEST_KEY": endpoint.key})
    assert "does not list model whisper-99" in checked.stdout


def test_status_shows_what_was_done_and_what_failed(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "good.mp3")
        (daemon.inbox / "bad.mp3").write_text("no sound\n" * 100)
        daemon.event("job.done")
        daemon.event("job.failed")
        environ = {"TEST_KEY": endpoint.key}
        shown = watcherd("status", "--config", daemon.config, home=tmp_path, environ=environ)
        assert shown.returncode == 0
        assert f"running (process {daemon.pid})" in shown.stdout
        assert "inbox: 1 done, 1 failed" in shown.stdout
        assert "good.mp3" in shown.stdout
        listed = watcherd("status", "--json", "--config", daemon.config, home=tmp_path, environ=environ)
    snapshot = json.loads(listed.stdout)
    states = {row["file"]: row["state"] for row in snapshot["recent"]}
    assert states == {"good.mp3": "done", "bad.mp3": "failed"}
    after = watcherd("status", "--config", daemon.config, home=tmp_path, environ=environ)
    assert "daemon: not running" in after.stdout
    other = configuration(tmp_path, endpoint=endpoint, folder_keys={"name": "renamed"})
    after = watcherd("status", "--config", written(tmp_path, other), home=tmp_path, environ=environ)
    assert "renamed: nothing yet" in after.stdout
    assert "inbox: 1 done, 1 failed  (not configured)" in after.stdout


def test_status_before_the_first_run_says_so(home: Path, endpoint: LocalEndpoint) -> None:
    path = written(home, configuration(home, endpoint=endpoint))
    shown = watcherd("status", "--config", path, home=home, environ={"TEST_KEY": endpoint.key})
    assert shown.returncode == 0
    assert "nothing yet" in shown.stdout


def test_translate_writes_beside_the_file_and_never_over_one(home: Path, endpoint: LocalEndpoint) -> None:
    path = written(home, configuration(home, endpoint=endpoint))
    shutil.copyfile(clip("mp3"), home / "talk.mp3")
    (home / "talk.srt").write_text("mine")
    environ = {"TEST_KEY": endpoint.key}
    done = watcherd("translate", "talk.mp3", "--config", path, home=home, environ=environ)
    assert done.returncode == 0, done.stderr
    assert (home / "talk.srt").read_text() == "mine"
    assert (home / "talk (2).srt").read_text().startswith("1\n00:00:0")
    assert (home / "talk.mp3").read_bytes() == clip("mp3").read_bytes()
    assert not list(home.glob(".watcherd*"))
    assert len(endpoint.requests) == 1


def test_translate_prints_one_format_and_nothing_else_on_stdout(home: Path, endpoint: LocalEndpoint) -> None:
    path = written(home, configuration(home, endpoint=endpoint))
    shutil.copyfile(clip("mp3"), home / "talk.mp3")
    arguments = ("translate", "talk.mp3", "--stdout", "vtt", "--config", path)
    done = watcherd(*arguments, home=home, environ={"TEST_KEY": endpoint.key})
    assert done.returncode == 0
    assert done.stdout.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert sorted(entry.name for entry in home.glob("talk*")) == ["talk.mp3"]


def test_translate_fails_one_file_and_does_the_others(home: Path, endpoint: LocalEndpoint) -> None:
    path = written(home, configuration(home, endpoint=endpoint))
    shutil.copyfile(clip("mp3"), home / "talk.mp3")
    (home / "bad.mp3").write_text("no sound\n" * 100)
    arguments = ("translate", "bad.mp3", "talk.mp3", "--config", path)
    done = watcherd(*arguments, home=home, environ={"TEST_KEY": endpoint.key})
    assert done.returncode == 1
    assert "bad.mp3: No audio could be decoded" in done.stderr
    assert (home / "talk.srt").exists()
    assert sorted(entry.name for entry in home.glob("bad*")) == ["bad.mp3"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere.mp3",), 2, "not a file that can be read"),
        (("talk.mp3", "--stdout", "docx"), 2, "choose from srt, vtt, txt, lrc, json, podcast-json"),
        (("talk.mp3", "--endpoint", "nobody"), 2, "endpoint nobody is not defined; there is here"),
    ],
)
def test_translate_refuses_what_it_cannot_do(
    home: Path, endpoint: LocalEndpoint, arguments: tuple[str, ...], code: int, said: str
) -> None:
    path = written(home, configuration(home, endpoint=endpoint))
    shutil.copyfile(clip("mp3"), home / "talk.mp3")
    refused = watcherd(
        "translate", *arguments, "--config", path, home=home, environ={"TEST_KEY": endpoint.key}
    )
    assert refused.returncode == code
    assert said in refused.stderr


def test_translate_exits_75_when_the_account_is_empty(home: Path, endpoint: LocalEndpoint) -> None:
    endpoint.always(error(429, "You exceeded your current quota", code="insufficient_quota"))
    path = written(home, configuration(home, endpoint=endpoint))
    shutil.copyfile(clip("mp3"), home / "talk.mp3")
    environ = {"TEST_KEY": endpoint.key}
    refused = watcherd("translate", "talk.mp3", "--config", path, home=home, environ=environ)
    assert refused.returncode == 75
    assert "talk.mp3: " in refused.stderr
    assert len(endpoint.requests) == 1


@pytest.mark.slow
def test_the_demo_shows_each_step_and_the_subtitles(home: Path) -> None:
    shown = watcherd("demo", "--keep", "kept", home=home, timeout=170)
    assert shown.returncode == 0, shown.stderr
    for word in ("dropped", "settled", "sent", "translated", "done", "Wolfgang", "Germany", "watcherd init"):
        assert word in shown.stdout
    assert "Wolfgang" in (home / "kept" / "done" / "hallo.srt").read_text()
    assert (home / "kept" / "done" / "hallo.flac").exists()
