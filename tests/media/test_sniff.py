"""A file's first bytes tell its container; chance, text and short reads are never mistaken for one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests import audio
from watcherd.media.findings import Probe, Track
from watcherd.media.frames import mpeg_audio
from watcherd.media.head import read_head
from watcherd.media.sniff import (
    HEAD_BYTES,
    Container,
    is_encrypted,
    refine,
    sniff,
    tag_length,
    upload_name,
)

CLIPS = {
    "flac": Container.FLAC,
    "mp3": Container.MP3,
    "mpeg": Container.MP3,
    "mpga": Container.MP3,
    "mp4": Container.MP4,
    "m4a": Container.M4A,
    "ogg": Container.OGG,
    "opus": Container.OGG,
    "wav": Container.WAV,
    "webm": Container.WEBM,
    "aac": Container.AAC,
    "mkv": Container.MATROSKA,
}
FILMS = {
    "mp4": Container.MP4,
    "mov": Container.MP4,
    "mkv": Container.MATROSKA,
    "avi": Container.AVI,
    "mpeg": Container.MPEG_PS,
    "ts": Container.MPEG_TS,
    "ogv": Container.OGG_VIDEO,
}
OTHERS = {
    "ac3": Container.AC3,
    "aiff": Container.AIFF,
    "au": Container.AU,
    "caf": Container.CAF,
    "dts": Container.DTS,
    "eac3": Container.EAC3,
    "flv": Container.FLV,
    "mp2": Container.MP2,
    "oga": Container.OGG,
    "rf64.wav": Container.WAV,
    "spx": Container.OGG,
    "tta": Container.TTA,
    "voc": Container.VOC,
    "w64": Container.W64,
    "wma": Container.ASF,
    "wv": Container.WAVPACK,
    "m2ts": Container.MPEG_TS,
    "m4b": Container.M4A,
}
_EXTRA = {
    "dts": ("-strict", "-2", "-ar", "48000"),
    "rf64.wav": ("-rf64", "always"),
    "m2ts": ("-mpegts_m2ts_mode", "1"),
    "m4b": ("-f", "ipod"),
    "flv": ("-ar", "22050"),
    "aiff": ("-write_id3v2", "1", "-metadata", "title=T"),
}


def _other(extension: str) -> Path:
    return audio.made(
        f"other.{extension}",
        "-i",
        str(audio.clip("wav")),
        "-t",
        "1",
        *_EXTRA.get(extension, ()),
        "-strict",
        "-2",
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return read_head(file.fileno())


def _samples() -> list[tuple[Path, Container]]:
    clips = [(audio.clip(name), container) for name, container in CLIPS.items()]
    films = [(audio.film(name), container) for name, container in FILMS.items()]
    return clips + films + [(_other(name), container) for name, container in OTHERS.items()]


@audio.need_tools
@pytest.mark.parametrize(("name", "container"), CLIPS.items())
def test_every_clip_is_told_by_its_bytes(name: str, container: Container) -> None:
    assert sniff(_head(audio.clip(name))) is container


@audio.need_tools
@pytest.mark.parametrize(("name", "container"), FILMS.items())
def test_every_film_is_told_by_its_bytes(name: str, container: Container) -> None:
    assert sniff(_head(audio.film(name))) is container


@audio.need_tools
@pytest.mark.parametrize(("name", "container"), OTHERS.items())
def test_other_formats_are_told_by_their_bytes(name: str, container: Container) -> None:
    assert sniff(_head(_other(name))) is container


@audio.need_tools
def test_a_shorter_head_says_the_same_or_nothing() -> None:
    for path, container in _samples():
        head = _head(path)
        for length in [*range(600), 1000, 2000, 5000, 20_000]:
            assert sniff(head[:length]) in {container, None}, (path.name, length)


LOW, MIDDLE, HIGH = (8000, 11025, 12000), (16000, 22050, 24000), (32000, 44100, 48000)
BARE = {
    "mp3": (Container.MP3, "libmp3lame", LOW + MIDDLE + HIGH),
    "mp2": (Container.MP2, "mp2", MIDDLE + HIGH),
    "ac3": (Container.AC3, "ac3", HIGH),
    "eac3": (Container.EAC3, "eac3", HIGH),
    "adts": (Container.AAC, "aac", LOW + MIDDLE + HIGH),
}


@audio.need_tools
@pytest.mark.parametrize(("shape", "rate"), [(shape, rate) for shape in BARE for rate in BARE[shape][2]])
def test_bare_frames_of_any_rate_are_told(shape: str, rate: int) -> None:
    container, codec, _ = BARE[shape]
    bare = ("-id3v2_version", "0", "-write_xing", "0") if shape == "mp3" else ()
    arguments = ("-i", str(audio.clip("wav")), "-t", "1", "-ar", str(rate), "-c:a", codec, "-f", shape, *bare)
    assert sniff(_head(audio.made(f"bare-{rate}.{shape}", *arguments))) is container


@audio.need_tools
@pytest.mark.parametrize("junk", [b"\x00" * 1000, b"\xff" * 300, b"\xff\xfb\x90\x00half a frame"])
def test_an_mp3_may_begin_with_padding_or_half_a_frame(junk: bytes) -> None:
    assert sniff(junk + audio.clip("mp3").read_bytes()[tag_length(_raw("mp3")) :]) is Container.MP3


def _raw(name: str) -> bytes:
    return audio.clip(name).read_bytes()


def _id3(size: int) -> bytes:
    lengths = bytes((size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127))
    return b"ID3\x04\x00\x00" + lengths + b"\x00" * size


@audio.need_tools
@pytest.mark.parametrize("size", [0, 100, 60_000, 65_526, 65_536, 900_000])
@pytest.mark.parametrize("name", ["flac", "mp3", "aac"])
def test_an_id3_tag_of_any_size_hides_nothing(name: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "tagged"
    path.write_bytes(_id3(size) + _id3(size) + _raw(name))
    assert sniff(_head(path)) is CLIPS[name]


@audio.need_tools
def test_a_short_id3_tag_may_be_in_the_head() -> None:
    assert sniff(_id3(1000) + _raw("flac")) is Container.FLAC


@audio.need_tools
def test_one_whole_frame_may_be_the_whole_file() -> None:
    bare = audio.made(
        "bare.mp3", "-i", str(audio.tone(1)), "-id3v2_version", "0", "-write_xing", "0"
    ).read_bytes()
    frame = mpeg_audio(bare, 0)
    assert frame is not None
    assert sniff(bare[: frame.length]) is Container.MP3
    assert sniff(bare[: frame.length - 1]) is None


@audio.need_tools
def test_reading_the_head_leaves_the_descriptors_offset_alone() -> None:
    with audio.clip("mp3").open("rb", buffering=0) as file:
        file.seek(77)
        assert len(read_head(file.fileno())) == HEAD_BYTES or file.seek(0, 2) < HEAD_BYTES + 77
        file.seek(77)
        read_head(file.fileno())
        assert file.tell() == 77


def test_a_head_that_is_all_tag_is_taken_for_mp3() -> None:
    assert sniff(_id3(100_000)[:HEAD_BYTES]) is Container.MP3


def test_a_tag_with_a_footer_is_ten_bytes_longer() -> None:
    assert tag_length(b"ID3\x04\x00\x10\x00\x00\x01\x00") == 10 + 128 + 10


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"I",
        b"ID3",
        b"ID3\xff\x00\x00\x00\x00\x00\x01",
        b"ID3\x04\x00\x00\x80\x00\x00\x00",
        b"ID4\x04" + b"\0" * 6,
    ],
)
def test_what_is_no_id3_tag_has_no_length(head: bytes) -> None:
    assert tag_length(head) == 0


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00" * 5000,
        b"\xff" * 5000,
        b"<!DOCTYPE html><html>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"#EXTM3U\n#EXTINF:10,\nfile.ts\n",
        b"ffconcat version 1.0\nfile n.mp3\n",
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        b"FORM\x00\x00\x00\x10ILBM",
        b"OggS\x00\x02" + b"\x00" * 40,
        b"\x1aE\xdf\xa3\x80\x42\x82\x84what",
        b"\x00\x00\x00\x02moov",
        "Ein Text als UTF-16, wie Windows ihn schreibt".encode("utf-16"),
    ],
)
def test_what_is_no_media_is_nothing(head: bytes) -> None:
    assert sniff(head) is None


def test_random_bytes_are_nothing() -> None:
    draw = random.Random(20)
    assert {sniff(draw.randbytes(20_000)) for _ in range(100)} == {None}


@given(st.binary(max_size=4000))
@example(b"OggS\x00\x02" + b"\x00" * 20 + b"\xff" * 5)
@example(b"\x1aE\xdf\xa3\x42\x82\xff")
@example(b"ID3\x04\x00\x00\x00\x00\x00\x00")
def test_any_bytes_have_a_verdict(head: bytes) -> None:
    assert sniff(head) is None or isinstance(sniff(head), Container)
    assert tag_length(head) >= 0


_MAGICS = [
    b"OggS",
    b"\x1aE\xdf\xa3",
    b"RIFF",
    b"FORM",
    b"ID3",
    b"ftyp",
    b"\xff\xfb\x90",
    b"\xff\xf1\x50",
    b"\x0b\x77",
    b"G",
]


@given(st.lists(st.sampled_from(_MAGICS) | st.binary(max_size=40), max_size=60))
def test_any_mixture_of_magic_has_a_verdict(pieces: list[bytes]) -> None:
    head = b"".join(pieces)
    assert sniff(head) is None or isinstance(sniff(head), Container)


@given(st.text(max_size=3000), st.sampled_from(["utf-8", "utf-16", "utf-16-be", "utf-32"]))
def test_text_is_never_sent_as_it_is(text: str, encoding: str) -> None:
    container = sniff(text.encode(encoding, "surrogatepass"))
    assert container is None or upload_name(container) is None


def test_only_five_names_are_ever_uploaded() -> None:
    names = {container: upload_name(container) for container in Container}
    assert {container: name for container, name in names.items() if name} == {
        Container.FLAC: ("audio.flac", "audio/flac"),
        Container.MP3: ("audio.mp3", "audio/mpeg"),
        Container.OGG: ("audio.ogg", "audio/ogg"),
        Container.WAV: ("audio.wav", "audio/wav"),
        Container.M4A: ("audio.m4a", "audio/mp4"),
    }


def _probe(*codecs: str, video: bool = False) -> Probe:
    tracks = tuple(
        Track(index=index, codec=codec, rate=44100, channels=2, default=index == 0, language=None)
        for index, codec in enumerate(codecs)
    )
    return Probe(container="mov,mp4,m4a,3gp,3g2,mj2", duration=1.0, tracks=tracks, video=video)


@pytest.mark.parametrize(
    ("container", "probe", "refined"),
    [
        (Container.MP4, _probe("aac"), Container.M4A),
        (Container.MP4, _probe("alac"), Container.M4A),
        (Container.MP4, _probe("aac", video=True), Container.MP4),
        (Container.MP4, _probe("aac", "aac"), Container.MP4),
        (Container.MP4, _probe("opus"), Container.MP4),
        (Container.MP4, _probe(), Container.MP4),
        (Container.MATROSKA, _probe("aac"), Container.MATROSKA),
    ],
)
def test_a_probe_makes_an_audio_only_mp4_an_m4a(
    container: Container, probe: Probe, refined: Container
) -> None:
    assert refine(container, probe) is refined


@audio.need_tools
@pytest.mark.parametrize("entry", [b"enca", b"drms", b"aavd"])
def test_a_protected_sample_entry_is_seen(entry: bytes) -> None:
    data = _raw("m4a")
    assert not is_encrypted(data)
    at = data.index(b"stsd") + 16
    assert data[at : at + 4] == b"mp4a"
    assert is_encrypted(data[:at] + entry + data[at + 4 :])


@audio.need_tools
@pytest.mark.parametrize("guid", ["fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c"])
def test_a_protected_asf_is_seen(guid: str) -> None:
    data = _head(_other("wma"))
    assert not is_encrypted(data)
    assert is_encrypted(data[:30] + bytes.fromhex(guid) + data[30:])
