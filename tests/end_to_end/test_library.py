"""A library with the real daemon: originals stay, subtitles come beside them, nothing is asked for twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.audio import clip, need_tools
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, error
from tests.waiting import wait_until
from watcherd.cli import steer

pytestmark = need_tools

MINE = "1\n00:00:00,000 --> 00:00:01,000\nBy hand\n"
REFUSAL = error(400, "We do not like it")


@dataclass
class World:
    """One daemon over a library for all tests of this file; each has files of its own."""

    daemon: RunningDaemon
    endpoint: LocalEndpoint

    @property
    def requests(self) -> int:
        return len(self.endpoint.requests)

    def at(self, name: str) -> Path:
        return self.daemon.inbox / name

    def drop(self, name: str, *, padding: int) -> Path:
        path = self.daemon.drop(clip("mp3"), name, padding=padding)
        self.daemon.event("job.done", file=name)
        return path

    def scanned(self) -> None:
        """Wait for two whole scans, so that what is left alone has been seen and left alone.

        A scan that was slow, as on a busy machine, is followed by a longer pause.
        """
        before = len(self.daemon.found("inbox.scanned"))
        wait_until(lambda: len(self.daemon.found("inbox.scanned")) >= before + 2, timeout=60)


def settings(home: Path, endpoint: LocalEndpoint, **keys: str) -> dict[str, Any]:
    folder = {"done": None, "failed": None, "after": "keep", "formats": ["srt", "txt"]}
    folder |= {"sidecar_name": "{stem}.en", "settle": "200ms", "rescan": "500ms"}
    return configuration(home, endpoint=endpoint, folder_keys=folder | keys)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("library")
    with LocalEndpoint() as endpoint:
        with RunningDaemon(home, settings(home, endpoint), key=endpoint.key) as daemon:
            yield World(daemon, endpoint)
        assert not endpoint.violations


@pytest.fixture(scope="module")
def replacing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("replacing")
    with LocalEndpoint() as endpoint:
        content = settings(home, endpoint, existing="overwrite")
        with RunningDaemon(home, content, key=endpoint.key) as daemon:
            yield World(daemon, endpoint)


def test_the_original_stays_as_it_was_with_its_subtitles_beside_it(library: World) -> None:
    path = library.daemon.inbox / "done" / "film one.mp3"  # a folder like any other here
    path.parent.mkdir()
    path.write_bytes(clip("mp3").read_bytes() + bytes(1))
    before = path.stat()
    library.daemon.event("job.done", file="done/film one.mp3")
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    assert sorted(os.listdir(path.parent)) == ["film one.en.srt", "film one.en.txt", "film one.mp3"]
    assert "-->" in path.with_name("film one.en.srt").read_text()


def test_a_file_that_was_done_is_left_alone_over_scans_touches_and_restarts(library: World) -> None:
    path = library.drop("talk.mp3", padding=2)
    asked = library.requests
    library.scanned()
    path.touch()  # the content is the same, and so are the settings
    library.scanned()
    library.daemon.stop()
    library.daemon.start()
    library.scanned()
    assert library.requests == asked
    assert len(library.daemon.found("job.done", file="talk.mp3")) == 1


def test_subtitles_that_are_there_already_are_kept_and_only_the_others_are_written(library: World) -> None:
    library.at("half.en.srt").write_text(MINE)
    library.drop("half.mp3", padding=3)
    assert library.at("half.en.srt").read_text() == MINE
    assert library.at("half.en.txt").exists()


def test_a_file_that_has_all_its_subtitles_costs_nothing_until_one_is_deleted(library: World) -> None:
    asked = library.requests
    for suffix in ("srt", "txt"):
        library.at(f"whole.en.{suffix}").write_text(MINE)
    path = library.daemon.drop(clip("mp3"), "whole.mp3", padding=4)
    library.scanned()
    assert library.requests == asked
    assert not library.daemon.found("job.settled", file="whole.mp3")
    library.at("whole.en.txt").unlink()
    library.daemon.event("job.done", file="whole.mp3")
    assert path.exists()
    assert library.at("whole.en.srt").read_text() == MINE


def test_a_folder_with_a_marker_is_left_alone_until_the_marker_goes(library: World) -> None:
    marker = library.at("extras/.watcherdignore")
    marker.parent.mkdir()
    marker.touch()
    library.daemon.drop(clip("mp3"), "extras/deep/trailer.mp3", padding=5)
    library.scanned()
    assert not library.daemon.found("job.settled", file="extras/deep/trailer.mp3")
    marker.unlink()
    library.daemon.event("job.done", file="extras/deep/trailer.mp3")


def test_a_failed_file_stays_with_its_report_in_the_state_folder_until_retry_or_a_change(
    library: World,
) -> None:
    reports = library.daemon.home / "state" / "reports"
    library.endpoint.script(REFUSAL, times=2)
    path = library.daemon.drop(clip("mp3"), "bad.mp3", padding=6)
    job = library.daemon.event("job.failed", file="bad.mp3")["job"]
    (report,) = reports.iterdir()
    content = json.loads(report.read_text())
    assert (content["file"], content["job"], content["fault"]["code"]) == ("bad.mp3", job, "request_refused")
    assert "watcherd retry" in content["how_to_retry"]
    library.scanned()
    assert len(library.daemon.found("job.settled", file="bad.mp3")) == 1
    assert path.exists()
    assert steer.retry(library.daemon.config, [path], everything=False, fresh=False) == 0
    library.daemon.event("job.done", file="bad.mp3")
    assert list(reports.iterdir()) == []
    assert library.at("bad.en.srt").exists()
    asked = library.requests
    assert steer.retry(library.daemon.config, [path], everything=False, fresh=False) == 1, "it is well"
    library.at("bad.en.txt").unlink()
    assert steer.retry(library.daemon.config, [path], everything=False, fresh=False) == 0
    wait_until(library.at("bad.en.txt").exists)
    assert library.requests == asked, "its answer is on record"


def test_retry_all_takes_up_every_failed_file_where_it_is(library: World) -> None:
    library.endpoint.script(REFUSAL, times=2)
    library.daemon.drop(clip("mp3"), "worse.mp3", padding=7)
    library.daemon.event("job.failed", file="worse.mp3")
    assert steer.retry(library.daemon.config, [], everything=True, fresh=False) == 0
    library.daemon.event("job.done", file="worse.mp3")


def test_overwrite_replaces_what_it_wrote_for_a_file_that_changed(replacing: World) -> None:
    path = replacing.drop("news.mp3", padding=1)
    srt = replacing.at("news.en.srt")
    first, asked = srt.stat().st_ino, replacing.requests
    path.write_bytes(clip("mp3").read_bytes() + bytes(2))
    wait_until(lambda: len(replacing.daemon.found("job.done", file="news.mp3")) == 2)
    assert replacing.requests == asked + 1
    assert srt.stat().st_ino != first
    assert not list(replacing.daemon.inbox.glob("news*(2)*"))


def test_overwrite_leaves_what_somebody_else_wrote_or_edited(replacing: World) -> None:
    path = replacing.drop("edited.mp3", padding=11)
    replacing.at("edited.en.srt").write_text(MINE)
    path.write_bytes(clip("mp3").read_bytes() + bytes(12))
    wait_until(lambda: len(replacing.daemon.found("job.done", file="edited.mp3")) == 2)
    assert replacing.at("edited.en.srt").read_text() == MINE
    for suffix in ("srt", "txt"):
        replacing.at(f"foreign.en.{suffix}").write_text(MINE)
    asked = replacing.requests
    replacing.daemon.drop(clip("mp3"), "foreign.mp3", padding=13)
    replacing.daemon.event("job.skipped", file="foreign.mp3", why="covered")
    replacing.scanned()
    assert replacing.requests == asked
    assert len(replacing.daemon.found("job.settled", file="foreign.mp3")) == 1


def test_keep_both_numbers_the_new_subtitles(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    content = settings(tmp_path, endpoint, existing="keep-both")
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        (daemon.inbox / "talk.en.srt").write_text(MINE)
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done", file="talk.mp3")
        assert sorted(os.listdir(daemon.inbox)) == [
            "talk (2).en.srt",
            "talk (2).en.txt",
            "talk.en.srt",
            "talk.mp3",
        ]
