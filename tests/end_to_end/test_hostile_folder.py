"""A folder that anybody may write into: names made to harm, links, special files."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.hostile import Content, digest, put, speech, tree
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, Request, Respond
from tests.waiting import wait_until

NFC, NFD = (unicodedata.normalize(form, "é").encode() for form in ("NFC", "NFD"))
DEEP = b"/".join([b"d" * 200] * 25)  # longer than any path that the system takes in one piece
ORDINARY_WAYS = {
    "255 bytes": b"x" * 251 + b".mp3",
    "255 bytes in two-byte characters": "é".encode() * 125 + b"l.mp3",
    "a folder of 255 bytes": b"f" * 255 + b"/talk.mp3",
    "no UTF-8": b"caf\xe9/\xff\xfe\x80.mp3",
    "a newline": b"new\nline.mp3",
    "a newline as a forged log line": b'a\n{"event": "forged"}.mp3',
    "an escape sequence": b"\x1b[31mred\x1b[0m\x1b]0;title\x07.mp3",
    "every control character": bytes(range(1, 32)) + b"\x7f.mp3",
    "C1 control characters": "\x9b31m\x85.mp3".encode(),
    "text turned around": "\u202egpj\u2066.mp3".encode(),
    "line separators": "a\u2028b\u2029.mp3".encode(),
    "an option": b"-rf.wav",
    "another option": b"--help.mp3",
    "a leading space": b" leading.mp3",
    "a trailing space": b"trailing .mp3",
    "only a space": b"  /   .mp3",
    "dots": b"a..b.mp3",
    "a way out for Windows": b"a\\..\\..\\b.mp3",
    "shell words": b"$(touch x) `id` ; rm -rf * & \"'.mp3",
    "format words": b"%s%n{0}{event}.mp3",
    "one character": NFC + b".mp3",
    "the same one in two": NFD + b".mp3",
    "a folder named like a file": b"folder.mp3/in.mp3",
    "a folder named like a sidecar": b"in.srt/in.mp3",
    "a hundred folders deep": b"/".join([b"d"] * 100) + b"/deep.mp3",
    "a path too long for the system": DEEP + b"/deep.mp3",
    "a hard link to a file elsewhere": b"hard.mp3",
}
STAYING = {
    "our temporary file": b".watcherd-900-0.tmp",
    "our copy": b".watcherd-900-1.tmp",
    "our original put aside": b".watcherd-900.original",
    "media as ours": b".watcherd-900.mp3",
    "a report": b"x.error.json",
    "a report of media": b"x.mp3.error.json",
    "a subtitle": b"x.srt",
    "dots alone before the extension": b"..mp3",
    "hidden": b".hidden.mp3",
    "in a hidden folder": b".hidden/talk.mp3",
    "an extension with a space": b"ends.mp3 ",
    "no extension": b"mp3",
}
LINKS = {
    "a link to a file": (b"link.mp3", "outside/secret.mp3"),
    "a dangling link": (b"dangling.mp3", "outside/nothing.mp3"),
    "a link to itself": (b"self.mp3", "inbox/self.mp3"),
    "a link to a folder": (b"linked", "outside"),
    "a link to a folder, named like a file": (b"linked.mp3", "outside"),
    "a link to the inbox": (b"inbox", "inbox"),
    "a link to a neighbour": (b"neighbour.mp3", "inbox/hard.mp3"),
}
SPECIAL = {"fifo.mp3": stat.S_IFIFO, "socket.mp3": stat.S_IFSOCK, "device.mp3": stat.S_IFCHR}
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Root reads and writes everything: without these capabilities it is like any user.
ORDINARY = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


def texts(value: object) -> Iterator[str]:
    """Every string in a JSON value."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, one in value.items():
                yield from (*texts(key), *texts(one))
        case list():
            for one in value:
                yield from texts(one)


# What lies there ----------------------------------------------------------------------------------


@dataclass
class Aftermath:
    """What one daemon made of all of it."""

    inbox: dict[bytes, Content]
    done: dict[bytes, Content]
    failed: dict[bytes, Content]
    outside: dict[bytes, Content]
    events: list[dict[str, Any]]
    requests: tuple[Request, ...]


def fill(home: Path) -> None:
    inbox, outside = home / "inbox", home / "outside"
    (outside / "sub").mkdir(parents=True)
    for name in ("secret.mp3", "sub/secret.mp3", "hard.mp3"):
        (outside / name).write_bytes(speech("secret " + name))
    for path in (*ORDINARY_WAYS.values(), *STAYING.values()):
        if path != b"hard.mp3":
            put(inbox, path, speech(path))
    (inbox / "hard.mp3").hardlink_to(outside / "hard.mp3")
    for link, target in LINKS.values():
        os.symlink(os.fsencode(home / target), os.fsencode(inbox) + b"/" + link)
    os.mkfifo(inbox / "fifo.mp3")
    with socket.socket(socket.AF_UNIX) as listening:
        at = os.open(inbox, os.O_PATH)
        listening.bind(f"/proc/self/fd/{at}/socket.mp3")  # their paths may only be short
        os.close(at)
    if os.geteuid() == 0:
        os.mknod(inbox / "device.mp3", 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    home = tmp_path_factory.mktemp("hostile")
    with LocalEndpoint() as endpoint:
        daemon = RunningDaemon(home, configuration(home, endpoint=endpoint), key=endpoint.key)
        daemon.inbox.mkdir()
        fill(home)
        with daemon:
            wait_until(lambda: len(daemon.found("job.done")) >= len(ORDINARY_WAYS), timeout=60)
            seen = len(daemon.found("inbox.scanned"))
            wait_until(lambda: len(daemon.found("inbox.scanned")) > seen, timeout=20)  # nothing more comes
        yield Aftermath(
            inbox=tree(home / "inbox"),
            done=tree(home / "done"),
            failed=tree(home / "failed"),
            outside=tree(home / "outside"),
            events=daemon.events,
            requests=endpoint.requests,
        )
        assert not endpoint.violations


@pytest.mark.parametrize("path", ORDINARY_WAYS.values(), ids=ORDINARY_WAYS)
def test_whatever_its_name_a_file_is_done_and_its_sidecars_bear_it(aftermath: Aftermath, path: bytes) -> None:
    content = speech("secret hard.mp3" if path == b"hard.mp3" else path)
    assert path not in aftermath.inbox
    assert aftermath.done[path] == content
    stem = os.path.splitext(path)[0]
    for suffix in (b".srt", b".vtt", b".txt"):
        assert aftermath.done[stem + suffix]
    assert [request.answered for request in aftermath.requests if request.sha256 == digest(content)] == [200]


@pytest.mark.parametrize("path", STAYING.values(), ids=STAYING)
def test_what_is_no_media_by_its_name_stays_as_it_is(aftermath: Aftermath, path: bytes) -> None:
    assert aftermath.inbox[path] == speech(path)


@pytest.mark.parametrize("name", [name for name, _ in LINKS.values()], ids=LINKS)
def test_a_link_stays_and_is_not_followed(aftermath: Aftermath, name: bytes) -> None:
    assert aftermath.inbox[name] == stat.S_IFLNK


@pytest.mark.parametrize("name", SPECIAL)
def test_a_special_file_stays(aftermath: Aftermath, name: str) -> None:
    if name == "device.mp3" and os.geteuid() != 0:
        pytest.skip("only root can make a device node")
    assert aftermath.inbox[name.encode()] == SPECIAL[name]


def test_nothing_else_is_done_or_failed_or_left(aftermath: Aftermath) -> None:
    originals = {os.path.splitext(path)[0] for path in ORDINARY_WAYS.values()}
    assert {os.path.splitext(path)[0] for path in aftermath.done} == originals
    assert aftermath.failed == {}
    links = {name for name, _ in LINKS.values()}
    special = {name.encode() for name in SPECIAL if name != "device.mp3" or os.geteuid() == 0}
    assert aftermath.inbox.keys() == set(STAYING.values()) | links | special


def test_what_lies_outside_is_neither_changed_nor_sent(aftermath: Aftermath) -> None:
    names = (b"secret.mp3", b"sub/secret.mp3", b"hard.mp3")
    assert aftermath.outside == {name: speech("secret " + name.decode()) for name in names}
    sent = {request.sha256 for request in aftermath.requests}
    assert not sent & {digest(speech("secret " + name)) for name in ("secret.mp3", "sub/secret.mp3")}
    assert len(aftermath.requests) == len(ORDINARY_WAYS)


def test_no_name_puts_anything_unprintable_into_the_log(aftermath: Aftermath) -> None:
    said = [text for event in aftermath.events for text in texts(event)]
    assert "new\\x0aline.mp3" in said
    assert not [text for text in said if UNPRINTABLE.search(text)]
    assert not [event for event in aftermath.events if event["event"] == "forged"]


def test_no_name_of_a_file_is_told_to_the_endpoint(aftermath: Aftermath) -> None:
    assert {request.filename for request in aftermath.requests} == {"audio.mp3"}


def test_two_names_that_need_shortening_are_cut_between_characters(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    long = "é" * 125
    with RunningDaemon(tmp_path, configuration(tmp_path, endpoint=endpoint), key=endpoint.key) as daemon:
        for name in (f"{long}.mp3", f"{long}.wav", f"{long}é.ts"):  # the last has no room for a sidecar
            put(daemon.inbox, name.encode(), speech(name))
        wait_until(lambda: len(daemon.found("job.done")) == 3)
        names = [name.encode() for name in daemon.sidecars()]
    assert max(map(len, names)) <= 255
    assert sorted(name.decode().partition(".")[2] for name in names) == sorted(
        ["mp3", "wav", "ts", *["srt", "vtt", "txt"] * 3]
    )
    assert {
        len(name.decode().partition(".")[0].replace(" (2)", "").replace(" (3)", "")) for name in names
    } <= {*range(122, 126)}


def test_a_name_cannot_forge_lines_on_a_terminal_or_in_the_status(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    evil = "\x1b[2J\x1b[31mevil\n00:00:00 [info] forged\r\u202egpj"
    content = configuration(tmp_path, endpoint=endpoint, top_keys={"log": {"format": "console"}})
    daemon = RunningDaemon(tmp_path, content, key=endpoint.key)
    for folder in (daemon.inbox, daemon.done, daemon.failed, tmp_path / "outside"):
        folder.mkdir()
    (daemon.done / evil).symlink_to(tmp_path / "outside")
    put(daemon.inbox, f"{evil}/{evil}.mp3".encode(), speech("no way to done"))
    put(daemon.inbox, f"{evil}.mp3".encode(), speech("good"))
    put(daemon.inbox, f"bad {evil}.mp3".encode(), b"no sound at all" * 100)
    environ = {**os.environ, "TEST_KEY": endpoint.key}
    command = [sys.executable, "-m", "watcherd"]
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        run = [*command, "run", "--config", str(daemon.config)]
        process = subprocess.Popen(run, stderr=stderr, env=environ)
    try:
        wait_until(
            lambda: all(word in log.read_text() for word in ("job.done", "job.failed", "folder_is_a_link"))
        )
        said = [
            subprocess.check_output(
                [*command, "status", "--config", str(daemon.config), *arguments], env=environ
            )
            for arguments in ([], ["--json"])
        ]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    lines = b"\n".join([*said, log.read_bytes()]).decode()
    assert lines.count("folder_is_a_link") > 1
    assert not UNPRINTABLE.search(lines.replace("\n", ""))
    assert not [line for line in lines.splitlines() if line.startswith("00:00:00 [info] forged")]
    assert "evil" in lines


def test_a_delivery_that_the_system_refuses_names_the_file_without_its_tricks(
    tmp_path: Path, endpoint: LocalEndpoint
) -> None:
    name = b"\x1b[2Jcaf\xe9\n.mp3"
    prefix = ORDINARY if os.geteuid() == 0 else ()
    content = configuration(tmp_path, endpoint=endpoint)
    endpoint.always(Respond(hold=True))
    with RunningDaemon(tmp_path, content, key=endpoint.key, prefix=prefix) as daemon:
        put(daemon.inbox, name, speech(name))
        wait_until(lambda: endpoint.held == 1)
        daemon.inbox.chmod(0o555)  # nothing can be moved out of it
        endpoint.release()
        waiting = daemon.event("job.waiting")
        daemon.inbox.chmod(0o755)
        assert waiting["fault"] == "permission_denied"
        assert "\\x1b[2Jcaf\\xe9\\x0a.mp3" in waiting["message"]
        assert not UNPRINTABLE.search(waiting["message"])
        status = [sys.executable, "-m", "watcherd", "status", "--config", str(daemon.config)]
        said = subprocess.check_output(status, env={**os.environ, "TEST_KEY": endpoint.key})
        assert b"caf\\xe9\\x0a.mp3" in said
        assert not UNPRINTABLE.search(said.decode().replace("\n", ""))
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)  # else in ten seconds
        daemon.event("job.done")
    assert tree(daemon.done)[name] == speech(name)
