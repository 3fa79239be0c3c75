"""The truth: a request's audio in, the sentences of `tests.spoken` that it holds out, found by their samples.

    truth = Truth(script.voice)
    with LocalEndpoint(kept=25_000_000) as endpoint:
        endpoint.always(truth)
    truth.told[0]              Told(seconds=540.0, whole=112, cut=0, sha256="…")

It knows nothing of parts and scripts. A sentence is told only if each of its samples is there; of one that is
not all there, the answer has the time of what there is, and CUT for its text. Uploads have to be lossless.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import av
import numpy as np
from numpy.typing import NDArray

from tests.servers.behaviour import Request, Respond
from tests.spoken import RATE, Line, Samples, Voice

CUT = "[cut]"

_STRIDE = 800  # samples, 50 ms: one mark in each; less than that of a piece may go unnoticed


@dataclass(frozen=True, slots=True)
class Told:
    """What one request held, by what it was answered."""

    seconds: float
    whole: int
    cut: int
    sha256: str


@dataclass(slots=True)
class Truth:
    """A behaviour of the local endpoint; `told` has a line for each request so far."""

    voice: Voice
    told: list[Told] = field(default_factory=list)
    _ear: Ear = field(init=False)

    def __post_init__(self) -> None:
        self._ear = Ear(self.voice)

    def __call__(self, request: Request) -> Respond:
        assert len(request.head) == request.size, "the endpoint kept too little of the file"
        samples = decoded(request.head)
        lines = self._ear.lines(samples)
        cut = sum(line.text == CUT for line in lines)
        self.told.append(Told(len(samples) / RATE, len(lines) - cut, cut, request.sha256))
        return Respond(body=_verbose(lines, len(samples) / RATE))


class Ear:
    """Knows each piece by its marks: four samples in a row, which are one number, and are nowhere else."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._pieces = [*voice.names, *voice.deeds]
        self._grams, self._of, self._offsets = _marks(self._pieces)
        self._begins_mark = np.zeros(1 << 16, np.bool_)  # by a mark's first sample, for a quick first look
        self._begins_mark[self._grams & 0xFFFF] = True

    def lines(self, samples: Samples) -> list[Line]:
        """The sentences in these samples, in order."""
        voice, count = self._voice, len(self._voice.names)
        heard = self._heard(samples)
        names = {begin: piece for begin, piece in heard if piece < count}
        deeds = {begin: piece - count for begin, piece in heard if piece >= count}
        found = []
        for begin, name in names.items():
            middle = begin + len(voice.names[name])
            deed = deeds.pop(middle, None)
            end = middle if deed is None else middle + len(voice.deeds[deed])
            whole = deed is not None and begin >= 0 and end <= len(samples)
            found.append((begin, end, voice.text(name, deed) if whole and deed is not None else CUT))
        found += [(begin, begin + len(voice.deeds[deed]), CUT) for begin, deed in deeds.items()]
        return [
            Line(max(begin, 0) / RATE, min(end, len(samples)) / RATE, text)
            for begin, end, text in sorted(found)
        ]

    def _heard(self, samples: Samples) -> list[tuple[int, int]]:
        """Where pieces begin, and which; one that begins before the samples or ends after them counts too."""
        likely = np.flatnonzero(self._begins_mark[samples[:-3].view(np.uint16)])
        grams = _grams_at(samples, likely)
        number = np.minimum(np.searchsorted(self._grams, grams), len(self._grams) - 1)
        sure = self._grams[number] == grams
        begins, pieces = likely[sure] - self._offsets[number[sure]], self._of[number[sure]]
        places = set(zip(begins.tolist(), pieces.tolist(), strict=True))
        return sorted(place for place in places if self._is_there(samples, *place))

    def _is_there(self, samples: Samples, begin: int, piece: int) -> bool:
        first, last = max(begin, 0), min(begin + len(self._pieces[piece]), len(samples))
        return np.array_equal(samples[first:last], self._pieces[piece][first - begin : last - begin])


def decoded(file: bytes) -> Samples:
    """The 16-bit samples of a FLAC file."""
    with av.open(io.BytesIO(file), "r") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames).astype(np.int16, casting="no")


def _marks(pieces: Sequence[Samples]) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
    """In each stride of each piece the loudest unique four samples: these, the piece and the offset."""
    grams = [_grams_at(piece, np.arange(len(piece) - 3)) for piece in pieces]
    every, times = np.unique(np.concatenate(grams), return_counts=True)
    found = []
    for number, (piece, own) in enumerate(zip(pieces, grams, strict=True)):
        loudness = np.abs(piece[:-3].astype(np.int32))
        loudness[times[np.searchsorted(every, own)] > 1] = -1
        for at in range(0, len(own), _STRIDE):
            offset = at + int(np.argmax(loudness[at : at + _STRIDE]))
            if loudness[offset] >= 0:
                found.append((int(own[offset]), number, offset))
    of_all = sorted(found)
    return (
        np.array([gram for gram, _, _ in of_all], np.uint64),
        np.array([number for _, number, _ in of_all], np.intp),
        np.array([offset for _, _, offset in of_all], np.intp),
    )


def _grams_at(samples: Samples, places: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Four samples from each place on, as one number with the first of them lowest."""
    words = samples.view(np.uint16)
    found = np.zeros(len(places), np.uint64)
    for index in range(4):
        found |= words[places + index].astype(np.uint64) << np.uint64(16 * index)
    return found


def _verbose(lines: Sequence[Line], seconds: float) -> bytes:
    segments = [{"start": line.start, "end": line.end, "text": f" {line.text}"} for line in lines]
    text = " ".join(line.text for line in lines)
    body = {"language": "english", "duration": seconds, "text": text, "segments": segments}
    return json.dumps(body).encode()
