"""YAML as it was written: a text comes in, a tree of nodes with line numbers goes out. Pure.

The text is composed, never constructed: a scalar stays the text that the person wrote, and the model
decides what it means. So `10:30` is not 630, `0660` is not 432, and `no` is not False, as they are in the
YAML 1.1 that PyYAML's constructors speak.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from watcherd.config.problems import Problem, quoted

_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("null", "bool", "int", "float", "timestamp", "merge", "value", "str", "map", "seq")
}
_NULLS = {"", "~", "null", "Null", "NULL"}
_QUOTE_IT = "put the text in quotes"
_NO_CHARACTER = "an escape in double quotes that stands for no character"
_HINTS = {  # a part of PyYAML's message -> what would be right
    "'\\t'": "a tab; indent and separate with spaces",
    "alias": f"a text that begins with * must be quoted, and aliases are not supported; {_QUOTE_IT}",
    "mapping values": f'a second ": " in one line, or wrong indentation; {_QUOTE_IT} or line up the keys',
    "cannot start any token": f"a text cannot begin with this character; {_QUOTE_IT}",
    "single document": "a second document (---); a configuration is one document",
    "node content": f"a bracket that begins no list, as in [::1]; {_QUOTE_IT}",
    "<block end>": "wrong indentation; line up the keys and the dashes that belong together",
    "expected ':'": 'a key without its ": "',
    "end of stream": "a quote that is never closed",
    "<stream end>": "a bracket that is never closed",
    "special characters": "a control character; remove it, or write it as an escape in double quotes",
    "escape character": "an unknown escape; use single quotes, or write \\\\ for a backslash",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A piece of the file: its dotted key, its line, and its value.

    The value is the text of a scalar, None where nothing (or `null`) was written, a tuple of nodes for a
    list and a dict of nodes for a mapping. An entry of a mapping has its key's line.
    """

    key: str
    line: int
    value: str | tuple[Node, ...] | dict[str, Node] | None

    @property
    def entries(self) -> dict[str, Node]:
        """The entries of a mapping; none for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def shown(self) -> str:
        """A text as a message shows it; nothing for what has no text, or may hold a password."""
        return quoted(self.value) if isinstance(self.value, str) and "@" not in self.value else ""

    def problem(self, message: str, *, value: str = "") -> Problem:
        """Say what is wrong here."""
        return Problem(line=self.line, key=self.key, value=value, message=message)

    def plain(self) -> object:
        """Drop the lines: str, None, list or dict."""
        match self.value:
            case dict() as entries:
                return {name: node.plain() for name, node in entries.items()}
            case tuple() as items:
                return [node.plain() for node in items]
            case scalar:
                return scalar


class _Composer(yaml.SafeLoader):
    """PyYAML's safe loader without aliases: they let a small text grow without bound."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="alias", problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]  # stub
        return super().compose_node(parent, index)


def compose(text: str, problems: list[Problem]) -> Node | None:
    """Read a YAML text; None for an empty one, and for one whose syntax is wrong.

    What is wrong is added to `problems`: syntax, tabs, duplicate keys, keys that are not texts, tags.
    """
    try:
        root = yaml.compose(text, Loader=_Composer)
    except yaml.YAMLError as error:
        problems.extend(_syntax_problems(text, error))
        return None
    except (RecursionError, ValueError, OverflowError) as error:  # PyYAML's own limits, and chr()'s
        deep = isinstance(error, RecursionError)
        message = "nested too deeply for a configuration" if deep else _NO_CHARACTER
        problems.append(Problem(line=None, key="", value="", message=message))
        return None
    return None if root is None else _node(root, key="", line=_line(root), problems=problems)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _node(written: yaml.Node, *, key: str, line: int, problems: list[Problem]) -> Node:
    if written.tag not in _PLAIN_TAGS:
        message = "tags (words that begin with !) have no meaning here; write the value itself"
        problems.append(Problem(line=line, key=key, value="", message=message))
    match written:
        case yaml.MappingNode():
            return Node(key=key, line=line, value=_entries(written, key=key, problems=problems))
        case yaml.SequenceNode():
            items = (
                _node(item, key=f"{key}[{number}]", line=_line(item), problems=problems)
                for number, item in enumerate(written.value)
            )
            return Node(key=key, line=line, value=tuple(items))
        case yaml.ScalarNode():  # style None: not in quotes
            nothing = written.style is None and written.value in _NULLS
            text = None if nothing else _whole(written.value)
            if text is None and not nothing:
                problems.append(Problem(line=line, key=key, value="", message=_NO_CHARACTER))
            return Node(key=key, line=line, value=text)
        case _:
            raise AssertionError(f"YAML has no node like {written}")


def _whole(text: str) -> str | None:
    """Join the halves that JSON's escapes make of a character; None where one half is alone."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None


def _entries(written: yaml.MappingNode, *, key: str, problems: list[Problem]) -> dict[str, Node]:
    entries: dict[str, Node] = {}
    for name, value in written.value:
        line = _line(name)
        if not isinstance(name, yaml.ScalarNode):
            problems.append(Problem(line=line, key=key, value="", message="a key must be a single word"))
            continue
        dotted = f"{key}.{name.value}" if key else str(name.value)
        if name.value in entries:
            first = entries[name.value].line
            message = f"given twice; the first is in line {first}; keep one of them"
            problems.append(Problem(line=line, key=dotted, value="", message=message))
            continue
        entries[name.value] = _node(value, key=dotted, line=line, problems=problems)
    return entries


def _syntax_problems(text: str, error: yaml.YAMLError) -> list[Problem]:
    line, said = _seen(text, error)
    message = next((hint for part, hint in _HINTS.items() if part in said), f"not YAML: {said}")
    lines = {line}
    if message == _HINTS["'\\t'"]:
        indented = enumerate(text.splitlines(), start=1)
        lines |= {number for number, row in indented if row.lstrip(" ").startswith("\t")}
    return [Problem(line=number, key="", value="", message=message) for number in sorted(lines)]


def _seen(text: str, error: yaml.YAMLError) -> tuple[int, str]:
    """Tell an error's line and PyYAML's words; what is never ended belongs where it began."""
    match error:
        case yaml.reader.ReaderError():
            return text.count("\n", 0, error.position) + 1, error.reason
        case yaml.MarkedYAMLError():
            said = f"{error.context or ''} {error.problem or ''}".strip()
            unended = any(part in said for part in ("end of stream", "<stream end>", "expected ':'"))
            opened = error.context_mark if unended else None
            mark = opened or error.problem_mark
            return (1 if mark is None else mark.line + 1), said
        case _:
            return 1, type(error).__name__
