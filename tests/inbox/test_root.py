from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from watcherd.inbox import root as roots
from watcherd.inbox.condition import LockedByOtherError, Reach
from watcherd.inbox.root import holder_of, is_current, reach_of, take
from watcherd.place import Place


def taken(inbox: Path, done: Path | None = None) -> roots.Root:
    return take(Place(inbox), targets=(done or inbox / "done", inbox / "failed"))


def test_the_inbox_is_opened_under_its_real_name(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inbox)
    root = taken(tmp_path / "link")
    status = inbox.stat()
    assert root.real == os.fsencode(inbox)
    assert root.key == (status.st_dev, status.st_ino)
    assert root.own == (b"done", b"failed")
    root.close()


def test_done_elsewhere_is_none_of_the_inbox(inbox: Path, tmp_path: Path) -> None:
    root = taken(inbox, tmp_path / "inbox-done")
    assert root.own == (b"failed",)
    root.close()


def test_done_inside_is_known_through_links(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inbox)
    root = taken(inbox, tmp_path / "link" / "deep" / "done")
    assert root.own == (b"deep/done", b"failed")
    root.close()


def test_a_missing_inbox_and_a_file_in_its_place_raise(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        taken(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        taken(tmp_path / "file")


def test_two_daemons_never_share_an_inbox(inbox: Path) -> None:
    code = (
        "import sys, pathlib; from watcherd.inbox.root import take; p = pathlib.Path(sys.argv[1]);"
        "from watcherd.place import Place; root = take(Place(p), targets=());"
        "print('taken', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, inbox], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"taken\n"
        with pytest.raises(LockedByOtherError) as raised:
            taken(inbox)
        assert raised.value.pid == other.pid
        holder = holder_of(inbox)
        assert holder is not None
        assert str(other.pid) in str(holder)
        other.communicate()
    assert holder_of(inbox) is None
    taken(inbox).close()


def test_asking_for_the_holder_leaves_the_inbox_free(inbox: Path) -> None:
    assert holder_of(inbox) is None
    root = taken(inbox)
    assert root.locked
    holder = holder_of(inbox)
    assert holder is not None
    assert holder.pid == os.getpid()
    root.close()


def test_a_refused_inbox_leaves_no_descriptor_behind(inbox: Path) -> None:
    root = taken(inbox)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LockedByOtherError):
        taken(inbox)
    assert len(os.listdir("/proc/self/fd")) == before
    root.close()


def test_a_file_system_that_cannot_lock_a_folder_is_used_without(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int, __: int) -> None:
        raise OSError(9, "Bad file descriptor")  # what NFS says of a folder

    monkeypatch.setattr("fcntl.flock", refused)
    root = taken(inbox)
    assert not root.locked
    root.close()


def test_a_replaced_inbox_is_noticed(inbox: Path, tmp_path: Path) -> None:
    root = taken(inbox)
    assert is_current(root, Place(inbox))
    inbox.rename(tmp_path / "renamed")
    with pytest.raises(FileNotFoundError):
        is_current(root, Place(inbox))
    inbox.mkdir()
    assert not is_current(root, Place(inbox))
    root.close()


def test_a_link_that_leads_elsewhere_is_noticed(inbox: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(inbox)
    root = taken(link)
    assert is_current(root, Place(link))
    (tmp_path / "other").mkdir()
    link.unlink()
    link.symlink_to(tmp_path / "other")
    assert not is_current(root, Place(link))
    root.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (0xEF53, Reach.LOCAL),  # ext4
        (0x58465342, Reach.LOCAL),  # XFS
        (0x9123683E, Reach.LOCAL),  # btrfs
        (0x01021994, Reach.LOCAL),  # tmpfs
        (0x6969, Reach.REMOTE),  # NFS
        (0xFF534D42, Reach.REMOTE),  # CIFS
        (0xFE534D42, Reach.REMOTE),  # SMB 2
        (0x65735546, Reach.REMOTE),  # FUSE
        (0x01021997, Reach.REMOTE),  # 9p
        (0x794C7630, Reach.LAYERED),  # overlay
    ],
)
def test_file_systems_are_judged_by_their_type(
    kind: int, expected: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Libc:
        @staticmethod
        def fstatfs(_: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
            ctypes.memmove(buffer, kind.to_bytes(8, sys.byteorder), 8)
            return 0

    monkeypatch.setattr(roots, "_LIBC", Libc)
    assert reach_of(0) is expected


def test_the_system_really_tells_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open("/proc", os.O_RDONLY)
    assert reach_of(descriptor) is Reach.LOCAL
    monkeypatch.setitem(roots._REMOTE, 0x9FA0, "proc")
    assert reach_of(descriptor) is Reach.REMOTE
    os.close(descriptor)
