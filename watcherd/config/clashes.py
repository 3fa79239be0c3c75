"""Folders that would get in each other's way: folders with their nodes come in, problems go out.

Compared are the real paths, links followed, so that two names of one place are seen as one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from watcherd.config.document import Node
from watcherd.config.model import Folder
from watcherd.config.problems import Problem, quoted
from watcherd.promptly import side_by_side

_PATIENCE = 2.0  # seconds for all folders; following links on a dead mount may never end

Place = tuple[Node, Folder]


def clashes(places: Sequence[Place]) -> list[Problem]:
    """Find names given twice, inboxes that coincide or nest, and done or failed folders that are inboxes.

    Allowed are one done or failed folder for several inboxes, done and failed in one folder, a done folder
    inside its own inbox (which passes it over), and an inbox inside its own done folder. A folder whose
    files stay has neither done nor failed.
    """
    used = {path for _, folder in places for path in (folder.inbox, *(path for _, path in _targets(folder)))}
    real = _followed(used)
    found: list[Problem | None] = []
    for number, place in enumerate(places):
        found.extend(_with_itself(place, real))
        for other_number, other in enumerate(places):
            if other_number != number:
                found.append(_between(place, other, real, is_later=number > other_number))
    return [problem for problem in found if problem is not None]


def _targets(folder: Folder) -> tuple[tuple[str, Path], ...]:
    if folder.stays:
        return ()
    return ("done", folder.done), ("failed", folder.failed)


def _with_itself(place: Place, real: Mapping[Path, Path]) -> Iterator[Problem]:
    _, folder = place
    for key, target in _targets(folder):
        if real[target] == real[folder.inbox]:
            yield _problem(place, key, f"this is the inbox itself; write another folder for {key}")


def _between(place: Place, other: Place, real: Mapping[Path, Path], *, is_later: bool) -> Problem | None:
    """Find what is wrong with a folder because of another; where both are to blame, it is the later one."""
    (_, folder), (other_node, other_folder) = place, other
    inbox, other_inbox, name = real[folder.inbox], real[other_folder.inbox], other_node.key
    if inbox == other_inbox:
        return _problem(place, "inbox", f"{name}.inbox is the same folder; keep one") if is_later else None
    if other_folder.recursive and inbox.is_relative_to(other_inbox):
        message = (
            f"lies inside {name}.inbox, whose whole tree is watched; move it, or write recursive: false there"
        )
        return _problem(place, "inbox", message)
    for key, target in _targets(other_folder):
        if inbox.is_relative_to(real[target]):
            message = f"lies inside {name}.{key}: what is delivered there would arrive here; move one of them"
            return _problem(place, "inbox", message)
    for key, target in _targets(folder):
        if _arrives(real[target], other_folder, real):
            message = f"lies inside {name}.inbox: what is delivered here would arrive there; move one of them"
            return _problem(place, key, message)
    if is_later and folder.name == other_folder.name:
        return _problem(place, "name", f"{name} has this name, too; give this one another name")
    return None


def _arrives(target: Path, folder: Folder, real: Mapping[Path, Path]) -> bool:
    """Tell whether a delivery to the target shows up in an inbox; its own done and failed do not."""
    inbox = real[folder.inbox]
    passed_over = any(target.is_relative_to(real[own]) for _, own in _targets(folder))
    return folder.recursive and inbox in target.parents and not passed_over


def _problem(place: Place, key: str, message: str) -> Problem:
    node, folder = place
    if key in node.entries:
        return node.entries[key].problem(message, value=node.entries[key].shown)
    return replace(node, key=f"{node.key}.{key}").problem(message, value=quoted(str(getattr(folder, key))))


def _followed(paths: Iterable[Path]) -> dict[Path, Path]:
    """Follow links; a path whose storage does not answer counts as it is written."""
    answers = side_by_side(os.path.realpath, paths, patience=_PATIENCE)
    return {path: path if isinstance(real, OSError) else Path(real) for path, real in answers.items()}
