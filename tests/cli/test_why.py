"""`watcherd why`: every rule for a file, what happened to it, and what comes next; nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.audio import clip
from tests.cli.past import Home
from tests.cli.test_commands import watcherd, written
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, error
from watcherd.cli.checks import Check, checks, resting
from watcherd.cli.outlook import Verdict
from watcherd.cli.story import Chapter, Story, tell
from watcherd.cli.why import why
from watcherd.config.model import Folder
from watcherd.faults import Fault, Remedy, Scope
from watcherd.inbox.accept import Rules
from watcherd.inbox.settle import GONE, Kind, Lease, Look
from watcherd.job import Identity, Job, Outcome, Plan, Sidecar, State, WaitReason
from watcherd.journal.ledger import Kind as Paused
from watcherd.journal.ledger import StoredPause
from watcherd.journal.reader import Asked, Seen

Why = Callable[[str | Path], list[str]]


@pytest.fixture
def asked(past: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Why:
    """What `why` says of a file in the home with a past, line by line, without a process of its own."""
    monkeypatch.setenv("TEST_KEY", past.endpoint.key)

    def ask(file: str | Path) -> list[str]:
        with past.untouched():
            assert why(past.path / "watcherd.yaml", past.path / file) == 0
        return capsys.readouterr().out.splitlines()

    return ask


def test_a_file_that_is_gone_was_translated_and_its_history_says_how(past: Home) -> None:
    said = past.say("why", "inbox/good.mp3")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0] == f"good.mp3 in inbox inbox ({past.inbox}, endpoint here)"
    assert "  gone        There must be a file of that name." in lines
    assert any("  settled: it had finished arriving" in line for line in lines)
    size = f"{clip('mp3').stat().st_size:,} bytes"
    (request,) = [line for line in lines if "  request to here: " in line]
    assert f"  request to here: the whole file, 7.8 s of audio, {size}: answered after " in request
    there = f"good.mp3, good.srt, good.vtt, good.txt in {past.path / 'done'}"
    assert any(line.endswith(f"  done: {there}") for line in lines)
    assert lines[-1].startswith("Nothing: it was translated on ")
    assert lines[-1].endswith(f"; {there}.")


@pytest.mark.parametrize("file", ["done/good.mp3", "done/good.vtt"])
def test_a_delivered_file_leads_to_its_story(asked: Why, file: str) -> None:
    lines = asked(file)
    assert lines[0].startswith("good.mp3 in inbox inbox (")
    assert "rules" not in lines
    assert lines[-1].startswith("Nothing: it was translated on ")


@pytest.mark.parametrize("file", ["failed/bad.mp3", "failed/bad.mp3.error.json", "inbox/bad.mp3"])
def test_a_failed_file_says_why_it_failed_and_what_to_do(past: Home, asked: Why, file: str) -> None:
    last = asked(file)[-1]
    assert ": No audio could be decoded from this file: " in last
    assert " It is damaged, cut off, or no audio or video at all: " in last
    assert last.endswith(f" Then say: watcherd retry {past.inbox / 'bad.mp3'}")


@pytest.mark.parametrize(
    ("file", "rule", "last"),
    [
        (
            "notes.txt",
            "  left alone  The name must have the extension of audio or video, or that of an include.",
            "It is left alone: .txt is no media extension. Rename it, or name its extension",
        ),
        (
            "link.mp3",
            "  left alone  Links, folders and devices are left alone.",
            "It is left alone: it is a symbolic link. Put the file itself into the inbox.",
        ),
        (
            "quiet/talk.mp3",
            "  left alone  Nothing is taken from below a folder that holds .watcherdignore.",
            "It is left alone: .watcherdignore lies in its folder or above it. Remove .watcherdignore",
        ),
        (
            "empty.mp3",
            "  not yet     An empty file waits until something is written into it.",
            "It is not taken yet: it is empty. Copy it again, or remove it.",
        ),
        ("nowhere.mp3", "  gone        There must be a file of that name.", "There is no such file: "),
        (
            "talk.wav",
            "  ok          It must have rested for 0.1 seconds.",
            "It will be translated: watcherd is",
        ),
    ],
)
def test_the_rule_that_decides_comes_last(asked: Why, file: str, rule: str, last: str) -> None:
    lines = asked(Path("inbox", file))
    rules = lines[lines.index("rules") + 1 : lines.index("", lines.index("rules"))]
    decisive = [line for line in rules if not line.startswith("  ok  ")][:1] or rules[-1:]
    assert decisive == [rule]
    assert "The journal knows of no job for it." in lines
    assert lines[-1].startswith(last)


def test_nobody_knows_a_stranger(
    past: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEST_KEY", past.endpoint.key)
    nearest = f"in no inbox, and the journal does not know it; the nearest inbox is {past.inbox}\n"
    for file, code, said in (
        ("stranger.mp3", 1, nearest),
        ("done/else.mp3", 1, "in the done folder of inbox inbox, but the journal knows of no job"),
        ("inbox/sub", 2, "is a folder: name a file, or say watcherd plan"),
    ):
        with past.untouched():
            assert why(past.path / "watcherd.yaml", past.path / file) == code
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_that_waits_for_its_endpoint_says_until_when(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    endpoint.always(error(401, "wrong key", code="invalid_api_key"))
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("endpoint.paused")
        daemon.event("job.waiting")
        environ = {"TEST_KEY": endpoint.key}
        said = watcherd("why", "inbox/talk.mp3", "--config", daemon.config, home=tmp_path, environ=environ)
    assert said.returncode == 0
    assert ": no answer after " in said.stdout
    last = said.stdout.splitlines()[-1]
    assert last.startswith("It is waiting (endpoint paused): ")
    assert "; tried again at 2" in last


@pytest.mark.slow
def test_a_file_that_stays_is_told_from_itself_its_sidecar_and_its_report(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint, folder_keys={"after": "keep", "formats": ["srt"]})
    for key in ("done", "failed"):
        del content["folders"][0][key]
    written(tmp_path, content)
    home = Home(tmp_path, endpoint)
    home.inbox.mkdir()
    shutil.copyfile(clip("mp3"), home.inbox / "talk.mp3")
    (home.inbox / "bad.mp3").write_text("no sound\n" * 100)
    ran = watcherd("run", "--once", home=tmp_path, environ={"TEST_KEY": endpoint.key})
    assert ran.returncode == 1, ran.stderr
    sidecar = home.say("why", "inbox/talk.srt").stdout.splitlines()
    assert sidecar[0].startswith("talk.mp3 in inbox inbox ")
    assert "; talk.srt written beside it. To have subtitles made again, " in sidecar[-1]
    original = home.say("why", "inbox/talk.mp3").stdout.splitlines()
    assert original[-1] == sidecar[-1]
    assert any("talk.srt beside it already" in line for line in original), "the rule that leaves it alone"
    (report,) = (tmp_path / "state" / "reports").iterdir()
    for file in ("inbox/bad.mp3", report):
        assert ": No audio could be decoded" in home.say("why", file).stdout.splitlines()[-1]


# The rules, from values.

MP3 = Look(kind=Kind.FILE, identity=Identity(1, 2, 300, 4_000_000_000, 5_000_000_000), lease=Lease.FREE)


@pytest.mark.parametrize(
    ("seen", "name", "verdict"),
    [
        (GONE, "there", Verdict.LEAVE),
        (Look(kind=Kind.FOLDER), "plain file", Verdict.LEAVE),
        (Look(kind=Kind.IGNORED), "marker", Verdict.LEAVE),
        (Look(kind=Kind.COVERED), "existing", Verdict.LEAVE),
        (Look(kind=Kind.FILE, lease=Lease.BUSY), "writer", Verdict.NOT_YET),
        (Look(kind=Kind.FILE, error="Permission denied"), "readable", Verdict.NOT_YET),
        (Look(kind=Kind.FILE, identity=Identity(1, 2, 0, 4, 5)), "empty", Verdict.NOT_YET),
        (Look(kind=Kind.FILE, beside=frozenset({b"a.mp3.part"})), "download", Verdict.NOT_YET),
        (MP3, "kept", Verdict.LEAVE),
    ],
)
def test_what_a_look_tells_fails_its_own_rule(seen: Look, name: str, verdict: Verdict) -> None:
    kept = {b"a.mp3": (300, 4_000_000_000)}
    *passed, last = checks(b"a.mp3", seen, rules=Rules(formats=("srt",)), kept=kept)
    assert (last.name, last.verdict) == (name, verdict)
    assert last.found
    assert not any(check.verdict or check.found for check in passed)


def test_a_file_that_has_passed_must_have_rested_by_both_of_its_times() -> None:
    assert all(check.verdict is None for check in checks(b"a.mp3", MP3, rules=Rules(), kept={}))
    assert resting(MP3, 3, now=8).verdict is None
    young = resting(MP3, 3, now=7.5)
    assert young.found == "it changed 2.5 seconds ago, and must rest for 3"
    assert young.verdict is Verdict.NOT_YET


# What comes next, from values.

OUTAGE = Fault(
    scope=Scope.ENDPOINT, code="x", message="the key is\nwrong", hint="look at it", remedy=Remedy.CONFIGURE
)
DONE = Plan(outcome=Outcome.DONE, folder=b"", original=b"a.mp3", sidecars=(Sidecar(b"a.srt", "srt"),))


def chapter(state: State, **keys: Any) -> Chapter:  # noqa: ANN401 - any value of a job
    assert MP3.identity is not None
    job = Job(id=7, inbox="inbox", path=b"a.mp3", identity=MP3.identity, settled_at=0, state=state, **keys)
    return Chapter(seen=Seen(job, 60), requests=(), parts={})


def last_line(about: Chapter | None = None, **changes: Any) -> str:  # noqa: ANN401 - any value of a story
    story: dict[str, Any] = {
        "folder": Folder(inbox=Path("/inbox"), endpoint="here"),
        "path": b"a.mp3",
        "there": True,
        "checks": (Check(name="quiet", rule="It must have rested."),),
        "chapters": () if about is None else (about,),
        "about": about,
        "pauses": (),
        "running": True,
    }
    return list(tell(Story(**story | changes)))[-1]


def pause(kind: Paused, fault: Fault | None) -> StoredPause:
    return StoredPause(kind=kind, name="here", since=0, until=None if fault is None else 0, fault=fault)


def test_the_last_sentence_says_what_comes_next() -> None:
    waiting = chapter(State.WAITING, reason=WaitReason.BACKOFF, until=0, fault=OUTAGE)
    by_hand, by_fault = pause(Paused.INBOX, None), pause(Paused.ENDPOINT, OUTAGE)
    assert last_line() == "Nothing: it is taken up in a moment."
    assert last_line(running=False).startswith("It will be translated: watcherd is not running, ")
    assert last_line(pauses=[by_hand]).startswith("It is taken, and then waits: inbox here is paused by hand")
    assert last_line(chapter(State.QUEUED)) == "It is next in line."
    assert last_line(chapter(State.TRANSLATING)) == "It is being worked on (translating)."
    assert last_line(chapter(State.QUEUED), running=False).endswith(" watcherd is not running: start it.")
    said = last_line(chapter(State.QUEUED), pauses=[by_hand])
    assert said == "It is waiting: inbox here is paused by hand until: watcherd resume here."
    said = last_line(chapter(State.QUEUED), pauses=[by_fault])
    assert said.startswith("It is waiting for endpoint here: the key is\\x0awrong; tried again at ")
    assert last_line(waiting).startswith("It is waiting (backoff): the key is\\x0awrong; tried again at ")
    assert last_line(waiting).endswith(". Look at it.")


def test_what_is_over_is_the_last_word_unless_a_file_has_come_since() -> None:
    done = chapter(State.DONE, plan=DONE)
    kept = Check(name="kept", rule="", found="as it was", verdict=Verdict.LEAVE)
    assert last_line(done) == "Nothing: it is taken up in a moment."
    for gone in ({"there": False}, {"checks": (kept,)}):
        assert last_line(done, **gone).startswith("Nothing: it was translated on ")
    beside = chapter(State.DONE, plan=replace(DONE, stays=True))
    covered = replace(kept, name="existing")
    for one in (kept, covered):
        assert last_line(beside, checks=(one,)).endswith("remove them and say: watcherd retry /inbox/a.mp3")
    assert last_line(chapter(State.SKIPPED), there=False).startswith("There is no such file")


def test_each_request_is_told_with_its_part_and_its_end() -> None:
    common: dict[str, Any] = {"endpoint": "here", "sent_at": 10.0, "seconds": 60.0, "size": 5000}
    requests = [
        Asked(part=1, ended_at=12.5, fault=None, **common),
        Asked(part=2, ended_at=11.0, fault=OUTAGE, **common),
        Asked(part=3, ended_at=None, fault=None, **common),
    ]
    seen = chapter(State.DONE, plan=DONE, warnings=("loops: 1",)).seen
    told = Chapter(seen=seen, requests=requests, parts={1: (0, 60), 2: (60, 3720)})
    story = Story(
        folder=Folder(inbox=Path("/inbox"), endpoint="here"),
        path=b"a\x1b.mp3",
        there=False,
        checks=(),
        chapters=[told],
        about=told,
        pauses=(),
        running=True,
    )
    lines = [line.strip() for line in tell(story)]
    assert lines[0].startswith("a\\x1b.mp3 in inbox ")
    text = "\n".join(lines)
    assert "part 1 (0:00:00 to 0:01:00), 60.0 s of audio, 5,000 bytes: answered after 2.5 s\n" in text
    assert "part 2 (0:01:00 to 1:02:00), 60.0 s of audio, 5,000 bytes: no answer after 1.0 s\n" in text
    assert "-> the key is\\x0awrong\n" in text
    assert "part 3, 60.0 s of audio, 5,000 bytes: not ended, or cut off\n" in text
    assert "warnings: loops: 1\n" in text
    assert "done: a.mp3, a.srt in /inbox/done\n" in text
