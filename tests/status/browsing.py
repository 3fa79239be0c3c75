"""A real daemon with its page, and real Chromium looking at it, for tests.

    with site(home) as served, chromium(home) as browser, browser.visit(served.address) as page: ...

Whatever a page does that it should not (an error in the console, a request to another origin) fails the test.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Request, sync_playwright

from tests.audio import clip
from tests.running import RunningDaemon, configuration
from tests.servers.endpoint import LocalEndpoint, error
from watcherd.escaping import escaped

CHROMIUM = shutil.which("chromium") or ""
need_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs the chromium program")

REFUSAL = error(400, "We do not like it")
_WAITING = 20_000  # milliseconds
_ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


@dataclass
class Site:
    """The daemon, its endpoint and the page's address."""

    daemon: RunningDaemon
    endpoint: LocalEndpoint
    address: str

    def fail(self, name: str, *, padding: int) -> None:
        """A file that the endpoint refuses for good."""
        self.endpoint.script(REFUSAL, times=2)
        self.daemon.drop(clip("mp3"), name, padding=padding)
        self.daemon.event("job.failed", file=name)

    def do(self, clip: Path, name: str, *, padding: int = 0) -> int:
        """A file that is done; its job's number."""
        self.daemon.drop(clip, name, padding=padding)
        number: int = self.daemon.event("job.done", file=escaped(name.encode()))["job"]
        return number


@contextmanager
def site(home: Path) -> Iterator[Site]:
    """Two inboxes: in `inbox`, nothing but srt is written for what lies in `films`."""
    films = {"inbox": str(home / "films"), "name": "films", "formats": ["srt"], "settle": "500ms"}
    with LocalEndpoint() as endpoint:
        keys = {"max_part": "8s", "upload": "flac", "concurrency": 3, "budget": {"minutes_per_day": 60}}
        content = configuration(
            home, endpoint=endpoint, endpoint_keys=keys, top_keys={"status": {"listen": "127.0.0.1:0"}}
        )
        content["folders"].append(films)
        (home / "films").mkdir()
        with RunningDaemon(home, content, key=endpoint.key) as daemon:
            address = daemon.event("page.served")["address"]
            yield Site(daemon, endpoint, address)
        assert not endpoint.violations


@dataclass
class Complaints:
    """What a page does that it should not."""

    origin: str
    all: list[str] = field(default_factory=list)

    def console(self, said: ConsoleMessage) -> None:
        self.all.append(f"{said.type}: {said.text}")

    def error(self, raised: Error) -> None:
        self.all.append(str(raised))

    def request(self, asked: Request) -> None:
        if not asked.url.startswith(self.origin):
            self.all.append(f"a request to {asked.url}")


@dataclass
class Browser:
    """Chromium with a fresh user."""

    context: BrowserContext

    @contextmanager
    def visit(
        self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False, excused: str = "-"
    ) -> Iterator[Page]:
        """A page in a tab of its own; a complaint with the `excused` words in it is none."""
        heard = Complaints(origin="/".join(address.split("/")[:3]) + "/")
        page = self.context.new_page()
        page.set_default_timeout(_WAITING)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.on("console", heard.console)
        page.on("pageerror", heard.error)
        page.on("request", heard.request)
        page.goto(address)
        yield page
        page.close()
        left = [complaint for complaint in heard.all if excused not in complaint]
        assert not left, left


@contextmanager
def chromium(home: Path) -> Iterator[Browser]:
    """Start it, and end it."""
    with sync_playwright() as play:
        context = play.chromium.launch_persistent_context(
            home / "user",
            executable_path=CHROMIUM,
            args=_ARGUMENTS,
            locale="en-GB",
            timezone_id="Asia/Tokyo",
        )
        yield Browser(context)
        context.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds to be serious, or worse."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found: dict[str, Any] = page.evaluate("() => axe.run()")
    return [
        f"{one['impact']}: {one['id']} at {json.dumps(node['target'])}: {node.get('failureSummary')}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
