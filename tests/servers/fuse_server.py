"""A file system in user space for tests: a folder's files at a mount point, on demand badly served.

    python -m tests.servers.fuse_server BACKING MOUNT_POINT

It speaks the kernel's protocol (version 7.31) over /dev/fuse by itself, one request at a time, and keeps an
O_PATH descriptor for each file that the kernel knows. Nothing is cached, so every access comes here. There is
nothing to flush when a file is closed, and it says so: a server that flushes and hangs keeps even a killed
process that has a file open, in the kernel, until it goes on. Standard input takes one JSON object a line,
each answered by a line before the next request is looked at:

    {"do": "freeze"}                                       stop this process (SIGSTOP) now
    {"do": "freeze_after", "call": "READ", "count": 3}     stop it once so many such calls were answered
    {"do": "fail", "errors": {"READ": 5, ...}}             answer these calls with an error number; {} to heal
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import stat
import struct
import sys
from collections.abc import Callable
from enum import IntEnum


class Call(IntEnum):
    """The kernel's requests, as far as they are served."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    CREATE = 35
    INTERRUPT = 36
    BATCH_FORGET = 42
    RENAME2 = 45


_IN, _OUT = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
_ATTRIBUTES = struct.Struct("<6Q10I")
_ROOT = 1
_MAX_WRITE = 1 << 17
_DIRECT = 1  # FOPEN_DIRECT_IO: reads and writes pass the page cache by
_UNANSWERED = {Call.FORGET, Call.BATCH_FORGET, Call.INTERRUPT}
_MODE, _UID, _GID, _SIZE, _ATIME, _MTIME, _NOW = 1, 2, 4, 8, 16, 32, 0x180
_NOSUID_NODEV = 2 | 4
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _proc(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _attributes(status: os.stat_result) -> bytes:
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return _ATTRIBUTES.pack(
        status.st_ino,
        status.st_size,
        status.st_blocks,
        *(time // 10**9 for time in times),
        *(time % 10**9 for time in times),
        status.st_mode,
        status.st_nlink,
        status.st_uid,
        status.st_gid,
        status.st_rdev,
        status.st_blksize,
        0,
    )


class Files:
    """The served folder. Each method takes a request's node, its body and who asks; it returns the answer."""

    def __init__(self, backing: str) -> None:
        root = os.open(backing, os.O_PATH | os.O_DIRECTORY)
        self._nodes = {_ROOT: root}
        self._lookups: dict[int, int] = {}
        self._numbers = {self._key(root): _ROOT}
        self._listings: dict[int, list[tuple[bytes, os.stat_result]]] = {}

    @staticmethod
    def _key(descriptor: int) -> tuple[int, int]:
        status = os.fstat(descriptor)
        return status.st_dev, status.st_ino

    def _entry(self, parent: int, name: bytes) -> bytes:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self._nodes[parent])
        key = self._key(descriptor)
        number = self._numbers.setdefault(key, max(self._nodes) + 1)
        if number in self._nodes:
            os.close(descriptor)
        else:
            self._nodes[number] = descriptor
        self._lookups[number] = self._lookups.get(number, 0) + 1
        return struct.pack("<4Q2I", number, 0, 0, 0, 0, 0) + _attributes(os.fstat(self._nodes[number]))

    def _drop(self, number: int, lookups: int) -> None:
        self._lookups[number] = self._lookups.get(number, 0) - lookups
        if self._lookups[number] <= 0 and number != _ROOT:
            descriptor = self._nodes.pop(number)
            del self._numbers[self._key(descriptor)], self._lookups[number]
            os.close(descriptor)

    def init(self, _node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        (readahead,) = struct.unpack_from("<I", body, 8)
        return struct.pack("<4I2H2I2HI", 7, 31, readahead, 0, 16, 12, _MAX_WRITE, 1, 32, 0, 0).ljust(
            64, b"\0"
        )

    def lookup(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        return self._entry(node, body[:-1])

    def forget(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        self._drop(node, struct.unpack("<Q", body)[0])
        return b""

    def batch_forget(self, _node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        for number, lookups in struct.iter_unpack("<QQ", body[8:]):
            self._drop(number, lookups)
        return b""

    def interrupt(self, _node: int, _body: bytes, _who: tuple[int, int]) -> bytes:
        return b""  # what it asks for has been answered by now

    def getattr(self, node: int, _body: bytes, _who: tuple[int, int]) -> bytes:
        return bytes(16) + _attributes(os.fstat(self._nodes[node]))

    def setattr(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, _, uid, gid, _ = struct.unpack(
            "<2I6Q8I", body
        )
        path, now = _proc(self._nodes[node]), os.fstat(self._nodes[node])
        if valid & _MODE:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & (_UID | _GID):
            os.chown(path, uid if valid & _UID else -1, gid if valid & _GID else -1)
        if valid & _SIZE:
            os.truncate(path, size)
        if valid & _NOW:
            os.utime(path)
        elif valid & (_ATIME | _MTIME):
            accessed = atime * 10**9 + atime_ns if valid & _ATIME else now.st_atime_ns
            modified = mtime * 10**9 + mtime_ns if valid & _MTIME else now.st_mtime_ns
            os.utime(path, ns=(accessed, modified))
        return self.getattr(node, b"", (0, 0))

    def mkdir(self, node: int, body: bytes, who: tuple[int, int]) -> bytes:
        mode, _ = struct.unpack_from("<2I", body)
        name = body[8:-1]
        os.mkdir(name, dir_fd=self._nodes[node])
        entry = self._entry(node, name)
        made = _proc(self._nodes[struct.unpack_from("<Q", entry)[0]])
        os.chown(made, *who)
        os.chmod(made, stat.S_IMODE(mode))
        return entry[:40] + _attributes(os.stat(made))

    def unlink(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        os.unlink(body[:-1], dir_fd=self._nodes[node])
        return b""

    def rmdir(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        os.rmdir(body[:-1], dir_fd=self._nodes[node])
        return b""

    def rename(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        return self._renamed(node, struct.unpack_from("<Q", body)[0], body[8:], 0)

    def rename2(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        target, flags = struct.unpack_from("<QI", body)
        return self._renamed(node, target, body[16:], flags)

    def _renamed(self, node: int, target: int, names: bytes, flags: int) -> bytes:
        old, new, _ = names.split(b"\0")
        _checked(_libc.renameat2(self._nodes[node], old, self._nodes[target], new, flags))
        return b""

    def link(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        old, name = self._nodes[struct.unpack_from("<Q", body)[0]], body[8:-1]
        os.link(_proc(old), name, dst_dir_fd=self._nodes[node])
        return self._entry(node, name)

    def open(self, node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        flags = struct.unpack_from("<I", body)[0] & (os.O_ACCMODE | os.O_APPEND | os.O_TRUNC)
        return struct.pack("<QIi", os.open(_proc(self._nodes[node]), flags), _DIRECT, 0)

    def create(self, node: int, body: bytes, who: tuple[int, int]) -> bytes:
        flags, mode = struct.unpack_from("<2I", body)
        name = body[16:-1]
        flags &= os.O_ACCMODE | os.O_EXCL | os.O_TRUNC
        file = os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=self._nodes[node])
        os.fchown(file, *who)
        os.fchmod(file, stat.S_IMODE(mode))
        return self._entry(node, name) + struct.pack("<QIi", file, _DIRECT, 0)

    def read(self, _node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        file, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(file, size, offset)

    def write(self, _node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        file, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(file, body[40 : 40 + size], offset), 0)

    def statfs(self, node: int, _body: bytes, _who: tuple[int, int]) -> bytes:
        found = os.fstatvfs(self._nodes[node])
        counts = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        return struct.pack("<5Q10I", *counts, found.f_bsize, found.f_namemax, found.f_frsize, *(0,) * 7)

    def release(self, _node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def fsync(self, _node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def opendir(self, node: int, _body: bytes, _who: tuple[int, int]) -> bytes:
        return struct.pack("<QIi", os.open(_proc(self._nodes[node]), os.O_RDONLY | os.O_DIRECTORY), 0, 0)

    def readdir(self, _node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        folder, offset, size = struct.unpack_from("<QQI", body)
        if offset == 0:
            names = sorted(map(os.fsencode, os.listdir(folder)))
            self._listings[folder] = [(name, os.lstat(name, dir_fd=folder)) for name in names]
        found = b""
        for place, (name, status) in enumerate(self._listings[folder][offset:], start=offset + 1):
            kind = stat.S_IFMT(status.st_mode) >> 12
            record = struct.pack("<QQII", status.st_ino, place, len(name), kind) + name
            record += bytes(-len(record) % 8)
            if len(found) + len(record) > size:
                break
            found += record
        return found

    def releasedir(self, _node: int, body: bytes, _who: tuple[int, int]) -> bytes:
        folder = struct.unpack_from("<Q", body)[0]
        self._listings.pop(folder, None)
        os.close(folder)
        return b""

    fsyncdir = fsync


class Server:
    """The loop: one request or one command at a time."""

    def __init__(self, device: int, files: Files) -> None:
        self._device = device
        self._files = files
        self._freeze_after: Call | None = None
        self._countdown = 0
        self._errors: dict[Call, int] = {}

    def serve(self) -> None:
        """Serve until the mount is gone or whoever gives commands is."""
        while True:
            ready, _, _ = select.select([self._device, sys.stdin], [], [])
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                self._obey(json.loads(line))
            elif not self._answer():
                return

    def _obey(self, command: dict[str, object]) -> None:
        match command:
            case {"do": "freeze"}:
                print("ok", flush=True)
                self._freeze()
                return
            case {"do": "freeze_after", "call": str(call), "count": int(count)}:
                self._freeze_after, self._countdown = Call[call], count
            case {"do": "fail", "errors": dict(errors)}:
                self._errors = {Call[call]: code for call, code in errors.items()}
        print("ok", flush=True)

    def _freeze(self) -> None:
        """Stop between two requests: one that was taken up and not answered could not even be killed."""
        os.kill(os.getpid(), signal.SIGSTOP)

    def _answer(self) -> bool:
        try:
            request = os.read(self._device, _MAX_WRITE + (1 << 16))
        except OSError as error:
            return error.errno in {errno.EINTR, errno.ENOENT}  # the kernel took the request back
        _, number, unique, node, uid, gid, _, _ = _IN.unpack_from(request)
        code, answer = self._outcome(number, node, request[_IN.size :], (uid, gid))
        if number not in _UNANSWERED:
            with contextlib.suppress(FileNotFoundError):  # nobody waits for it any more
                os.write(self._device, _OUT.pack(_OUT.size + len(answer), -code, unique) + answer)
        if number == self._freeze_after:
            self._countdown -= 1
            if self._countdown == 0:
                self._freeze()
        return True

    def _outcome(self, number: int, node: int, body: bytes, who: tuple[int, int]) -> tuple[int, bytes]:
        try:
            call = Call(number)
        except ValueError:
            return errno.ENOSYS, b""
        if call in self._errors:
            return self._errors[call], b""
        serve: Callable[[int, bytes, tuple[int, int]], bytes] = getattr(self._files, call.name.lower())
        try:
            return 0, serve(node, body, who)
        except OSError as error:
            return error.errno or errno.EIO, b""


def main(backing: str, at: str) -> None:
    """Mount and serve; says "ok" when that is done. The kernel ends it with whoever started it."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    files = Files(backing)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions"
    _checked(_libc.mount(b"watcherd-test", os.fsencode(at), b"fuse", _NOSUID_NODEV, options.encode()))
    os.umask(0)
    print("ok", flush=True)
    Server(device, files).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
