"""The main job against an endpoint that insists on the contract: every container, every way to arrive."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint
from tests.waiting import wait_until

CONTAINERS = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm", "opus", "aac", "mkv")
# What each is sent as: itself where an endpoint takes it, 16 kHz mono FLAC where not.
SENT_AS = {
    "flac": "audio.flac",
    "mp3": "audio.mp3",
    "mp4": "audio.m4a",
    "mpeg": "audio.mp3",
    "mpga": "audio.mp3",
    "m4a": "audio.m4a",
    "ogg": "audio.ogg",
    "opus": "audio.ogg",
    "wav": "audio.wav",
    "webm": "audio.flac",
    "aac": "audio.flac",
    "mkv": "audio.flac",
}
AS_IT_IS = {"flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "opus", "wav"}


def by_cp(source: Path, target: Path) -> None:
    subprocess.run(["cp", source, target], check=True)


def by_mv(source: Path, target: Path) -> None:
    copy = target.parents[2] / f"outside-{target.name}"
    shutil.copyfile(source, copy)
    subprocess.run(["mv", copy, target], check=True)


def by_rsync(source: Path, target: Path) -> None:
    subprocess.run(["rsync", "-t", source, target], check=True)


def by_a_writer_that_pauses(source: Path, target: Path) -> None:
    """Write half, keep the file open for eight seconds, write the rest."""
    content = source.read_bytes()
    with target.open("wb", buffering=0) as file:
        file.write(content[: len(content) // 2])
        threading.Event().wait(8)  # what is tested is that this pause, with the file open, is waited out
        file.write(content[len(content) // 2 :])


WAYS: tuple[Callable[[Path, Path], None], ...] = (by_cp, by_mv, by_rsync, by_a_writer_that_pauses)


def drop_all(daemon: RunningDaemon) -> dict[str, Path]:
    """Drop the twelve clips into sub-folders in the four ways; returns relative name -> clip."""
    dropped: dict[str, Path] = {}
    writers = []
    for number, container in enumerate(CONTAINERS):
        way = WAYS[number % len(WAYS)]
        name = f"show {number % 3}/part/{way.__name__} {container}.{container}"
        target = daemon.inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        dropped[name] = clip(container)
        writers.append(threading.Thread(target=way, args=(clip(container), target)))
        writers[-1].start()
    for writer in writers:
        writer.join()
    return dropped


def check_delivered(daemon: RunningDaemon, dropped: dict[str, Path]) -> None:
    """Every original is in the mirrored place, whole, with three sidecars, and nothing else is anywhere."""
    expected = set()
    for name, source in dropped.items():
        delivered = daemon.done / name
        assert delivered.read_bytes() == source.read_bytes()
        expected |= {name, *(str(Path(name).with_suffix(f".{kind}")) for kind in ("srt", "vtt", "txt"))}
    found = {str(path.relative_to(daemon.done)) for path in daemon.done.rglob("*") if path.is_file()}
    assert found == expected
    assert not [path for path in daemon.inbox.rglob("*") if path.is_file()]
    assert not list(daemon.failed.iterdir())


def test_twelve_containers_in_four_ways_make_one_request_each(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        dropped = drop_all(daemon)
        wait_until(lambda: len(daemon.found("job.done")) == len(dropped), timeout=90)
        check_delivered(daemon, dropped)
        settled = {event["file"]: event for event in daemon.found("job.settled")}
        jobs = {event["job"]: event["file"] for event in settled.values()}
        for name, source in dropped.items():
            assert settled[name]["bytes"] == source.stat().st_size, "read half-arrived"
        assert len(daemon.found("part.sent")) == len(jobs) == len(dropped)
    assert len(endpoint.requests) == len(dropped)
    assert sorted(request.filename for request in endpoint.requests) == sorted(
        SENT_AS[container] for container in CONTAINERS
    )
    whole = {
        hashlib.sha256(clip(container).read_bytes()).hexdigest()
        for container in CONTAINERS
        if container in AS_IT_IS
    }
    assert whole <= {request.sha256 for request in endpoint.requests}
    assert {request.fields["response_format"] for request in endpoint.requests} == {"verbose_json"}


def test_sidecars_say_what_the_endpoint_said(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done", file="talk.mp3")
        srt = (daemon.done / "talk.srt").read_text()
        vtt = (daemon.done / "talk.vtt").read_text()
        txt = (daemon.done / "talk.txt").read_text()
    assert srt.startswith("1\n00:00:00,000 --> ")
    assert vtt.startswith("WEBVTT\n\n")
    size = str(clip("mp3").stat().st_size)
    assert all(size in text for text in (srt, vtt, txt)), (
        "the endpoint's text names the size that it received"
    )


@pytest.mark.parametrize("key", ["prompt", "temperature", "model"])
def test_a_folders_settings_reach_the_endpoint(tmp_path: Path, endpoint: LocalEndpoint, key: str) -> None:
    settings = {"prompt": "Kubernetes, Grafana", "temperature": 0.5, "model": "whisper-large"}
    content = configuration(tmp_path, endpoint=endpoint, folder_keys={key: settings[key]})
    with RunningDaemon(tmp_path, content, key=endpoint.key) as daemon:
        daemon.drop(clip("mp3"), "talk.mp3")
        daemon.event("job.done")
    assert endpoint.requests[0].fields[key] == str(settings[key])


def test_once_works_off_what_is_there_and_says_how_it_went(tmp_path: Path, endpoint: LocalEndpoint) -> None:
    content = configuration(tmp_path, endpoint=endpoint)
    (tmp_path / "inbox").mkdir()
    shutil.copyfile(clip("mp3"), tmp_path / "inbox" / "good.mp3")
    daemon = RunningDaemon(tmp_path, content, key=endpoint.key, arguments=["--once"])
    daemon.done.mkdir()
    daemon.failed.mkdir()
    daemon.start()
    assert daemon.ended() == 0
    assert daemon.sidecars() == ["good.mp3", "good.srt", "good.txt", "good.vtt"]

    (tmp_path / "inbox" / "bad.mp3").write_bytes(b"this is a text, not sound\n" * 10)
    daemon.start()
    assert daemon.ended() == 1
    assert sorted(path.name for path in daemon.failed.iterdir()) == ["bad.mp3", "bad.mp3.error.json"]

    (tmp_path / "inbox" / "empty.mp3").touch()
    daemon.start()
    assert daemon.ended() == 75
    assert (tmp_path / "inbox" / "empty.mp3").exists()


def test_a_failed_file_that_is_moved_back_goes_round_again_and_its_report_goes(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        (daemon.inbox / "talk.mp3").write_text("no sound\n" * 100)
        daemon.event("job.failed")
        (daemon.failed / "talk.mp3").rename(daemon.inbox / "talk.mp3")
        wait_until(lambda: len(daemon.found("job.failed")) == 2, timeout=30)
        assert sorted(path.name for path in daemon.failed.iterdir()) == ["talk.mp3", "talk.mp3.error.json"]
        shutil.copyfile(clip("mp3"), daemon.failed / "talk.mp3")
        (daemon.failed / "talk.mp3").rename(daemon.inbox / "talk.mp3")
        daemon.event("job.done")
        assert not list(daemon.failed.iterdir())
