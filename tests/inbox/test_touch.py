from __future__ import annotations

import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from watcherd.inbox import touch
from watcherd.inbox.accept import holders
from watcherd.inbox.settle import GONE, Kind, Lease
from watcherd.inbox.touch import identity_of, lease_of, look, marked_folder, open_beneath, open_root

AWKWARD = [
    b"a\nb.mp3",
    b"-rf.mp3",
    b"'\".mp3",
    b"caf\xe9\xff.mp3",
    b"x" * 251 + b".mp3",
    "\u00e9".encode() + b".mp3",
]


@pytest.fixture
def root(inbox: Path) -> Iterator[int]:
    descriptor = open_root(inbox)
    yield descriptor
    os.close(descriptor)


def write(inbox: Path, name: bytes, content: bytes = b"sound") -> bytes:
    path = os.fsencode(inbox) + b"/" + name
    with open(path, "wb") as file:
        file.write(content)
    return path


@pytest.mark.parametrize("name", AWKWARD)
def test_a_file_is_opened_whatever_its_name(inbox: Path, root: int, name: bytes) -> None:
    path = write(inbox, name)
    descriptor = open_beneath(root, name)
    assert os.read(descriptor, 100) == b"sound"
    assert identity_of(os.fstat(descriptor)) == identity_of(os.stat(path))
    os.close(descriptor)
    assert look(root, name).identity == identity_of(os.stat(path))


def test_what_is_opened_does_not_leak_into_children(inbox: Path, root: int) -> None:
    (inbox / "one").mkdir()
    write(inbox, b"one/a.mp3")
    descriptor = open_beneath(root, b"one/a.mp3")
    assert not os.get_inheritable(descriptor)
    assert not os.get_inheritable(root)
    os.close(descriptor)


def test_opening_leaves_no_descriptor_behind(inbox: Path, root: int) -> None:
    (inbox / "one" / "two").mkdir(parents=True)
    write(inbox, b"one/two/a.mp3")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        os.close(open_beneath(root, b"one/two/a.mp3"))
        look(root, b"one/two/a.mp3")
        look(root, b"one/none/a.mp3")
        with pytest.raises(FileNotFoundError):
            open_beneath(root, b"one/none/a.mp3")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "path", [b"", b"..", b".", b"one/..", b"../outside.mp3", b"one/../../x.mp3", b"/etc/passwd", b"a//b"]
)
def test_nothing_outside_can_be_named(inbox: Path, root: int, path: bytes) -> None:
    (inbox / "one").mkdir()
    with pytest.raises(ValueError, match="below the inbox"):
        open_beneath(root, path)


def test_a_link_is_followed_neither_as_the_file_nor_on_the_way(
    inbox: Path, root: int, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    write(tmp_path, b"outside/a.mp3")
    (inbox / "file.mp3").symlink_to(tmp_path / "outside" / "a.mp3")
    (inbox / "folder").symlink_to(tmp_path / "outside")
    for path in (b"file.mp3", b"folder/a.mp3"):
        with pytest.raises(NotADirectoryError) as raised:
            open_beneath(root, path)
        assert raised.value.filename in path
    assert look(root, b"file.mp3").kind is Kind.SYMLINK
    assert look(root, b"folder/a.mp3") == GONE


def test_a_folder_named_like_a_file_is_a_folder(inbox: Path, root: int) -> None:
    (inbox / "x.mp3").mkdir()
    assert look(root, b"x.mp3").kind is Kind.FOLDER
    with pytest.raises(IsADirectoryError):
        open_beneath(root, b"x.mp3")
    os.close(open_beneath(root, b"x.mp3", os.O_RDONLY | os.O_DIRECTORY))


def test_fifos_sockets_and_devices_are_told_without_being_opened(
    inbox: Path, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(inbox / "fifo.mp3")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(inbox / "socket.mp3"))
    if os.geteuid() == 0:
        os.mknod(inbox / "device.mp3", 0o600 | 0o020000, os.makedev(1, 3))
    opened: list[bytes] = []
    real = os.open

    def noting(path: bytes, flags: int, *, dir_fd: int) -> int:
        opened.append(path)
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", noting)
    for name in os.listdir(os.fsencode(inbox)):
        assert look(root, name).kind is Kind.SPECIAL
    assert set(opened) == {b"."}
    listener.close()


def test_opening_a_fifo_does_not_block(inbox: Path, root: int) -> None:
    os.mkfifo(inbox / "fifo.mp3")
    os.close(open_beneath(root, b"fifo.mp3"))


def test_what_is_not_there_is_gone(root: int) -> None:
    assert look(root, b"none.mp3") == GONE
    assert look(root, b"none/none.mp3") == GONE


def test_names_beside_a_file_are_looked_for(inbox: Path, root: int) -> None:
    (inbox / "one").mkdir()
    for name in (b"one/a.mp3", b"one/a.mp3.part", b"one/b.mp3"):
        write(inbox, name)
    assert look(root, b"one/a.mp3", beside=holders(b"a.mp3")).beside == {b"a.mp3.part"}
    assert look(root, b"one/b.mp3", beside=holders(b"b.mp3")).beside == frozenset()


def test_a_name_with_no_room_for_a_suffix_has_nothing_beside_it(inbox: Path, root: int) -> None:
    name = b"x" * 251 + b".mp3"
    write(inbox, name)
    assert look(root, name, beside=holders(name)).beside == frozenset()


def test_a_file_that_rests_is_free(inbox: Path, root: int) -> None:
    write(inbox, b"a.mp3")
    assert look(root, b"a.mp3").lease is Lease.FREE


def test_readers_do_not_matter(inbox: Path, root: int) -> None:
    path = write(inbox, b"a.mp3")
    with open(path, "rb"):
        assert look(root, b"a.mp3").lease is Lease.FREE


def test_a_writer_keeps_it_busy_until_it_closes(inbox: Path, root: int) -> None:
    path = write(inbox, b"a.mp3")
    with open(path, "ab"):
        assert look(root, b"a.mp3").lease is Lease.BUSY
    assert look(root, b"a.mp3").lease is Lease.FREE


def test_a_writer_in_another_process_is_seen(inbox: Path, root: int) -> None:
    path = write(inbox, b"a.mp3")
    code = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, os.fsdecode(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        assert look(root, b"a.mp3").lease is Lease.BUSY
        writer.communicate()
    assert look(root, b"a.mp3").lease is Lease.FREE


def test_mapped_memory_counts_as_a_writer_after_its_file_is_closed(inbox: Path, root: int) -> None:
    path = write(inbox, b"a.mp3", bytes(4096))
    with open(path, "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 4096)
    assert look(root, b"a.mp3").lease is Lease.BUSY
    mapped.close()
    assert look(root, b"a.mp3").lease is Lease.FREE


def test_the_lease_is_not_asked_where_writers_may_sit_elsewhere(inbox: Path, root: int) -> None:
    path = write(inbox, b"a.mp3")
    with open(path, "ab"):
        assert look(root, b"a.mp3", leases=False).lease is Lease.UNKNOWN


def test_a_look_leaves_no_lease_behind(inbox: Path) -> None:
    path = write(inbox, b"a.mp3")
    descriptor = os.open(path, os.O_RDONLY)
    assert lease_of(descriptor) is Lease.FREE
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # a held lease would refuse this
    os.close(descriptor)


def test_a_descriptor_that_may_write_tells_nothing_bad(inbox: Path) -> None:
    descriptor = os.open(write(inbox, b"a.mp3"), os.O_RDWR)
    assert lease_of(descriptor) is Lease.BUSY
    os.close(descriptor)


def test_an_error_of_the_disk_is_part_of_the_look(
    inbox: Path, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(inbox, b"a.mp3")
    real = os.open

    def failing(path: bytes, flags: int, *, dir_fd: int) -> int:
        if path == b"a.mp3":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", failing)
    seen = look(root, b"a.mp3")
    assert seen.kind is Kind.FILE
    assert seen.error == "Input/output error"


def test_the_lease_signal_is_ignored_on_request() -> None:
    before = signal.getsignal(signal.SIGIO)
    try:
        touch.ignore_lease_signal()
        assert signal.getsignal(signal.SIGIO) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGIO, before)


def test_a_writer_that_comes_during_the_lease_does_not_kill_us(inbox: Path) -> None:
    """The lease is held open here; SIGIO has its default action, which would end the process."""
    write(inbox, b"a.mp3")
    code = f"""
    import fcntl, os, signal, subprocess, sys
    from watcherd.inbox import touch
    real = fcntl.fcntl
    def keeping(fd, command, argument):
        if command == fcntl.F_SETLEASE and argument == fcntl.F_UNLCK:
            code = "import os, sys; os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)"
            subprocess.run([sys.executable, "-c", code, {str(inbox / "a.mp3")!r}])
        return real(fd, command, argument)
    fcntl.fcntl = keeping
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    print(touch.look(touch.open_root({str(inbox)!r}), b"a.mp3").lease)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "free\n"), done


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_unreadable_file_and_somebody_elses_lease_are_told(open_place: Path) -> None:
    (open_place / "closed.mp3").write_bytes(b"sound")
    (open_place / "closed.mp3").chmod(0o600)
    (open_place / "open.mp3").write_bytes(b"sound")
    (open_place / "locked").mkdir(mode=0o700)
    (open_place / "locked" / "in.mp3").write_bytes(b"sound")
    code = f"""
    import json, os
    from watcherd.inbox.touch import look, open_root
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    root = open_root({str(open_place)!r})
    looks = [look(root, path) for path in (b"closed.mp3", b"open.mp3", b"locked/in.mp3")]
    print(json.dumps([(seen.kind, seen.lease, seen.error, seen.identity is not None) for seen in looks]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == [
        ["file", "unknown", "Permission denied", True],
        ["file", "unknown", "", True],
        ["file", "unknown", "Permission denied", False],
    ]


@pytest.mark.parametrize("marked", [b"", b"one", b"one/two"])
def test_a_marker_on_the_way_down_is_seen(inbox: Path, root: int, marked: bytes) -> None:
    (inbox / "one" / "two" / "three").mkdir(parents=True)
    (inbox / "other").mkdir()
    write(inbox, b"one/two/a.mp3")
    write(inbox, b"other/a.mp3")
    write(inbox, b"one/two/three/.watcherdignore")
    assert look(root, b"one/two/a.mp3").kind is Kind.FILE
    assert marked_folder(root, b"one/two") is None
    write(inbox, marked + b"/.watcherdignore" if marked else b".watcherdignore")
    assert look(root, b"one/two/a.mp3").kind is Kind.IGNORED
    assert look(root, b"one/two/none.mp3").kind is Kind.IGNORED
    assert marked_folder(root, b"one/two") == marked_folder(root, b"one/two/three") == marked
    assert look(root, b"other/a.mp3").kind is (Kind.FILE if marked else Kind.IGNORED)


def test_a_file_is_covered_by_all_the_names_or_by_none(inbox: Path, root: int) -> None:
    (inbox / "one").mkdir()
    write(inbox, b"one/a.mp3")
    write(inbox, b"one/a.srt")
    write(inbox, b"a.vtt")
    names = (b"a.srt", b"a.vtt")
    assert look(root, b"one/a.mp3", covers=names).kind is Kind.FILE
    assert look(root, b"one/a.mp3", covers=()).kind is Kind.FILE
    write(inbox, b"one/a.vtt")
    assert look(root, b"one/a.mp3", covers=names).kind is Kind.COVERED
    assert look(root, b"one/none.mp3", covers=names) == GONE
