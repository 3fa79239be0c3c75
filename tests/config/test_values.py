"""Durations, sizes, numbers, switches, paths and addresses from text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.config import values
from watcherd.config.values import Surroundings

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
FACTORS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
AROUND = Surroundings(environ={"HOME": "/home/ada", "MEDIA": "/srv/media"}, folder=Path("/etc/watcherd"))


@given(number=st.integers(min_value=0, max_value=10**9), unit=st.sampled_from(sorted(UNITS)))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert values.duration(f"{number}{unit}") == pytest.approx(number * UNITS[unit])


@given(tenths=st.integers(min_value=0, max_value=10**6), unit=st.sampled_from(sorted(UNITS)))
def test_a_duration_may_have_a_fraction(tenths: int, unit: str) -> None:
    assert values.duration(f"{tenths // 10}.{tenths % 10}{unit}") == pytest.approx(tenths / 10 * UNITS[unit])


@given(number=st.integers(min_value=0, max_value=10**6), unit=st.sampled_from(sorted(FACTORS)))
def test_a_size_is_its_number_times_its_unit_in_any_case(number: int, unit: str) -> None:
    for written in (f"{number}{unit}", f"{number}{unit.lower()}", f"{number} {unit.upper()}"):
        assert values.size(written) == number * FACTORS[unit]


def refusal(read: Callable[[str], object], text: str) -> str:
    try:
        value = read(text)
    except ValueError as error:
        return str(error)
    return f"read as {value}"


@given(text=st.text())
def test_any_other_text_is_refused_in_words(text: str) -> None:
    for read in (values.duration, values.size, values.whole, values.number, values.switch):
        assert refusal(read, text).startswith(("write ", "read as "))


@pytest.mark.parametrize(
    "text", ["5", "10:30", "0660", "", "s", "1h30m", "-2s", "1e3s", "1_0s", "٣s", "5 days", "nan"]
)
def test_a_number_in_disguise_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms, 2s, 10m or 24h"):
        values.duration(text)


@pytest.mark.parametrize("text", ["25", "25M", "0.3B", "-1MB", "1e6B", "", "٣MB", "1,000kB"])
def test_a_size_needs_a_known_unit_and_whole_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500kB, 25MB or 24MiB"):
        values.size(text)


@pytest.mark.parametrize("text", ["0660", "1_000", "0x10", "4.0", " 4", "four", "", "1" * 5000])
def test_a_whole_number_has_plain_digits_only(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        values.whole(text)


@pytest.mark.parametrize("text", ["", "-", ".", "1.", "nan", "inf", ".inf", "1e-1", "0,5", "007", "1_0"])
def test_a_number_has_plain_digits_only(text: str) -> None:
    with pytest.raises(ValueError, match="write a number"):
        values.number(text)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("0.2", 0.2), (".5", 0.5), ("-1", -1), ("1.0", 1)])
def test_numbers(text: str, number: float) -> None:
    assert values.number(text) == number


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "y", "1", "", "tRUE"])
def test_only_true_and_false_are_switches(text: str) -> None:
    assert values.switch("true") is True
    assert values.switch("False") is False
    with pytest.raises(ValueError, match="write true or false"):
        values.switch(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/srv/in", "/srv/in"),
        ("//srv//in/", "/srv/in"),
        ("~", "/home/ada"),
        ("~/in", "/home/ada/in"),
        ("${MEDIA}/in", "/srv/media/in"),
        ("/mnt${MEDIA}", "/mnt/srv/media"),
        ("in", "/etc/watcherd/in"),
        ("../in", "/etc/in"),
        ("a/~", "/etc/watcherd/a/~"),
        ("$MEDIA", "/etc/watcherd/$MEDIA"),
        ("~root/in", "/root/in"),
    ],
)
def test_paths_are_expanded_and_start_at_the_files_folder(text: str, path: str) -> None:
    assert str(values.path(text, AROUND)) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write the path"),
        ("a\0b", "write the path"),
        ("${NOPE}/in", "the environment variable NOPE is not set"),
        ("/a/${ME DIA}", r"write a variable as \$\{NAME\}"),
        ("/a/${MEDIA", r"write a variable as \$\{NAME\}"),
        ("~nobody-of-that-name/in", "no home folder for ~nobody-of-that-name"),
    ],
)
def test_a_path_that_cannot_be_expanded_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        values.path(text, AROUND)


def test_an_empty_variable_counts_as_unset() -> None:
    around = Surroundings(environ={"MEDIA": ""}, folder=Path("/"))
    with pytest.raises(ValueError, match="MEDIA is not set"):
        values.path("${MEDIA}/in", around)


def test_a_path_keeps_its_links(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert values.path(str(tmp_path / "link" / "in"), AROUND) == tmp_path / "link" / "in"


def test_the_users_folders_follow_xdg() -> None:
    assert values.xdg_folder("X", ".local/state", {"X": "/x"}) == Path("/x")
    assert values.xdg_folder("X", ".local/state", {"X": "x", "HOME": "/h"}) == Path("/h/.local/state")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.cometapi.com/v1/", "https://api.cometapi.com/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_an_address_loses_its_last_slash(text: str, url: str) -> None:
    assert values.address(text) == url


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("api.cometapi.com/v1", "begins with https://"),
        ("ftp://host/v1", "begins with https://"),
        ("https:///v1", "names a host"),
        ("https://ada:pw@host/v1", "no name or password"),
        ("https://host/v1?api-version=1", "ends before its"),
        ("https://host/v1 ", "no blanks"),
        ("https://host:port/v1", "write an address such as"),
        ("https://[::1/v1", "write an address such as"),
        ("https://höst/v1", "beyond ASCII"),
        ("https://host/v1/audio/translations", "end it before /audio/: https://host/v1$"),
    ],
)
def test_a_wrong_address_says_what_is_right(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        values.address(text)


@pytest.mark.parametrize(
    ("url", "overheard"),
    [
        ("http://nas:8000/v1", True),
        ("HTTP://nas/v1", True),
        ("http://192.168.1.5/v1", True),
        ("http://0.0.0.0/v1", True),
        ("http://localhost.example/v1", True),
        ("https://nas/v1", False),
        ("http://localhost:8000", False),
        ("http://speech.localhost", False),
        ("http://127.9.9.9", False),
        ("http://[::1]:8000", False),
    ],
)
def test_plain_http_stays_on_this_machine(url: str, overheard: bool) -> None:
    assert values.is_overheard(url) is overheard


def test_a_proxy_is_an_http_address() -> None:
    assert values.proxy("http://ada:pw@proxy:3128") == "http://ada:pw@proxy:3128"
    with pytest.raises(ValueError, match="an HTTP proxy"):
        values.proxy("socks5://proxy:1080")
