from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcherd.config.model import Folder
from watcherd.inbox.accept import (
    Kind,
    Rules,
    accept,
    accept_folder,
    accept_name,
    covers,
    holders,
    is_media,
    rules_of,
    was_partial,
)
from watcherd.inbox.medianames import HOLDERS, MEDIA, PARTIAL_SUFFIXES

RULES = Rules()


def kind_of(path: str, rules: Rules = RULES, siblings: frozenset[bytes] = frozenset()) -> Kind:
    return accept(path.encode(), rules=rules, siblings=siblings).kind


USUAL = """a.mp3 A.MP3 talk.flac b.opus c.mkv d.mpga e.webm f.mts g.m4b h.aac i.ts x.tar.mp3 #1.mp3
    talk.f1.mp3 -rf.wav 'quoted".ogg \u00e4\u00f6.m4a"""


@pytest.mark.parametrize("name", USUAL.split())
def test_media_is_told_by_its_extension(name: str) -> None:
    assert kind_of(name) is Kind.MEDIA


@pytest.mark.parametrize(
    "name", ["a.txt", "a.srt", "a.vtt", "talk.mp3.error.json", "mp3", "a.", "a.jpg", "a.m3u8"]
)
def test_sidecars_reports_and_everything_else_are_not_media(name: str) -> None:
    assert kind_of(name) is Kind.IGNORED


@pytest.mark.parametrize(
    "name",
    [
        ".talk.mp3.Ab12Cd",  # rsync
        "talk.mp3.k3Jd92ls.partial",  # rclone
        ".in.talk.wav",  # lftp, proftpd
        "talk.wav.aria2",
        "talk.wav.aria2__temp",
        "talk.m4a.part",  # yt-dlp, Firefox, Transmission
        "talk.m4a.part-Frag12",
        "talk.m4a.part-Frag12.part",
        "talk.ytdl",
        "talk.f140.m4a",
        "talk.f137-1.mp4",
        "talk.temp.m4a",
        "Unconfirmed 4711.crdownload",
        "talk.mp3.crdownload",
        "talk.mp3.filepart",  # WinSCP
        ".pureftpd-upload.5f.15.3a.mp3",
        ".syncthing.talk.mp3.tmp",
        "~syncthing~talk.mp3.tmp",
        "talk.mp3.~1a2b",  # Nextcloud's client
        "talk.mp3.ocTransferId123.part",
        "talk.mp3.!sync",
        "talk.bts",
        "talk.mp3.!qB",
        "talk.mp3.!ut",
        ".goutputstream-X1Y2Z3",
        ".talk.mp3.swp",
        "#talk.mp3#",
        "~$talk.mp3",
        ".~lock.talk.mp3#",
        "talk.mp3~",
        ".pending-1700000000-talk.mp3",
        ".trashed-1700000000-talk.mp3",
        ".nfs0000000000a1b2c3",
        ".fuse_hidden0000012300000001",
        ".smbdelete123",
        "._talk.mp3",
        ".DS_Store",
        ".localized",
        "Icon\r",
        "Thumbs.db",
        "desktop.ini",
        ".talk.mp3",
        ".talk.mp3.tmp",
        "talk.mp3.tmp",
    ],
)
def test_what_programs_write_on_the_way_is_no_media(name: str) -> None:
    assert kind_of(name) is Kind.IGNORED


@pytest.mark.parametrize(
    "folder",
    [
        ".rsync-partial",
        ".~tmp~",
        ".stversions",
        ".stfolder",
        ".dropbox.cache",
        ".tmp.drivedownload",
        ".tmp.driveupload",
        "talk.download",  # Safari's bundle
        ".Spotlight-V100",
        ".Trashes",
        ".TemporaryItems",
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "@eaDir",
        "#recycle",
        "#snapshot",
        "@Recycle",
        "lost+found",
        ".Trash-1000",
        "one/.hidden/two",
    ],
)
def test_folders_of_systems_and_sync_programs_are_left_alone(folder: str) -> None:
    verdict = accept_folder(folder.encode(), rules=RULES)
    assert verdict.kind is Kind.IGNORED
    assert verdict.rule
    assert kind_of(f"{folder}/talk.mp3") is Kind.IGNORED


def test_what_a_delivery_writes_is_ours() -> None:
    assert kind_of(".watcherd-17-1.tmp") is Kind.OURS
    assert kind_of("sub/.watcherd-17.mv") is Kind.OURS


def test_done_and_failed_inside_the_inbox_are_ours() -> None:
    rules = Rules(own=(b"done", b"archive/failed"))
    assert kind_of("done/a.mp3", rules) is Kind.OURS
    assert kind_of("done/deep/a.mp3", rules) is Kind.OURS
    assert kind_of("archive/failed/a.mp3", rules) is Kind.OURS
    assert kind_of("archive/a.mp3", rules) is Kind.MEDIA
    assert kind_of("done.mp3", rules) is Kind.MEDIA
    assert kind_of("donee/a.mp3", rules) is Kind.MEDIA


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_partial_file_beside_it_holds_a_file(holder: bytes) -> None:
    verdict = accept(b"sub/talk.mp3", rules=RULES, siblings={b"talk.mp3" + holder})
    assert verdict.kind is Kind.HELD
    assert "talk.mp3" + holder.decode() in verdict.rule
    assert kind_of("talk.mp3", siblings=frozenset({b"other.mp3" + holder})) is Kind.MEDIA


def test_holders_are_the_names_to_look_for() -> None:
    assert set(holders(b"a.mp3")) == {b"a.mp3" + suffix for suffix in HOLDERS}


def test_without_recursion_only_the_inbox_itself_counts() -> None:
    rules = Rules(recursive=False)
    assert kind_of("a.mp3", rules) is Kind.MEDIA
    assert accept(b"sub/a.mp3", rules=rules).rule == "below the inbox, and recursive is off"


def test_exclude_takes_out_and_names_its_pattern() -> None:
    rules = Rules(exclude=("drafts/", "*.ts"))
    assert accept(b"drafts/a.mp3", rules=rules).rule == "exclude pattern drafts/"
    assert kind_of("a.TS", rules) is Kind.IGNORED
    assert kind_of("a.mp3", rules) is Kind.MEDIA


def test_include_narrows_down_but_a_folder_pattern_still_means_media() -> None:
    rules = Rules(include=("talks/**",))
    assert kind_of("talks/a.mp3", rules) is Kind.MEDIA
    assert kind_of("talks/cover.jpg", rules) is Kind.IGNORED
    assert kind_of("music/a.mp3", rules) is Kind.IGNORED


def test_include_may_name_an_extension_of_its_own() -> None:
    rules = Rules(include=("*.dat",), exclude=("x.dat",))
    assert kind_of("a.dat", rules) is Kind.MEDIA
    assert kind_of("x.dat", rules) is Kind.IGNORED
    assert kind_of("a.mp3", rules) is Kind.IGNORED
    assert kind_of(".a.dat", rules) is Kind.IGNORED


def test_rules_come_from_the_folder() -> None:
    folder = Folder(inbox=Path("/in"), endpoint="any", include=("a",), exclude=("b",), recursive=False)
    expected = Rules(include=("a",), exclude=("b",), recursive=False, own=(b"done",))
    assert rules_of(folder, (b"done",)) == expected


@pytest.mark.parametrize(
    "path",
    [
        b".talk.mp3.Ab12Cd",
        b"sub/talk.mp3.part",
        b".in.talk.wav",
        b".talk.mp3.tmp",
        b"talk.mp3.crdownload",
        b".rsync-partial/talk.mp3",
        b"sub/.~tmp~/talk.mp3",
        b"talk.mp3.download/talk.mp3",
        b"talk.wav.k3Jd92ls.partial",
        b"~syncthing~talk.mp3.tmp",
    ],
)
def test_a_rename_from_a_partial_name_is_known(path: bytes) -> None:
    assert was_partial(path)


@pytest.mark.parametrize("path", [b"talk.mp3", b"sub/talk.wav", b"talk", b"notes.txt", b".hidden/talk.mp3"])
def test_a_rename_from_an_ordinary_name_says_nothing(path: bytes) -> None:
    assert not was_partial(path)


@given(path=st.binary(max_size=60), siblings=st.sets(st.binary(max_size=20)), recursive=st.booleans())
def test_every_name_gets_a_verdict_with_a_rule(path: bytes, siblings: set[bytes], recursive: bool) -> None:
    verdict = accept(path, rules=Rules(recursive=recursive, own=(b"done",)), siblings=siblings)
    assert verdict.rule
    verdict.rule.encode()


@given(stem=st.text(alphabet="abc \n-'\u00e9", min_size=1), extension=st.sampled_from(sorted(MEDIA)))
def test_case_and_odd_letters_do_not_matter(stem: str, extension: bytes) -> None:
    path = stem.encode() + b"." + extension
    assert accept(path, rules=RULES).kind is accept(path.upper(), rules=RULES).kind is Kind.MEDIA


LIBRARY = Rules(formats=("srt", "vtt"), sidecar_name="{stem}.en")


def test_a_file_with_all_its_sidecars_beside_it_is_covered() -> None:
    beside = {b"a.mkv", b"a.en.srt", b"a.en.vtt"}
    assert accept(b"films/a.mkv", rules=LIBRARY, siblings=beside).kind is Kind.COVERED
    assert accept(b"films/a.mkv", rules=RULES, siblings=beside).kind is Kind.MEDIA
    for name in (b"a.en.srt", b"a.en.vtt"):
        assert accept(b"films/a.mkv", rules=LIBRARY, siblings=beside - {name}).kind is Kind.MEDIA


def test_a_sidecar_may_be_named_after_the_whole_name() -> None:
    assert set(covers(b"a.mkv", Rules(formats=("srt", "json"), sidecar_name="{name}"))) == {
        b"a.mkv.srt",
        b"a.mkv.whisper.json",
    }
    assert covers(b"a.mkv", RULES) == ()


@pytest.mark.parametrize(
    ("after", "existing", "formats"),
    [
        ("keep", "skip", ("srt", "txt")),
        ("keep", "overwrite", ()),
        ("keep", "keep-both", ()),
        ("move", "skip", ()),
    ],
)
def test_sidecars_cover_only_what_stays_and_is_to_be_skipped(
    after: str, existing: str, formats: tuple[str, ...]
) -> None:
    settings = {"after": after, "existing": existing, "formats": ["srt", "txt"], "sidecar_name": "{name}"}
    folder = Folder.model_validate({"inbox": Path("/in"), "endpoint": "any", **settings})
    rules = rules_of(folder, ())
    assert (rules.formats, rules.sidecar_name) == (formats, "{name}")


# What the rules look at, put together at random: most of it says something else elsewhere in a name.
pieces = st.sampled_from(
    [
        *(
            b".",
            b"..",
            b"~",
            b"~$",
            b"#",
            b"talk",
            b".f137",
            b"-1",
            b".temp",
            b"part-Frag1",
            b"Icon\r",
            b"\n",
        ),
        *(
            b"syncthing",
            b"~1a",
            b"in",
            b"pending-7-",
            b"ocTransferId1",
            b"goutputstream-",
            b"Ab12Cd",
            b"\xff",
        ),
        *(b".mp3", b".MP3", b".db", b".watcherd-", *PARTIAL_SUFFIXES),
    ]
)
file_names = st.builds(
    lambda beginning, rest, end: b"".join([beginning, *rest, end]),
    st.sampled_from([b"", b".", b"~", b"~$", b"#", b".in.", b"~syncthing~"]),
    st.lists(pieces, min_size=1, max_size=4),
    st.sampled_from([b".mp3", b".MP3", b""]),
)
settings = st.sampled_from([RULES, Rules(include=("*.part", "talk*")), Rules(exclude=("*talk*", "*.MP3"))])


@given(st.sampled_from([b"", b".a/", b"a.part/b/"]), file_names, settings)
def test_the_quick_answer_is_that_of_the_rules(folder: bytes, name: bytes, rules: Rules) -> None:
    path = folder + name
    assert is_media(path, rules) is (accept_name(path, rules=rules).kind is Kind.MEDIA)
