"""Pages of other origins in a browser: an allowed origin may show and read files, a foreign one may not."""

import base64
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from conftest import REPOSITORY, listening

PASSWORD = "roadster-for-alice"
BASIC = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
PHOTO = "cars/7/photo.jpg"
VIDEO = "cars/7/video.mp4"

IMAGE = """([url, options]) => new Promise((resolve) => {
    const image = Object.assign(new Image(), options);
    image.onload = () => resolve("shown");
    image.onerror = () => resolve("blocked");
    image.src = url;
})"""
PLAY = """([url, options]) => new Promise((resolve) => {
    const video = Object.assign(document.createElement("video"), { muted: true, preload: "auto" }, options);
    video.onloadeddata = () => resolve("shown");
    video.onerror = () => resolve("blocked");
    video.src = url;
})"""
FETCH = """([url, options]) => fetch(url, options).then(
    async (response) => {
        const { size } = await response.blob();
        const exposed = ["content-range", "content-disposition", "etag"];
        return [response.status, size > 0, ...exposed.filter((name) => response.headers.has(name))].join(" ");
    },
    () => "blocked",
)"""
#: A frame of the page with the origin `null`.
SANDBOXED = """(url) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts";
    frame.srcdoc = `<script>
        fetch(${JSON.stringify(url)}, { credentials: "include" }).then(
            () => parent.postMessage("read", "*"),
            () => parent.postMessage("blocked", "*"),
        );
    </script>`;
    addEventListener("message", (event) => resolve(event.data), { once: true });
    document.body.append(frame);
})"""


class EmptyPage(BaseHTTPRequestHandler):
    """An empty page for every request."""

    def do_GET(self) -> None:
        """Send the page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A front end</title><link rel=icon href=data:,>")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def front_end() -> Iterator[Callable[[], str]]:
    """Return a function that starts a front end and returns its origin."""
    servers: list[ThreadingHTTPServer] = []

    def start() -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://localhost:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Site:
    """A gateway, and two front ends of which it allows one."""

    gateway: str
    allowed: str
    foreign: str

    def url(self, path: str) -> str:
        """Return the URL of a file."""
        return f"{self.gateway}/private/{path}"


@pytest.fixture
def serve(tmp_path: Path, jpeg: bytes, front_end: Callable[[], str]) -> Iterator[Callable[..., Site]]:
    """Return a function that starts the gateway with a photo and a video of alice."""
    default = REPOSITORY / "target" / "release" / "private-media"
    program = os.environ.get("PRIVATE_MEDIA_BIN", str(default))
    files = tmp_path / "private" / "cars" / "7"
    files.mkdir(parents=True)
    (files / "photo.jpg").write_bytes(jpeg)
    assets = REPOSITORY / "crates" / "private-media-gateway" / "assets"
    shutil.copy(assets / "first-drive.mp4", files / "video.mp4")
    add = [program, "account", "add", "alice", "--id", "7", "--password-stdin"]
    subprocess.run(add, cwd=tmp_path, input=PASSWORD, text=True, check=True)  # noqa: S603 (our own program)
    processes: list[subprocess.Popen[str]] = []

    def serve(*arguments: str) -> Site:
        allowed, foreign = front_end(), front_end()
        command = [program, "serve", "--listen", "127.0.0.1:0", "--grant", "cars/{owner}/{*file}=owner"]
        process = subprocess.Popen(  # noqa: S603 (our own program)
            [*command, "--cors-origin", allowed, *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        return Site(listening(process.stdout).replace("127.0.0.1", "localhost"), allowed, foreign)

    yield serve
    for process in processes:
        with process:
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Open a browser without cookies. Its console reports each blocked request, so it is not checked."""
    context = browser.new_context()
    yield context
    context.close()


def open_page(context: BrowserContext, origin: str) -> Page:
    page = context.new_page()
    page.goto(f"{origin}/")
    return page


def sign_in(context: BrowserContext, site: Site) -> None:
    form: dict[str, str | float | bool] = {"name": "alice", "password": PASSWORD, "next": "/"}
    response = context.request.post(site.url("-/sign-in"), form=form, max_redirects=0)
    assert response.status == 303


def test_an_allowed_page_shows_and_reads_files(serve: Callable[..., Site], context: BrowserContext) -> None:
    site = serve("--cors-credentials")
    sign_in(context, site)
    page = open_page(context, site.allowed)
    photo, video, missing = site.url(PHOTO), site.url(VIDEO), site.url("cars/7/none.jpg")
    whole = "200 true content-disposition etag"
    for script, url, options, expected in (
        (IMAGE, photo, {}, "shown"),
        (IMAGE, photo, {"crossOrigin": "use-credentials"}, "shown"),
        # Without cookies the gateway sees no user.
        (IMAGE, photo, {"crossOrigin": "anonymous"}, "blocked"),
        # A page that sends no Referer has to send an Origin.
        (IMAGE, photo, {"referrerPolicy": "no-referrer"}, "blocked"),
        (IMAGE, photo, {"referrerPolicy": "no-referrer", "crossOrigin": "use-credentials"}, "shown"),
        (PLAY, video, {}, "shown"),
        (PLAY, video, {"crossOrigin": "use-credentials"}, "shown"),
        (FETCH, photo, {"credentials": "include"}, whole),
        (FETCH, photo, {"credentials": "include", "method": "HEAD"}, "200 false content-disposition etag"),
        # The headers of these requests need a preflight request.
        (FETCH, photo, {"credentials": "include", "headers": {"If-None-Match": '"x"'}}, whole),
        (FETCH, photo, {"credentials": "omit", "headers": {"Authorization": BASIC}}, whole),
        (
            FETCH,
            photo,
            {"credentials": "include", "headers": {"Range": "bytes=0-1", "If-Match": "*"}},
            "206 true content-range content-disposition etag",
        ),
        (FETCH, photo, {"credentials": "omit"}, "404 true"),
        (FETCH, missing, {"credentials": "include"}, "404 true"),
        (FETCH, photo, {"credentials": "include", "method": "DELETE"}, "blocked"),
        (FETCH, site.url("-/sign-in"), {"credentials": "include"}, "blocked"),
    ):
        assert page.evaluate(script, [url, options]) == expected, f"{script} {url} {options}"
    assert page.evaluate(SANDBOXED, photo) == "blocked"


def test_a_foreign_page_gets_nothing(serve: Callable[..., Site], context: BrowserContext) -> None:
    site = serve("--cors-credentials")
    sign_in(context, site)
    # What the browser has cached for an allowed page is not for this one.
    allowed = open_page(context, site.allowed)
    assert allowed.evaluate(IMAGE, [site.url(PHOTO), {}]) == "shown"
    page = open_page(context, site.foreign)
    photo, video = site.url(PHOTO), site.url(VIDEO)
    for script, url, options in (
        (IMAGE, photo, {}),
        (IMAGE, photo, {"crossOrigin": "use-credentials"}),
        (IMAGE, photo, {"referrerPolicy": "no-referrer"}),
        (PLAY, video, {}),
        (PLAY, video, {"crossOrigin": "use-credentials"}),
        (FETCH, photo, {"credentials": "include"}),
        (FETCH, photo, {"credentials": "omit"}),
        (FETCH, photo, {"credentials": "include", "mode": "no-cors"}),
        (FETCH, photo, {"credentials": "include", "headers": {"If-None-Match": '"x"'}}),
        (FETCH, photo, {"credentials": "omit", "headers": {"Authorization": BASIC}}),
    ):
        assert page.evaluate(script, [url, options]) == "blocked", f"{script} {url} {options}"
    # The user still sees the file by its own URL.
    response = page.goto(photo)
    assert response is not None
    assert response.status == 200


def test_without_credentials_cookies_let_no_script_read(
    serve: Callable[..., Site], context: BrowserContext
) -> None:
    site = serve()
    sign_in(context, site)
    page = open_page(context, site.allowed)
    photo = site.url(PHOTO)
    for script, options, expected in (
        (IMAGE, {}, "shown"),
        (IMAGE, {"crossOrigin": "use-credentials"}, "blocked"),
        (FETCH, {"credentials": "include"}, "blocked"),
        (FETCH, {"credentials": "omit"}, "404 true"),
        (
            FETCH,
            {"credentials": "omit", "headers": {"Authorization": BASIC}},
            "200 true content-disposition etag",
        ),
    ):
        assert page.evaluate(script, [photo, options]) == expected, f"{script} {options}"
