"""Starts the demo and a browser. Errors and warnings of a page fail its test."""

import base64
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from playwright.sync_api import (
    APIRequestContext,
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

CHROMIUM = "/usr/bin/chromium"
REPOSITORY = Path(__file__).parents[2]
AXE = REPOSITORY / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
START_SECONDS = 60.0
STOP_SECONDS = 15.0

expect.set_options(timeout=10_000)


@dataclass(frozen=True)
class Account:
    """An account of the demo."""

    name: str
    password: str


ALICE = Account("alice", "roadster-7")
BOB = Account("bob", "hatchback-8")
CAROL = Account("carol", "camper-staff")


def program() -> str:
    """Return the path of the program under test."""
    default = REPOSITORY / "target" / "release" / "private-media"
    program = Path(os.environ.get("PRIVATE_MEDIA_BIN", default))
    if not program.is_file():
        pytest.fail(f"no program at {program}; build it or set PRIVATE_MEDIA_BIN", pytrace=False)
    return str(program)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Start a new demo on a free port, so that tests share no files and no failed sign-ins.

    At the end, no file of it must be left behind.
    """
    folder = tmp_path / "demo"
    folder.mkdir()
    with running("demo", log=tmp_path / "stderr", folder=tmp_path, TMPDIR=str(folder)) as url:
        yield url
    assert list(folder.iterdir()) == [], "the program left files behind"


@contextmanager
def running(
    *arguments: str, log: Path, folder: Path, listen: str = "127.0.0.1:0", **variables: str
) -> Iterator[str]:
    """Run the program in a folder, by default on a free port.

    At the end, SIGTERM must end it with exit code 0, without a panic in its log.
    """
    with (
        log.open("w") as stderr,
        subprocess.Popen(  # noqa: S603 (our own program)
            [program(), *arguments, "--listen", listen],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=folder,
            env={**os.environ, **variables},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield listening(process.stdout)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    text = log.read_text(errors="replace")
    # pytest shows this output if the test fails.
    sys.stderr.write(text)
    assert "panicked" not in text, "the program panicked"
    assert code == 0, f"the program ended with exit code {code} after SIGTERM"


def listening(stdout: IO[str]) -> str:
    """Return the address that the program prints. A thread reads on, so that the program never blocks."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    seen = ""
    while (line := lines.get(timeout=START_SECONDS)) is not None:
        seen += line
        if found := re.match(r"listening on (https?://\S+:\d+)$", line.strip()):
            return found[1]
    pytest.fail(f"the program ended before it listened; its output:\n{seen}", pytrace=False)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Playwright's own browsers are never downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Complaints:
    """The errors and warnings of the browser console, and those that a test expects."""

    expected: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """Allow messages that match the pattern."""
        self.expected.append(pattern)

    def watch(self, context: BrowserContext) -> None:
        """Collect the messages of every page of a context. Violations of a content policy are errors too."""
        context.on("console", self.console)
        context.on("weberror", lambda error: self.seen.append(str(error.error)))

    def console(self, message: ConsoleMessage) -> None:
        """Store an error or a warning."""
        if message.type in {"error", "warning"}:
            self.seen.append(f"{message.text} ({message.location.get('url', '')})")

    def unexpected(self) -> list[str]:
        """Return the messages that no test expects."""
        return [text for text in self.seen if not any(re.search(known, text) for known in self.expected)]


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Fail the test on an unexpected error or warning of a page."""
    complaints = Complaints()
    yield complaints
    assert complaints.unexpected() == []


@dataclass(frozen=True)
class Look:
    """A device and a colour scheme."""

    device: str
    scheme: str

    def __str__(self) -> str:
        """Return the name for screenshots."""
        return f"{self.device}-{self.scheme}"


LOOKS = [Look(device, scheme) for device in ("desktop", "phone") for scheme in ("light", "dark")]

Visit = Callable[..., Page]


@pytest.fixture
def visit(site: str, browser: Browser, complaints: Complaints) -> Iterator[Visit]:
    """Open the demo in a new browser context, signed in as an account or signed out."""
    contexts: list[BrowserContext] = []

    def visit(account: Account | None = None, *, javascript: bool = True, look: Look = LOOKS[0]) -> Page:
        phone = look.device == "phone"
        context = browser.new_context(
            base_url=site,
            java_script_enabled=javascript,
            color_scheme="dark" if look.scheme == "dark" else "light",
            viewport={"width": 360, "height": 740} if phone else {"width": 1280, "height": 800},
            has_touch=phone,
            reduced_motion="reduce",
        )
        contexts.append(context)
        complaints.watch(context)
        if account is not None:
            begin_session(context.request, account)
        page = context.new_page()
        page.goto("/")
        if account is not None:
            expect(page.get_by_test_id("me")).to_have_text(account.name)
        return page

    yield visit
    for context in contexts:
        context.close()


Ask = Callable[..., APIRequestContext]


@pytest.fixture
def ask(site: str, browser: Browser) -> Iterator[Ask]:
    """Return a client without a page, which is faster, with its own cookies."""
    contexts: list[BrowserContext] = []

    def ask(account: Account | None = None) -> APIRequestContext:
        context = browser.new_context(base_url=site)
        contexts.append(context)
        if account is not None:
            begin_session(context.request, account)
        return context.request

    yield ask
    for context in contexts:
        context.close()


def begin_session(request: APIRequestContext, account: Account) -> None:
    """Sign in without the form, which has its own tests."""
    form: dict[str, str | float | bool] = {"name": account.name, "password": account.password, "next": "/"}
    assert request.post("/private/-/sign-in", form=form, max_redirects=0).status == 303


def sign_in(page: Page, name: str, password: str) -> None:
    """Sign in with the form."""
    form = page.get_by_test_id("sign-in")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Password").fill(password)
    form.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="session")
def jpeg(browser: Browser) -> bytes:
    """Draw a photo in the browser, so that the tests need no imaging library."""
    page = browser.new_page()
    url = str(
        page.evaluate("""() => {
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [320, 200];
            const draw = canvas.getContext("2d");
            draw.fillStyle = "teal"; draw.fillRect(0, 0, 320, 200);
            draw.fillStyle = "gold"; draw.fillRect(80, 90, 160, 60);
            return canvas.toDataURL("image/jpeg");
        }""")
    )
    page.close()
    return base64.b64decode(url.split(",", 1)[1])


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Return the folder for screenshots: PRIVATE_MEDIA_SCREENSHOTS, or `target/screenshots`."""
    folder = Path(os.environ.get("PRIVATE_MEDIA_SCREENSHOTS", REPOSITORY / "target" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def violations(page: Page) -> list[str]:
    """Return what axe-core finds on a page."""
    if not AXE.is_file():
        pytest.fail(f"no axe-core at {AXE}; run npm install in tests/browser", pytrace=False)
    session = page.context.new_cdp_session(page)
    # Scripts of the debugger are not subject to the content security policy.
    for script in (AXE.read_text(), "axe.run().then((found) => { window.found = found; })"):
        answer = session.send("Runtime.evaluate", {"expression": script, "awaitPromise": True})
        assert "exceptionDetails" not in answer, answer
    found = page.evaluate(
        "found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`)"
    )
    # The rules ran.
    assert page.evaluate("found.passes.length") > 10
    session.detach()
    return [str(one) for one in found]
