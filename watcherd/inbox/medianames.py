"""The tables of names: what is media by its extension, whose litter or half-written file a name is. Pure.

Names come from rsync, browsers, download tools, sync clients and file servers as they were seen on disk or
stand in the programs' own documentation. Everything here is lower case.
"""

from __future__ import annotations

import re

_AUDIO = """
    3ga 8svx aa aa3 aac aax ac3 ac4 adts aif aifc aiff aiffc amr ape apl aptx ast au awb bwf caf dff dfpwm dsf
    dss dts dtshd eac3 ec3 flac g722 gsm iff lc3 loas m1a m2a m4a m4b m4r mka mlp mp1 mp2 mp3 mpa mpc mpga mpp
    nist nsp oga ogg oma omg opus paf ra ram rf64 rka sbc shn sln snd sox spx sph tak thd truehd tta voc vqf
    w64 wav wave weba wma wsd wv xa
"""
_VIDEO = """
    3g2 3gp 3gp2 3gpp amv asf avi bik bik2 dav dif divx dv dvr-ms evo f4v flv gxf ism isma ismv ivr k3g lrv
    m2p m2t m2ts m4v mj2 mk3d mkv mod moflex mov mp4 mp4v mpe mpeg mpg mpv mpv2 mqv mts mtv mve mxf nsv nut
    nuv ogm ogv ogx psp qt rec rm rmvb roq rv skm swf tod tp trp ts ty viv vob vro webm wm wmv wtv xmv xvid
"""

MEDIA = frozenset(name.encode() for name in f"{_AUDIO} {_VIDEO}".split())
"""Extensions of what FFmpeg commonly opens and that can hold speech: audio, and video with a sound track."""

HOLDERS = (b".part", b".aria2", b".crdownload", b".filepart", b".partial", b".ytdl")
"""While NAME plus one of these lies beside NAME, a download of NAME is still on its way."""

PARTIAL_SUFFIXES = {
    b".part": "yt-dlp, Firefox, Transmission and others while they download",
    b".partial": "rclone while it copies",
    b".filepart": "WinSCP while it uploads",
    b".crdownload": "Chrome while it downloads",
    b".download": "Safari while it downloads",
    b".opdownload": "Opera while it downloads",
    b".aria2": "aria2's control file",
    b".aria2__temp": "aria2's control file",
    b".ytdl": "yt-dlp's control file",
    b".!qb": "qBittorrent while it downloads",
    b".!ut": "uTorrent while it downloads",
    b".!sync": "Resilio while it syncs",
    b".bts": "Resilio while it syncs",
    b".tmp": "a temporary file",
    b".temp": "a temporary file",
}
"""Last extensions of files in flight, and who writes them."""

_PARTIAL_NAMES = (
    (rb"\..+\.[A-Za-z0-9]{6}", "rsync while it copies"),
    (rb"\.in\..+", "an FTP server or lftp while it uploads"),
    (rb"\.pureftpd-upload\..+", "pure-ftpd while it uploads"),
    (rb"[.~]syncthing[.~].+", "Syncthing while it syncs"),
    (rb"\.goutputstream-.+", "GIO while it writes"),
    (rb"\.pending-\d+-.+", "Android while it writes"),
    (rb".+\.~[0-9a-f]+", "the Nextcloud client while it syncs"),
    (rb".+\.ocTransferId\d+\.part", "the Nextcloud server while it uploads"),
    (rb".+\.part-?frag\d+(\.part)?", "yt-dlp while it downloads"),
    (rb".+\.f\d{2,4}(-\d+)?\.[a-z0-9]+", "yt-dlp before it joins sound and picture"),
    (rb".+\.temp\.[a-z0-9]+", "yt-dlp before it is finished"),
)
PARTIAL_NAMES = tuple((re.compile(form, re.IGNORECASE | re.DOTALL), whose) for form, whose in _PARTIAL_NAMES)
"""Whole names of files in flight, and who writes them."""

PARTIAL_FOLDERS = frozenset({b".rsync-partial", b".~tmp~", b".tmp.drivedownload", b".tmp.driveupload"})
"""Hidden folders whose files are in flight and are renamed into place when they are whole."""

LITTER = (
    (re.compile(rb"~\$.*", re.DOTALL), "an office program's lock file"),
    (re.compile(rb".*~", re.DOTALL), "an editor's backup"),
    (re.compile(rb"#.*#", re.DOTALL), "an editor's autosave"),
    (re.compile(rb"icon\r", re.IGNORECASE), "a macOS folder icon"),
    (re.compile(rb"(thumbs\.db|desktop\.ini)", re.IGNORECASE), "a Windows folder file"),
)
"""Whole names of files that a desktop leaves behind, and what they are."""

UNFINISHED = re.compile(
    b"|".join(
        (
            rb".*(?:%s)" % b"|".join(map(re.escape, PARTIAL_SUFFIXES)),
            *(form for form, _ in _PARTIAL_NAMES),
            *(form.pattern for form, _ in LITTER),
        )
    ),
    re.IGNORECASE | re.DOTALL,
)
"""Any name of the three tables: one look for all the names that are none."""

FOREIGN_FOLDERS = {
    b"__macosx": "macOS archive leftovers",
    b"$recycle.bin": "the Windows recycle bin",
    b"system volume information": "a Windows system folder",
    b"@eadir": "Synology's thumbnails",
    b"#recycle": "Synology's recycle bin",
    b"#snapshot": "Synology's snapshots",
    b"@recycle": "QNAP's recycle bin",
    b"@recently-snapshot": "QNAP's snapshots",
    b"lost+found": "the file system's own folder",
}
"""Folders that systems make for themselves, and whose they are."""
