"""The example file shows every key with its true default, and the starter file works as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from watcherd.config.document import Node, compose
from watcherd.config.load import Config, load, parse
from watcherd.config.model import (
    Budget,
    Cues,
    Embedded,
    Endpoint,
    Folder,
    Hooks,
    Keep,
    Log,
    Retry,
    Section,
    StatusPage,
    Timeout,
    Webhook,
)
from watcherd.config.starter import starter

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
NOT_IN_THE_FILE = {(Endpoint, "name"), (Config, "source"), (Config, "warnings")}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("COMETAPI_KEY", "sk-obviously-fake")
    return load(EXAMPLE)


def sections(config: Config) -> dict[type[Section], Section]:
    """Each model with the section of the example that shows it."""
    cometapi, local = config.endpoints["cometapi"], config.endpoints["local"]
    assert local.embedded is not None
    assert cometapi.budget is not None
    folder = config.folders[0]
    assert folder.cues is not None
    assert config.status is not None
    shown = [
        config, cometapi, cometapi.timeout, cometapi.budget, local.embedded, folder, folder.cues,
        folder.retry, folder.hooks, folder.notify[0], config.keep, config.log, config.status,
    ]  # fmt: skip
    return {type(section): section for section in shown}


def nodes() -> dict[type[Section], dict[str, Node]]:
    """Each model with the entries that are written in the example."""
    root = compose(EXAMPLE.read_text(), [])
    assert root is not None
    endpoints = root.entries["endpoints"].entries
    folders = root.entries["folders"].value
    assert isinstance(folders, tuple)
    cometapi, embedded = endpoints["cometapi"].entries, endpoints["local"].entries
    return {
        Config: root.entries,
        Endpoint: cometapi | embedded,
        Timeout: cometapi["timeout"].entries,
        Budget: cometapi["budget"].entries,
        Embedded: embedded["embedded"].entries,
        Folder: folders[0].entries,
        Cues: folders[0].entries["cues"].entries,
        Retry: folders[0].entries["retry"].entries,
        Hooks: folders[0].entries["hooks"].entries,
        Webhook: webhook(folders[0]),
        StatusPage: root.entries["status"].entries,
        Keep: root.entries["keep"].entries,
        Log: root.entries["log"].entries,
    }


def webhook(folder: Node) -> dict[str, Node]:
    webhooks = folder.entries["notify"].value
    assert isinstance(webhooks, tuple)
    return webhooks[0].entries


def models_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= models_below(kind)
    return found


def test_the_example_is_valid(example: Config) -> None:
    key = example.endpoints["cometapi"].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-obviously-fake"
    assert example.folders[0].endpoint == "cometapi"
    assert example.warnings == ()


def test_the_example_shows_every_model() -> None:
    assert set(nodes()) == models_below(Config)


@pytest.mark.parametrize("model", list(nodes()))
def test_the_example_shows_every_key_once_and_says_why(model: type[Section]) -> None:
    written = nodes()[model]
    known = {key for key in model.known_keys() if (model, key) not in NOT_IN_THE_FILE}
    assert set(written) - {"defaults"} == known
    lines = EXAMPLE.read_text().splitlines()
    for node in written.values():
        if not isinstance(node.value, dict | tuple) or not node.value:
            assert re.search(r" # \w", lines[node.line - 1]), node.key


@pytest.mark.parametrize("model", list(nodes()))
def test_each_default_shown_is_the_default(example: Config, model: type[Section]) -> None:
    section = sections(example)[model]
    for name, field in model.model_fields.items():
        if field.default is not PydanticUndefined and name not in {
            "api_key",
            "budget",
            "embedded",
            "notify",
            "source",
            "warnings",
        }:
            assert getattr(section, name) == field.default, f"{model.__name__}.{name}"


def test_the_folders_shown_are_the_defaults_of_their_inbox(example: Config) -> None:
    (shown,) = example.folders
    unset = Folder(inbox=shown.inbox, endpoint=shown.endpoint)
    assert shown.model_copy(update={"notify": ()}) == unset


def test_the_starter_file_works_as_it_is() -> None:
    config = parse(starter(), source=Path("/etc/watcherd.yaml"), environ={"HOME": "/home/ada"})
    assert config.folders[0] == Folder(inbox=Path("/home/ada/watcherd/inbox"), endpoint="local")
    assert config.endpoints["local"].embedded is not None


def test_the_starter_files_commented_lines_work_when_they_are_uncommented() -> None:
    block, rest = starter().split("# endpoints:\n")
    commented, folders = rest.split("\n\n", 1)
    block = "\n".join(line.removeprefix("# ") for line in ("# endpoints:", *commented.splitlines()))
    text = f"{block}\n{re.sub('^    # ', '    ', folders, flags=re.MULTILINE)}"
    config = parse(text, source=None, environ={"HOME": "/home/ada", "COMETAPI_KEY": "sk-obviously-fake"})
    assert list(config.endpoints) == ["cometapi"]
    (folder,) = config.folders
    assert folder.endpoint == "cometapi"
    assert folder.done == Path("/home/ada/watcherd/done")
    assert folder.failed == Path("/home/ada/watcherd/failed")
    unset = Folder(inbox=folder.inbox, done=folder.done, failed=folder.failed, endpoint="cometapi")
    assert folder == unset
