"""The documentation as a book (`cargo xtask book`) in a browser."""

import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from conftest import REPOSITORY, Complaints, violations

BOOK = REPOSITORY / "target" / "book" / "html"
# Among them: the widest tables, a table with an empty heading, and code in most colours.
PAGES = [
    "index.html",
    "tutorial.html",
    "reference/configuration.html",
    "how-to/nginx.html",
    "ARCHITECTURE.html",
    "bench/results/baseline.html",
    "examples/express.html",
]
DESKTOP, PHONE = 1280, 390
THEMES = {"light": "light", "dark": "navy"}

Read = Callable[..., Page]


class Silent(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def book() -> Iterator[str]:
    if not BOOK.is_dir():
        pytest.fail(f"no book at {BOOK}; run cargo xtask book", pytrace=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(BOOK)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def read(book: str, browser: Browser, complaints: Complaints) -> Iterator[Read]:
    """Open a page of the book in a new browser context."""
    contexts: list[BrowserContext] = []

    def read(name: str, width: int = DESKTOP, scheme: str = "light", *, javascript: bool = True) -> Page:
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 800},
            java_script_enabled=javascript,
            reduced_motion="reduce",
        )
        contexts.append(context)
        complaints.watch(context)
        page = context.new_page()
        page.goto(f"{book}/{name}")
        return page

    yield read
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", THEMES)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(read: Read, screenshots: Path, name: str, width: int, scheme: str) -> None:
    page = read(name, width, scheme)
    expect(page.locator("html")).to_have_class(re.compile(rf"\b{THEMES[scheme]}\b"))
    stem = name.removesuffix(".html").replace("/", "-")
    page.screenshot(path=screenshots / f"book-{stem}-{width}-{scheme}.png")
    assert violations(page) == []
    content, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert content <= window


@pytest.mark.parametrize("scheme", THEMES)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_search(read: Read, screenshots: Path, width: int, scheme: str) -> None:
    page = read("tutorial.html", width, scheme)
    page.get_by_role("button", name="Toggle Searchbar").click()
    page.get_by_role("searchbox", name="Search").press_sequentially("lighttpd")
    result = page.locator("#mdbook-searchresults a").filter(has_text="lighttpd").first
    expect(result).to_be_visible()
    page.screenshot(path=screenshots / f"book-search-{width}-{scheme}.png")
    assert violations(page) == []
    result.click()
    page.wait_for_url(re.compile("lighttpd"))


@pytest.mark.parametrize("scheme", THEMES)
def test_the_contents_open_by_keyboard(read: Read, screenshots: Path, scheme: str) -> None:
    page = read("tutorial.html", PHONE, scheme)
    contents = page.get_by_role("navigation", name="Table of contents")
    button = page.get_by_role("button", name="Toggle Table of Contents")
    expect(contents).to_be_hidden()
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(contents.get_by_role("link", name="Documentation", exact=True)).to_be_in_viewport(ratio=1)
    expect(button).to_have_attribute("aria-expanded", "true")
    page.screenshot(path=screenshots / f"book-contents-{scheme}.png")
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(contents.get_by_role("link", name="Documentation", exact=True)).not_to_be_in_viewport()
    expect(button).to_have_attribute("aria-expanded", "false")


def test_the_contents_open_without_javascript(read: Read) -> None:
    page = read("tutorial.html", PHONE, javascript=False)
    frame = page.locator("#mdbook-sidebar iframe")
    expect(frame).not_to_be_in_viewport()
    page.get_by_title("Toggle Table of Contents").filter(visible=True).click()
    expect(frame).to_be_in_viewport()


def test_the_keyboard_scrolls_a_wide_table(read: Read) -> None:
    page = read("reference/configuration.html", PHONE)
    wide = "[...document.querySelectorAll('.table-wrapper')].find((one) => one.scrollWidth > one.clientWidth)"
    page.evaluate(f"{wide}.focus()")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{wide}.scrollLeft > 0")
