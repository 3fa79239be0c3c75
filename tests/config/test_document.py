"""YAML as it was written: lines, texts, and what is refused before any meaning is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.said import read, said
from watcherd.config.document import compose
from watcherd.config.problems import Problem

QUOTE = "a text that begins with * must be quoted, and aliases are not supported; put the text in quotes"
SECOND = 'a second ": " in one line, or wrong indentation; put the text in quotes or line up the keys'
FOLDERS = "folders: [{inbox: /srv/in}]\n"


def test_nodes_carry_their_dotted_key_and_the_line_of_the_key() -> None:
    root = compose("a:\n  - b: 1\n    c:\n      d\n", [])
    assert root is not None
    first = root.entries["a"].value
    assert isinstance(first, tuple)
    assert (first[0].entries["c"].key, first[0].entries["c"].line) == ("a[0].c", 3)


def test_scalars_stay_texts_and_only_a_bare_null_is_nothing() -> None:
    root = compose("[10:30, 0660, no, 1.0, 2024-01-01, null, ~, 'null', '']", [])
    assert root is not None
    assert root.plain() == ["10:30", "0660", "no", "1.0", "2024-01-01", None, None, "null", ""]


@given(text=st.text(max_size=200))
def test_no_text_makes_the_composer_raise(text: str) -> None:
    problems: list[Problem] = []
    compose(text, problems)
    assert all(problem.line is None or problem.line >= 1 for problem in problems)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("folders:\n\t- inbox: /a\n", ["2: a tab; indent and separate with spaces"]),
        (
            "folders:\n  - inbox: /a\n\tsettle: 5s\n \texclude: []\n",
            ["3: a tab; indent and separate with spaces", "4: a tab; indent and separate with spaces"],
        ),
        ("state:\t/srv\n", ["1: a tab; indent and separate with spaces"]),
        (
            FOLDERS + "state: a: b\n",
            [f"2: {SECOND}"],
        ),
        (
            "folders:\n  - inbox: /a\n    exclude: [*.tmp]\n",
            [f"3: {QUOTE}"],
        ),
        (
            "a: &x 1\nb: *x\n",
            [f"2: {QUOTE}"],
        ),
        ("\nstate: @x\n", ["2: a text cannot begin with this character; put the text in quotes"]),
        ("folders: [{inbox: /a}\n\n\n", ["1: a bracket that is never closed"]),
        ("\nstate: 'x\n\n\n", ["2: a quote that is never closed"]),
        (FOLDERS + "---\na: 1\n", ["2: a second document (---); a configuration is one document"]),
        (
            "folders:\n  - inbox: /a\n- inbox: /b\n",
            ["3: wrong indentation; line up the keys and the dashes that belong together"],
        ),
        ("log:\n  level: info\n  format\n", ['3: a key without its ": "']),
        ("a: 1\nb: \x01\n", ["2: a control character; remove it, or write it as an escape in double quotes"]),
        ('a: "\\q"\n', ["1: an unknown escape; use single quotes, or write \\\\ for a backslash"]),
    ],
)
def test_wrong_syntax_is_one_clear_problem_with_its_line(text: str, lines: list[str]) -> None:
    assert said(text) == lines


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    text = """\
    folders:
      - inbox: /srv/in
        settle: 5s
        prompt: x
        settle: 9s
    """
    assert said(text) == ["5: folders[0].settle: given twice; the first is in line 3; keep one of them"]


def test_a_tag_is_refused_rather_than_ignored() -> None:
    message = "tags (words that begin with !) have no meaning here; write the value itself"
    assert said(FOLDERS + "state: !env STATE\n") == [f"2: state: {message}"]
    assert said(FOLDERS + "state: !!python/name:os.system x\n") == [f"2: state: {message}"]


def test_a_key_that_is_no_word_is_refused() -> None:
    assert said(FOLDERS + "? [a]\n: b\n") == ["2: a key must be a single word"]


def test_json_is_yaml_with_its_escapes_for_large_characters() -> None:
    (folder,) = read(json.dumps({"folders": [{"inbox": "/srv/😀 é"}]})).folders
    assert str(folder.inbox) == "/srv/😀 é"


@pytest.mark.parametrize(
    ("escape", "place"), [("\\ud83d", "1: state: "), ("\\UFFFFFFFF", ""), ("\\U00110000", "")]
)
def test_an_escape_that_is_no_character_is_refused(escape: str, place: str) -> None:
    message = "an escape in double quotes that stands for no character"
    assert said(f'state: "{escape}"\n{FOLDERS}') == [f"{place}{message}"]


def test_a_bottomless_nesting_is_refused() -> None:
    assert said("[" * 3000) == ["nested too deeply for a configuration"]
