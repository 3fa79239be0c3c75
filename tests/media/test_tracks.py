"""The track that is wished for is found by number or language, and a wrong wish is told what there is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from watcherd.faults import FaultError, Scope
from watcherd.media.findings import Probe, Track
from watcherd.media.tracks import choose_track


def track(
    index: int, language: str | None = None, *, default: bool = False, codec: str = "aac", rate: int = 48000
) -> Track:
    return Track(index=index, codec=codec, rate=rate, channels=2, default=default, language=language)


def probe(*tracks: Track) -> Probe:
    return Probe(container="matroska,webm", duration=60, tracks=tracks, video=True)


FILM = probe(
    track(1, "eng"), track(2, "ger", default=True), track(3, "fre"), track(4, "fra", default=True), track(5)
)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("default", 2),
        (3, 3),
        ("en", 1),
        ("EN-gb", 1),
        ("de", 2),
        ("deu", 2),
        ("ger", 2),
        (["ja", "de"], 2),
        (["fr"], 4),
        (("jpn", "eng"), 1),
    ],
)
def test_the_wished_track_is_taken(wanted: str | int | Sequence[str], index: int) -> None:
    assert choose_track(FILM, wanted).index == index


def test_without_a_mark_the_first_that_can_be_decoded_is_the_default() -> None:
    silent, strange = track(1, rate=0), track(2, codec="unknown")
    assert choose_track(probe(silent, strange, track(3), track(4)), "default").index == 3


@pytest.mark.parametrize("wanted", [0, 7, "ja", ["ja", "ko"], "und", "xx"])
def test_a_wish_that_nothing_fits_is_told_what_there_is(wanted: str | int | Sequence[str]) -> None:
    with pytest.raises(FaultError) as caught:
        choose_track(FILM, wanted)
    fault = caught.value.fault
    assert (fault.scope, fault.code) == (Scope.FILE, "no_such_track")
    assert "1 (eng, aac, 2 channels); 2 (ger, aac, 2 channels, default)" in fault.message
    assert "5 (no language, aac, 2 channels)" in fault.message


@pytest.mark.parametrize("wanted", ["default", 1, "de"])
def test_a_file_without_sound_has_no_audio(wanted: str | int) -> None:
    with pytest.raises(FaultError, match="no_audio"):
        choose_track(probe(), wanted)
