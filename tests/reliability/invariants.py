"""What must be true of the folders after any crash: listings in, an AssertionError or nothing out."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tests.servers.endpoint import Request
from tests.servers.speech import sentences


def files_below(root: Path) -> dict[bytes, bytes]:
    """Everything below a folder that is not a folder: relative names and contents."""
    found = {}
    for folder, _, names in os.walk(os.fsencode(root)):
        for name in names:
            path = os.path.join(folder, name)
            try:
                with open(path, "rb") as file:
                    found[os.path.relpath(path, os.fsencode(root))] = file.read()
            except FileNotFoundError:  # moved while this was looking
                continue
    return found


def foreign_content(name: bytes) -> bytes:
    """What a foreign file holds."""
    return b"somebody's " + name


def check_files(
    found: Mapping[str, Mapping[bytes, bytes]],
    dropped: Mapping[bytes, bytes],
    *,
    failing: Collection[bytes],
    foreign: Collection[bytes],
    heard: Iterable[Request],
) -> None:
    """Check that each dropped file is in done or failed once, with what belongs to it, and nothing else.

    `found` are the contents of inbox, done and failed; `dropped` what was put into the inbox, all different,
    one of them sent as FLAC made of it; `foreign` stood there before; `heard` are the endpoint's requests.
    """
    left = {
        folder.encode() + b"/" + name: content
        for folder, names in found.items()
        for name, content in names.items()
    }
    for name in foreign:
        assert left.pop(name, None) == foreign_content(name), f"{name!r} was somebody's"
    spoken = {request.sha256: request for request in heard if request.whole}
    as_they_are = {hashlib.sha256(content).hexdigest() for content in dropped.values()}
    decoded = [request for digest, request in spoken.items() if digest not in as_they_are]
    for name, content in dropped.items():
        place = _place(left, name, content, outcome=b"failed/" if name in failing else b"done/")
        if name in failing:
            _check_report(left.pop(place + b".error.json", b""), name)
            continue
        request = spoken.get(hashlib.sha256(content).hexdigest())
        if request is None:
            assert len(decoded) == 1, f"{name!r} was sent as one of {decoded}"
            request = decoded[0]
        stem = os.path.splitext(place)[0]
        for suffix, expected in _sidecars(request).items():
            there = left.pop(stem + suffix, None)
            assert there == expected, f"{stem + suffix!r} holds {there!r}"
    assert not left, f"left over: {sorted(left)}"


def _place(left: dict[bytes, bytes], name: bytes, content: bytes, *, outcome: bytes) -> bytes:
    """Take the one file that holds this content out of those that are left; it may have been numbered."""
    places = [place for place, there in left.items() if there == content]
    assert len(places) == 1, f"{name!r} is at {places}"
    stem, extension = os.path.splitext(outcome + name)
    pattern = re.escape(stem) + rb"( \([2-9]\))?" + re.escape(extension)
    assert re.fullmatch(pattern, places[0]), f"{name!r} is at {places[0]!r}"
    del left[places[0]]
    return places[0]


def _sidecars(request: Request) -> dict[bytes, bytes]:
    """Return what the sidecars of a file must hold, by their suffix, given how it was sent."""
    first, second = sentences(request.size, request.sha256)
    one, two = "00:00:00,000 --> 00:00:02,000", "00:00:02,000 --> 00:00:04,000"
    srt = f"1\n{one}\n{first}\n\n2\n{two}\n{second}\n"
    vtt = f"WEBVTT\n\n{one}\n{first}\n\n{two}\n{second}\n".replace(",000", ".000")
    txt = f"{first} {second}\n"
    return {b".srt": srt.encode(), b".vtt": vtt.encode(), b".txt": txt.encode()}


def _check_report(content: bytes, name: bytes) -> None:
    assert content, f"{name!r} has no report"
    report = json.loads(content)
    assert report["file"] == name.decode()
    assert report["fault"]["code"] == "undecodable"
    assert report["fault"]["hint"]
