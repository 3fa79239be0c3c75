"""Addressees: an event and the configured folders in, the hooks and webhooks that hear of it out. Pure.

Commands and addresses may hold secrets: what goes on record of them is what may be shown, and a mark by which
they are found again in the configuration, as long as they are in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from watcherd.config.model import Folder, Webhook
from watcherd.journal.notices import Means
from watcherd.notify.news import EndpointPaused, EndpointResumed, InboxBack, InboxMissing, JobEnded, News

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """One hook or webhook of one folder; `shown` is fit for a log."""

    folder: Folder
    kind: Means
    shown: str
    mark: str


def addressees(news: News, folders: Sequence[Folder]) -> list[Addressee]:
    """Who hears of an event, hooks first, in the order of the configuration.

    Of an endpoint hears every webhook of the folders that use it, once.
    """
    match news:
        case JobEnded(job):
            found = [folder for folder in folders if folder.name == job.inbox]
            return [one for folder in found for one in (*_hooks(folder, job.state.value), *_webhooks(folder))]
        case InboxMissing(inbox) | InboxBack(inbox):
            return [one for folder in folders if folder.name == inbox for one in _webhooks(folder)]
        case EndpointPaused(endpoint) | EndpointResumed(endpoint):
            once: dict[str, Addressee] = {}
            for folder in folders:
                for one in _webhooks(folder) if folder.endpoint == endpoint else ():
                    once.setdefault(one.mark, one)
            return list(once.values())


def command(folders: Sequence[Folder], inbox: str, event: str, mark: str) -> Command | None:
    """The hook that a mark stands for; None if it is not configured any more."""
    found = (one for folder in folders if folder.name == inbox for one in _commands(folder, event))
    return next((one for one in found if _mark(*one) == mark), None)


def webhook(folders: Sequence[Folder], inbox: str, mark: str) -> Webhook | None:
    """The webhook that a mark stands for; None if it is not configured any more."""
    found = (one for folder in folders if folder.name == inbox for one in folder.notify)
    return next((one for one in found if _mark(one.url.get_secret_value()) == mark), None)


def origin(url: str) -> str:
    """Where an address leads to, without its path and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _hooks(folder: Folder, event: str) -> Iterator[Addressee]:
    for one in _commands(folder, event):
        yield Addressee(folder=folder, kind=Means.HOOK, shown=one[0], mark=_mark(*one))


def _webhooks(folder: Folder) -> Iterator[Addressee]:
    for one in folder.notify:
        url = one.url.get_secret_value()
        yield Addressee(folder=folder, kind=Means.WEBHOOK, shown=origin(url), mark=_mark(url))


def _commands(folder: Folder, event: str) -> tuple[Command, ...]:
    return {"done": folder.hooks.done, "failed": folder.hooks.failed}[event]


def _mark(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
