"""Names as people read them: file names and text from elsewhere in, text that is safe to print out. Pure."""

from __future__ import annotations

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))} | {
    # What breaks a line or turns its direction: a name could pass itself off as another.
    code: f"\\u{code:04x}"
    for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}


def escaped(name: bytes) -> str:
    """A file name as text that is safe on a terminal and in a log."""
    return harmless(name.decode("utf-8", "backslashreplace"))


def plain(name: str) -> str:
    """A file name that is text already, as `os.fsdecode` makes it, in the same way."""
    return escaped(name.encode("utf-8", "surrogateescape"))


def harmless(text: str) -> str:
    """Text with its control characters escaped; a plain `str`, whatever kind of one came in."""
    # None of those is printable, and text that is needs no look at each character.
    return str(text) if text.isprintable() else text.translate(_CONTROL)
