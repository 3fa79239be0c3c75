"""What is in systemd/: its own tools find no fault with it, and the daemon works under what it forbids."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import unit
from tests.audio import clip
from tests.end_to_end.test_embedded import engine_of
from tests.running import RunningDaemon, configuration

SYSTEMD = unit.UNIT.parent
DROP_INS = ("gpu.conf", "inboxes.conf")
MOST_EXPOSED = 1.5

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs Debian's systemd")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")
pytestmark = needs_systemd

# What each call says when it is made: its error's number, 0 for none.
PROBE = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def said(call, *arguments):
    ctypes.set_errno(0)
    call(*arguments)
    return ctypes.get_errno()
def error(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0
print(
    said(libc.ptrace, 0, 0, 0, 0),                            # PTRACE_TRACEME
    said(libc.mount, b"none", b"/nowhere", b"tmpfs", 0, None),
    error(os.mkdir, "shared", 0o2770),
    error(socket.socket, socket.AF_PACKET),
    said(libc.syscall, 237, 0, 0, 0, 0, 0, 0) if os.uname().machine == "x86_64" else 0,  # mbind of nothing
    said(libc.mmap, 0, 4096, 7, 0x22, -1, 0),                 # memory to write and to execute
)
"""


@pytest.mark.parametrize("name", ["", *DROP_INS])
def test_systemd_finds_no_fault_with_the_unit_and_its_drop_ins(tmp_path: Path, name: str) -> None:
    # Its program need not be installed here; everything else is as it stands.
    installed = unit.UNIT.read_text().replace("/opt/watcherd/bin/watcherd", sys.executable)
    (tmp_path / "watcherd.service").write_text(installed)
    if name:
        (tmp_path / "watcherd.service.d").mkdir()
        shutil.copy(SYSTEMD / name, tmp_path / "watcherd.service.d")
    command = ["systemd-analyze", "verify", str(tmp_path / "watcherd.service")]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_the_units_exposure_is_low() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit.UNIT)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Overall exposure level for watcherd\.service: ([0-9.]+)", said)
    assert found
    print(found[0])
    assert float(found[1]) <= MOST_EXPOSED


@needs_root
def test_the_snippets_make_the_user_and_its_folders(tmp_path: Path) -> None:
    root = f"--root={tmp_path}"
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", root, SYSTEMD / "watcherd.sysusers.conf"], check=True)
    entry = next(line for line in (tmp_path / "etc/passwd").read_text().splitlines() if "watcherd" in line)
    name, _, uid, gid, _, home, shell = entry.split(":")
    assert (name, home) == ("watcherd", "/var/lib/watcherd")
    assert shell.endswith("nologin")
    subprocess.run(["systemd-tmpfiles", "--create", root, SYSTEMD / "watcherd.tmpfiles.conf"], check=True)
    for folder in ("inbox", "done", "failed"):
        status = (tmp_path / "srv/media" / folder).stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (int(uid), int(gid), 0o2770)


def test_the_units_filter_refuses_with_an_error_what_no_part_of_watcherd_needs(tmp_path: Path) -> None:
    def probed(*prefix: str) -> list[int]:
        folder = tmp_path / str(len(prefix))
        folder.mkdir()
        command = [*prefix, sys.executable, "-c", PROBE]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout
        return [int(number) for number in said.split()]

    ptrace, _, shared, _, mbind, mmap = probed()
    assert [ptrace, shared, mmap] == [0, 0, 0]
    assert probed(sys.executable, unit.__file__) == [1, 1, 1, 97, mbind, 0]  # EPERM, but EAFNOSUPPORT


def confined(process: psutil.Process) -> bool:
    """Whether a process has a filter, and no right that the unit does not give."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    said = dict(line.split(":\t") for line in lines if ":\t" in line)
    rights = 1 << unit.LEASE if os.geteuid() == 0 else 0
    return (said["Seccomp"], said["NoNewPrivs"], int(said["CapEff"], 16)) == ("2", "1", rights)


@pytest.mark.slow
def test_real_whisper_makes_subtitles_under_the_units_own_filter_and_limits(tmp_path: Path) -> None:
    for name in ("cache", "runtime"):
        (tmp_path / name).mkdir()
    environ = {"CACHE_DIRECTORY": str(tmp_path / "cache"), "RUNTIME_DIRECTORY": str(tmp_path / "runtime")}
    content = configuration(tmp_path)
    prefix = [sys.executable, unit.__file__]
    with RunningDaemon(tmp_path, content, environ=environ, prefix=prefix) as daemon:
        daemon.done.chmod(0o2775)  # as shared media folders are
        for name in ("show/a.flac", "b.mkv"):
            daemon.drop(clip(Path(name).suffix[1:]), name)
        daemon.event("job.done", file="show/a.flac", timeout=120)
        (engine,) = engine_of(daemon)
        assert confined(psutil.Process(daemon.pid))
        assert confined(engine)
        daemon.event("job.done", file="b.mkv", timeout=120)
        assert (tmp_path / "runtime" / "watcherd.sock").is_socket()
    assert daemon.sidecars("show") == ["a.flac", "a.srt", "a.txt", "a.vtt"]
    assert (daemon.done / "show").stat().st_mode & stat.S_ISGID
    for name in ("show/a.txt", "b.txt"):
        text = (daemon.done / name).read_text()
        print(f"{name}: {text.strip()!r}")
        assert re.search("Wolfgang|Germany", text)
