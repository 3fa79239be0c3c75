from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from watcherd.inbox import scan
from watcherd.inbox.accept import MARKER, Rules
from watcherd.inbox.reconcile import Listing
from watcherd.inbox.scan import Walk
from watcherd.inbox.touch import identity_of, open_root
from watcherd.job import Identity


@pytest.fixture
def root(inbox: Path) -> Iterator[int]:
    descriptor = open_root(inbox)
    yield descriptor
    os.close(descriptor)


def walked(root: int, rules: Rules | None = None) -> list[Listing]:
    walk, listings = Walk(root, rules or Rules()), []
    while step := walk.step():
        listings += step
    return listings


def found(listings: list[Listing]) -> list[bytes]:
    return [file.path for listing in listings for file in listing.files]


def fill(inbox: Path, *paths: str) -> None:
    for path in paths:
        (inbox / path).parent.mkdir(parents=True, exist_ok=True)
        (inbox / path).write_bytes(b"sound")


def test_the_tree_is_walked_folder_by_folder_with_names_in_order(inbox: Path, root: int) -> None:
    fill(inbox, "b.mp3", "a.mp3", "two/c.wav", "one/deep/e.ogg", "one/d.flac", "one/notes.txt")
    (inbox / "empty").mkdir()
    listings = walked(root)
    assert [listing.folder for listing in listings] == [b"", b"empty", b"one", b"one/deep", b"two"]
    assert found(listings) == [b"a.mp3", b"b.mp3", b"one/d.flac", b"one/deep/e.ogg", b"two/c.wav"]
    assert [listing.ignored for listing in listings] == [0, 0, 1, 0, 0]


def test_each_file_comes_with_its_identity(inbox: Path, root: int) -> None:
    fill(inbox, "one/a.mp3")
    (file,) = walked(root)[1].files
    assert file.identity == identity_of((inbox / "one/a.mp3").stat())


def test_hidden_and_own_folders_are_not_even_opened(inbox: Path, root: int) -> None:
    fill(inbox, ".hidden/a.mp3", "done/b.mp3", "@eaDir/c.mp3", "sub/d.mp3")
    listings = walked(root, Rules(own=(b"done",)))
    assert [listing.folder for listing in listings] == [b"", b"sub"]


def test_without_recursion_only_the_root_is_listed(inbox: Path, root: int) -> None:
    fill(inbox, "a.mp3", "sub/b.mp3")
    assert found(walked(root, Rules(recursive=False))) == [b"a.mp3"]


def test_links_are_followed_nowhere(inbox: Path, root: int, tmp_path: Path) -> None:
    fill(tmp_path, "outside/a.mp3")
    (inbox / "folder").symlink_to(tmp_path / "outside")
    (inbox / "file.mp3").symlink_to(tmp_path / "outside/a.mp3")
    (inbox / "loop").symlink_to(inbox)
    assert walked(root) == [Listing(folder=b"", ignored=3)]


def test_only_plain_files_are_found(inbox: Path, root: int) -> None:
    (inbox / "folder.mp3").mkdir()
    os.mkfifo(inbox / "fifo.mp3")
    fill(inbox, "folder.mp3/inner.mp3")
    assert found(walked(root)) == [b"folder.mp3/inner.mp3"]


def test_names_are_bytes(inbox: Path, root: int) -> None:
    names = [b"caf\xe9\xff.mp3", b"a\nb.mp3", b"x" * 251 + b".mp3"]
    for name in names:
        os.close(os.open(os.fsencode(inbox) + b"/" + name, os.O_CREAT | os.O_WRONLY))
    assert found(walked(root)) == sorted(names)


def test_a_partial_file_beside_it_marks_a_file_as_held(inbox: Path, root: int) -> None:
    fill(inbox, "a.mp3", "a.mp3.aria2", "b.mp3", "c.mp3.part")
    assert [(file.path, file.held) for file in walked(root)[0].files] == [(b"a.mp3", True), (b"b.mp3", False)]


def test_only_media_are_looked_at(inbox: Path, root: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(inbox, "a.mp3", *(f"{number}.jpg" for number in range(50)))
    looked: list[os.stat_result] = []

    def noting(status: os.stat_result) -> Identity:
        looked.append(status)
        return identity_of(status)

    monkeypatch.setattr(scan, "identity_of", noting)
    walked(root)
    assert len(looked) == 1


def test_a_walk_hands_over_what_it_has_after_some_names(
    inbox: Path, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(inbox, *(f"{folder}/{number}.mp3" for folder in "abcd" for number in range(5)))
    monkeypatch.setattr(scan, "BATCH", 10)
    walk = Walk(root, Rules())
    sizes = []
    while step := walk.step():
        sizes.append(len(step))
    assert sizes == [3, 2]


def test_a_folder_that_goes_during_the_walk_is_empty(
    inbox: Path, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(inbox, "one/a.mp3")
    monkeypatch.setattr(scan, "BATCH", 1)
    walk = Walk(root, Rules())
    walk.step()
    (inbox / "one/a.mp3").unlink()
    (inbox / "one").rmdir()
    assert walk.step() == [Listing(folder=b"one")]


def test_a_folder_that_becomes_a_link_is_not_entered(
    inbox: Path, root: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "outside/a.mp3")
    (inbox / "one").mkdir()
    monkeypatch.setattr(scan, "BATCH", 1)
    walk = Walk(root, Rules())
    walk.step()
    (inbox / "one").rmdir()
    (inbox / "one").symlink_to(tmp_path / "outside")
    assert walk.step() == [Listing(folder=b"one")]


def test_twenty_thousand_ignored_files_cost_little(inbox: Path, root: int) -> None:
    for folder in range(20):
        (inbox / str(folder)).mkdir()
        for number in range(1000):
            os.close(os.open(inbox / str(folder) / f"picture {number}.jpg", os.O_CREAT | os.O_WRONLY))
    began = time.process_time()
    listings = walked(root)
    spent = time.process_time() - began
    assert sum(listing.ignored for listing in listings) == 20_000
    assert spent < 0.3, "more than half a percent of a core at one scan a minute"


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_folder_with_a_marker_is_left_alone_with_all_below(
    inbox: Path, root: int, make: Callable[[Path], None]
) -> None:
    fill(inbox, "a.mp3", "marked/b.mp3", "marked/deep/c.mp3", "other/d.mp3")
    make(inbox / "marked" / MARKER.decode())
    listings = walked(root)
    assert found(listings) == [b"a.mp3", b"other/d.mp3"]
    assert [listing.folder for listing in listings] == [b"", b"marked", b"other"]
    assert listings[1] == Listing(folder=b"marked", marked=True)


def test_a_marker_in_the_inbox_itself_stops_it_whole(inbox: Path, root: int) -> None:
    fill(inbox, "a.mp3", "sub/b.mp3", ".watcherdignore")
    assert walked(root) == [Listing(folder=b"", marked=True)]


def test_what_is_covered_by_its_sidecars_counts_as_ignored(inbox: Path, root: int) -> None:
    fill(inbox, "x/a.mkv", "x/a.srt", "x/a.vtt", "x/b.mkv", "x/b.srt", "x/c.mkv", "b.vtt")
    (listing,) = (one for one in walked(root, Rules(formats=("srt", "vtt"))) if one.folder)
    assert found([listing]) == [b"x/b.mkv", b"x/c.mkv"]
    assert listing.ignored == 4
    assert found(walked(root)) == [b"x/a.mkv", b"x/b.mkv", b"x/c.mkv"]
