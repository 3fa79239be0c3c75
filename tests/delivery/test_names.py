"""The names of a delivery: free, short enough, and recognisable."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watcherd.config.kinds import Format
from watcherd.delivery import names
from watcherd.delivery.names import (
    LONGEST,
    Existing,
    kept_report,
    plan,
    plan_beside,
    sidecar_names,
    usual_names,
)
from watcherd.job import Outcome, Plan

ALL = ("srt", "vtt", "txt")


def done(path: bytes, *taken: bytes, formats: tuple[str, ...] = ALL, sidecar_name: str = "{stem}") -> Plan:
    return plan(path=path, outcome=Outcome.DONE, formats=formats, taken=set(taken), sidecar_name=sidecar_name)


def failed(path: bytes, *taken: bytes) -> Plan:
    return plan(path=path, outcome=Outcome.FAILED, formats=("report",), taken=set(taken))


def chosen(plan: Plan) -> list[bytes]:
    return [plan.original, *(sidecar.name for sidecar in plan.sidecars)]


pieces = st.one_of(
    st.binary(min_size=1, max_size=300).filter(
        lambda name: not {b"/", b"\0"} & {bytes([byte]) for byte in name}
    ),
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1).map(
        str.encode
    ),
    st.sampled_from(
        [b"talk", b"talk (2)", b"-rf", b"a.b", b"." * 3, "é".encode() * 126, "😀".encode() * 64, b"x" * 255]
    ),
)
file_names = st.builds(
    lambda stem, extension: (stem + extension)[-LONGEST:],
    pieces,
    st.sampled_from([b"", b".mp3", b".srt", b".MP3", b".error.json"]),
).filter(lambda name: name not in {b".", b".."})


formats_ = st.lists(st.sampled_from([*get_args(Format), "m4a"]), max_size=4)
patterns = st.sampled_from(
    ["{stem}", "{name}", "{stem}.{lang}", "{name}.{lang}", "x{stem}", "x" * 100 + "{name}", "{lang}{stem}é"]
)


@given(file_names, st.sampled_from(Outcome), formats_, patterns, st.data())
def test_names_are_free_unique_short_and_keep_the_extension(
    name: bytes, outcome: Outcome, formats: list[str], pattern: str, data: st.DataObject
) -> None:
    taken: set[bytes] = set()
    for _ in range(4):
        plan_ = plan(path=b"sub/" + name, outcome=outcome, formats=formats, taken=taken, sidecar_name=pattern)
        found = chosen(plan_)
        assert len(set(found)) == len(found)
        assert not taken & set(found)
        assert all(0 < len(one) <= LONGEST and b"/" not in one for one in found)
        assert names.split(plan_.original)[1] == names.split(name)[1]
        assert plan_.folder == b"sub"
        taken |= data.draw(st.sets(st.sampled_from(found), min_size=1))


@given(
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=80, max_size=255)
)
def test_a_shortened_name_is_still_utf8(stem: str) -> None:
    name = stem.encode()[:251].decode(errors="ignore").encode()
    for one in chosen(done(name + b".ts", name + b".ts")):
        one.decode()


def test_sidecars_stand_beside_the_original_in_the_mirrored_folder() -> None:
    plan_ = done(b"a/b/talk.mp3")
    assert plan_.folder == b"a/b"
    assert chosen(plan_) == [b"talk.mp3", b"talk.srt", b"talk.vtt", b"talk.txt"]
    assert [sidecar.format for sidecar in plan_.sidecars] == ["srt", "vtt", "txt"]
    assert done(b"talk.mp3").folder == b""


def test_a_report_stands_beside_a_failed_original() -> None:
    plan_ = failed(b"sub/talk.mp3")
    assert chosen(plan_) == [b"talk.mp3", b"talk.mp3.error.json"]
    assert plan_.sidecars[0].format == "report"
    assert names.report_name(b"talk.mp3") == b"talk.mp3.error.json"


@pytest.mark.parametrize("taken", [b"talk.mp3", b"talk.srt", b"talk.txt"])
def test_one_taken_name_numbers_them_all(taken: bytes) -> None:
    assert chosen(done(b"talk.mp3", taken)) == [
        b"talk (2).mp3",
        b"talk (2).srt",
        b"talk (2).vtt",
        b"talk (2).txt",
    ]


def test_numbers_go_on_until_all_are_free() -> None:
    plan_ = done(b"talk.mp3", b"talk.srt", b"talk (2).mp3", b"talk (3).txt")
    assert plan_.original == b"talk (4).mp3"
    assert chosen(failed(b"talk.mp3", b"talk.mp3.error.json")) == [
        b"talk (2).mp3",
        b"talk (2).mp3.error.json",
    ]


def test_two_originals_of_one_stem_get_their_own_subtitles() -> None:
    first = done(b"talk.wav")
    assert chosen(done(b"talk.mp3", *chosen(first)))[:2] == [b"talk (2).mp3", b"talk (2).srt"]


def test_names_that_differ_in_case_or_normal_form_are_different() -> None:
    assert done(b"talk.mp3", b"Talk.mp3", b"TALK.SRT").original == b"talk.mp3"
    assert done("é.mp3".encode(), "e\u0301.mp3".encode()).original == "é.mp3".encode()


def test_a_long_name_is_shortened_with_its_sidecars_between_characters() -> None:
    stem = "é".encode() * 126
    plan_ = done(stem + b".ts")
    assert plan_.original == "é".encode() * 125 + b".ts"
    assert plan_.sidecars[0].name == "é".encode() * 125 + b".srt"
    assert chosen(done(stem + b".ts", *chosen(plan_)))[0] == "é".encode() * 123 + b" (2).ts"


def test_a_name_that_just_fits_is_kept() -> None:
    assert done(b"x" * 251 + b".mp3").original == b"x" * 251 + b".mp3"
    assert failed(b"x" * 240 + b".mp3").original == b"x" * 240 + b".mp3"
    assert failed(b"x" * 241 + b".mp3").original == b"x" * 240 + b".mp3"


def test_bytes_that_are_no_utf8_are_cut_where_they_must_be() -> None:
    plan_ = failed(b"\xbf" * 251 + b".mp3")
    assert plan_.original == b"\xbf" * 240 + b".mp3"
    assert chosen(done(b"-\xff\n'.mp3"))[:2] == [b"-\xff\n'.mp3", b"-\xff\n'.srt"]


@pytest.mark.parametrize(
    ("name", "stem", "extension"),
    [
        (b"talk.mp3", b"talk", b".mp3"),
        (b"a.b.MP3", b"a.b", b".MP3"),
        (b"talk..mp3", b"talk.", b".mp3"),
        (b"Dr. Smith, Monday", b"Dr. Smith, Monday", b""),
        (b"talk.", b"talk.", b""),
        (b".mp3", b".mp3", b""),
        (b"x." + b"y" * 17, b"x." + b"y" * 17, b""),
    ],
)
def test_only_a_short_plain_word_is_an_extension(name: bytes, stem: bytes, extension: bytes) -> None:
    assert names.split(name) == (stem, extension)


def test_an_original_never_stands_in_the_place_of_its_own_sidecar() -> None:
    assert chosen(done(b"talk.srt", formats=("srt", "vtt"))) == [
        b"talk.srt",
        b"talk.srt.srt",
        b"talk.srt.vtt",
    ]


@pytest.mark.parametrize(
    ("pattern", "name", "base"),
    [
        ("{stem}", b"talk.mp3", b"talk"),
        ("{stem}.en", b"talk.mkv", b"talk.en"),
        ("{name}.{lang}", b"a.b.mkv", b"a.b.mkv.en"),
        ("{name}", b"talk", b"talk"),
        ("{lang}-{stem}", b"\xff.ts", b"en-\xff"),
    ],
)
def test_a_sidecar_is_called_by_the_folders_pattern_and_its_format(
    pattern: str, name: bytes, base: bytes
) -> None:
    plan_ = done(name, formats=("srt", "lrc", "json", "podcast-json"), sidecar_name=pattern)
    assert chosen(plan_) == [name, *(base + end for end in (b".srt", b".lrc", b".whisper.json", b".json"))]
    assert [one.format for one in plan_.sidecars] == ["srt", "lrc", "json", "podcast-json"]


def test_a_stem_that_looks_like_a_placeholder_is_a_stem() -> None:
    assert done(b"{name}{lang}.mp3", sidecar_name="{stem}.{lang}").sidecars[0].name == b"{name}{lang}.en.srt"


def test_sidecars_of_a_pattern_are_numbered_with_their_original() -> None:
    assert chosen(done(b"talk.mkv", b"talk.en.vtt", sidecar_name="{stem}.en"))[:2] == [
        b"talk (2).mkv",
        b"talk (2).en.srt",
    ]
    assert chosen(done(b"talk.mkv", b"talk.srt", sidecar_name="{stem}.en"))[0] == b"talk.mkv"
    assert chosen(done(b"talk.mkv", b"talk.mkv", sidecar_name="{name}"))[:2] == [
        b"talk (2).mkv",
        b"talk (2).mkv.srt",
    ]


def test_a_long_name_is_shortened_until_the_longest_sidecar_fits() -> None:
    plan_ = done(b"x" * 251 + b".mkv", formats=("srt", "json"), sidecar_name="{name}.{lang}")
    assert len(plan_.sidecars[1].name) == LONGEST
    assert plan_.original == b"x" * 235 + b".mkv"


def test_a_failed_originals_report_is_called_as_ever() -> None:
    plan_ = plan(
        path=b"talk.mp3", outcome=Outcome.FAILED, formats=("report",), taken=(), sidecar_name="{stem}.en"
    )
    assert chosen(plan_) == [b"talk.mp3", b"talk.mp3.error.json"]


# Beside an original that stays ---------------------------------------------------------------------


def beside(
    path: bytes, *taken: bytes, existing: Existing = "skip", ours: tuple[bytes, ...] = ()
) -> list[bytes]:
    plan_ = plan_beside(
        path=path,
        formats=("srt", "vtt"),
        sidecar_name="{stem}",
        existing=existing,
        taken={path.rpartition(b"/")[2], *taken},
        ours=set(ours),
    )
    return [sidecar.name for sidecar in plan_.sidecars]


@given(file_names, formats_, patterns)
@example(b"x" * 247 + b".m4a", ["srt"], "{stem}.{lang}")
@example(b"talk.m4a", ["m4a", "srt"], "{stem}")
@example(b"{name}.mp3", ["srt"], "{stem}")
def test_the_quick_way_gives_the_names_of_the_same_sidecars(
    name: bytes, formats: list[str], pattern: str
) -> None:
    found = sidecar_names(name, formats=formats, sidecar_name=pattern)
    quick = usual_names(name, formats=tuple(formats), sidecar_name=pattern)
    assert quick == tuple(sidecar.name for sidecar in found)


@given(file_names, formats_, patterns)
def test_sidecars_of_a_file_that_stays_are_short_unique_and_never_the_file_itself(
    name: bytes, formats: list[str], pattern: str
) -> None:
    formats = list(dict.fromkeys(formats))
    found = sidecar_names(name, formats=formats, sidecar_name=pattern)
    named = {sidecar.name for sidecar in found}
    assert [sidecar.format for sidecar in found] == formats
    assert len(named) == len(found)
    assert name not in named
    assert all(0 < len(one) <= LONGEST and b"/" not in one for one in named)
    if (
        plan(path=name, outcome=Outcome.DONE, formats=formats, taken=(), sidecar_name=pattern).original
        == name
    ):
        assert chosen(done(name, formats=tuple(formats), sidecar_name=pattern)) == [
            name,
            *(sidecar.name for sidecar in found),
        ]


@pytest.mark.parametrize("name", [b"x" * 242 + b".whisper.json", b"x" * 234 + b".whisper.json.whisper.json"])
def test_a_file_that_stays_is_not_its_own_sidecar_even_where_names_are_shortened(name: bytes) -> None:
    (sidecar,) = sidecar_names(name, formats=("json",), sidecar_name="{stem}")
    assert sidecar.name != name


def test_a_plan_beside_a_file_leaves_it_where_it_is() -> None:
    plan_ = plan_beside(
        path=b"a/b/talk.mp3",
        formats=("srt", "json"),
        sidecar_name="{stem}.en",
        existing="skip",
        taken=(),
        ours=(),
    )
    assert (plan_.outcome, plan_.folder, plan_.original, plan_.stays) == (
        Outcome.DONE,
        b"a/b",
        b"talk.mp3",
        True,
    )
    assert [(one.name, one.format) for one in plan_.sidecars] == [
        (b"talk.en.srt", "srt"),
        (b"talk.en.whisper.json", "json"),
    ]


def test_skip_leaves_out_what_is_there() -> None:
    assert beside(b"talk.mp3") == [b"talk.srt", b"talk.vtt"]
    assert beside(b"talk.mp3", b"talk.srt", ours=(b"talk.srt",)) == [b"talk.vtt"]
    assert beside(b"talk.mp3", b"talk.srt", b"talk.vtt") == []


def test_overwrite_takes_the_place_of_ours_only() -> None:
    there = (b"talk.srt", b"talk.vtt")
    assert beside(b"sub/talk.mp3", *there, existing="overwrite", ours=(b"talk.vtt",)) == [b"talk.vtt"]
    assert beside(b"talk.mp3", *there, existing="overwrite") == []
    assert beside(b"talk.mp3", b"talk.srt", existing="overwrite") == [b"talk.vtt"]


def test_keep_both_numbers_all_sidecars_together() -> None:
    assert beside(b"talk.mp3", existing="keep-both") == [b"talk.srt", b"talk.vtt"]
    assert beside(b"talk.mp3", b"talk.vtt", existing="keep-both") == [b"talk (2).srt", b"talk (2).vtt"]
    taken = (b"talk.srt", b"talk (2).vtt", b"talk (3).srt")
    assert beside(b"talk.mp3", *taken, existing="keep-both", ours=taken) == [b"talk (4).srt", b"talk (4).vtt"]


def test_a_report_about_a_file_that_stays_is_told_apart_by_its_job() -> None:
    assert kept_report(b"a/b/talk.mp3", 17) == b"talk.mp3.17.error.json"
    long = kept_report("é".encode() * 125 + b".mp3", 17)
    assert len(long) <= LONGEST
    assert long.decode().endswith("é.17.error.json")
