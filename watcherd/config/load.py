"""Find and read a configuration: a path or a text comes in, a `Config` or a `ConfigError` goes out.

The error holds every problem of the file at once, each with its line, dotted key, value and what would be
right. Reading has no side effects; it touches the disk for the file itself, secrets, certificates, and links
in paths, and waits for none of them longer than some seconds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from watcherd.config.model import Config
from watcherd.config.problems import ConfigError, Problem, listed, printable
from watcherd.config.reading import read, read_names, read_state
from watcherd.config.values import Surroundings, xdg_folder
from watcherd.promptly import promptly

__all__ = ["Config", "ConfigError", "Problem", "find", "load", "names_of", "parse", "state_of"]

_LARGEST = 2**20  # bytes; a file beyond that is something else
_MAKE_ONE = "make one with: watcherd init"


def find(explicit: Path | None) -> Path:
    """Choose the file: the one named, else the first that exists of the usual places.

    These are `./watcherd.yaml`, `$XDG_CONFIG_HOME/watcherd/config.yaml`, `/etc/watcherd/config.yaml`.
    Raises ConfigError that lists them when there is none. Whether the file can be read is for `load`.
    """
    if explicit is not None:
        return explicit
    places = [Path("watcherd.yaml"), Path("/etc/watcherd/config.yaml")]
    with suppress(ValueError):  # a user without a home folder
        places.insert(1, xdg_folder("XDG_CONFIG_HOME", ".config", os.environ) / "watcherd" / "config.yaml")
    found = next((place for place in places if os.path.lexists(place)), None)
    if found is None:
        tried = listed([f"./{places[0]}", *(printable(str(place)) for place in places[1:])])
        raise ConfigError([_about_file(f"no configuration: there is no {tried}; {_MAKE_ONE}")])
    return found


def load(path: Path) -> Config:
    """Read a configuration file. Raises ConfigError with all its problems."""
    text, mode = _content(path)
    config, written_secrets = read(
        text, shown=str(path), source=Path(os.path.abspath(path)), around=_around(path, os.environ)
    )
    if not (written_secrets and mode & stat.S_IROTH):
        return config
    warning = (
        f"{printable(str(path))} holds a secret ({listed(written_secrets, last='and')}) and every user of "
        "this machine can read it; use {env: NAME}, {file: PATH} or {credential: NAME}, or: chmod o-r FILE"
    )
    return config.model_copy(update={"warnings": (*config.warnings, warning)})


def state_of(path: Path) -> Path | None:
    """The state folder that a file names; None where that cannot be told. Raises ConfigError as `find` does.

    A daemon that runs there can be asked, however wrong its file has become, and without any secret of it.
    """
    text, _ = _content(path)
    return read_state(text, around=_around(path, os.environ))


def names_of(path: Path | None) -> tuple[list[str], list[str]]:
    """The names of the endpoints and of the inboxes, for a shell. Raises ConfigError as `find` does."""
    text, _ = _content(find(path))
    return read_names(text)


def parse(text: str, *, source: Path | None, environ: Mapping[str, str]) -> Config:
    """Read a configuration from its text; relative paths start at `source`'s folder, or the current one.

    Raises ConfigError with all its problems.
    """
    absolute = None if source is None else Path(os.path.abspath(source))
    shown = "" if source is None else str(source)
    return read(text, shown=shown, source=absolute, around=_around(source, environ))[0]


def _around(source: Path | None, environ: Mapping[str, str]) -> Surroundings:
    folder = Path.cwd() if source is None else Path(os.path.abspath(source)).parent
    return Surroundings(environ=environ, folder=folder)


def _content(path: Path) -> tuple[str, int]:
    """Read the file's text and permission bits."""
    try:
        content, mode = promptly(_first_bytes, path)
    except FileNotFoundError:
        raise ConfigError([_about_file(f"there is no such file; {_MAKE_ONE}")], source=str(path)) from None
    except OSError as error:
        raise ConfigError([_about_file(f"cannot be read: {error.strerror}")], source=str(path)) from None
    if len(content) > _LARGEST:
        message = "larger than 1 MiB; that is no configuration"
        raise ConfigError([_about_file(message)], source=str(path))
    try:
        return content.decode(), mode
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(line=line, key="", value="", message="not UTF-8; save the file in that encoding")
        raise ConfigError([problem], source=str(path)) from None


def _first_bytes(path: Path) -> tuple[bytes, int]:
    with open(path, "rb") as file:
        return file.read(_LARGEST + 1), os.fstat(file.fileno()).st_mode


def _about_file(message: str) -> Problem:
    return Problem(line=None, key="", value="", message=message)
