"""HTML taken apart, for tests; it fails on what no page of ours may hold. And names that try to be more."""

from __future__ import annotations

from html.parser import HTMLParser

EVIL = "<script>alert(1)</script> \u202egpj.mp3"
"""A name that would be a script, and would turn its own direction."""
HEBREW = "\u05e9\u05d9\u05d7\u05d4 1.mp3"

VOID = {"meta", "link", "img", "input", "track", "br"}
RESOURCES = {"src", "href", "action"}


class Html(HTMLParser):
    """A page taken apart; it fails on what the page must never hold."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, self._open
        ids = [given["id"] for _, given in self.tags if "id" in given]
        assert len(ids) == len(set(ids)), "an id stands for one element"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert tag != "style"
        assert not {name for name in given if name == "style" or name.startswith("on")}, given
        assert tag != "script" or given["src"].startswith("/static/")
        for name in RESOURCES & given.keys():
            assert given[name].startswith(("/", "#")), given
            assert not given[name].startswith("//"), given
        self.tags.append((tag, given))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert not (data.strip() and self._open[-1] == "script"), data
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [
            given for name, given in self.tags if name == tag and given.items() >= wanted.items()
        ]  # fmt: skip
