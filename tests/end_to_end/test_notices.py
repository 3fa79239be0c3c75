"""Hooks and webhooks of the real daemon: told at least once under one name, whatever ends the daemon."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.audio import clip, need_tools
from tests.cli.test_commands import watcherd
from tests.notify.receiver import SECRET, Receiver
from tests.notify.support import FAILED, REPORT, folder
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Respond
from tests.waiting import wait_until
from watcherd.journal.reader import reading
from watcherd.notify.hook import Ended, run
from watcherd.notify.letter import write
from watcherd.notify.news import JobEnded

README = Path(__file__).parents[2] / "README.md"

pytestmark = [need_tools, pytest.mark.slow]


def program(home: Path) -> Path:
    """A hook that keeps what it gets."""
    path = home / "hook"
    path.write_text(f'#!/bin/sh\necho "$WATCHERD_EVENT $WATCHERD_FILE" >>{home}/said\ncat >>{home}/letters\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def listening(home: Path, receiver: Receiver) -> dict[str, object]:
    hook = [[str(program(home))]]
    return {
        "hooks": {"done": hook, "failed": hook},
        "notify": [{"url": receiver.url, "secret": {"env": "HOOK_SECRET"}}],
    }


def test_a_killed_daemon_tells_after_its_restart_what_it_had_not_told(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    with Receiver() as receiver:
        receiver.answers.append(None)
        content = configuration(tmp_path, endpoint=endpoint, folder_keys=listening(tmp_path, receiver))
        with RunningDaemon(tmp_path, content, key=endpoint.key, environ={"HOOK_SECRET": SECRET}) as daemon:
            daemon.drop(clip("mp3"), "talk.mp3")
            daemon.event("job.done")
            wait_until(lambda: receiver.received)
            daemon.stop(signal.SIGKILL)
            daemon.start()
            daemon.event("notice.delivered")
            (hanging, answered) = receiver.received
            assert hanging.headers["X-Watcherd-Id"] == answered.headers["X-Watcherd-Id"]
            assert (hanging.body, answered.status) == (answered.body, 204)
            assert answered.is_signed
            said = (tmp_path / "said").read_text().splitlines()
            assert set(said) == {f"done {tmp_path}/done/talk.mp3"}
            daemon.drop(clip("mp3"), "no.mp3").write_bytes(b"no audio at all\n" * 50)
            daemon.event("job.failed")
            wait_until(lambda: receiver.told == ["done", "failed"])
            wait_until(lambda: f"failed {tmp_path}/failed/no.mp3" in (tmp_path / "said").read_text())
    letters = [json.loads(line) for line in (tmp_path / "letters").read_text().splitlines()]
    assert letters[0] == answered.letter
    sidecars = [Path(one["path"]) for one in letters[0]["job"]["sidecars"]]
    assert sidecars
    assert all(path.is_file() for path in sidecars)
    with reading(tmp_path / "state" / "journal.sqlite3") as reader:
        assert [notice.draft.target for notice in reader.notices(1)] == [
            str(tmp_path / "hook"),
            f"http://127.0.0.1:{receiver.port}",
        ]


def test_pauses_and_a_missing_inbox_reach_the_webhook_and_a_reload_changes_who_hears(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    with Receiver() as receiver, Receiver() as other:
        keys = {"notify": [{"url": receiver.url}]}
        content = configuration(tmp_path, endpoint=endpoint, folder_keys=keys)
        with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
            endpoint.always(Respond(status=502))
            daemon.drop(clip("mp3"), "talk.mp3")
            wait_until(lambda: receiver.told == ["endpoint_paused"])
            endpoint.always(Respond())
            wait_until(lambda: sorted(receiver.told[1:]) == ["done", "endpoint_resumed"], timeout=30)
            daemon.inbox.rename(tmp_path / "elsewhere")
            wait_until(lambda: receiver.told[3:] == ["inbox_missing"])
            content["folders"][0]["notify"] = [{"url": other.url}]
            daemon.config.write_text(json.dumps(content))
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            daemon.event("configuration.reloaded")
            (tmp_path / "elsewhere").rename(daemon.inbox)
            wait_until(lambda: other.told == ["inbox_back"])
        assert len(receiver.told) == 4
    paused = receiver.received[0].letter
    assert (paused["endpoint"]["name"], paused["inbox"], paused["fault"]["scope"]) == (
        "here",
        None,
        "endpoint",
    )


def test_once_tells_before_it_ends_and_does_not_wait_for_a_receiver_that_is_down(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    receiver = Receiver()
    content = configuration(tmp_path, endpoint=endpoint, folder_keys=listening(tmp_path, receiver))
    daemon = RunningDaemon(
        tmp_path, content, key=endpoint.key, arguments=["--once"], environ={"HOOK_SECRET": SECRET}
    )
    for place in (daemon.inbox, daemon.done, daemon.failed):
        place.mkdir()
    daemon.drop(clip("mp3"), "talk.mp3")
    daemon.start()
    assert daemon.ended() == 0
    assert (tmp_path / "said").read_text() == f"done {tmp_path}/done/talk.mp3\n"
    assert daemon.found("notice.postponed")
    with receiver:
        daemon.start()
        assert daemon.ended() == 0
        assert receiver.told == ["done"]


def test_a_stop_does_not_wait_for_a_hook_longer_than_its_grace(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    keys = {"hooks": {"done": [["/bin/sleep", "300"]]}}
    content = configuration(tmp_path, endpoint=endpoint, folder_keys=keys, top_keys={"stop_grace": "200ms"})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done")
        daemon.drop(clip("mp3"), "more.mp3", padding=1)
        daemon.event("job.done", file="more.mp3")
        assert daemon.stop(timeout=20) == 0
    with reading(tmp_path / "state" / "journal.sqlite3") as reader:
        assert [reader.notices(job)[0].ended_at for job in (1, 2)] == [None, None]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="the recipes need curl and jq")
@pytest.mark.parametrize("name", ["jellyfin", "plex", "mail"])
async def test_the_readmes_hooks_do_what_they_say(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = re.findall(rf"<!-- hook: {name} -->\n```sh\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / f"{name}.header").write_text("X-Key: fake-key\n")
    (tmp_path / "mail").write_text(
        f'#!/bin/sh\nprintf "%s|" "$@" >{tmp_path}/mailed\ncat >>{tmp_path}/mailed\n'
    )
    (tmp_path / "mail").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    job = replace(FAILED, plan=replace(REPORT, folder=b"a & b", original="ü.mp3".encode()))
    body = write(JobEnded(job, folder()), event_id="e1", at=0.0, folder=folder())
    with Receiver() as receiver:
        hook = tmp_path / "hook"
        moved = re.sub(r"localhost:\d+", f"127.0.0.1:{receiver.port}", text)
        hook.write_text(moved.replace("/etc/watcherd", str(tmp_path)))
        hook.chmod(0o755)
        assert await run((str(hook),), body) == Ended("", "")
    match name:
        case "mail":
            said = "-s|watcherd: failed|you@example.org|/srv/failed/a & b/ü.mp3"
            assert (tmp_path / "mailed").read_text().startswith(said)
        case "jellyfin":
            (got,) = receiver.received
            assert (got.path, got.headers["X-Key"]) == ("/Library/Media/Updated", "fake-key")
            assert got.letter == {"Updates": [{"Path": "/srv/failed/a & b", "UpdateType": "Created"}]}
        case "plex":
            (got,) = receiver.received
            assert got.headers["X-Key"] == "fake-key"
            assert parse_qs(urlsplit(got.path).query) == {"path": ["/srv/failed/a & b"]}
            assert urlsplit(got.path).path == "/library/sections/1/refresh"


def test_check_looks_for_the_programs_of_hooks(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    for name in ("inbox", "done", "failed"):
        (tmp_path / name).mkdir()
    hooks = {"done": [["sh"], [str(tmp_path / "nothing"), "x"]]}
    content = configuration(tmp_path, endpoint=endpoint, folder_keys={"hooks": hooks})
    (tmp_path / "watcherd.yaml").write_text(json.dumps(content))
    checked = watcherd("check", home=tmp_path, environ={"TEST_KEY": endpoint.key})
    assert checked.returncode == 1
    assert "ok    hook sh: /" in checked.stdout
    said = (
        f"BAD   hook {tmp_path}/nothing: there is no such program to execute\n      -> Write its whole path"
    )
    assert said in checked.stdout
