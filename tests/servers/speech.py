"""What the local endpoint has "heard": a translation made from the request, in each format. Pure."""

from __future__ import annotations

import json
from typing import Any

DURATION = 4.0


def sentences(size: int, sha256: str) -> tuple[str, str]:
    """Return the two sentences that a file of this size and digest is translated into."""
    return f"This file has {size} bytes.", f"Its digest begins with {sha256[:12]}."


def translation(response_format: str, *, size: int, sha256: str) -> tuple[str, bytes]:
    """Return content type and body of a valid answer, shaped as OpenAI's are."""
    first, second = sentences(size, sha256)
    match response_format:
        case "verbose_json":
            return "application/json", json.dumps(_verbose(first, second)).encode()
        case "srt":
            one, two = "00:00:00,000 --> 00:00:02,000", "00:00:02,000 --> 00:00:04,000"
            text = f"1\n{one}\n {first}\n\n2\n{two}\n {second}\n\n"
        case "vtt":
            one, two = "00:00:00.000 --> 00:00:02.000", "00:00:02.000 --> 00:00:04.000"
            text = f"WEBVTT\n\n{one}\n{first}\n\n{two}\n{second}\n\n"
        case "text":
            text = f"{first} {second}\n"
        case _:
            return "application/json", json.dumps({"text": f"{first} {second}"}).encode()
    return "text/plain; charset=utf-8", text.encode()


def _verbose(first: str, second: str) -> dict[str, Any]:
    return {
        "task": "translate",
        "language": "english",
        "duration": DURATION,
        "text": f"{first} {second}",
        "segments": [_segment(0, 0.0, 2.0, first), _segment(1, 2.0, DURATION, second)],
    }


def _segment(number: int, start: float, end: float, text: str) -> dict[str, Any]:
    return {
        "id": number,
        "seek": 0,
        "start": start,
        "end": end,
        "text": f" {text}",
        "tokens": [50364, 50464],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.1,
        "no_speech_prob": 0.01,
    }
