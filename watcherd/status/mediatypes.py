"""Media types: a file's name and what a sidecar holds in, what HTTP calls it out. Pure.

Nothing that a browser would run gets a type by which it might: what is no sound, no picture and no sidecar of
ours is bytes.
"""

from __future__ import annotations

_TEXT = {
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "lrc": "text/plain; charset=utf-8",
    "json": "application/json",
    "podcast-json": "application/json",
    "report": "application/json",
}
"""By the format of a sidecar."""

_MEDIA = {
    "audio/aac": "aac adts",
    "audio/aiff": "aif aifc aiff",
    "audio/amr": "amr",
    "audio/basic": "au snd",
    "audio/flac": "flac",
    "audio/matroska": "mka",
    "audio/mp4": "m4a m4b m4r",
    "audio/mpeg": "mp1 mp2 mp3 mpa mpga m2a",
    "audio/ogg": "oga ogg opus spx",
    "audio/wav": "wav wave",
    "audio/webm": "weba",
    "audio/x-ms-wma": "wma",
    "video/3gpp": "3gp 3gpp",
    "video/3gpp2": "3g2 3gp2",
    "video/matroska": "mkv mk3d",
    "video/mp2t": "m2t m2ts mts ts",
    "video/mp4": "m4v mp4 mp4v",
    "video/mpeg": "m2v mpe mpeg mpg vob",
    "video/ogg": "ogm ogv",
    "video/quicktime": "mov qt",
    "video/webm": "webm",
    "video/x-flv": "f4v flv",
    "video/x-ms-wmv": "asf wm wmv",
    "video/x-msvideo": "avi divx",
}
_BY_EXTENSION = {extension.encode(): kind for kind, names in _MEDIA.items() for extension in names.split()}
BYTES = "application/octet-stream"


def type_of(name: bytes, form: str) -> str:
    """The type of a sidecar of this format, or of an original, whose format is empty."""
    if form:
        return _TEXT.get(form, BYTES)
    return _BY_EXTENSION.get(name.rpartition(b".")[2].lower(), BYTES)
