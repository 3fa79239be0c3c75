"""From a text to a configuration: nodes, defaults and models are brought together, and every problem kept.

A text comes in; a `Config` goes out, or a `ConfigError` with all that is wrong. Each endpoint and folder is
checked by itself, so that one mistake hides no other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from watcherd.config.clashes import Place, clashes
from watcherd.config.document import Node, compose
from watcherd.config.explain import explain, unknown_key
from watcherd.config.model import Config, Embedded, Endpoint, Folder, Section
from watcherd.config.problems import ConfigError, Problem, listed, nearest
from watcherd.config.values import Surroundings, xdg_folder

AnySection = TypeVar("AnySection", bound=Section)

_SHORTEST = "a whole file can be as short as: folders: [{inbox: ~/inbox}]"
_OWN = ("state", "status", "stop_grace", "keep", "log")
_TOP = ("endpoints", "defaults", "folders", *_OWN)
EACH_ITS_OWN = ("inbox", "name")  # keys of a folder that make no sense as defaults
_PLACE = ("inbox", "name", "done", "failed", "after", "recursive")
_SECRET_HEADERS = ("key", "auth", "token", "secret", "cookie")


def read(text: str, *, shown: str, source: Path | None, around: Surroundings) -> tuple[Config, list[str]]:
    """Read a configuration, and name the keys whose secrets stand in the text itself.

    `shown` is the file as the user named it, `source` the same made absolute. Raises ConfigError.
    """
    problems: list[Problem] = []
    root = compose(text, problems)
    if root is None or root.value is None:
        if not problems:
            problems.append(Problem(line=None, key="", value="", message=f"the file is empty; {_SHORTEST}"))
        raise ConfigError(problems, source=shown)
    config = _Reading(around=around, problems=problems).config(root, source)
    if config is None or problems:
        raise ConfigError(problems, source=shown)
    return config, list(_written_secrets(root))


def read_state(text: str, *, around: Surroundings) -> Path | None:
    """The state folder that a text names, however wrong the rest of it is; None where that cannot be told."""
    root = compose(text, [])
    if root is None or not isinstance(root.value, dict):
        return None
    reading = _Reading(around=around, problems=[])
    written = {key: node for key, node in root.entries.items() if key == "state" and node.value is not None}
    found: dict[str, object] = {"endpoints": {}, "folders": ()}
    if not written:
        found["state"] = reading.usual_state()
    config = reading.validated(Config, Node(key="", line=root.line, value=written), found)
    return None if config is None else config.state


def read_names(text: str) -> tuple[list[str], list[str]]:
    """The names of the endpoints and of the inboxes that a text seems to have, however wrong it is."""
    root = compose(text, [])
    entries = {} if root is None else root.entries
    endpoints = list(entries["endpoints"].entries) if "endpoints" in entries else []
    folders = entries["folders"].value if "folders" in entries else ()
    inboxes = []
    for folder in folders if isinstance(folders, tuple) else ():
        name, inbox = (folder.entries.get(key) for key in ("name", "inbox"))
        if name is not None and isinstance(name.value, str):
            inboxes.append(name.value)
        elif inbox is not None and isinstance(inbox.value, str):
            inboxes.append(Path(inbox.value).name)
    return endpoints or ["local"], inboxes


def _written_secrets(root: Node) -> Iterable[str]:
    """Name the keys that hold a secret as plain text."""
    endpoints = root.entries["endpoints"].entries.values() if "endpoints" in root.entries else ()
    for entries in (endpoint.entries for endpoint in endpoints):
        headers = entries["headers"].entries if "headers" in entries else {}
        secret = [header for name, header in headers.items() if _names_a_secret(name)]
        if "api_key" in entries:
            secret.append(entries["api_key"])
        yield from (node.key for node in secret if isinstance(node.value, str))
        if "proxy" in entries and "@" in str(entries["proxy"].value):
            yield entries["proxy"].key
    page = root.entries["status"].entries if "status" in root.entries else {}
    if "token" in page and isinstance(page["token"].value, str):
        yield page["token"].key
    folders = root.entries["folders"].value if "folders" in root.entries else ()
    for holder in (*(folders if isinstance(folders, tuple) else ()), root.entries.get("defaults")):
        webhooks = holder.entries["notify"].value if holder and "notify" in holder.entries else ()
        for webhook in webhooks if isinstance(webhooks, tuple) else ():
            if "secret" in webhook.entries and isinstance(webhook.entries["secret"].value, str):
                yield webhook.entries["secret"].key


def _merged(defaults: Mapping[str, Node], own: Mapping[str, Node]) -> dict[str, Node]:
    """Fill the defaults in; a mapping on both sides is merged key by key."""
    merged = {**defaults, **own}
    for key in defaults.keys() & own.keys():
        if isinstance(own[key].value, dict):
            merged[key] = replace(own[key], value={**defaults[key].entries, **own[key].entries})
    return merged


def _names_a_secret(header: str) -> bool:
    return any(word in header.lower() for word in _SECRET_HEADERS)


def _meaningless(own: Mapping[str, Node], folder: Folder) -> Iterator[Problem]:
    """Find the keys that a folder has of its own and that its `after` takes the meaning from."""
    if folder.stays:
        written = (own[key] for key in ("done", "failed") if key in own and own[key].value is not None)
        yield from (node.problem("with after: keep, nothing moves there") for node in written)
    elif "existing" in own and folder.existing != "skip":
        yield own["existing"].problem("has a meaning only with after: keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One pass over a file's nodes; `problems` and `warnings` grow as it goes."""

    around: Surroundings
    problems: list[Problem]
    warnings: list[str] = field(default_factory=list)

    def config(self, root: Node, source: Path | None) -> Config | None:
        """Read the whole file."""
        if not isinstance(root.value, dict):
            kind = "a list" if isinstance(root.value, tuple) else "a single value"
            self.problems.append(root.problem(f"the file is {kind} at the top; it needs keys: {_SHORTEST}"))
            return None
        unknown = (unknown_key(node, name, _TOP) for name, node in root.entries.items() if name not in _TOP)
        self.problems.extend(unknown)
        endpoints, names = self._endpoints(root.entries.get("endpoints"))
        found: dict[str, object] = {
            "endpoints": endpoints,
            "folders": self._folders(root, names),
            "source": source,
            "warnings": tuple(self.warnings),
        }
        rest: dict[str, Node] = {key: root.entries[key] for key in _OWN if key in root.entries}
        if "state" not in rest or rest["state"].value is None:
            rest.pop("state", None)
            found["state"] = self.usual_state()
        return self.validated(Config, Node(key="", line=root.line, value=rest), found)

    def usual_state(self) -> Path:
        """Where the state is when the file does not say it."""
        if os.geteuid() == 0:
            return Path("/var/lib/watcherd")
        try:
            return xdg_folder("XDG_STATE_HOME", ".local/state", self.around.environ) / "watcherd"
        except ValueError as error:
            self.problems.append(Problem(line=None, key="state", value="", message=str(error)))
            return Path("/var/lib/watcherd")

    def _endpoints(self, node: Node | None) -> tuple[dict[str, Endpoint], Sequence[str] | None]:
        """Read the endpoints, and the names that folders may use: None where that cannot be told."""
        if node is None or node.value is None or node.value == {}:
            return {"local": Endpoint.on_this_machine("local", Embedded())}, ("local",)
        if not isinstance(node.value, dict):
            self.problems.append(
                node.problem("write each endpoint by its name: {NAME: {base_url: …, model: …}}")
            )
            return {}, None
        read = {name: self._endpoint(name, entry) for name, entry in node.value.items()}
        return {name: endpoint for name, endpoint in read.items() if endpoint is not None}, tuple(read)

    def _endpoint(self, name: str, node: Node) -> Endpoint | None:
        if not name.strip() or not name.isprintable():
            self.problems.append(node.problem("name the endpoint with a word, without control characters"))
            return None
        if not isinstance(node.value, dict):
            self.problems.append(node.problem("write its keys: {base_url: …, model: …}, or {embedded: {}}"))
            return None
        own = dict(node.value)
        if "name" in own:
            message = f"an endpoint's name is the key above it, here {name}; remove this"
            self.problems.append(own.pop("name").problem(message))
        if "embedded" in own:
            return self._embedded(name, own)
        return self.validated(Endpoint, replace(node, value=own), {"name": name})

    def _embedded(self, name: str, own: dict[str, Node]) -> Endpoint | None:
        engine = own.pop("embedded")
        message = "an embedded endpoint has no other key; its engine's keys stand inside embedded"
        self.problems.extend(entry.problem(message) for entry in own.values())
        if engine.value is None:
            engine = replace(engine, value={})
        embedded = self.validated(Embedded, engine, {})
        return None if embedded is None else Endpoint.on_this_machine(name, embedded)

    def _folders(self, root: Node, names: Sequence[str] | None) -> tuple[Folder, ...]:
        """Read the folders, each over the file's defaults."""
        defaults = self._defaults(root.entries.get("defaults"), names)
        node = root.entries.get("folders")
        if node is None or not node.value:
            line = None if node is None else node.line
            message = f"no folder to watch; {_SHORTEST}"
            self.problems.append(Problem(line=line, key="folders", value="", message=message))
            return ()
        if not isinstance(node.value, tuple):
            self.problems.append(node.problem("write a list; each folder begins with a dash: - inbox: PATH"))
            return ()
        places = [place for entry in node.value if (place := self._folder(entry, defaults, names))]
        self.problems.extend(clashes(places))
        return tuple(folder for _, folder in places)

    def _defaults(self, node: Node | None, names: Sequence[str] | None) -> dict[str, Node]:
        """Read the defaults. They are checked here, too: every folder may have its own value for one."""
        if node is None or node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self.problems.append(node.problem("write any keys of a folder: {settle: 10s}"))
            return {}
        own = dict(node.value)
        misplaced = [own.pop(key) for key in EACH_ITS_OWN if key in own]
        self.problems.extend(entry.problem("no default; write it in each folder") for entry in misplaced)
        self._check_endpoint(own.get("endpoint"), names)
        stand_in = {"inbox": "/inbox", "endpoint": "any"}
        self.validated(Folder, replace(node, value=own), stand_in)
        return own

    def _folder(self, node: Node, defaults: Mapping[str, Node], names: Sequence[str] | None) -> Place | None:
        """Read a folder; with it goes its node, in which the defaults have been filled in."""
        if not isinstance(node.value, dict):
            self.problems.append(node.problem("write its keys: {inbox: PATH}", value=node.shown))
            return None
        filled = replace(node, value=_merged(defaults, node.value))
        named = self._check_endpoint(filled.entries.get("endpoint"), names)
        folder = self.validated(Folder, filled, {} if named else self._only_endpoint(node, names))
        if folder is not None:
            meaningless = _meaningless(node.value, folder)
            self.warnings.extend(f"line {problem.line}: {problem}" for problem in meaningless)
        else:  # where it stands may be right all the same, and clash with other folders
            place = {key: entry for key, entry in filled.entries.items() if key in _PLACE}
            unheard = replace(self, problems=[])
            folder = unheard.validated(Folder, replace(filled, value=place), {"endpoint": "any"})
        return None if folder is None else (filled, folder)

    def _check_endpoint(self, node: Node | None, names: Sequence[str] | None) -> bool:
        """Tell whether an endpoint is chosen; note if there is none of that name."""
        if node is None or node.value is None:
            return False
        if names is not None and isinstance(node.value, str) and node.value not in names:
            message = f"there is no endpoint of that name; defined: {listed(names, last='and')}"
            self.problems.append(node.problem(message + nearest(node.value, names), value=node.shown))
        return True

    def _only_endpoint(self, node: Node, names: Sequence[str] | None) -> dict[str, object]:
        """Choose the only endpoint there is for a folder that names none."""
        if names is not None and len(names) > 1:
            message = f"write which endpoint, here or in defaults: {listed(names)}"
            key = f"{node.key}.endpoint"
            self.problems.append(Problem(line=node.line, key=key, value="", message=message))
        return {"endpoint": (names and names[0]) or "unknown"}

    def validated(
        self, model: type[AnySection], node: Node, found: Mapping[str, object]
    ) -> AnySection | None:
        """Check a mapping; what was found elsewhere stands in for keys without a value."""
        written = node.plain()
        if isinstance(written, dict):
            written |= {key: value for key, value in found.items() if written.get(key) is None}
        try:
            return model.model_validate(written, context=self.around, by_alias=True, by_name=False)
        except ValidationError as error:
            self.problems.extend(explain(model, node, error))
            return None
