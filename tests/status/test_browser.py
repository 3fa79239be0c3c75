"""The page in real Chromium, over a real daemon: it lives, plays, acts, and is for everybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.audio import clip, film, need_tools, speech
from tests.servers.endpoint import Respond
from tests.status.browsing import Browser, Site, chromium, need_chromium, site, violations
from tests.status.html import EVIL, HEBREW
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, need_chromium, need_tools]
PHONE = 360
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        found.do(clip("mp3"), EVIL, padding=5)
        found.do(clip("mp3"), HEBREW, padding=6)
        found.fail("refused.mp3", padding=7)
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


def in_flight(page: Page, name: str) -> str:
    return page.locator("#in-flight li", has_text=name).inner_text()


def test_what_happens_to_files_is_seen_as_it_happens(served: Site, browser: Browser) -> None:
    long = speech(" ".join(["Guten Tag, meine Damen und Herren, das ist ein langer Satz."] * 8))
    served.endpoint.always(Respond(hold=True))
    with browser.visit(served.address) as page:
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator("#in-flight")).to_contain_text("Nothing is being worked on")
        served.daemon.drop(long, "live.wav")
        progress = page.get_by_label("Parts answered of live.wav")
        expect(progress).to_have_attribute("value", "0")
        job = served.daemon.event("job.settled", file="live.wav")["job"]
        with browser.visit(f"{served.address}jobs/{job}") as detail:
            expect(detail.locator(".title .state")).to_have_text("translating")
            wait_until(lambda: served.endpoint.held)
            served.endpoint.release(1)
            expect(progress).to_have_attribute("value", "1")
            expect(detail.get_by_label("Parts answered of live.wav")).to_have_attribute("value", "1")
            served.endpoint.always(Respond())
            served.endpoint.release()
            expect(page.locator("#in-flight")).to_contain_text("Nothing is being worked on")
            expect(page.locator("#recent tbody tr").first).to_contain_text("live.wav")
            expect(detail.locator(".title .state")).to_have_text("done")
            expect(detail.locator(".cue").first).to_be_visible()
            expect(detail.locator("#live")).to_be_hidden()
            expect(detail.locator("#spoken")).to_have_text("live.wav: translating")
        expect(page.locator("#spoken")).to_contain_text("in flight")


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_player_seeks_on_a_cue_and_its_list_follows(served: Site, browser: Browser, kind: str) -> None:
    if kind == "audio":
        job = served.do(clip("m4a"), "heard.m4a")
    else:  # in the inbox for which only srt is written
        (served.daemon.home / "films" / "seen.mp4").write_bytes(film("mp4").read_bytes())
        job = served.daemon.event("job.done", file="seen.mp4")["job"]
    with browser.visit(f"{served.address}jobs/{job}") as page:
        media, cues = page.locator(kind), page.locator(".cue")
        expect(cues).to_have_count(2)
        media.evaluate(
            "media => media.addEventListener('seeking', () => document.body.dataset.at = media.currentTime)"
        )
        cues.nth(1).click()
        expect(page.locator("body[data-at='2']")).to_be_attached()
        expect(cues.nth(1)).to_have_attribute("aria-current", "true")
        media.evaluate("media => { media.pause(); media.currentTime = 0.5 }")
        expect(page.locator("body[data-at='0.5']")).to_be_attached()
        expect(cues.nth(0)).to_have_attribute("aria-current", "true")
        expect(cues.nth(1)).not_to_have_attribute("aria-current", "true")
        cues.nth(1).press("ArrowUp")
        expect(cues.nth(0)).to_be_focused()
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        expect(page.locator("body[data-at='2']")).to_be_attached()
        assert page.evaluate("kind => document.querySelector(kind).textTracks[0].cues.length", kind) == 2
        if kind == "audio":
            expect(page.locator(".caption")).to_contain_text("Its digest begins with")
            media.evaluate("media => { media.pause(); media.currentTime = 6 }")
            expect(page.locator(".caption")).to_be_empty()
        else:
            assert media.evaluate("media => media.textTracks[0].mode") == "showing"
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").last.click()
        assert download.value.suggested_filename == ("heard.txt" if kind == "audio" else "seen.srt")


def test_a_failed_job_is_retried_and_the_answer_is_read_out(served: Site, browser: Browser) -> None:
    job = served.daemon.found("job.failed", file="refused.mp3")[0]["job"]
    with browser.visit(f"{served.address}jobs/{job}", excused="of 40") as page:  # 409, and 404: it has moved
        expect(page.locator("main")).to_contain_text("We do not like it")
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_role("status").first).to_contain_text("1 file goes round again")
        served.daemon.event("job.done", file="refused.mp3")
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_role("status").first).to_contain_text("Not retried")
        page.reload()
        expect(page.locator("#message")).to_be_empty()
        expect(page.get_by_role("table")).to_contain_text("done")


def test_the_keyboard_is_enough(served: Site, browser: Browser) -> None:
    with browser.visit(served.address) as page:
        expect(page.locator("#live")).to_have_text("live")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        page.keyboard.press("Enter")
        walked = []
        for _ in range(40):
            page.keyboard.press("Tab")
            walked.append(page.evaluate("document.activeElement.innerText"))
            if walked[-1].startswith("Pause") and "inbox inbox" in walked[-1]:
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("#message")).to_contain_text("The inbox inbox is paused")
        resume = page.get_by_role("button", name="Resume inbox inbox")
        expect(resume).to_be_focused()  # over the live update, too
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Pause inbox inbox")).to_be_focused()
        expect(page.locator("#message")).to_contain_text("goes on")


def test_without_a_script_everything_is_there(served: Site, browser: Browser) -> None:
    with browser.visit(served.address, excused="ERR_FAILED") as page:
        page.route("**/*.js?*", lambda route: route.abort())
        page.reload()
        page.get_by_role("button", name="Pause endpoint here").click()
        expect(page.locator("#message")).to_contain_text("The endpoint here is paused until you resume it")
        page.get_by_role("button", name="Resume endpoint here").click()
        expect(page.locator("#message")).to_contain_text("The endpoint here goes on.")
        expect(page.locator("time").first).to_contain_text("UTC")
        page.get_by_role("link", name="Jobs").first.click()
        page.get_by_label("Part of the path").fill("gpj")
        page.keyboard.press("Enter")
        expect(page.get_by_role("row")).to_have_count(2)


def test_a_tab_that_nobody_sees_follows_nothing(served: Site, browser: Browser) -> None:
    """A browser has six connections to one site, and each tab that follows takes one."""
    with browser.visit(served.address) as page:
        expect(page.locator("#live")).to_have_text("live")
        for hidden in ("true", "false"):
            page.evaluate(
                f"Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }})"
            )
            if hidden == "false":
                with page.expect_request("**/api/v1/events"):
                    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            else:
                with page.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
                    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_what_was_done_is_said_once(served: Site, browser: Browser) -> None:
    with browser.visit(f"{served.address}?did=resumed&what=inbox:inbox") as page:
        expect(page.locator("#message")).to_contain_text("The inbox inbox goes on.")
        page.wait_for_url(served.address)
        page.reload()
        expect(page.locator("#message")).to_be_empty()


def test_names_are_text_and_times_are_the_readers(served: Site, browser: Browser) -> None:
    with browser.visit(served.address) as page:
        expect(page.get_by_role("link", name="<script>alert(1)</script> \\u202egpj.mp3")).to_be_visible()
        name = page.get_by_role("link", name=HEBREW).locator("bdi")
        assert name.evaluate("name => getComputedStyle(name).unicodeBidi") == "isolate"
        at = page.locator("#recent time").first
        expect(at).not_to_contain_text("UTC")
        assert "GMT+9" in (at.get_attribute("title") or "")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_fits_a_phone_and_hinders_nobody(served: Site, browser: Browser, dark: bool) -> None:
    failed = served.daemon.found("job.failed")[0]["job"]
    done = served.daemon.found("job.done")[0]["job"]
    grounds = set()
    for path in ("", "jobs?state=failed", f"jobs/{failed}", f"jobs/{done}", "jobs/0"):
        with browser.visit(f"{served.address}{path}", dark=dark, excused="of 404") as page:
            if path == f"jobs/{done}":
                expect(page.locator(".cue").first).to_be_visible()
            for width in (1280, PHONE):
                page.set_viewport_size({"width": width, "height": 740})
                assert violations(page) == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == {"rgb(20, 23, 26)" if dark else "rgb(246, 247, 248)"}


def test_a_daemon_that_goes_and_comes_back_is_noticed(served: Site, browser: Browser) -> None:
    """Last: the daemon is another one afterwards."""
    port = served.address.split(":")[2].rstrip("/")
    with browser.visit(served.address, excused="net::ERR_") as page:
        expect(page.locator("#live")).to_have_text("live")
        assert served.daemon.stop() == 0
        expect(page.locator("#live")).to_have_text("connection lost")
        text = served.daemon.config.read_text()
        served.daemon.config.write_text(text.replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"'))
        served.daemon.start()
        expect(page.locator("#live")).to_have_text("live")
