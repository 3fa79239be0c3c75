"""The bundled clip in other containers through the embedded endpoint: lossless ones change no word of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import watcherd.whisper
from tests.audio import film, made, need_tools
from tests.running import RunningDaemon, configuration

pytestmark = [pytest.mark.slow, need_tools]

DEMO = Path(watcherd.whisper.__path__[0]) / "demo.flac"

# By name, so that no two names share a stem: `ffmpeg -i demo.flac` and these.
LOSSLESS: Mapping[str, tuple[str, ...]] = {
    "wav.wav": (),
    "wav of 24 bits.wav": ("-c:a", "pcm_s24le"),
    "rf64.wav": ("-rf64", "always"),
    "flac in ogg.oga": ("-c:a", "flac", "-f", "ogg"),
    "alac.m4a": ("-c:a", "alac"),
    "flac in mkv.mkv": ("-c:a", "flac"),
    "pcm in mkv.mka": ("-c:a", "pcm_s16le"),
    "pcm in mov.mov": ("-c:a", "pcm_s16le"),
    "aiff.aiff": (),
    "caf.caf": ("-c:a", "pcm_s16le"),
    "w64.w64": (),
    "au.au": ("-c:a", "pcm_s16be"),
    "wavpack.wv": (),
}
LOSSY: Mapping[str, tuple[str, ...]] = {
    "mp3.mp3": ("-c:a", "libmp3lame", "-b:a", "64k"),
    "aac.m4a": ("-c:a", "aac", "-b:a", "64k"),
    "vorbis.ogg": ("-c:a", "libvorbis"),
    "opus.opus": ("-c:a", "libopus", "-b:a", "32k"),
    "speex.spx": ("-c:a", "libspeex", "-ar", "16000"),
    "wma.wma": ("-c:a", "wmav2"),
    "ac3 in mkv.mkv": ("-c:a", "ac3", "-ar", "48000"),
    "mp3 in flv.flv": ("-c:a", "libmp3lame"),
    "a-law of a telephone.wav": ("-c:a", "pcm_alaw", "-ar", "8000"),
}
FILMS = ("mp4", "mpeg")  # aac, and mp2 in a program stream


def test_the_clip_keeps_its_words_in_any_container(tmp_path: Path) -> None:
    lossless = {name: made(name, "-i", str(DEMO), *how) for name, how in LOSSLESS.items()}
    lossy = {name: made(name, "-i", str(DEMO), *how) for name, how in LOSSY.items()}
    lossy |= {f"film.{container}": film(container) for container in FILMS}
    files = {"demo.flac": DEMO} | lossless | lossy
    with RunningDaemon(tmp_path, configuration(tmp_path)) as daemon:
        for name, path in files.items():
            daemon.drop(path, name)
        for name in files:
            daemon.event("job.done", file=name, timeout=170)
        texts = {name: (daemon.done / name).with_suffix(".txt").read_text().strip() for name in files}
        assert len(daemon.found("part.translated")) == len(files)
    print("\n".join(f"{name:22} {text}" for name, text in texts.items()))
    assert re.search("Wolfgang.*Germany", texts["demo.flac"])
    assert {name: texts[name] for name in lossless} == dict.fromkeys(lossless, texts["demo.flac"])
    assert [name for name in lossy if not re.search("Wolfgang.*Germany", texts[name], re.DOTALL)] == []
