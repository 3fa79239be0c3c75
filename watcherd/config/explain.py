"""What pydantic found, in our words: a node and its validation error come in, problems go out. Pure.

pydantic says where in the data a mistake is; the node knows the line and key, and whether the value may be
shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from watcherd.config.document import Node
from watcherd.config.model import (
    Budget,
    Cues,
    Embedded,
    Endpoint,
    Folder,
    Hooks,
    Log,
    Retry,
    Section,
    StatusPage,
    Timeout,
    Webhook,
)
from watcherd.config.problems import Problem, listed, nearest

_SECRET = {"api_key", "headers", "url", "secret", "token"}
_HOMES: tuple[tuple[str, type[Section]], ...] = (
    ("a folder (or defaults)", Folder),
    ("an endpoint", Endpoint),
    ("an endpoint's timeout", Timeout),
    ("an endpoint's embedded", Embedded),
    ("an endpoint's budget", Budget),
    ("a folder's retry", Retry),
    ("a folder's cues", Cues),
    ("a folder's hooks", Hooks),
    ("a webhook of notify", Webhook),
    ("status", StatusPage),
    ("log", Log),
)

_SINGLE = "write a single value; a text that begins with { or [ needs quotes"
_MESSAGES = {
    "dict_type": "write keys and values: {key: value}",
    "model_type": "write keys and values: {key: value}",
}
_FOLLOWS = {"default_factory_not_called"}  # a default that needs a value which is wrong itself

Location = Sequence[int | str]


def explain(model: type[Section], node: Node, error: ValidationError) -> list[Problem]:
    """Translate a model's validation error into problems of the node it was read from."""
    details = error.errors(include_url=False, include_input=False)
    return [_problem(model, node, detail) for detail in details if detail["type"] not in _FOLLOWS]


def unknown_key(node: Node, name: str, known: Iterable[str]) -> Problem:
    """Say that a key is none of those known here, and which one may have been meant."""
    keys = list(known)
    home = next((home for home, model in _HOMES if name in model.known_keys()), None)
    meant = (
        nearest(name, keys, likeness=0.8)
        or (f" here; it belongs to {home}" if home else "")
        or nearest(name, keys)
        or f"; known here: {listed(keys, last='and')}"
    )
    return node.problem(f"unknown key{meant}")


def _problem(model: type[Section], node: Node, detail: ErrorDetails) -> Problem:
    location = detail["loc"]
    place = _place(node, location)
    if detail["type"] == "extra_forbidden":
        return unknown_key(place, str(location[-1]), _section(model, location[:-1]).known_keys())
    if detail["type"] == "missing":
        return place.problem(f"missing{_example(_section(model, location[:-1]), str(location[-1]))}")
    secret = any(step in _SECRET for step in location)
    return place.problem(_message(place, detail), value="" if secret else place.shown)


def _place(node: Node, location: Location) -> Node:
    """Find the node that a location leads to; for a key that is not there, a node of that key."""
    for step in location:
        match node.value, step:
            case dict() as entries, str() if step in entries:
                node = entries[step]
            case tuple() as items, int() if step < len(items):
                node = items[step]
            case _, "[key]":
                break
            case _:
                return Node(key=f"{node.key}.{step}" if node.key else str(step), line=node.line, value=None)
    return node


def _section(model: type[Section], location: Location) -> type[Section]:
    """Find the model of a nested mapping."""
    for step in location:
        if isinstance(step, int):  # which one of a list makes no difference
            continue
        annotation = model.model_fields[step].annotation
        kinds = (annotation, *get_args(annotation))
        model = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section))
    return model


def _example(model: type[Section], name: str) -> str:
    examples = model.model_fields[name].examples
    return f"; for example {name}: {examples[0]}" if examples else ""


def _message(node: Node, detail: ErrorDetails) -> str:
    """Say what would be right."""
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "value_error":
            message = str(context["error"])
        case "literal_error":
            choices = re.findall(r"'([^']*)'", context["expected"])
            meant = nearest(node.value, choices) if isinstance(node.value, str) else ""
            message = f"write {listed(choices)}{meant}"
        case "tuple_type":
            message = f"write a list: [{node.value if isinstance(node.value, str) else 'a, b'}]"
        case "greater_than_equal":
            message = f"write at least {context['ge']:.9g}"
        case "greater_than":
            message = f"write more than {context['gt']:.9g}"
        case "less_than_equal":
            message = f"write at most {context['le']:.9g}"
        case _ if node.value is None:
            message = "write a value; there is none"
        case _:
            message = _MESSAGES.get(kind, _SINGLE)
    return message
