"""`watcherd plan`: what would become of files, and what it costs; nothing is written and nothing sent."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio import clip, mute_film, speech
from tests.cli.past import Home
from tests.cli.test_commands import watcherd, written
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, error
from tests.servers.fuse import FuseMount, needs_fuse
from watcherd.cli.outlook import Budget, Cost, Foreseen, Outlook, Verdict, lines, summary
from watcherd.cli.where import Kind, nearest, spots
from watcherd.config.model import Folder
from watcherd.media.cut import Cutting, Planner, expected

Objects = dict[str, dict[str, Any]]


def planned(home: Home, *arguments: str | Path) -> Objects:
    """The objects of `plan --json`, by their files."""
    said = home.say("plan", "--json", *arguments)
    assert said.returncode == 0, said.stderr
    return {one["file"]: one for one in json.loads(said.stdout)}


def test_each_file_has_a_verdict_a_rule_its_cost_and_its_names(past: Home) -> None:
    found = planned(past, "--all")
    verdicts = {file: one["verdict"] for file, one in found.items()}
    assert verdicts == {
        **dict.fromkeys(("again.mp3", "talk.flac", "talk.mkv", "talk.wav", "sub/long.wav"), "translate"),
        **dict.fromkeys(("notes.txt", "more.txt", "link.mp3", "quiet/"), "left alone"),
        "empty.mp3": "not yet",
        "broken.mp4": "would fail",
    }
    assert found["notes.txt"]["rule"] == ".txt is no media extension"
    assert found["link.mp3"]["rule"] == "a symbolic link, not a plain file"
    assert found["quiet/"]["rule"] == ".watcherdignore lies in quiet/"
    assert found["empty.mp3"]["rule"] == "it is empty"
    assert found["broken.mp4"]["rule"].startswith("No audio could be decoded from this file")
    costs = {file: tuple(one[key] for key in ("sent_as", "parts", "requests")) for file, one in found.items()}
    assert costs["talk.flac"] == ("original", 1, 1)
    assert costs["talk.mkv"] == ("flac", 1, 1)
    assert costs["sub/long.wav"] == ("flac", 3, 3)
    assert costs["again.mp3"] == ("nothing", 1, 0)  # the journal has the answer
    assert costs["empty.mp3"] == costs["notes.txt"] == (None, None, None)
    assert found["sub/long.wav"]["seconds"] == 150
    assert found["talk.flac"]["names"] == ["talk.flac", "talk.srt", "talk.vtt", "talk.txt"]
    assert found["talk.wav"]["names"] == ["talk (3).wav", "talk (3).srt", "talk (3).vtt", "talk (3).txt"]
    assert found["sub/long.wav"]["folder"] == str(past.path / "done" / "sub")
    assert found["broken.mp4"]["names"] == ["broken.mp4", "broken.mp4.error.json"]
    assert found["broken.mp4"]["folder"] == str(past.path / "failed")


@pytest.mark.slow
def test_files_by_name_are_told_with_their_rule_and_strangers_are_said(past: Home) -> None:
    (outside := past.path.parent / "stranger.mp3").touch()
    said = past.say("plan", "inbox/sub", "inbox/notes.txt", "inbox/nowhere.mp3", outside, "done/good.mp3")
    assert said.returncode == 1
    assert "notes.txt     left alone: .txt is no media extension\n" in said.stdout
    assert "nowhere.mp3   left alone: there is no such file\n" in said.stdout
    assert "sub/long.wav  translate: .wav is media\n" in said.stdout
    assert "2.5 minutes, sent as flac, about 3 parts, 3 requests\n" in said.stdout
    assert "1 file to translate, 2.5 minutes of audio, about 3 requests\n" in said.stdout
    assert "endpoint here: 2.5 minutes to send, 0.1 sent today, 2 a day: 0.6 too many:" in said.stdout
    assert "talk.flac" not in said.stdout
    assert f"stranger.mp3: it lies in no inbox; the nearest is inbox, {past.inbox}\n" in said.stderr
    assert "done/good.mp3: it lies in the done folder of inbox inbox\n" in said.stderr


@pytest.mark.slow
def test_a_plan_needs_no_journal_and_makes_none(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    home = Home(tmp_path, endpoint)
    written(tmp_path, configuration(tmp_path, endpoint=endpoint))
    home.inbox.mkdir()
    shutil.copyfile(clip("mp3"), home.inbox / "talk.mp3")
    shutil.copyfile(mute_film("mp4"), home.inbox / "mute.mp4")
    said = home.say("plan")
    assert said.returncode == 0
    assert "  mute.mp4  would fail: The file has no audio track.\n" in said.stdout
    assert "0.1 minutes, sent as it is, 1 part, 1 request\n" in said.stdout
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_a_plan_says_what_is_wrong_with_the_file_and_with_an_inbox(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    written(tmp_path, configuration(tmp_path, endpoint=endpoint))
    environ = {"TEST_KEY": endpoint.key}
    missing = watcherd("plan", home=tmp_path, environ=environ)
    assert missing.returncode == 1
    assert "  it cannot be looked at: No such file or directory\n" in missing.stdout
    (tmp_path / "watcherd.yaml").write_text("folders:\n  - inbox: inbox\n    settel: 5s\n")
    assert watcherd("plan", home=tmp_path, environ=environ).returncode == 78


@pytest.mark.slow
def test_beside_a_daemon_an_open_job_asks_only_for_what_is_missing(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    content = configuration(tmp_path, endpoint=endpoint, endpoint_keys={"max_part": "20s", "concurrency": 1})
    home = Home(tmp_path, endpoint)
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.event("inbox.watching")
        shutil.copyfile(speech("Guten Tag. " * 60), home.inbox / "long.wav")
        daemon.event("part.translated")
        endpoint.always(error(401, "wrong key", code="invalid_api_key"))
        daemon.event("endpoint.paused")
        environ = {"TEST_KEY": endpoint.key}
        said = watcherd("plan", "--json", "--config", daemon.config, home=tmp_path, environ=environ)
    (one,) = json.loads(said.stdout)
    assert one["verdict"] == "open job"
    assert one["rule"] == "job 1 is waiting (endpoint paused)"
    assert 0 < one["requests"] < one["parts"]
    assert one["names"] == ["long.wav", "long.srt", "long.vtt", "long.txt"]


@pytest.mark.slow
def test_files_that_stay_are_left_alone_once_they_need_nothing(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    keep = {"after": "keep", "existing": "overwrite", "formats": ["srt"]}
    content = configuration(tmp_path, endpoint=endpoint, folder_keys=keep)
    for key in ("done", "failed"):
        del content["folders"][0][key]
    written(tmp_path, content)
    home = Home(tmp_path, endpoint)
    home.inbox.mkdir()
    shutil.copyfile(clip("mp3"), home.inbox / "old.mp3")
    ran = watcherd("run", "--once", home=tmp_path, environ={"TEST_KEY": endpoint.key})
    assert ran.returncode == 0, ran.stderr
    shutil.copyfile(clip("wav"), home.inbox / "new.wav")
    found = planned(home, "--all")
    assert found["old.mp3"]["rule"] == "it has the size and time that it had when its last job ended"
    assert found["new.wav"]["names"] == ["new.srt"]
    assert found["new.wav"]["folder"] == str(home.inbox)
    os.utime(home.inbox / "old.mp3", ns=(1, 1))
    assert planned(home, "--all")["old.mp3"]["rule"] == "what it holds was translated with these settings"


@pytest.mark.slow
@needs_fuse
def test_storage_that_hangs_costs_its_own_inbox(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    with FuseMount(tmp_path / "behind", tmp_path / "dead") as mount:
        content["folders"].append({"inbox": str(mount.at), "name": "dead"})
        written(tmp_path, content)
        (tmp_path / "inbox").mkdir()
        shutil.copyfile(clip("mp3"), tmp_path / "inbox" / "talk.mp3")
        mount.freeze()
        try:
            said = watcherd("plan", home=tmp_path, environ={"TEST_KEY": endpoint.key})
        finally:
            mount.thaw()
    assert said.returncode == 1
    assert "  its storage does not answer; look at the disk or the mount\n" in said.stdout
    assert "1 file to translate" in said.stdout


# What a plan says, from values.


def outlook(*costs: Cost, endpoint: str = "here") -> Outlook:
    files = [
        Foreseen(file=b"%d.mp3" % number, verdict=Verdict.TRANSLATE, rule=".mp3 is media", cost=cost)
        for number, cost in enumerate(costs)
    ]
    return Outlook(inbox="inbox", path=b"/inbox", endpoint=endpoint, files=files)


def test_the_summary_weighs_what_is_still_to_be_sent_against_each_day() -> None:
    half = Cost(sent_as="flac", seconds=1200, parts=4, requests=2)
    unknown = Cost(sent_as="flac", seconds=None, parts=None, requests=None)
    over = "1.0 too many: what does not fit waits for midnight"
    said = list(
        summary(
            [outlook(half, unknown), outlook(half, endpoint="there")],
            [Budget(endpoint="here", per_day=15, spent=5), Budget(endpoint="there", per_day=14, spent=5)],
        )
    )
    assert said == [
        "3 files to translate, 40.0 minutes of audio, about 4 requests (and 1 whose length is not known)",
        "endpoint here: 10.0 minutes to send, 5.0 sent today, 15 a day: all of it fits",
        "endpoint there: 10.0 minutes to send, 5.0 sent today, 14 a day: " + over,
    ]


def test_what_is_left_alone_is_counted_by_rule_or_listed() -> None:
    ahead = outlook()
    for name, rule in ((b"a.txt", "no media"), (b"b\n.txt", "no media"), (b".c", "hidden")):
        ahead.left_alone.append(Foreseen(file=name, verdict=Verdict.LEAVE, rule=rule))
    assert list(lines(ahead, everything=False))[1:] == ["  2 left alone: no media", "  1 left alone: hidden"]
    assert "  b\\x0a.txt  left alone: no media" in list(lines(ahead, everything=True))
    assert list(lines(outlook(), everything=False))[1:] == ["  nothing there"]


@given(
    seconds=st.floats(1, 2000),
    max_part=st.sampled_from([20.0, 60.0, 300.0]),
    pause=st.floats(4, 12),
)
def test_the_number_of_parts_is_about_what_speech_with_pauses_makes(
    seconds: float, max_part: float, pause: float
) -> None:
    cutting = Cutting(max_part=max_part, max_bytes=10**9)
    planner = Planner(cutting, rate=1)
    silences = [(at * pause, at * pause + 0.5) for at in range(1, int(seconds / pause))]
    while planner.next(seconds, silences, ended=True) is not None:
        pass
    about = expected(seconds, cutting, rate=1)
    assert abs(planner.made - about) <= 1 + 0.25 * planner.made


def test_a_part_that_would_be_too_large_is_a_part_that_is_too_long() -> None:
    assert expected(600, Cutting(max_part=600, max_bytes=10**9), rate=1000) == 1
    assert expected(600, Cutting(max_part=600, max_bytes=300_000), rate=1000) == 3


# Where a file lies.


def folder(inbox: Path, **keys: Any) -> Folder:  # noqa: ANN401 - any key of a folder
    return Folder(inbox=inbox, endpoint="here", **keys)


def test_a_path_lies_in_the_deepest_folder_that_holds_it(tmp_path: Path) -> None:
    tree, deep = folder(tmp_path / "tree"), folder(tmp_path / "tree" / "a" / "deep")
    found = [
        [(spot.folder.name, spot.kind, spot.path) for spot in spots(tmp_path / path, [tree, deep])]
        for path in ("tree/a/x.mp3", "tree/done/x.mp3", "tree/a/deep/x.mp3", "tree/failed", "treex/x.mp3")
    ]
    assert found == [
        [("tree", Kind.INBOX, b"a/x.mp3")],
        [("tree", Kind.DONE, b"x.mp3")],
        [("deep", Kind.INBOX, b"x.mp3")],
        [("tree", Kind.FAILED, b"")],
        [],
    ]
    assert nearest(tmp_path / "tree" / "ab", [deep, tree]) is tree


def test_where_originals_stay_done_is_a_folder_like_any_other(tmp_path: Path) -> None:
    (spot,) = spots(tmp_path / "done" / "x.mp3", [folder(tmp_path, after="keep")])
    assert (spot.kind, spot.path) == (Kind.INBOX, b"done/x.mp3")


def test_links_on_the_way_are_followed_and_the_file_itself_is_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "way").symlink_to("real")
    (tmp_path / "real" / "x.mp3").symlink_to("/elsewhere")
    for inbox, path in (("real", "way"), ("way", "real")):
        (spot,) = spots(tmp_path / path / "x.mp3", [folder(tmp_path / inbox)])
        assert spot.path == b"x.mp3"
