"""The unit file for tests: what it says, and a launcher that sets as much of it as works without systemd.

    python tests/unit.py COMMAND...      replaces itself by the command, confined as the unit says

That is: the system-call filter, address families, setgid and setuid bits, capabilities, umask, limits and
variables. Needs systemd-analyze for the names of call groups, and libseccomp, which systemd itself needs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

UNIT = Path(__file__).parents[1] / "systemd" / "watcherd.service"
LEASE = 28  # CAP_LEASE
CAPABILITIES = {"CAP_LEASE": LEASE}

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO
_EQUAL, _MASKED_EQUAL = 4, 7  # SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ
_CAPBSET_READ, _CAPBSET_DROP = 23, 24  # prctl(2)
_FAMILIES = 46  # AF_MAX
_MODE_ARGUMENT = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1, "mknodat": 2}


def settings(unit: Path = UNIT) -> dict[str, list[str]]:
    """Every setting of a unit's [Service], with its values in order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def groups() -> Mapping[str, Sequence[str]]:
    """systemd's groups of system calls, each with what it lists: calls and other groups."""
    command = ["systemd-analyze", "syscall-filter", "--no-pager"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("@"):
            name = line.strip()
            found[name] = []
        elif line.startswith(" ") and not line.strip().startswith("#"):
            found[name].append(line.strip())
    return found


def allowed(values: Iterable[str], known: Mapping[str, Sequence[str]]) -> set[str]:
    """The calls that SystemCallFilter= allows: its lines add, or take away with ~; @default is always in."""
    calls = _expanded(["@default"], known)
    for value in values:
        these = _expanded(value.removeprefix("~").split(), known)
        calls = calls - these if value.startswith("~") else calls | these
    return calls


def _expanded(names: Iterable[str], known: Mapping[str, Sequence[str]]) -> set[str]:
    calls: set[str] = set()
    for name in names:
        calls |= _expanded(known[name], known) if name.startswith("@") else {name}
    return calls


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of libseccomp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _Filter:
    """One seccomp filter. `otherwise` is what happens to a call that no rule speaks of."""

    def __init__(self, otherwise: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(otherwise)))

    def rule(self, call: str, action: int, *comparisons: _Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:  # another architecture's, or newer than the library
            return
        several = (_Comparison * len(comparisons))(*comparisons)
        failed = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(comparisons), several
        )
        assert failed == 0, (call, os.strerror(-failed))

    def load(self) -> None:
        failed = self._library.seccomp_load(self._context)
        assert failed == 0, os.strerror(-failed)


def confine(unit: Mapping[str, Sequence[str]]) -> None:
    """Confine this process and all that it starts; libseccomp sets "no new privileges" on the way."""
    for line in unit.get("Environment", ()):
        name, _, value = line.partition("=")
        os.environ[name] = value
    os.umask(int(unit["UMask"][-1], 8))
    for name, which in (("LimitCORE", resource.RLIMIT_CORE), ("LimitNOFILE", resource.RLIMIT_NOFILE)):
        most = min(int(unit[name][-1]), resource.getrlimit(which)[1])
        resource.setrlimit(which, (most, most))
    calls = allowed(unit["SystemCallFilter"], groups())
    _drop_capabilities({CAPABILITIES[name] for name in unit["CapabilityBoundingSet"][-1].split()})
    _restrict_families(unit["RestrictAddressFamilies"][-1].split())
    if unit["RestrictSUIDSGID"][-1] == "yes":
        _restrict_mode_bits()
    _restrict_calls(calls, getattr(errno, unit["SystemCallErrorNumber"][-1]))


def _restrict_calls(calls: Iterable[str], refusal: int) -> None:
    only = _Filter(_ERRNO | refusal)
    for call in calls:
        only.rule(call, _ALLOW)
    only.load()


def _restrict_families(families: Iterable[str]) -> None:
    kept = {int(getattr(socket, family)) for family in families}
    others = _Filter(_ALLOW)
    for family in set(range(_FAMILIES)) - kept:
        others.rule("socket", _ERRNO | errno.EAFNOSUPPORT, _Comparison(0, _EQUAL, family, 0))
    others.load()


def _restrict_mode_bits() -> None:
    bits = _Filter(_ALLOW)
    for bit in (0o2000, 0o4000):
        for call, argument in _MODE_ARGUMENT.items():
            bits.rule(call, _ERRNO | errno.EPERM, _Comparison(argument, _MASKED_EQUAL, bit, bit))
    bits.load()


def _drop_capabilities(kept: set[int]) -> None:
    """Without the right to drop them there are none to drop."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = 0
    while libc.prctl(_CAPBSET_READ, number) >= 0:
        if number not in kept:
            libc.prctl(_CAPBSET_DROP, number)
        number += 1


def main(command: Sequence[str]) -> None:
    """Become the command, confined."""
    program = shutil.which(command[0])
    assert program, command
    confine(settings())
    os.execv(program, list(command))


if __name__ == "__main__":
    main(sys.argv[1:])
