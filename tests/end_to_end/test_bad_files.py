"""Every bad file in one inbox at once: each ends where it should, with a reason, and none harms another."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import Behaviour, LocalEndpoint, Request, Respond, error
from tests.waiting import wait_until

NEWLINE = "new\nline.mp3"
DASH = "-rf.mp3"
QUOTES = "say \"hi\" 'now' $(x) `y`.mp3"
LONG = "é" * 125 + "l.mp3"  # 255 bytes
NOT_UTF8 = b"caf\xe9.mp3"
STRANGE = (NEWLINE.encode(), DASH.encode(), QUOTES.encode(), LONG.encode(), NOT_UTF8)
STAY = ("empty.mp3", "folder.mp3", "fifo.mp3", "socket.mp3", "link.mp3", "dangling.mp3", "secret.mp3")
# Root reads everything: without these capabilities it is like any user.
ORDINARY = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


@dataclass
class Aftermath:
    """What one daemon left behind."""

    home: Path
    events: list[dict[str, Any]]
    outside: Path
    requests: tuple[Request, ...] = field(default=())

    def done(self, name: str | bytes) -> Path:
        return self.home / "done" / os.fsdecode(name)

    def report(self, name: str) -> dict[str, Any]:
        """The report of a file that must be in failed, and nowhere else."""
        assert (self.home / "failed" / name).is_file()
        assert not os.path.lexists(self.home / "inbox" / name)
        assert not os.path.lexists(self.done(name))
        report: dict[str, Any] = json.loads((self.home / "failed" / f"{name}.error.json").read_text())
        assert report["fault"]["scope"] == "file"
        assert report["fault"]["hint"]
        return report


def like_a_server(request: Request) -> Behaviour:
    """Refuse what a real server cannot decode: an MP4 whose index was cut off."""
    if b"ftyp" in request.head[:16] and b"moov" not in request.head:
        return error(400, "The audio file could not be decoded or its format is not supported.")
    return Respond()


def truncated(container: str, target: Path) -> None:
    content = clip(container).read_bytes()
    target.write_bytes(content[: len(content) // 2])


def silent_video(target: Path) -> None:
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64:r=5", "-an", str(target)]
    subprocess.run(command, check=True)


def fill(inbox: Path, outside: Path) -> None:
    """Drop every bad file of the list, and one good one."""
    (inbox / "empty.mp3").touch()
    (inbox / "text.mp3").write_text("Dear diary, this is no sound at all.\n" * 200)
    for container in ("wav", "flac", "m4a"):
        truncated(container, inbox / f"cut {container}.{container}")
    silent_video(inbox / "silent.mkv")
    (inbox / "folder.mp3").mkdir()
    os.mkfifo(inbox / "fifo.mp3")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(inbox)
        listening.bind("socket.mp3")
    shutil.copyfile(clip("mp3"), outside)
    (inbox / "link.mp3").symlink_to(outside)
    (inbox / "dangling.mp3").symlink_to(inbox / "nowhere")
    for name in STRANGE:
        shutil.copyfile(clip("mp3"), inbox / os.fsdecode(name))
    shutil.copyfile(clip("mp3"), inbox / "secret.mp3")
    (inbox / "secret.mp3").chmod(0)
    for plain in ("twin.mp3", "twin.wav", "taken.mp3", "good.mp3"):
        shutil.copyfile(clip(plain.rpartition(".")[2]), inbox / plain)


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    home = tmp_path_factory.mktemp("bad")
    outside = home / "outside.mp3"
    before = Path.cwd()
    with LocalEndpoint() as endpoint:
        endpoint.always(like_a_server)
        content = configuration(home, endpoint=endpoint)
        prefix = ORDINARY if os.geteuid() == 0 else ()
        with RunningDaemon(home, content, key=endpoint.key, prefix=prefix) as daemon:
            (daemon.done / "taken.srt").write_text("somebody else's")
            fill(daemon.inbox, outside)
            os.chdir(before)
            count = len(STRANGE) + 3 + 3
            wait_until(lambda: len(daemon.found("job.failed")) >= 3, timeout=60)
            wait_until(lambda: len(daemon.found("job.done")) >= count, timeout=60)
            daemon.event("arrival.unreadable", timeout=30)
        yield Aftermath(home, daemon.events, outside, endpoint.requests)
        assert not endpoint.violations


@pytest.mark.parametrize("name", STAY)
def test_what_is_no_finished_readable_file_stays_where_it_is(aftermath: Aftermath, name: str) -> None:
    assert os.path.lexists(aftermath.home / "inbox" / name)
    assert not os.path.lexists(aftermath.done(name))
    assert not os.path.lexists(aftermath.home / "failed" / name)


def test_an_unreadable_file_is_said_once_with_what_to_do(aftermath: Aftermath) -> None:
    said = [line for line in aftermath.events if line["event"] == "arrival.unreadable"]
    assert len(said) == 1
    assert said[0]["file"] == "secret.mp3"
    assert said[0]["hint"]


def test_a_links_target_is_neither_read_nor_moved(aftermath: Aftermath) -> None:
    assert aftermath.outside.read_bytes() == clip("mp3").read_bytes()


def test_text_with_a_media_name_fails_as_undecodable(aftermath: Aftermath) -> None:
    assert aftermath.report("text.mp3")["fault"]["code"] == "undecodable"


def test_a_video_without_sound_fails_with_that_reason(aftermath: Aftermath) -> None:
    assert aftermath.report("silent.mkv")["fault"]["code"] == "no_audio"


def test_an_m4a_without_its_index_fails_as_undecodable(aftermath: Aftermath) -> None:
    report = aftermath.report("cut m4a.m4a")
    assert report["fault"]["code"] == "undecodable"


@pytest.mark.parametrize("container", ["wav", "flac"])
def test_a_truncated_file_that_can_still_be_heard_is_done(aftermath: Aftermath, container: str) -> None:
    assert aftermath.done(f"cut {container}.{container}").is_file()
    assert aftermath.done(f"cut {container}.srt").is_file()


@pytest.mark.parametrize("name", STRANGE, ids=["newline", "dash", "quotes", "255 bytes", "not UTF-8"])
def test_a_strange_name_is_kept_to_the_byte(aftermath: Aftermath, name: bytes) -> None:
    assert aftermath.done(name).read_bytes() == clip("mp3").read_bytes()
    stem = name.removesuffix(b".mp3")
    for kind in (b".srt", b".vtt", b".txt"):
        assert aftermath.done(stem + kind).stat().st_size > 0


def test_two_files_with_one_stem_get_sidecars_of_their_own(aftermath: Aftermath) -> None:
    names = {path.name for path in (aftermath.home / "done").iterdir() if path.name.startswith("twin")}
    assert {"twin.srt", "twin (2).srt", "twin.txt", "twin (2).txt", "twin.vtt", "twin (2).vtt"} <= names
    assert {Path(name).suffix for name in names if "(2)" not in name} > {".srt"}
    assert names in (
        {"twin.mp3", "twin (2).wav"} | {n for n in names if n.endswith(("srt", "vtt", "txt"))},
        {"twin.wav", "twin (2).mp3"} | {n for n in names if n.endswith(("srt", "vtt", "txt"))},
    )


def test_a_name_that_is_taken_is_never_overwritten(aftermath: Aftermath) -> None:
    assert aftermath.done("taken.srt").read_text() == "somebody else's"
    assert aftermath.done("taken (2).mp3").is_file()
    assert aftermath.done("taken (2).srt").is_file()


def test_a_good_file_among_them_is_simply_done(aftermath: Aftermath) -> None:
    assert aftermath.done("good.srt").is_file()


def test_no_control_character_of_a_name_reaches_the_log(aftermath: Aftermath) -> None:
    assert [line for line in aftermath.events if line.get("file") == "new\\x0aline.mp3"]
    assert not [line for line in aftermath.events if any("\n" in str(v) for v in line.values())]
