"""Tracks: what a probe found and which audio track is wished for in, the track to take out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from watcherd.faults import Fault, FaultError, Remedy, Scope
from watcherd.media.findings import Probe, Track

DEFAULT = "default"


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


# ISO 639-2 has two codes for these languages, and containers use either: the bibliographic one, by ours.
_OTHER_CODES = _pairs(
    """alb:sqi arm:hye baq:eus bur:mya chi:zho cze:ces dut:nld fre:fra geo:kat ger:deu gre:ell ice:isl mac:mkd
    mao:mri may:msa per:fas rum:ron slo:slk tib:bod wel:cym"""
)
# ISO 639-1 by ISO 639-2, all languages that Whisper knows and have both.
_SHORT_CODES = _pairs(
    """af:afr am:amh ar:ara as:asm az:aze ba:bak be:bel bg:bul bn:ben bo:bod br:bre bs:bos ca:cat cs:ces
    cy:cym da:dan de:deu el:ell en:eng es:spa et:est eu:eus fa:fas fi:fin fo:fao fr:fra gl:glg gu:guj
    ha:hau he:heb hi:hin hr:hrv ht:hat hu:hun hy:hye id:ind is:isl it:ita ja:jpn jv:jav ka:kat kk:kaz
    km:khm kn:kan ko:kor la:lat lb:ltz ln:lin lo:lao lt:lit lv:lav mg:mlg mi:mri mk:mkd ml:mal mn:mon
    mr:mar ms:msa mt:mlt my:mya ne:nep nl:nld nn:nno no:nor oc:oci pa:pan pl:pol ps:pus pt:por ro:ron
    ru:rus sa:san sd:snd si:sin sk:slk sl:slv sn:sna so:som sq:sqi sr:srp su:sun sv:swe sw:swa ta:tam
    te:tel tg:tgk th:tha tk:tuk tl:tgl tr:tur tt:tat uk:ukr ur:urd uz:uzb vi:vie yi:yid yo:yor zh:zho"""
)


def choose_track(probe: Probe, wanted: str | int | Sequence[str]) -> Track:
    """The track to translate: `wanted` is "default", an index of the probe's, or language codes, best first.

    A language code is that of ISO 639-1 or 639-2, a region after it does not count ("de", "ger",
    "deu", "de-AT").
    Of several tracks, the one that is marked as default is taken, else the first; a track that nobody can
    decode only if there is no other. Raises FaultError (scope file), which names the tracks that there are.
    """
    if not probe.tracks:
        raise FaultError(_none_such(probe, wanted))
    if wanted == DEFAULT:
        return _first(probe.tracks)
    if isinstance(wanted, int):
        fitting = [track for track in probe.tracks if track.index == wanted]
    else:
        codes = [wanted] if isinstance(wanted, str) else wanted
        fitting = next(filter(None, (_speaking(probe, code) for code in codes)), [])
    if not fitting:
        raise FaultError(_none_such(probe, wanted))
    return _first(fitting)


def _first(tracks: Sequence[Track]) -> Track:
    return min(
        tracks,
        key=lambda track: (track.codec == "unknown", not track.rate, not track.default, track.index),
    )


def _speaking(probe: Probe, code: str) -> list[Track]:
    return [track for track in probe.tracks if track.language and _plain(track.language) == _plain(code)]


def _plain(code: str) -> str:
    """One form for all codes of a language."""
    code = code.replace("_", "-").partition("-")[0].strip().lower()
    return _SHORT_CODES.get(code) or _OTHER_CODES.get(code, code)


def _none_such(probe: Probe, wanted: str | int | Sequence[str]) -> Fault:
    if not probe.tracks:
        code, message = "no_audio", "The file has no audio track."
        hint = "There is nothing to translate in it; if it should have sound, export it again with its audio."
    else:
        asked = wanted if isinstance(wanted, (str, int)) else ", ".join(wanted)
        there = "; ".join(_told(track) for track in probe.tracks)
        code, message = "no_such_track", f'No audio track fits "track: {asked}"; there are {there}.'
        hint = 'Set "track" for this inbox to "default", one of these numbers, or the code of a language.'
    return Fault(scope=Scope.FILE, code=code, message=message, hint=hint, remedy=Remedy.FAIL)


def _told(track: Track) -> str:
    mark = ", default" if track.default else ""
    return (
        f"{track.index} ({track.language or 'no language'}, {track.codec}, {track.channels} channels{mark})"
    )
