"""The JSON Schema of a configuration file, for editors: the models come in, a schema goes out.

It describes the file as it is written, not the values that come of it: a duration is a text with its unit,
`null` stands for a default, a number may stand in quotes. It refuses nothing that the loader takes; the
loader refuses more (what one key asks of another, what is on the disk).
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Collection, Iterable
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from watcherd.config import values
from watcherd.config.kinds import Shape, matching
from watcherd.config.model import CUES, Config, Cues, Endpoint, Folder, Section, StatusPage
from watcherd.config.reading import EACH_ITS_OWN

Schema: TypeAlias = dict[str, Any]

_NOT_WRITTEN: dict[type[Section], set[str]] = {Config: {"source", "warnings"}, Endpoint: {"name"}}
_FOUND: dict[type[Section], set[str]] = {
    Config: {"endpoints", "state"},
    Folder: {"endpoint"},
}  # if not written
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum"}
_TEXT: Schema = {"type": ["string", "number", "boolean"]}  # without quotes, a text may look like a number
_NAME_OF_VARIABLE: Schema = {**_TEXT, "pattern": f"^{values.VARIABLE_NAME.pattern}$"}
_PLAIN: dict[object, Schema] = {
    str: _TEXT,
    bool: {**matching(*values.SWITCHES), "type": ["boolean", "string"]},
    int: {**matching(values.WHOLE.pattern), "type": ["integer", "string"]},
    float: {**matching(values.DECIMAL.pattern), "type": ["number", "string"]},
    Path: {**_TEXT, "minLength": 1},
    SecretStr: {
        "anyOf": [
            {**_TEXT, "minLength": 1},
            {
                "type": "object",
                "properties": {"env": _NAME_OF_VARIABLE, "file": _TEXT, "credential": _TEXT},
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
        ]
    },
}


def schema() -> Schema:
    """Give the schema of a whole file (draft 2020-12)."""
    file = _section(Config)
    defaults = _or_nothing(_section(Folder, without=EACH_ITS_OWN))
    said = "Values for all folders: any key of a folder but inbox and name. What a folder says goes first."
    file["properties"]["defaults"] = {"description": said, **defaults}
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, "title": "The configuration of watcherd", **file}


def _section(model: type[Section], *, without: Collection[str] = ()) -> Schema:
    """Describe a mapping with its keys."""
    said, unwritten = _said(model), {*without, *_NOT_WRITTEN.get(model, ())}
    fields = dict(zip(model.known_keys(), model.model_fields.items(), strict=True))
    written = {key: entry for key, entry in fields.items() if key not in unwritten}
    required = [
        key
        for key, (name, field) in written.items()
        if field.is_required() and name not in _FOUND.get(model, ())
    ]
    properties = {
        key: {"description": said[name], **_entry(field, required=key in required)}
        for key, (name, field) in written.items()
    }
    described = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**described, "required": required} if required else described


def _said(model: type[Section]) -> dict[str, str]:
    """Read what the text under each field says it is for."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    said: dict[str, str] = {}
    for pair in pairwise(definition.body):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                said[name] = text
    return said


def _entry(field: FieldInfo, *, required: bool) -> Schema:
    """Describe a key's value, with its default as one would write it."""
    shape = _shape(field.annotation, field.metadata)
    if required:
        return dict(shape.schema)
    described = _or_nothing(dict(shape.schema))
    if isinstance(
        field.default, str | int | float | tuple | dict
    ):  # not a section, whose keys have their own
        described["default"] = shape.write(field.default) if shape.write else field.default
    return described


def _or_nothing(described: Schema) -> Schema:
    """Allow null, too: nothing behind a key means its default."""
    match described:
        case {"anyOf": choices}:
            return {**described, "anyOf": [*choices, {"type": "null"}]}
        case {"enum": choices}:
            return {**described, "enum": [*choices, None]}
        case {"type": list() as types}:
            return {**described, "type": [*types, "null"]}
        case _:
            return {**described, "type": [described["type"], "null"]}


def _shape(kind: object, notes: Iterable[object] = ()) -> Shape:
    """Describe a type of the models, with what it is annotated with."""
    notes = [
        note for outer in notes for note in (outer.metadata if isinstance(outer, FieldInfo) else [outer])
    ]
    own = next((note for note in notes if isinstance(note, Shape)), Shape({}))
    plain = _plain(kind)
    bounds = {} if "type" in own.schema else _bounds(notes)
    return Shape({**plain.schema, **bounds, **own.schema}, own.write or plain.write)


def _bounds(notes: Iterable[object]) -> Schema:
    return {word: getattr(note, at) for note in notes for at, word in _BOUNDS.items() if hasattr(note, at)}


def _plain(kind: object) -> Shape:
    """Describe a type of the models, whatever it is annotated with."""
    if parts := get_args(kind):
        return _made_of(get_origin(kind), parts)
    if isinstance(kind, type) and issubclass(kind, Section):
        return Shape(_OF_ITS_OWN[kind]() if kind in _OF_ITS_OWN else _section(kind))
    return Shape(_PLAIN[kind])


def _made_of(origin: object, parts: tuple[Any, ...]) -> Shape:
    """Describe a type that is made of others."""
    if origin is Annotated:
        return _shape(parts[0], parts[1:])
    if origin in {Union, UnionType}:
        (part,) = (part for part in parts if part is not NoneType)
        return _shape(part)
    if origin is Literal:
        return Shape({"enum": list(parts)})
    if origin is tuple:
        return Shape({"type": "array", "items": _shape(parts[0]).schema}, list)
    names, entries = (_shape(part).schema for part in parts)  # a dict
    return Shape({"type": "object", "propertyNames": names, "additionalProperties": entries})


def _endpoint() -> Schema:
    """Describe an endpoint, which is either a server or embedded: two sets of keys."""
    server = _section(Endpoint)
    embedded = server["properties"].pop("embedded")
    return {
        "type": "object",
        "properties": {"embedded": embedded},
        "if": {"required": ["embedded"]},
        "then": {"properties": {"embedded": True}, "additionalProperties": False},
        "else": server,
    }


def _cues() -> Schema:
    """Describe a shape of subtitles, which has a name or is written in numbers."""
    return {"anyOf": [{"enum": list(CUES)}, _section(Cues)], "default": "broadcast"}


def _status() -> Schema:
    """Describe the status page, or its absence."""
    return {"anyOf": [{"enum": ["off"]}, _section(StatusPage)]}


_OF_ITS_OWN: dict[type[Section], Callable[[], Schema]] = {
    Endpoint: _endpoint,
    Cues: _cues,
    StatusPage: _status,
}
