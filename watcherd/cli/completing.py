"""What a shell offers while a command is being typed: the beginning of a word in, whole words out.

It must be quick, and silent whatever is wrong: who presses TAB is not asking for an error.
"""

# ruff: noqa: PLC0415 - every command imports this room; only a press of TAB reads a configuration

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("srt", "vtt", "txt", "lrc", "json", "podcast-json")


def levels(incomplete: str) -> list[str]:
    """What `--log-level` takes."""
    return _beginning(incomplete, LEVELS)


def formats(incomplete: str) -> list[str]:
    """What `--stdout` takes."""
    return _beginning(incomplete, _FORMATS)


def endpoints(context: typer.Context, incomplete: str) -> list[str]:
    """The configuration's endpoints."""
    return _beginning(incomplete, _names(context)[0])


def targets(context: typer.Context, incomplete: str) -> list[str]:
    """What `pause` and `resume` take: endpoints and inboxes, with their kind where both have the name."""
    known = dict(zip(("endpoint", "inbox"), _names(context), strict=True))
    both = set(known["endpoint"]) & set(known["inbox"])
    words = [f"{kind}:{name}" if name in both else name for kind, names in known.items() for name in names]
    return _beginning(incomplete, words)


def _names(context: typer.Context) -> tuple[Sequence[str], Sequence[str]]:
    try:
        from watcherd.config.load import names_of

        given = context.params.get("config")
        return names_of(None if given is None else Path(given))
    except Exception:  # noqa: BLE001 - the outermost frame of a press of TAB
        return (), ()


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    """The words that begin so. bash takes a blank in one for its end; other shells quote by themselves."""
    found = [word for word in words if word.startswith(incomplete) and word.isprintable()]
    in_bash = os.environ.get("_WATCHERD_COMPLETE") == "complete_bash"
    return [re.sub(r"([^\w@%+=:,./-])", r"\\\1", word) for word in found] if in_bash else found
