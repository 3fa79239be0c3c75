"""Secrets: the place that the configuration names comes in, the secret itself goes out.

A secret is written as `{env: NAME}`, `{file: PATH}`, `{credential: NAME}` (a file that systemd puts into
$CREDENTIALS_DIRECTORY) or, least safely, as it is. ValueError says what is wrong; since people put keys into
the wrong place, no message ever repeats what was written, only names that cannot be keys.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from watcherd.config.problems import nearest
from watcherd.config.values import VARIABLE_NAME, Surroundings, path
from watcherd.promptly import promptly

SecretSource: TypeAlias = str | dict[str, str]
"""What the configuration may hold for a secret: `{env|file|credential: text}`, or the secret as text."""

_SOURCES = ("env", "file", "credential")
_SHAPES = "{env: NAME}, {file: PATH}, {credential: NAME}"
_LONGEST = 65536  # bytes; a file beyond that is no secret
_CONVENTIONAL = re.compile(r"[A-Z_][A-Z0-9_]*")  # a variable's name that is safe to repeat


def read(source: object, around: Surroundings) -> str:
    """Fetch the secret that `source` (a SecretSource, not yet checked) names.

    One newline at the end is dropped. Raises ValueError for a source of another shape, an unset variable,
    a file that cannot be read, and for a secret that is empty or could not stand in an HTTP header.
    """
    match source:
        case str() as text:
            return _checked(_no_reference(text))
        case {"env": str() as name, **others} if not others:
            return _checked(_from_environment(name, around))
        case {"file": str() as name, **others} if not others:
            return _checked(_from_file(name, around))
        case {"credential": str() as name, **others} if not others:
            return _checked(_from_credential(name, around))
        case dict() as entries if unknown := [key for key in entries if key not in _SOURCES]:
            raise ValueError(f"write one of {_SHAPES}{nearest(str(unknown[0]), _SOURCES)}")
        case _:
            raise ValueError(f"write one of {_SHAPES}")


def _no_reference(text: str) -> str:
    found = re.fullmatch(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?", text)
    if found:
        name = found[1] if _CONVENTIONAL.fullmatch(found[1]) else "NAME"
        raise ValueError(f"a variable is not expanded here; write {{env: {name}}}")
    return text


def _from_environment(name: str, around: Surroundings) -> str:
    if not VARIABLE_NAME.fullmatch(name):
        raise ValueError("env takes the name of an environment variable, such as {env: COMETAPI_KEY}")
    if name not in around.environ:
        shown = name if _CONVENTIONAL.fullmatch(name) else "that env names"
        raise ValueError(f"the environment variable {shown} is not set")
    return around.environ[name]


def _from_file(name: str, around: Surroundings) -> str:
    place = path(name, around)
    shown = place if "/" in name else "that file names"
    return _content(place, f"the file {shown}")


def _from_credential(name: str, around: Surroundings) -> str:
    if not name or "/" in name or name in {".", ".."}:
        raise ValueError("credential takes a name without slashes, as in the unit's LoadCredential=NAME:PATH")
    folder = around.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ValueError(
            "$CREDENTIALS_DIRECTORY is not set: only the service has credentials; elsewhere use env or file"
        )
    return _content(Path(folder, name), "the credential (LoadCredential=NAME:PATH in the unit)")


def _content(place: Path, what: str) -> str:
    """Read a small file's text."""
    try:
        content = promptly(_first_bytes, place)
    except OSError as error:
        raise ValueError(f"{what} cannot be read: {error.strerror}") from None
    if len(content) > _LONGEST:
        raise ValueError(f"{what} is too long for a secret")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is not a text") from None


def _first_bytes(place: Path) -> bytes:
    """Read as much as a secret may have, and a byte. Not blocking: a FIFO without a writer reads as empty."""
    with open(place, "rb", opener=_opened) as file:
        return file.read(_LONGEST + 1) or b""


def _opened(place: str, flags: int) -> int:
    return os.open(place, flags | os.O_NONBLOCK)


def _checked(text: str) -> str:
    """Drop the final newline; what is left must be fit for an HTTP header."""
    secret = text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
    if not secret:
        raise ValueError("the secret is empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in secret):
        raise ValueError("the secret holds a line break or another control character; it must be one line")
    if not secret.isascii():
        raise ValueError("the secret holds a character beyond ASCII, which no HTTP header can carry")
    if secret != secret.strip():
        raise ValueError("the secret begins or ends with a blank")
    return secret
