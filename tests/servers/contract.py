"""The translation request's contract: reads a multipart body piece by piece, and says what breaks the rules.

In: a request's head and its body in pieces. Out: the form (file hashed and counted, never kept) and a list
of violations, one sentence each.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

KEPT = 64 * 1024
FIELDS = frozenset({"model", "prompt", "response_format", "temperature"})
FORMATS = frozenset({"json", "text", "srt", "vtt", "verbose_json"})
CONTENT_TYPES = {
    "flac": {"audio/flac", "audio/x-flac"},
    "mp3": {"audio/mpeg", "audio/mp3"},
    "ogg": {"audio/ogg"},
    "wav": {"audio/wav", "audio/x-wav"},
    "m4a": {"audio/mp4", "audio/m4a", "audio/x-m4a"},
}
_DISPOSITION = re.compile(rb'form-data; name="file"; filename="([a-z0-9_-]+\.([a-z0-9]+))"')


class Form:
    """A multipart body as it comes in; the file is hashed and counted, its first `kept` bytes kept."""

    def __init__(self, content_type: str, *, kept: int = KEPT) -> None:
        _, options = parse_options_header(content_type)
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.content_type = ""
        self.size = 0
        self._kept = kept
        self._head = bytearray()
        self.whole = False
        self.problems: list[str] = []
        self._disposition = b""
        self._has_file = False
        self._malformed = False
        self._hash = hashlib.sha256()
        self._header_name = b""
        self._header_value = b""
        self._part: dict[bytes, bytes] = {}
        self._name = ""
        self._value = bytearray()
        self._parser = MultipartParser(
            options.get(b"boundary", b"none-was-named"),
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_field,
                "on_header_value": self._header_data,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_end": self._ends,
            },
        )

    @property
    def head(self) -> bytes:
        return bytes(self._head)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def feed(self, data: bytes) -> None:
        """Take in the next piece; a malformed body becomes a problem."""
        if self._malformed:
            return
        try:
            self._parser.write(data)
        except FormParserError as broken:
            self._malformed = True
            self.problems.append(f"the multipart body is malformed: {broken}")

    def violations(self, *, allowed: Collection[str]) -> list[str]:
        """What this form does that a translation request must not."""
        found = list(self.problems)
        if not self.whole:
            found.append("the multipart body has no end")
        found += [f"field {name!r} is not in the contract" for name in self.fields if name not in allowed]
        found += [f"field {name!r} is empty" for name, value in self.fields.items() if not value]
        if "model" not in self.fields:
            found.append("field 'model' is missing")
        if self.fields.get("response_format", "json") not in FORMATS:
            found.append(f"response_format {self.fields['response_format']!r} is none of the five")
        if not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", self.fields.get("temperature", "0")):
            found.append(f"temperature {self.fields['temperature']!r} is not between 0 and 1")
        return found + self._file_violations()

    def _file_violations(self) -> list[str]:
        if not self._has_file:
            return ["field 'file' is missing"]
        matched = _DISPOSITION.fullmatch(self._disposition)
        if matched is None:
            return [f"the file part is described by {self._disposition!r}"]
        extension, container = matched[2].decode(), container_of(self.head)
        found = []
        if extension not in CONTENT_TYPES:
            found.append(f"the extension of {self.filename!r} is none of the five that every server takes")
        elif extension != container:
            found.append(f"the file is named {self.filename!r}, and its bytes say {container}")
        elif self.content_type not in CONTENT_TYPES[extension]:
            found.append(f"the content type of {self.filename!r} is {self.content_type!r}")
        return found

    def _part_begins(self) -> None:
        self._part, self._name, self._value = {}, "", bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_data(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        self._part[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _headers_end(self) -> None:
        disposition = self._part.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        self._name = options.get(b"name", b"").decode()
        if self._name in self.fields or (self._name == "file" and self._has_file):
            self.problems.append(f"field {self._name!r} comes twice")
        if self._name == "file":
            self._has_file, self._disposition = True, disposition
            self.filename = options.get(b"filename", b"").decode("latin-1")
            self.content_type = self._part.get(b"content-type", b"").decode("latin-1")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        piece = memoryview(data)[start:end]
        if self._name != "file":
            self._value += piece
            return
        self._hash.update(piece)
        self.size += len(piece)
        if len(self._head) < self._kept:
            self._head += piece[: self._kept - len(self._head)]

    def _part_ends(self) -> None:
        if self._name != "file":
            self.fields[self._name] = self._value.decode()

    def _ends(self) -> None:
        self.whole = True


def container_of(head: bytes) -> str:
    """Tell flac, mp3, ogg, wav and m4a by their first bytes."""
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "m4a"
    if head.startswith(b"ID3") or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return "mp3"
    return "nothing known"


def head_violations(headers: Mapping[str, str]) -> list[str]:
    """What the request's head does that a translation request must not."""
    found = []
    if "transfer-encoding" in headers:
        found.append("the body is chunked; some gateways need Content-Length")
    if not headers.get("content-length", "").isdigit():
        found.append("Content-Length is missing")
    if not headers.get("content-type", "").startswith("multipart/form-data; boundary="):
        found.append(f"the content type is {headers.get('content-type')!r}")
    return found
