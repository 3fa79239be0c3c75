"""Content keys: the same for the same content, another for any other, in constant memory."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.inbox.content import ENDS, keys, sha256_of


def opened(tmp_path: Path, content: bytes) -> int:
    path = tmp_path / "file"
    path.write_bytes(content)
    return os.open(path, os.O_RDONLY)


def quick(tmp_path: Path, content: bytes) -> str:
    fd = opened(tmp_path, content)
    try:
        return keys(fd, len(content))[0]
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [0, 1, ENDS - 1, ENDS, ENDS + 1, 3 * ENDS + 17])
def test_the_whole_files_hash_is_sha256_whatever_its_size(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    fd = opened(tmp_path, content)
    try:
        assert sha256_of(fd, threading.Event()) == hashlib.sha256(content).hexdigest()
    finally:
        os.close(fd)


def test_hashing_stops_when_it_is_told_to(tmp_path: Path) -> None:
    fd = opened(tmp_path, b"x" * ENDS)
    stop = threading.Event()
    stop.set()
    try:
        assert sha256_of(fd, stop) == hashlib.sha256(b"").hexdigest()
    finally:
        os.close(fd)


def test_the_quick_key_sees_size_beginning_and_end(tmp_path: Path) -> None:
    base = bytearray(3 * ENDS)
    keys = {quick(tmp_path, bytes(base))}
    for place in (0, ENDS - 1, 2 * ENDS, 3 * ENDS - 1):
        changed = bytearray(base)
        changed[place] = 1
        keys.add(quick(tmp_path, bytes(changed)))
    keys.add(quick(tmp_path, bytes(base) + b"\0"))
    assert len(keys) == 6


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_small_files_have_the_same_key_exactly_when_they_are_equal(one: bytes, other: bytes) -> None:
    found = []
    for content in (one, other):
        fd = os.memfd_create("content")
        try:
            os.write(fd, content)
            found.append(keys(fd, len(content)))
        finally:
            os.close(fd)
    assert (found[0] == found[1]) == (one == other)
