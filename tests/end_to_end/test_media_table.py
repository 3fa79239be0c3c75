"""Media of every kind, whole and damaged, through one daemon: what is sent of each, or why it fails.

Each file lies in two inboxes: one sends files as they are where it can, the other decodes them all. The
endpoint decodes what it gets, as a real server does, and its answer says what that was: so the text that is
delivered tells it. Run with `-m slow -rP` to read the table.
"""

from __future__ import annotations

import io
import json
import os
import random
import select
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

import watcherd.whisper
from tests.audio import clip, film, made, mute_film, need_tools, silence, tone
from tests.reliability.test_media_fuzz import MB, Memory
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import Behaviour, LocalEndpoint, Request, Respond, error
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, need_tools]

DEMO = Path(watcherd.whisper.__path__[0]) / "demo.flac"
WORKER_AT_MOST = 150 * MB
LONGEST = 120.0  # seconds that any file may take, and that is for days of audio on a busy machine
INBOXES = {"as it is": "auto", "decoded": "flac"}

Content = Callable[[], bytes]


# What lies there ----------------------------------------------------------------------------------


def ffmpeg(name: str, *how: str, of: Path = DEMO) -> Content:
    """What ffmpeg makes of the clip, or of another file."""
    return lambda: made(f"table-{name}", "-i", str(of), *how).read_bytes()


def file(path: Callable[[], Path]) -> Content:
    return lambda: path().read_bytes()


def cut(whole: Content, part: float = 0.5) -> Content:
    """Only the first half of it, or so much."""

    def content() -> bytes:
        data = whole()
        return data[: int(len(data) * part)]

    return content


def broken(whole: Content, *, begin: float = 0.4, end: float = 0.5) -> Content:
    """Noise written over a tenth of it, in the middle."""

    def content() -> bytes:
        data = bytearray(whole())
        first, last = int(begin * len(data)), int(end * len(data))
        data[first:last] = random.Random(first).randbytes(last - first)
        return bytes(data)

    return content


def padded(whole: Content, *, before: bytes = b"", after: bytes = b"") -> Content:
    return lambda: before + whole() + after


def patched(whole: Content, found: bytes, put: bytes, *, at: int = 0) -> Content:
    """Other bytes `at` so many after those that are found first."""

    def content() -> bytes:
        data = bytearray(whole())
        begin = data.index(found) + at
        data[begin : begin + len(put)] = put
        return bytes(data)

    return content


def joined(*parts: Content) -> Content:
    return lambda: b"".join(part() for part in parts)


def covered(name: str, *how: str) -> Content:
    """The clip with a picture on its cover."""

    def content() -> bytes:
        picture = made("table-cover.png", "-f", "lavfi", "-i", "testsrc=size=640x480", "-frames:v", "1")
        maps = ("-i", str(picture), "-map", "0:a", "-map", "1:v", "-c:v", "copy")
        return ffmpeg(name, *maps, "-disposition:v:0", "attached_pic", *how)()

    return content


def two_tracks() -> bytes:
    """A film's two languages: the clip, and four seconds that are marked as the default."""
    maps = ("-i", str(tone(4)), "-map", "0:a", "-map", "1:a", "-c:a", "aac")
    marks = ("-disposition:a:0", "0", "-disposition:a:1", "default")
    return ffmpeg("two.mkv", *maps, *marks)()


def late() -> bytes:
    """A picture from the beginning, and two seconds of sound from the third second on."""
    maps = (
        "-itsoffset",
        "3",
        "-i",
        str(tone(2)),
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:v",
        "copy",
        "-c:a",
        "aac",
    )
    return ffmpeg("late.mkv", *maps, of=mute_film("mp4"))()


def far_apart() -> bytes:
    """Two seconds of sound, and two more three days later by their time stamps."""
    jump = "asetpts=if(gte(T\\,2)\\,PTS+259200/TB\\,PTS)"
    return ffmpeg("far.mka", "-af", jump, "-c:a", "flac", of=tone(4))()


def rates(*kinds: tuple[str, ...]) -> Content:
    """Three seconds each, one after the other, as MP3."""
    return joined(*(ffmpeg(f"rate{'-'.join(how)}.mp3", *how, of=tone(3)) for how in kinds))


def segments() -> bytes:
    """A transport stream whose sound changes rate and channels midway, as at an advertisement."""
    shapes = (("-ar", "44100", "-ac", "1"), ("-ar", "48000", "-ac", "2", "-output_ts_offset", "3"))
    return joined(*(ffmpeg(f"s{how[1]}.ts", "-c:a", "mp2", *how, of=tone(3)) for how in shapes))()


def hours_of_silence(hours: int, *, rate: int = 8000) -> bytes:
    """Some 10 KB for each of them."""
    source = f"anullsrc=r={rate}:cl=mono:d={hours * 3600}"
    how = ("-f", "lavfi", "-i", source, "-c:a", "flac", "-frame_size", "32768")
    return made(f"table-{hours}-hours.flac", *how).read_bytes()


def cenc() -> bytes:
    scheme = (
        "-encryption_scheme",
        "cenc-aes-ctr",
        "-encryption_key",
        "01" * 16,
        "-encryption_kid",
        "02" * 16,
    )
    return ffmpeg("cenc.mp4", "-c:a", "aac", *scheme)()


FORTY_HOURS = 40 * 3600
wav, mp3, m4a, mkv, ogg, flac, webm = (
    file(partial(clip, name)) for name in ("wav", "mp3", "m4a", "mkv", "ogg", "flac", "webm")
)
front = ffmpeg("front.m4a", "-c:a", "aac", "-movflags", "+faststart")
telephone = ffmpeg("telephone.wav", "-c:a", "pcm_alaw", "-ar", "8000")
minute = ffmpeg("minute.flac", of=tone(60))
picture = ffmpeg("picture.png", "-frames:v", "1", of=mute_film("mp4"))


def streaminfo(samples: int) -> bytes:
    """The 36 bits of a FLAC header for so many samples, with the four of its 16 bits before them."""
    return struct.pack(">Q", 15 << 36 | samples)[3:]


# What comes of it ---------------------------------------------------------------------------------

FLAC = "flac 16 kHz mono"
NO_MEDIA = "failed: undecodable"


@dataclass(frozen=True)
class Row:
    """A file, and what comes of it: sent as it is where that can be, and decoded."""

    content: Content
    as_it_is: str
    decoded: str


def both(content: Content, outcome: str) -> Row:
    return Row(content, outcome, outcome)


WHOLE = f"{FLAC} 8 s"
ROWS: Mapping[str, Row] = {
    # Containers and codecs.
    **{f"film.{name}": both(file(partial(film, name)), WHOLE) for name in ("mp4", "mkv", "mov", "avi")},
    **{f"film.{name}": both(file(partial(film, name)), WHOLE) for name in ("mpeg", "ts", "ogv")},
    "alac.caf": both(ffmpeg("alac.caf", "-c:a", "alac"), WHOLE),
    "wavpack.wv": both(ffmpeg("wavpack.wv"), WHOLE),
    "windows.wma": both(ffmpeg("windows.wma", "-c:a", "wmav2"), WHOLE),
    "24 bits.w64": both(ffmpeg("24.w64", "-c:a", "pcm_s24le"), WHOLE),
    "dts.mka": both(ffmpeg("dts.mka", "-c:a", "dca", "-strict", "-2", "-ar", "48000"), WHOLE),
    "a-law.wav": Row(telephone, "wav 8 kHz mono 8 s", WHOLE),
    "mu-law.wav": Row(ffmpeg("mu.wav", "-c:a", "pcm_mulaw", "-ar", "8000"), "wav 8 kHz mono 8 s", WHOLE),
    "studio.wav": both(ffmpeg("studio.wav", "-c:a", "pcm_s24le", "-ar", "96000", "-ac", "2"), WHOLE),
    "surround.mkv": both(ffmpeg("surround.mkv", "-c:a", "ac3", "-ar", "48000", "-ac", "6"), WHOLE),
    "surround.m4a": Row(ffmpeg("5.1.m4a", "-c:a", "aac", "-ac", "6"), "m4a 22 kHz 5.1 8 s", WHOLE),
    "sound only.mp4": Row(ffmpeg("only.mp4", "-c:a", "aac"), "m4a 22 kHz mono 8 s", WHOLE),
    "cover.mp3": Row(covered("cover.mp3"), "mp3 22 kHz mono 8 s", WHOLE),
    "cover.m4a": Row(covered("cover.m4a"), "m4a 22 kHz mono 8 s", WHOLE),
    "cover.flac": Row(covered("cover.flac"), "flac 22 kHz mono 8 s", WHOLE),
    "vbr without a header.mp3": Row(
        ffmpeg("vbr.mp3", "-q:a", "4", "-write_xing", "0", "-id3v2_version", "0"),
        "mp3 22 kHz mono 8 s",
        WHOLE,
    ),
    # Time lines.
    "two tracks.mkv": both(two_tracks, f"{FLAC} 4 s"),
    "sound from 3 s on.mkv": both(late, f"{FLAC} 5 s"),
    "rate that changes.mp3": Row(
        rates(("-ar", "44100"), ("-ar", "22050", "-ac", "2")),
        "mp3 22 kHz stereo 6 s",
        f"{FLAC} 6 s; broken_packets; format_changed",
    ),
    "rate that changes.ts": both(segments, f"{FLAC} 6 s; format_changed"),
    "three days apart.mka": both(far_apart, f"{FLAC} 4 s; clock_jumped; shorter_than_said"),
    # Cut off.
    "cut.wav": Row(cut(wav), "wav 22 kHz mono 4 s", f"{FLAC} 4 s"),
    "cut.mp3": Row(cut(mp3), "mp3 22 kHz mono 4 s", f"{FLAC} 4 s"),
    "cut.flac": Row(cut(flac, 0.6), "flac 22 kHz mono 4 s", f"{FLAC} 4 s; broken_packets"),
    "cut.ogg": Row(cut(ogg), "ogg 22 kHz mono 3 s", f"{FLAC} 3 s"),
    "cut.mkv": both(cut(mkv, 0.55), f"{FLAC} 4 s"),
    "cut with its index in front.m4a": Row(
        cut(front, 0.58), "m4a 22 kHz mono 4 s", f"{FLAC} 4 s; broken_packets"
    ),
    "cut with its index behind.m4a": both(cut(m4a), NO_MEDIA),
    "cut.ts": both(cut(file(partial(film, "ts"))), f"{FLAC} 4 s"),
    # Padded.
    "zeros behind.mp3": Row(
        padded(mp3, after=bytes(100_000)), "mp3 22 kHz mono 8 s", f"{WHOLE}; broken_packets"
    ),
    "a megabyte of tags.mp3": both(padded(mp3, before=b"ID3\4\0\0\0\x40\0\0" + bytes(1 << 20)), WHOLE),
    "text behind.wav": Row(padded(wav, after=b"a text" * 9999), "wav 22 kHz mono 8 s", WHOLE),
    "text behind.m4a": Row(padded(m4a, after=b"a text" * 9999), "m4a 22 kHz mono 8 s", WHOLE),
    # Broken in the middle: where time stamps tell of it, silence stands there.
    "broken.mkv": both(broken(mkv), f"{WHOLE}; broken_packets"),
    "broken.mp3": Row(broken(mp3), "mp3 22 kHz mono 7 s", f"{FLAC} 7 s; broken_packets"),
    "broken.flac": Row(broken(flac), "flac 22 kHz mono 7 s", f"{WHOLE}; broken_packets"),
    "broken.m4a": Row(broken(m4a), "m4a 22 kHz mono 7 s", f"{WHOLE}; broken_packets"),
    "broken.ogg": Row(broken(ogg), "ogg 22 kHz mono 6 s", f"{WHOLE}; broken_packets"),
    # Not what the name says.
    "mp3.wav": Row(ffmpeg("really.mp3"), "mp3 22 kHz mono 8 s", WHOLE),
    "film.mp3": both(padded(file(partial(film, "mkv")), after=bytes(1)), WHOLE),
    "picture.mp3": both(picture, NO_MEDIA),
    "picture of a series%03d.mp3": both(padded(picture, after=bytes(1)), NO_MEDIA),
    "text.mp4": both(lambda: b"Dear diary, this is no sound at all.\n" * 200, NO_MEDIA),
    "page.mp3": both(lambda: b"<!doctype html><title>404</title>", NO_MEDIA),
    "archive.m4a": both(lambda: b"PK\x03\x04" + bytes(5_000), NO_MEDIA),
    # Nothing to hear.
    "no samples.wav": both(cut(wav, 0.0002), NO_MEDIA),
    "no frames.flac": both(cut(flac, 0.001), NO_MEDIA),
    "mute.mkv": both(file(partial(mute_film, "mkv")), "failed: no_audio"),
    "silence.wav": Row(file(partial(silence, 10)), "wav 16 kHz mono 10 s", "nothing sent; nothing_heard"),
    "three hours of silence.flac": both(partial(hours_of_silence, 3), "nothing sent; nothing_heard"),
    "fifty hours of silence.flac": both(partial(hours_of_silence, 50, rate=1000), "failed: too_much_audio"),
    # Headers that lie.
    "forty hours by its header.wav": Row(
        patched(telephone, b"data", struct.pack("<I", FORTY_HOURS * 8000), at=4), "wav 8 kHz mono 8 s", WHOLE
    ),
    "forty hours by its header.flac": both(
        patched(minute, b"fLaC", streaminfo(FORTY_HOURS * 16_000), at=21), f"{FLAC} 60 s; shorter_than_said"
    ),
    "weeks by its header.flac": both(
        patched(minute, b"fLaC", streaminfo(2**36 - 1), at=21), f"{FLAC} 60 s; shorter_than_said"
    ),
    # Not to be decoded.
    "encrypted.m4a": both(cenc, "failed: drm"),
    "bought.m4a": both(broken(patched(m4a, b"mp4a", b"drms"), begin=0.01, end=0.9), "failed: drm"),
    "unknown codec.mkv": both(patched(mkv, b"A_AAC", b"A_XYZ"), "failed: unknown_codec"),
}

# Files that name others; {} is a pipe beside the inbox, which a reader would hang on, or a server's address.
SCRIPTS: Mapping[str, str] = {
    "cc.mp3": "ffconcat version 1.0\nfile '{}'\n",
    "hls.mp3": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n",
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "list.mp3": "[playlist]\nFile1={}\nNumberOfEntries=1\n",
    "sdp.mp3": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={}\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "address.mp3": "{}",
    "subfile.mp3": "subfile,,start,0,end,0,,:{}",
}
TARGETS = ("neighbour.mp3", "pipe", "address")
NAMES = (*ROWS, *(f"{target} by {script}" for script in SCRIPTS for target in TARGETS))


def listen(request: Request) -> Behaviour:
    """Say what was heard, or refuse as a server does that cannot decode it."""
    assert len(request.head) == request.size, "the endpoint kept too little of the file"
    seconds = 0.0
    try:
        with av.open(io.BytesIO(request.head), "r") as container:
            context = container.streams.audio[0].codec_context
            for packet in container.demux(audio=0):
                try:
                    seconds += sum(frame.samples / frame.sample_rate for frame in packet.decode())
                except av.FFmpegError:
                    continue
    except (av.FFmpegError, IndexError):
        seconds = 0.0
    if not seconds:
        return error(400, "The audio file could not be decoded or its format is not supported.")
    name = request.filename.rpartition(".")[2]
    layout = "mono" if context.channels == 1 else context.layout.name
    text = f"{name} {context.sample_rate // 1000} kHz {layout} {seconds:.0f} s"
    body = {"segments": [{"start": 0.0, "end": seconds, "text": text}], "duration": seconds, "text": text}
    return Respond(body=json.dumps(body).encode())


@dataclass(frozen=True)
class Outcome:
    """What came of one file in one inbox, in how many seconds of work and waiting for others."""

    told: str
    seconds: float
    report: Any


@dataclass(frozen=True)
class Table:
    """What came of all, by inbox and name; and the most memory that the daemon and any worker had."""

    outcomes: Mapping[tuple[str, str], Outcome]
    daemon: int
    worker: int
    called: bool


def settings(home: Path, endpoint: LocalEndpoint) -> dict[str, Any]:
    content = configuration(home, endpoint=endpoint)
    here, (folder,) = content["endpoints"].pop("here"), content.pop("folders")
    content["folders"] = []
    for name, upload in INBOXES.items():
        # Each with a model of its own, since what is known of a content serves all that ask the same model.
        content["endpoints"][name] = here | {"upload": upload, "model": name}
        paths = {key: str(home / name / key) for key in ("inbox", "done", "failed")}
        named = {"name": name, "endpoint": name, "formats": ["txt"], "sidecar_name": "{name}"}
        content["folders"].append(folder | paths | named)
    return content


def fill(home: Path, address: str) -> None:
    os.mkfifo(home / "pipe")
    for name in INBOXES:
        for folder in ("inbox", "done", "failed"):
            (home / name / folder).mkdir(parents=True)
        inbox = home / name / "inbox"
        os.mkfifo(inbox / "neighbour.mp3")
        for kind, row in ROWS.items():
            (inbox / kind).write_bytes(row.content())
        for kind, script in SCRIPTS.items():
            for target, written in zip(TARGETS, ("neighbour.mp3", home / "pipe", address), strict=True):
                (inbox / f"{target} by {kind}").write_text(script.format(written))


def outcome(daemon: RunningDaemon, inbox: str, name: str) -> Outcome:
    at = {"inbox": inbox, "file": name}
    (ended,) = (*daemon.found("job.done", **at), *daemon.found("job.failed", **at))
    began = datetime.fromisoformat(daemon.found("job.started", **at)[0]["timestamp"])
    seconds = (datetime.fromisoformat(ended["timestamp"]) - began).total_seconds()
    final = daemon.found("delivery.planned", **at)[-1]["name"]  # both inboxes at once: one may be numbered
    if ended["event"] == "job.failed":
        report = json.loads((daemon.home / inbox / "failed" / f"{final}.error.json").read_text())
        return Outcome(f"failed: {ended['fault']}", seconds, report)
    text = (daemon.home / inbox / "done" / f"{final}.txt").read_text()
    return Outcome("; ".join([" ".join(text.split()) or "nothing sent", *ended["warnings"]]), seconds, None)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    home = tmp_path_factory.mktemp("table")
    files = [(inbox, name) for inbox in INBOXES for name in NAMES]
    with LocalEndpoint(kept=25_000_000) as endpoint, socket.create_server(("127.0.0.1", 0)) as server:
        endpoint.always(listen)
        fill(home, f"http://127.0.0.1:{server.getsockname()[1]}/x")
        daemon = RunningDaemon(home, settings(home, endpoint), key=endpoint.key)
        daemon.start()
        memory = Memory(daemon.pid)
        with memory.watched():
            ended = ("job.done", "job.failed")
            wait_until(lambda: sum(len(daemon.found(event)) for event in ended) >= len(files), timeout=150)
        assert daemon.stop() == 0
        outcomes = {at: outcome(daemon, *at) for at in files}
        assert not endpoint.violations
        assert not daemon.noise
        called, _, _ = select.select([server], [], [], 0)
    return Table(outcomes, memory.daemon, memory.worker, bool(called))


@pytest.mark.parametrize("inbox", INBOXES)
@pytest.mark.parametrize("name", ROWS)
def test_each_file_comes_to_what_the_table_says(table: Table, name: str, inbox: str) -> None:
    row = ROWS[name]
    assert table.outcomes[inbox, name].told == (row.as_it_is if inbox == "as it is" else row.decoded)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_file_that_names_others_is_no_media(table: Table, script: str) -> None:
    told = {table.outcomes[inbox, f"{target} by {script}"].told for inbox in INBOXES for target in TARGETS}
    assert told == {NO_MEDIA}


def test_nothing_is_opened_or_called_that_a_file_names(table: Table) -> None:
    """A reader of the pipes would have hung, and its file with it."""
    assert not table.called


def test_each_failure_is_reported_with_what_to_do(table: Table) -> None:
    reports = [one.report for one in table.outcomes.values() if one.told.startswith("failed")]
    assert all(report["fault"]["message"] and report["fault"]["hint"] for report in reports)
    assert len(reports) > len(SCRIPTS) * len(TARGETS) * len(INBOXES)


def test_neither_time_nor_memory_goes_with_what_a_file_holds(table: Table) -> None:
    for name in NAMES:
        ways = [table.outcomes[inbox, name] for inbox in INBOXES]
        print(f"{name:34}", *(f"{way.told:36} {way.seconds:4.1f} s " for way in ways))
    print(f"daemon {table.daemon / MB:.0f} MB, worker {table.worker / MB:.0f} MB")
    assert max(one.seconds for one in table.outcomes.values()) < LONGEST
    assert table.worker < WORKER_AT_MOST
