"""What people write for a value: durations, sizes, numbers, switches, paths, addresses.

Texts come in, values go out. Every function raises ValueError with a sentence that says what would be
right, and never repeats the text itself.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)")
_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?((?:[kmgKMG][iI]?)?[bB])")
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})?(?:\.[0-9]{1,17})?")
SWITCHES = dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+|localhost)):([0-9]{1,5})")
AUTHORITY = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?)(?::([0-9]{1,5}))?"
)
_HIGHEST_PORT = 65535
_REFERENCE = re.compile(r"\$\{([^}/]*)(\}?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What texts refer to: the environment, and the folder that relative paths start from (absolute)."""

    environ: Mapping[str, str]
    folder: Path


def duration(text: str) -> float:
    """Read seconds from `500ms`, `2s`, `10m`, `1.5h`, `30d`."""
    found = DURATION.fullmatch(text)
    if found is None:
        raise ValueError("write a duration with its unit, such as 500ms, 2s, 10m or 24h")
    return float(Decimal(found[1]) * _SECONDS[found[2]])


def size(text: str) -> int:
    """Read bytes from `25MB` (powers of 1000) or `24MiB` (powers of 1024), in large or small letters."""
    found = SIZE.fullmatch(text)
    count = None if found is None else Decimal(found[1]) * _BYTES[found[2].lower()]
    if count is None or count != int(count):
        raise ValueError("write a size with its unit, such as 500kB, 25MB or 24MiB")
    return int(count)


def as_duration(seconds: float) -> str:
    """Write seconds so that `duration` reads them again, in the largest unit that gives a whole number."""
    exact = Decimal(str(seconds))
    unit = next((unit for unit in ("d", "h", "m", "s") if exact % _SECONDS[unit] == 0), "ms")
    return f"{(exact / _SECONDS[unit]).normalize():f}{unit}"


def as_size(count: int) -> str:
    """Write bytes so that `size` reads them again, in the largest power of 1000 that gives a whole number."""
    unit = next((unit for unit in ("GB", "MB", "kB") if count % _BYTES[unit.lower()] == 0), "B")
    return f"{count // _BYTES[unit.lower()]}{unit}"


def whole(text: str) -> int:
    """Read a whole number in plain decimal digits."""
    if not WHOLE.fullmatch(text):
        raise ValueError("write a whole number, such as 4")
    return int(text)


def number(text: str) -> float:
    """Read a number in plain decimal digits, with or without a fraction."""
    if not text or not DECIMAL.fullmatch(text) or not text[-1].isdigit():
        raise ValueError("write a number, such as 0 or 0.2")
    return float(text)


def switch(text: str) -> bool:
    """Read `true` or `false`; `yes` and `on` are texts, as YAML 1.2 has it."""
    if text not in SWITCHES:
        raise ValueError("write true or false")
    return SWITCHES[text]


def path(text: str, around: Surroundings) -> Path:
    """Make a path absolute, without `.` and `..`; expand `~` and `${VAR}`, follow no links."""
    if not text or "\0" in text:
        raise ValueError("write the path of a file or folder")
    head, slash, tail = text.partition("/")
    head = _home(head, around.environ) if head.startswith("~") else _filled(head, around.environ)
    joined = os.path.normpath(around.folder / f"{head}{slash}{_filled(tail, around.environ)}")
    return Path("/" + joined.lstrip("/"))


def xdg_folder(variable: str, usual: str, environ: Mapping[str, str]) -> Path:
    """Find one of the user's own folders, `$XDG_STATE_HOME` say; a relative one counts as unset."""
    named = environ.get(variable, "")
    return Path(named) if named.startswith("/") else Path(_home("~", environ), usual)


def _home(word: str, environ: Mapping[str, str]) -> str:
    """Find the home folder that `~` or `~user` stands for."""
    if word == "~" and environ.get("HOME"):
        return environ["HOME"]
    try:
        return (pwd.getpwnam(word[1:]) if word[1:] else pwd.getpwuid(os.getuid())).pw_dir
    except KeyError:
        raise ValueError(f"there is no home folder for {word}; write the whole path") from None


def _filled(text: str, environ: Mapping[str, str]) -> str:
    """Replace each `${VAR}`."""

    def value_of(found: re.Match[str]) -> str:
        name, closing = found.groups()
        if not closing or not VARIABLE_NAME.fullmatch(name):
            raise ValueError("write a variable as ${NAME}")
        if not environ.get(name):
            raise ValueError(f"the environment variable {name} is not set")
        return environ[name]

    return _REFERENCE.sub(value_of, text)


def address(text: str) -> str:
    """Check a server's address: http or https, a host, no password, no query; drop the slash at the end."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write an address that begins with https:// (or http://) and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address holds no name or password here; put the key into api_key or headers")
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError("an address ends before its ? or #; a query belongs into path")
    plain = text.rstrip("/")
    if plain.endswith(("/audio/translations", "/audio/transcriptions")):
        raise ValueError(f"end it before /audio/: {plain.rpartition('/audio/')[0]}")
    return plain


def webhook(text: str) -> str:
    """Check the address of a webhook; path and query are its own, and often a secret."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write an address that begins with https:// (or http://) and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address holds no name or password here; set a secret instead")
    if parts.fragment:
        raise ValueError("an address ends before its #")
    return text


def proxy(text: str) -> str:
    """Check the address of a proxy, with a name and a password where it asks for them."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write the address of an HTTP proxy, such as http://proxy.example:3128")
    return text


def listen(text: str) -> tuple[str, int]:
    """Read where to listen: an address (IPv6 in brackets) and a port; 0 is any free one."""
    if found := LISTEN.fullmatch(text):
        six, four, port = found.groups()
        with suppress(ValueError):
            address = IPv6Address(six) if six else IPv4Address("127.0.0.1" if four == "localhost" else four)
            if int(port) <= _HIGHEST_PORT:
                return str(address), int(port)
    raise ValueError(
        'write an address and a port, such as 127.0.0.1:8484 or "[::1]:8484"; the only name is localhost'
    )


def authority(text: str) -> str:
    """Check what stands between // and / in a browser's address line: a host, and a port where it shows."""
    found = AUTHORITY.fullmatch(text)
    if found is None or int(found[1] or 0) > _HIGHEST_PORT:
        raise ValueError(
            "write a host as the browser shows it, with its port if there is one: media.example or nas:8080"
        )
    return text.lower()


def is_overheard(url: str) -> bool:
    """Tell whether others can listen on the way: plain http to a host that is not this machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address stands for this machine and no other."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> SplitResult:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("an address has no blanks, control characters or letters beyond ASCII")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("write an address such as https://host.example:8000/v1") from None
    return parts
