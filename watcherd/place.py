"""A place: a configured folder's path in, an open descriptor of that very folder out. Rim; it blocks."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from watcherd.escaping import escaped

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS = 40  # as many as the kernel follows
_OPENAT2 = 437  # on every machine but an Alpha
_AT_FDCWD = -100
_RESOLVE_NO_SYMLINKS = 0x04


class _How(ctypes.Structure):
    """The kernel's struct open_how."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_LINKLESS = _How(flags=_FOLDER, mode=0, resolve=_RESOLVE_NO_SYMLINKS)
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_How), ctypes.c_size_t)
_syscall.restype = ctypes.c_long


class Place:
    """One folder of the configuration, reached by the same way every time.

    A link in its path that stood there when the folder was first opened is its user's, and is followed. One
    that comes later is refused: it would carry files out of the places that the configuration names. So is
    any link below `bare`, an inbox: whoever may drop files there may have put it.

    Where a file system was mounted when the folder was first opened, the folder that shows when it is gone is
    not the one that is meant: it is refused until the file system, or another one, is mounted there again.
    """

    def __init__(self, path: Path, *, bare: Path | None = None) -> None:
        self.path = path
        self.real = b""
        """Where it lay, without links, when it was last opened."""
        self._bare = bare
        self._known: frozenset[bytes] | None = None  # the links on the way, each by its own real path
        self._mounted = False  # at first

    @property
    def parent(self) -> Place:
        """The folder that it lies in."""
        return Place(self.path.parent, bare=self._bare)

    def open(self) -> int:
        """A descriptor of the folder.

        Raises OSError: ELOOP where a link must not be followed, ENODEV where a mount is missing.
        """
        met: set[bytes] = set()
        descriptor = self._opened_at_once()
        if descriptor is None:
            try:
                descriptor, self.real = self._walk(met)
            except OSError as error:
                error.filename = str(self.path)
                raise
        try:
            self._see_mount(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        if self._known is None:
            self._known = frozenset(met)
        return descriptor

    def _see_mount(self, folder: int) -> None:
        if self._known is None:
            self._mounted = _is_mounted(folder)
        elif self._mounted and not _is_mounted(folder):
            raise OSError(errno.ENODEV, "what was mounted there is gone", str(self.path))

    def _opened_at_once(self) -> int | None:
        """The folder, where there was no link on the way and is none; else None, and walking tells."""
        if self._known is None or self._known:
            return None
        descriptor: int = _syscall(_OPENAT2, _AT_FDCWD, bytes(self.path), _LINKLESS, ctypes.sizeof(_How))
        return descriptor if descriptor >= 0 else None  # old kernels and some sandboxes have no such call

    def _walk(self, met: set[bytes]) -> tuple[int, bytes]:
        """Go down folder by folder; `met` gets the links that were followed."""
        folder, at = os.open(b"/", _STEP), b"/"
        ahead, followed = self._steps()[::-1], 0
        try:
            while ahead:
                name, followable = ahead.pop()
                target = _target(folder, name)
                if target is None:
                    folder = _entered(folder, name)
                    at = os.path.dirname(at) if name == b".." else os.path.join(at, name)
                    continue
                link = os.path.join(at, name)
                if not followable or not self._is_known(link) or followed == _MOST_LINKS:
                    raise OSError(errno.ELOOP, f"{escaped(link)} is a link where a folder has to be")
                met.add(link)
                followed += 1
                ahead += [(part, True) for part in target.split(b"/")[::-1] if part not in {b"", b"."}]
                if target.startswith(b"/"):
                    folder, at = _entered(folder, b"/"), b"/"
            return os.open(b".", _FOLDER, dir_fd=folder), at
        finally:
            os.close(folder)

    def _steps(self) -> list[tuple[bytes, bool]]:
        """The parts of the path, each with whether a link may stand there."""
        safe = len(self.path.parts)
        if self._bare is not None and self.path.is_relative_to(self._bare):
            safe = len(self._bare.parts)
        return [(os.fsencode(part), number < safe) for number, part in enumerate(self.path.parts) if number]

    def _is_known(self, link: bytes) -> bool:
        return self._known is None or link in self._known


def _is_mounted(folder: int) -> bool:
    """Whether a file system is mounted there. One that is bound there from the same device goes unnoticed."""
    return os.fstat(folder).st_dev != os.stat(b"..", dir_fd=folder).st_dev


def _target(folder: int, name: bytes) -> bytes | None:
    """Where a link leads; None for what is no link."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _entered(folder: int, name: bytes) -> int:
    """The folder `name`, in exchange for the one it lies in."""
    inner = os.open(name, _STEP, dir_fd=folder)
    os.close(folder)
    return inner
