"""Media made worse: small real files of every container and a seed in, files that no decoder expects out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.audio import made

_SECOND = ("-f", "lavfi", "-i", "sine=frequency=300:sample_rate=16000:duration=1.2")
_PICTURES = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1.2")
_SOUND = {
    "wav": ("pcm_s16le",),
    "flac": ("flac",),
    "mp3": ("libmp3lame",),
    "m4a": ("aac",),
    "m4b": ("alac", "-f", "ipod"),
    "ogg": ("libvorbis",),
    "opus": ("libopus",),
    "oga": ("flac", "-f", "ogg"),
    "webm": ("libopus",),
    "mka": ("libvorbis",),
    "aac": ("aac", "-f", "adts"),
    "aiff": ("pcm_s16be",),
    "wma": ("wmav2",),
    "ac3": ("ac3",),
    "mp2": ("mp2",),
    "caf": ("pcm_s16be",),
    "au": ("pcm_mulaw",),
    "wv": ("wavpack",),
}
_FILMS = {
    "mp4": ("mpeg4", "aac"),
    "mov": ("mpeg4", "pcm_s16le"),
    "mkv": ("mpeg4", "libmp3lame"),
    "avi": ("mpeg4", "libmp3lame"),
    "ts": ("mpeg2video", "mp2"),
    "mpg": ("mpeg2video", "mp2", "-r", "25"),
    "flv": ("flv", "libmp3lame", "-ar", "22050"),
    "3gp": ("mpeg4", "aac", "-ar", "16000"),
    "wmv": ("wmv2", "wmav2"),
}
_LISTS = (
    "ffconcat version 1.0\nfile '{0}'\n",
    "ffconcat version 1.0\nfile 'file:{0}'\nfile 'subfile,,start,0,end,99999,,:{0}'\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.2,\n{0}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.2,\nfile://{0}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n{0}\n",
    "[playlist]\nFile1={0}\nNumberOfEntries=1\nVersion=2\n",
    '<MPD type="static"><Period><Representation><BaseURL>{0}</BaseURL></Representation></Period></MPD>\n',
    "SDP\nv=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    "<smil><body><audio src='{0}'/></body></smil>\n",
    "[Reference]\nRef1={0}\n",
)
_EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One file: `list_of` says that it is a list of other files, with no sound of its own."""

    name: str
    content: bytes
    is_list: bool


def mutants(count: int, *, seed: int, neighbour: Path) -> Iterator[Mutant]:
    """So many mutants; one in twenty is a list that names `neighbour`."""
    chance = random.Random(seed)
    whole = originals()
    extensions = sorted(whole)
    for number in range(count):
        extension = chance.choice(extensions)
        if number % 20 == 0:
            text = chance.choice(_LISTS).format(neighbour)
            yield Mutant(f"{number:04} list.{extension}", text.encode(), is_list=True)
            continue
        mutation = chance.choice(_MUTATIONS)
        content = mutation(whole[extension], chance)
        kind = mutation.__name__.strip("_")
        if content and chance.random() < 0.1:  # twice is worse
            content = chance.choice(_MUTATIONS)(content, chance)
        if chance.random() < 0.1:
            extension = chance.choice(extensions)
        yield Mutant(f"{number:04} {kind}.{extension}", content or b"\0", is_list=False)


def originals() -> dict[str, bytes]:
    """A second of sound in every container, by extension."""
    found = {}
    for extension, (codec, *more) in _SOUND.items():
        found[extension] = made(f"small.{extension}", *_SECOND, "-c:a", codec, *more).read_bytes()
    for extension, (video, sound, *more) in _FILMS.items():
        codecs = ("-c:v", video, "-c:a", sound, *more)
        found[extension] = made(f"small.{extension}", *_PICTURES, *_SECOND, *codecs).read_bytes()
    return found


def _cut_off(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _beheaded(content: bytes, chance: random.Random) -> bytes:
    return content[chance.randrange(len(content)) :]


def _flipped(content: bytes, chance: random.Random) -> bytes:
    """Single bits here and there, more of them in the headers."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 3, 10, 100))):
        at = chance.randrange(min(len(found), chance.choice((64, 1024, len(found)))))
        found[at] ^= 1 << chance.randrange(8)
    return bytes(found)


def _extreme_fields(content: bytes, chance: random.Random) -> bytes:
    """Sizes, counts and times that no file has."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randrange(min(len(found), chance.choice((128, 2048, len(found)))))
        found[at : at + 4] = chance.choice(_EXTREMES)
    return bytes(found)


def _extreme_end(content: bytes, chance: random.Random) -> bytes:
    """The same where a movie has its index."""
    turned = _extreme_fields(content[::-1], chance)
    return turned[::-1]


def _repeated(content: bytes, chance: random.Random) -> bytes:
    start, end = sorted((chance.randrange(len(content)), chance.randrange(len(content) + 1)))
    return content[:end] + content[start:end] * chance.choice((1, 2, 20)) + content[end:]


def _holed(content: bytes, chance: random.Random) -> bytes:
    start, end = sorted((chance.randrange(len(content)), chance.randrange(len(content) + 1)))
    return content[:start] + content[end:]


def _shuffled(content: bytes, chance: random.Random) -> bytes:
    size = chance.choice((16, 188, 512, 4096))
    blocks = [content[at : at + size] for at in range(0, len(content), size)]
    chance.shuffle(blocks)
    return b"".join(blocks)


def _blanked(content: bytes, chance: random.Random) -> bytes:
    start, end = sorted((chance.randrange(len(content)), chance.randrange(len(content) + 1)))
    return content[:start] + bytes(end - start) + content[end:]


def _padded(content: bytes, chance: random.Random) -> bytes:
    zeros = bytes(chance.choice((1, 512, 70_000)))
    return zeros + content if chance.random() < 0.5 else content + zeros


def _joined(content: bytes, chance: random.Random) -> bytes:
    """Two files of different containers, one behind the other."""
    other = chance.choice(sorted(originals().items()))[1]
    return content + other if chance.random() < 0.5 else other[: len(other) // 2] + content


def _grafted(content: bytes, chance: random.Random) -> bytes:
    """The head of one container on the body of another."""
    other = chance.choice(sorted(originals().items()))[1]
    at = chance.choice((4, 12, 64, 500))
    return content[:at] + other[at:]


def _noise(content: bytes, chance: random.Random) -> bytes:
    """Random bytes, behind a true beginning or none."""
    return content[: chance.choice((0, 4, 16, 200))] + chance.randbytes(chance.choice((1, 100, 20_000)))


def _tagged(content: bytes, chance: random.Random) -> bytes:
    """ID3 tags whose size is a lie, perhaps many."""
    size = bytes(chance.randrange(128) for _ in range(4))
    return (b"ID3\x04\x00" + bytes([chance.randrange(256)]) + size) * chance.choice((1, 3, 50)) + content


_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flipped,
    _extreme_fields,
    _cut_off,
    _beheaded,
    _flipped,
    _extreme_fields,
    _extreme_end,
    _repeated,
    _holed,
    _shuffled,
    _blanked,
    _padded,
    _joined,
    _grafted,
    _noise,
    _tagged,
)
