from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from watcherd import place
from watcherd.place import Place


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a/done in it, and one elsewhere with a done of its own."""
    (tmp_path / "a" / "done").mkdir(parents=True)
    (tmp_path / "elsewhere" / "done").mkdir(parents=True)
    return tmp_path


@pytest.fixture(autouse=True, params=["at once", "step by step"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With openat2, and as on a kernel that has no such call."""
    if request.param == "step by step":
        monkeypatch.setattr(place, "_OPENAT2", 100_000)


def led_to(one: Place) -> Path:
    """Where a place leads: its descriptor's real path, which must be what it says itself."""
    descriptor = one.open()
    try:
        assert os.path.samestat(os.fstat(descriptor), os.stat(one.real))
        assert not os.get_inheritable(descriptor)
        return Path(os.fsdecode(one.real))
    finally:
        os.close(descriptor)


def replace(path: Path, target: Path | str) -> None:
    """Put a link in the place of a folder or of a link."""
    if path.is_symlink():
        path.unlink()
    else:
        path.rename(path.with_name(path.name + " was here"))
    path.symlink_to(target)


def assert_refused(one: Place, link: Path) -> None:
    with pytest.raises(OSError, match=f"{re.escape(str(link))} is a link") as raised:
        one.open()
    assert raised.value.errno == errno.ELOOP
    assert raised.value.filename == str(one.path)


def test_a_folder_is_opened_whatever_stands_in_it(home: Path) -> None:
    assert led_to(Place(home / "a" / "done")) == home / "a" / "done"
    assert led_to(Place(Path("/"))) == Path("/")


@pytest.mark.parametrize(
    "target",
    ["a", "./a/", "elsewhere/../a", "{home}/a", "{home}/elsewhere/../a", "nested"],
)
def test_links_that_stand_there_at_first_are_followed(home: Path, target: str) -> None:
    (home / "nested").symlink_to("a")
    (home / "link").symlink_to(target.format(home=home))
    one = Place(home / "link" / "done")
    for _ in range(2):
        assert led_to(one) == home / "a" / "done"


def test_one_link_may_be_passed_twice(home: Path) -> None:
    (home / "again").symlink_to(home)
    (home / "again" / "a" / "link").symlink_to(home / "again" / "elsewhere")
    assert led_to(Place(home / "again" / "a" / "link" / "done")) == home / "elsewhere" / "done"


@pytest.mark.parametrize("turned", ["a", "a/done"])
def test_a_folder_that_turned_into_a_link_is_refused_until_it_is_a_folder_again(
    home: Path, turned: str
) -> None:
    one = Place(home / "a" / "done")
    led_to(one)
    replace(home / turned, home / "elsewhere")
    for _ in range(2):
        assert_refused(one, home / turned)
    (home / turned).unlink()
    (home / f"{turned} was here").rename(home / turned)
    assert led_to(one) == home / "a" / "done"


def test_a_link_to_the_very_same_folder_is_refused_as_well(home: Path) -> None:
    one = Place(home / "a" / "done")
    led_to(one)
    replace(home / "a", home / "a was here")
    assert_refused(one, home / "a")


def test_a_dangling_link_in_a_folders_place_is_a_link(home: Path) -> None:
    one = Place(home / "a" / "done")
    led_to(one)
    replace(home / "a" / "done", "/nowhere")
    assert_refused(one, home / "a" / "done")


def test_the_users_own_link_may_lead_elsewhere_later(home: Path) -> None:
    (home / "link").symlink_to("a")
    one = Place(home / "link" / "done")
    assert led_to(one) == home / "a" / "done"
    replace(home / "link", "elsewhere")
    assert led_to(one) == home / "elsewhere" / "done"
    replace(home / "elsewhere" / "done", "/tmp")
    assert_refused(one, home / "elsewhere" / "done")


def test_what_was_missing_is_met_for_the_first_time_when_it_is_there(home: Path) -> None:
    one = Place(home / "link" / "done")
    with pytest.raises(FileNotFoundError) as raised:
        one.open()
    assert raised.value.filename == str(one.path)
    (home / "link").symlink_to("a")
    assert led_to(one) == home / "a" / "done"


def test_below_an_inbox_no_link_is_followed_even_at_first(home: Path) -> None:
    (home / "link").symlink_to("a")
    (home / "a" / "failed").symlink_to(home / "elsewhere")
    inbox = home / "link"
    assert led_to(Place(inbox / "done", bare=inbox)) == home / "a" / "done"
    assert_refused(Place(inbox / "failed", bare=inbox), home / "a" / "failed")
    assert led_to(Place(inbox / "failed", bare=home / "other")) == home / "elsewhere"
    assert_refused(Place(inbox / "failed" / "sub", bare=inbox).parent, home / "a" / "failed")


def test_links_in_a_circle_end(home: Path) -> None:
    (home / "one").symlink_to("two")
    (home / "two").symlink_to("one")
    with pytest.raises(OSError, match="is a link") as raised:
        Place(home / "one" / "done").open()
    assert raised.value.errno == errno.ELOOP


def test_a_file_in_a_folders_place_is_no_folder(home: Path) -> None:
    (home / "file").touch()
    for path in (home / "file", home / "file" / "done"):
        with pytest.raises(NotADirectoryError):
            Place(path).open()


def test_a_link_put_there_in_the_very_instant_is_not_followed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Place(home / "a" / "done")
    led_to(one)
    real: Callable[[int, bytes], bytes | None] = place._target

    def hurried(folder: int, name: bytes) -> bytes | None:
        found = real(folder, name)
        if name == b"done" and not (home / "a" / "done").is_symlink():
            replace(home / "a" / "done", home / "elsewhere")
        return found

    monkeypatch.setattr(place, "_target", hurried)
    monkeypatch.setattr(place, "_OPENAT2", 100_000)
    with pytest.raises(NotADirectoryError):
        one.open()


def test_no_descriptor_is_left_open(home: Path) -> None:
    (home / "link").symlink_to(home / "a")
    (home / "circle").symlink_to("circle")
    before = len(os.listdir("/proc/self/fd"))
    led_to(Place(home / "link" / "done"))
    for path in (home / "none" / "done", home / "circle"):
        with pytest.raises(OSError, match=r"is a link|No such"):
            Place(path).open()
    assert len(os.listdir("/proc/self/fd")) == before
