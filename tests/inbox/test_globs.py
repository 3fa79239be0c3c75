from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.inbox.globs import matches, names_extension

NAMES = st.text(alphabet="ab.[]!-^", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.wav", "a.wav", True),
        ("*.wav", "one/two/a.wav", True),
        ("*.wav", "REC0001.WAV", True),
        ("*.wav", "a.wave", False),
        ("/*.wav", "a.wav", True),
        ("/*.wav", "one/a.wav", False),
        ("one/*.wav", "one/a.wav", True),
        ("one/*.wav", "one/two/a.wav", False),
        ("one/*.wav", "two/one/a.wav", False),
        ("one/**", "one/two/a.wav", True),
        ("one/**", "one", False),
        ("one/**/a.wav", "one/a.wav", True),
        ("one/**/a.wav", "one/two/three/a.wav", True),
        ("**/two/*", "one/two/a.wav", True),
        ("drafts/", "x/drafts/a.wav", True),
        ("drafts/", "drafts.wav", False),
        ("x/drafts/", "x/drafts/deep/a.wav", True),
        ("take?.wav", "take1.wav", True),
        ("take?.wav", "take/.wav", False),
        ("take[0-9].wav", "take7.wav", True),
        ("take[!0-9].wav", "take7.wav", False),
        ("[a.wav", "[a.wav", True),
        ("[]]a", "]a", True),
        ("[z-a]", "m", False),
        ("a.wav", "axwav", False),
        ("a\n*.wav", "a\nb.wav", True),
        ("*\u00e9*", "caf\u00e9.wav", True),
        ("caf?.wav", "caf\u00e9.wav", True),
    ],
)
def test_patterns_mean_what_people_expect(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path.encode()) is expected


def test_names_that_are_no_utf8_match_too() -> None:
    assert matches("*.wav", b"caf\xe9.wav")


@given(name=NAMES, pattern=st.text(alphabet="ab.*?[]!-^&|~", max_size=8))
def test_within_one_name_a_pattern_does_what_fnmatch_does(name: str, pattern: str) -> None:
    assert matches("/" + pattern, name.encode()) is fnmatch.fnmatchcase(name, pattern)


@given(pattern=st.text(max_size=20), path=st.binary(max_size=20))
def test_no_pattern_and_no_path_is_too_strange(pattern: str, path: bytes) -> None:
    assert matches(pattern, path) in {True, False}


@given(path=st.binary(min_size=1).filter(lambda path: not path.startswith(b"/")))
def test_two_stars_match_everything(path: bytes) -> None:
    assert matches("**", path)


@pytest.mark.parametrize(("pattern", "expected"), [("*.dat", True), ("talks/**", False), ("a.b/*", False)])
def test_a_pattern_may_name_its_extension(pattern: str, expected: bool) -> None:
    assert names_extension(pattern) is expected
