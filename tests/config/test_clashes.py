"""Folders that would get in each other's way."""

from __future__ import annotations

import threading
from pathlib import Path
from textwrap import dedent

import pytest

from tests.config.said import read, said
from watcherd.config import clashes


def test_two_folders_with_one_inbox() -> None:
    text = """\
    folders:
      - {inbox: /srv/in, name: a}
      - {inbox: /srv/./in/, name: b}
    """
    assert said(text) == ['3: folders[1].inbox: "/srv/./in/": folders[0].inbox is the same folder; keep one']


def test_two_names_of_one_inbox_are_seen_through_links(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    text = f"folders:\n  - inbox: {tmp_path}/in\n  - inbox: {tmp_path}/link\n"
    assert said(text) == [
        f'3: folders[1].inbox: "{tmp_path}/link": folders[0].inbox is the same folder; keep one'
    ]
    assert read(text.replace("link", "other")).folders[1].inbox == tmp_path / "other"


def test_an_inbox_inside_a_watched_tree() -> None:
    text = """\
    folders:
      - inbox: /srv/in/podcasts
      - inbox: /srv/in
    """
    lies = (
        "lies inside folders[1].inbox, whose whole tree is watched; move it, or write recursive: false there"
    )
    assert said(text) == [f'2: folders[0].inbox: "/srv/in/podcasts": {lies}']


def test_an_inbox_below_one_that_is_not_watched_as_a_tree_is_fine() -> None:
    read("folders: [{inbox: /srv/in, recursive: false}, {inbox: /srv/in/podcasts}]")


def test_a_neighbour_with_a_similar_name_is_not_inside() -> None:
    read("folders: [{inbox: /srv/in}, {inbox: /srv/in2}]")


@pytest.mark.parametrize("key", ["done", "failed"])
def test_an_inbox_that_is_its_own_target(key: str) -> None:
    text = f"folders:\n  - inbox: /srv/in\n    {key}: /srv/in\n"
    this = f"this is the inbox itself; write another folder for {key}"
    assert said(text) == [f'3: folders[0].{key}: "/srv/in": {this}']


def test_an_inbox_that_is_its_own_target_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "done").symlink_to(".")
    text = f"folders:\n  - inbox: {tmp_path}\n"
    assert said(text) == [
        f'2: folders[0].done: "{tmp_path}/done": this is the inbox itself; write another folder for done'
    ]


@pytest.mark.parametrize("key", ["done", "failed"])
@pytest.mark.parametrize("inbox", ["/srv/out", "/srv/out/b"])
def test_an_inbox_inside_anothers_target(key: str, inbox: str) -> None:
    text = f"folders:\n  - {{inbox: /srv/a, {key}: /srv/out}}\n  - inbox: {inbox}\n"
    lies = f"lies inside folders[0].{key}: what is delivered there would arrive here; move one of them"
    assert said(text) == [f'3: folders[1].inbox: "{inbox}": {lies}']


def test_a_target_inside_anothers_watched_tree() -> None:
    text = "folders:\n  - inbox: /srv/a\n  - {inbox: /srv/b, done: /srv/a/from-b}\n"
    lies = "lies inside folders[0].inbox: what is delivered here would arrive there; move one of them"
    assert said(text) == [f'3: folders[1].done: "/srv/a/from-b": {lies}']
    read(text.replace("/srv/a\n", "/srv/a\n    recursive: false\n"))


def test_a_target_from_the_defaults_is_blamed_there() -> None:
    lines = said("defaults:\n  done: /srv/a\nfolders:\n  - inbox: /srv/a\n")
    assert lines == ['2: defaults.done: "/srv/a": this is the inbox itself; write another folder for done']


def test_two_folders_of_one_name() -> None:
    text = """\
    folders:
      - inbox: /srv/a/in
      - inbox: /srv/b/in
      - {inbox: /srv/c, name: in}
    """
    has = "folders[0] has this name, too; give this one another name"
    assert said(text) == [
        f'3: folders[1].name: "in": {has}',
        f'4: folders[2].name: "in": {has}',
        f'4: folders[2].name: "in": {has.replace("folders[0]", "folders[1]")}',
    ]


@pytest.mark.parametrize(
    "text",
    [
        "folders: [{inbox: /srv/in, done: /srv/out, failed: /srv/out}]",
        "folders: [{inbox: /srv/out/new, done: /srv/out}]",
        "defaults: {done: /srv/done, failed: /srv/failed}\nfolders: [{inbox: /srv/a}, {inbox: /srv/b}]",
        "folders: [{inbox: /srv/a}, {inbox: /srv/b, done: /srv/a/done}]",
    ],
)
def test_what_is_allowed(text: str) -> None:
    read(text)


def test_clashes_are_found_beside_other_mistakes_of_the_same_folder() -> None:
    text = """\
    folders:
      - inbox: /srv/in
        settle: 5
      - inbox: /srv/in/below
        temperature: 3
    """
    assert [line.split(": ")[1] for line in said(dedent(text))] == [
        "folders[0].settle",
        "folders[1].inbox",
        "folders[1].temperature",
    ]


def test_storage_that_does_not_answer_does_not_hold_up_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    answered: list[Path] = []

    def hang(path: Path) -> str:
        released.wait(30)
        answered.append(path)
        return str(path)

    monkeypatch.setattr(clashes, "_PATIENCE", 0.05)
    monkeypatch.setattr("os.path.realpath", hang)
    try:
        lines = said("folders:\n  - {inbox: /srv/in, done: /srv/in}\n")
        assert not answered
    finally:
        released.set()
    assert lines == ['2: folders[0].done: "/srv/in": this is the inbox itself; write another folder for done']


def test_a_folder_whose_files_stay_has_neither_done_nor_failed() -> None:
    config = read(
        """\
    folders:
      - {inbox: /films, name: films, after: keep}
      - {inbox: /films/done, name: finished, recursive: false}
      - {inbox: /tv, name: tv, after: keep, done: /tv, failed: /films/failed}
    """.replace("inbox: /films,", "inbox: /films, recursive: false,")
    )
    assert [folder.stays for folder in config.folders] == [True, False, True]


def test_folders_whose_files_stay_clash_by_their_inboxes() -> None:
    text = """\
    folders:
      - {inbox: /films, after: keep}
      - {inbox: /films/new, after: keep, name: 7}
      - {inbox: /in, done: /films/old}
    """
    whole = "whose whole tree is watched; move it, or write recursive: false there"
    arrive = "what is delivered here would arrive there; move one of them"
    assert said(text) == [
        f'3: folders[1].inbox: "/films/new": lies inside folders[0].inbox, {whole}',
        f'4: folders[2].done: "/films/old": lies inside folders[0].inbox: {arrive}',
    ]


def test_a_mistake_elsewhere_does_not_make_a_folder_move_its_files() -> None:
    text = """\
    folders:
      - {inbox: /films, done: /films, after: keep, settle: 0s}
    """
    assert len(said(text)) == 1
