"""The pages of the gateway in a browser: the sign-in page, the front page, and the page of denied files."""

import base64
import hmac
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from conftest import ALICE as DEMO_ALICE
from conftest import Account, Complaints, begin_session, program, running, violations

ALICE = Account("alice", "a long password")
BOB = Account("bob", "another password")
PHOTO = "/private/cars/7/photo.txt"
FRONT = "/private/-/"
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" fill="#c60"/></svg>'
)
# A phone of 390 px and a desktop, light and dark.
LOOKS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]

Start = Callable[..., str]
Open = Callable[..., Page]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start gateways with two accounts and one file."""
    folder = tmp_path / "site"
    (folder / "private" / "cars" / "7").mkdir(parents=True)
    (folder / "private" / "cars" / "7" / "photo.txt").write_text("the photo of alice")
    (folder / "logo.svg").write_text(LOGO)
    for account, number in ((ALICE, "7"), (BOB, "8")):
        command = [program(), "account", "add", account.name, "--id", number, "--password-stdin"]
        subprocess.run(command, cwd=folder, input=account.password, text=True, check=True)  # noqa: S603
    with ExitStack() as stack:

        def start(*arguments: str, listen: str = "127.0.0.1:0") -> str:
            grant = ("--grant", "cars/{owner}/{*file}=owner", "--grant", "shared/{*file}=authenticated")
            log = tmp_path / "gateway.log"
            command = running("serve", *grant, *arguments, log=log, folder=folder, listen=listen)
            return stack.enter_context(command)

        yield start


@pytest.fixture
def open_page(browser: Browser, complaints: Complaints) -> Iterator[Open]:
    """Open a page of a site in a new browser context. Refused sign-ins and denied files are expected."""
    complaints.expect(r"status of 40[34]")
    contexts: list[BrowserContext] = []

    def open_page(
        url: str,
        path: str,
        *,
        account: Account | None = None,
        javascript: bool = True,
        look: tuple[int, str] = LOOKS[0],
    ) -> Page:
        width, scheme = look
        context = browser.new_context(
            base_url=url,
            java_script_enabled=javascript,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 800},
        )
        contexts.append(context)
        complaints.watch(context)
        if account is not None:
            begin_session(context.request, account)
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def submit(page: Page, account: Account) -> None:
    """Fill in the sign-in form and send it."""
    page.get_by_label("Name").fill(account.name)
    page.get_by_label("Password").fill(account.password)
    page.get_by_role("button", name="Sign in").click()


def fail_to_sign_in(page: Page) -> None:
    submit(page, Account(ALICE.name, "wrong"))
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
def test_a_signed_out_reader_signs_in_and_gets_the_file(
    start: Start, open_page: Open, *, javascript: bool
) -> None:
    url = start()
    page = open_page(url, f"{PHOTO}?a=b%20c", javascript=javascript)
    assert urlsplit(page.url).path == "/private/-/sign-in"
    submit(page, ALICE)
    assert page.url == f"{url}{PHOTO}?a=b%20c"
    expect(page.locator("body")).to_have_text("the photo of alice")


def test_a_missing_file_looks_like_a_denied_one(start: Start, open_page: Open) -> None:
    url = start()
    texts = set()
    for path in (PHOTO, "/private/cars/7/none.txt"):
        page = open_page(url, path)
        submit(page, BOB)
        assert page.url == f"{url}{path}"
        expect(page.get_by_role("heading", level=1)).to_have_text("Not found, or not yours")
        texts.add(page.content().replace(path, "PATH"))
    assert len(texts) == 1


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
def test_a_denied_reader_signs_in_as_someone_else(start: Start, open_page: Open, *, javascript: bool) -> None:
    url = start()
    page = open_page(url, PHOTO, account=BOB, javascript=javascript)
    expect(page.get_by_text("You are signed in as bob")).to_be_visible()
    page.get_by_role("button", name="Sign in as someone else").click()
    submit(page, ALICE)
    assert page.url == url + PHOTO
    expect(page.locator("body")).to_have_text("the photo of alice")


def test_signing_in_and_out_by_keyboard(start: Start, open_page: Open) -> None:
    url = start()
    page = open_page(url, "/")
    assert page.url == url + FRONT
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Sign in")).to_be_focused()
    page.keyboard.press("Enter")
    # The name has the focus, and after a wrong password the password has it.
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    password = page.get_by_label("Password")
    expect(password).to_be_focused()
    expect(password).to_have_accessible_description("The name or the password is wrong.")
    expect(page.get_by_label("Name")).to_have_value("alice")
    page.keyboard.type(ALICE.password)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(url + FRONT)
    expect(page.get_by_text("Signed in as alice")).to_be_visible()
    expect(page.locator(".folders code")).to_have_text(["/private/cars/7/", "/private/shared/"])
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("You are not signed in.")).to_be_visible()
    assert page.url == url + FRONT


def test_signing_in_and_out_without_javascript(start: Start, open_page: Open) -> None:
    url = start()
    page = open_page(url, "/", javascript=False)
    page.get_by_role("link", name="Sign in").click()
    fail_to_sign_in(page)
    submit(page, ALICE)
    assert page.url == url + FRONT
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are not signed in.")).to_be_visible()


SECRET = "a secret of 32 bytes or even more"


def token() -> str:
    """Return a JSON Web Token of alice."""

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    claims = {"iss": "shop", "aud": "media", "sub": "7", "name": "alice", "exp": int(time.time()) + 600}
    parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signature = hmac.new(SECRET.encode(), ".".join(parts).encode(), "sha256").digest()
    return ".".join([*parts, encoded(signature)])


class Application(BaseHTTPRequestHandler):
    """Another application on the same host. Its sign-in page signs alice in, and sends the browser back."""

    def do_GET(self) -> None:
        """Show a form with the URL to return to."""
        if not self.path.startswith("/sign-in"):
            self.send_error(404)
            return
        back = parse_qs(urlsplit(self.path).query)["rd"][0]
        field = f'<input type="hidden" name="rd" value="{escape(back)}">'
        form = f'<form method="post">{field}<button>Enter</button></form>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(form.encode())

    def do_POST(self) -> None:
        """Set a cookie with a token, and redirect to the URL of the form."""
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(303)
        self.send_header("Set-Cookie", f"media={token()}; Path=/; HttpOnly")
        self.send_header("Location", parse_qs(form)["rd"][0])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def application() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/sign-in?theme=dark"
    server.shutdown()
    server.server_close()


def test_the_sign_in_page_of_another_application(
    start: Start, open_page: Open, application: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    table = (
        f'{{source = "jwt", secret_file = "{secret}", issuer = "shop", audience = "media", cookie = "media", '
        f'login_url = "{application}", login_return = "rd", login_origin = "http://{listen}"}}'
    )
    url = start("--identity", table, listen=listen)
    page = open_page(url, f"{PHOTO}?a=b%20c")
    assert page.url.startswith(application)
    page.get_by_role("button", name="Enter").click()
    assert page.url == f"{url}{PHOTO}?a=b%20c"
    expect(page.locator("body")).to_have_text("the photo of alice")
    # The front page knows the user, but cannot end a session of the application.
    page.goto("/")
    expect(page.get_by_text("Signed in as alice")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    # A missing file offers the application's page again.
    page.goto("/private/cars/8/none.txt")
    page.get_by_role("link", name="Sign in as someone else").click()
    assert page.url.startswith(application)
    page.context.clear_cookies()
    page.goto("/")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Enter").click()
    assert page.url == url + FRONT


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_axe_finds_nothing(
    start: Start, open_page: Open, site: str, screenshots: Path, look: tuple[int, str]
) -> None:
    url = start("--site-name", "The Car Club", "--site-logo", "logo.svg")
    plain = start()

    def check(name: str, page: Page) -> None:
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        width, scheme = look
        page.screenshot(path=screenshots / f"{name}-{width}-{scheme}.png", full_page=True)
        assert violations(page) == [], name
        content, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert content <= window, name

    sign_in = open_page(url, "/private/-/sign-in", look=look)
    check("sign-in", sign_in)
    fail_to_sign_in(sign_in)
    check("sign-in-error", sign_in)
    check("sign-in-plain", open_page(plain, "/private/-/sign-in", look=look))
    check("sign-out", open_page(url, "/private/-/sign-out", account=ALICE, look=look))
    check("front-signed-out", open_page(url, "/", look=look))
    check("front-signed-in", open_page(url, "/", account=ALICE, look=look))
    check("front-plain", open_page(plain, "/", account=ALICE, look=look))
    check("denied", open_page(url, PHOTO, account=BOB, look=look))
    check("demo-signed-out", open_page(site, "/", look=look))
    check("demo-signed-in", open_page(site, "/", account=DEMO_ALICE, look=look))
