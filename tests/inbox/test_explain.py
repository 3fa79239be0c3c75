from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watcherd.inbox.accept import FOLDER_RULES, NAME_RULES, Kind, Rules, accept
from watcherd.inbox.explain import explain

EVERY = [rule.name for rule in (*FOLDER_RULES, *NAME_RULES)]
WORDS = ["talk", "done", "drafts", "@eaDir", ".hidden", "x.download", "a.mp3", "a.mkv", "a.txt", "a.part.mp3"]
TAILS = ["", ".mp3", ".mkv", ".srt", ".vtt", ".part", "~", ".temp.m4a", ".mp3.part"]
NAMES = st.builds(lambda *parts: "".join(parts).encode(), st.sampled_from(WORDS), st.sampled_from(TAILS))
PATHS = st.lists(NAMES | st.just(b".watcherd-1.tmp"), min_size=1, max_size=3).map(b"/".join)
RULES = st.builds(
    Rules,
    include=st.sampled_from([(), ("*.txt",), ("talk*",)]),
    exclude=st.sampled_from([(), ("drafts/",), ("a*",)]),
    recursive=st.booleans(),
    own=st.sampled_from([(), (b"done",)]),
    formats=st.sampled_from([(), ("srt",), ("srt", "vtt")]),
)
LIBRARY = Rules(formats=("srt", "vtt"))


@given(path=PATHS | st.binary(max_size=40), rules=RULES, siblings=st.sets(NAMES, max_size=6))
def test_what_is_explained_ends_as_it_is_judged(path: bytes, rules: Rules, siblings: set[bytes]) -> None:
    verdict = accept(path, rules=rules, siblings=siblings)
    *before, last = explain(path, rules=rules, siblings=siblings)
    assert all(one.passed for one in before)
    assert last.verdict == (None if verdict.kind is Kind.MEDIA else verdict)
    applied = [one.name for one in (*before, last)]
    possible = EVERY if b"/" in path[1:] else EVERY[len(FOLDER_RULES) :]
    assert applied == (possible if last.passed else possible[: len(applied)])


def test_every_rule_has_a_name_of_its_own_and_a_sentence() -> None:
    rules = [*FOLDER_RULES, *NAME_RULES]
    assert len({rule.name for rule in rules}) == len({rule.text for rule in rules}) == len(rules)
    assert all(rule.text.endswith(".") for rule in rules)


def test_a_rule_says_what_it_is_and_what_it_found() -> None:
    last = explain(b"films/a.mkv", rules=LIBRARY, siblings={b"a.srt", b"a.vtt"})[-1]
    assert (last.name, last.passed) == ("existing", False)
    assert last.rule == "With existing: skip, a file that has all its sidecars beside it is left alone."
    assert last.verdict is not None
    assert last.verdict.rule == "a.srt, a.vtt beside it already"
