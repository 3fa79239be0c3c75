"""What reading a configuration text says: a text comes in, the problems as a user sees them go out."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from watcherd.config.load import Config, ConfigError, parse

SOURCE = Path("/etc/watcherd/config.yaml")
FILE = str(SOURCE)


def read(text: str, **environ: str) -> Config:
    return parse(dedent(text), source=SOURCE, environ={"HOME": "/home/ada", **environ})


def said(text: str, **environ: str) -> list[str]:
    """The lines of the error, each without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(FILE) for line in lines)
    return [line.removeprefix(f"{FILE}:").strip() for line in lines]
