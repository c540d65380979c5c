"""The Django example in a browser: only the owner and staff see a photo that was uploaded in the admin."""

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Locator, Page, expect

from conftest import REPOSITORY, Complaints

PASSWORD = "open sesame"
START_SECONDS = 60.0
#: Only private pictures; the admin has others.
PREVIEW = "img[src^='/private/']"


@pytest.fixture
def cars(tmp_path: Path) -> Iterator[str]:
    """Start a copy of the example with the command of its README, on a Django that has the wheel."""
    default = REPOSITORY / "target" / "python" / "django52" / "bin" / "python"
    python = Path(os.environ.get("PRIVATE_MEDIA_PYTHON", default))
    if not python.is_file():
        pytest.fail(f"no Python at {python}; run cargo xtask test --only browser", pytrace=False)
    folder = tmp_path / "django-cars"
    unused = shutil.ignore_patterns("db.sqlite3", "private", "__pycache__")
    shutil.copytree(REPOSITORY / "examples" / "django-cars", folder, ignore=unused)
    port = free_port()
    command = [str(python), "manage.py", "demo", f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)  # noqa: S603 (our own)
        try:
            wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(15)
    # pytest shows this output if the test fails.
    text = (tmp_path / "log").read_text()
    print(text)  # noqa: T201
    assert "Traceback" not in text


def free_port() -> int:
    """Return a free port outside the range that the kernel gives to clients."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 (no secret)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the demo listens."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    pytest.fail(f"the demo did not listen; its exit code is {process.poll()}", pytrace=False)


Visit = Callable[..., Page]


@pytest.fixture
def visit(cars: str, browser: Browser, complaints: Complaints) -> Iterator[Visit]:
    """Open the site in a new browser context, signed in by the form or signed out."""
    contexts: list[BrowserContext] = []

    def visit(name: str | None = None) -> Page:
        context = browser.new_context(base_url=cars, viewport={"width": 1280, "height": 800})
        contexts.append(context)
        complaints.watch(context)
        page = context.new_page()
        page.goto("/")
        if name is not None:
            page.get_by_label("Username").fill(name)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("button", name=f"Sign out {name}")).to_be_visible()
        return page

    yield visit
    for context in contexts:
        context.close()


def is_shown(picture: Locator) -> None:
    """Check that the browser has decoded a picture, so that its bytes arrived."""
    picture.scroll_into_view_if_needed()
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => image.naturalWidth") == 320


def upload_in_the_admin(page: Page, owner: str, jpeg: bytes) -> str:
    """Add a car, stay on its page and return the path of that page."""
    page.goto("/admin/garage/car/add/")
    page.get_by_label("Owner").select_option(label=owner)
    photo: FilePayload = {"name": "my beetle.jpg", "mimeType": "image/jpeg", "buffer": jpeg}
    page.get_by_label("Photo").set_input_files(photo)
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    return urlsplit(page.url).path


def test_only_the_owner_and_staff_see_an_upload_of_the_admin(
    visit: Visit, complaints: Complaints, jpeg: bytes, screenshots: Path
) -> None:
    # Browsers request the icon on their own, and the admin has none.
    complaints.expect(r"/favicon\.ico")
    carol = visit("carol")
    change = upload_in_the_admin(carol, "alice", jpeg)
    content = carol.locator("#content")
    is_shown(content.locator(PREVIEW))
    carol.screenshot(path=screenshots / "django-admin-change.png")

    # The link and the preview have the same URL.
    link = content.get_by_role("link", name="cars/1/my_beetle.jpg")
    url = link.get_attribute("href")
    assert url == content.locator(PREVIEW).get_attribute("src") == "/private/cars/1/my_beetle.jpg"
    link.click()
    carol.wait_for_url(f"**{url}")
    response = carol.request.get(url)
    assert (response.status, response.headers["content-type"], response.body()) == (200, "image/jpeg", jpeg)

    # dora may view the car, but not change it.
    dora = visit("dora")
    dora.goto(change)
    content = dora.locator("#content")
    expect(content.locator("input[type=file]")).to_have_count(0)
    is_shown(content.locator(PREVIEW))
    dora.screenshot(path=screenshots / "django-admin-view.png")
    assert content.get_by_role("link", name="cars/1/my_beetle.jpg").get_attribute("href") == url

    # The owner sees the photo on the site.
    alice = visit("alice")
    is_shown(alice.locator(".cars img"))
    alice.screenshot(path=screenshots / "django-cars.png")

    # For others, the photo and a missing file are the same 404.
    complaints.expect("status of 404")
    for stranger in (visit("bob"), visit()):
        expect(stranger.locator(".cars img")).to_have_count(0)
        responses = []
        for path in (url, "/private/cars/1/was-never-here.jpg"):
            response = stranger.goto(path)
            assert response is not None
            responses.append((response.status, response.text()))
        assert responses[0] == responses[1]
        assert responses[0][0] == 404


def test_an_upload_on_the_site_itself(visit: Visit, jpeg: bytes, screenshots: Path) -> None:
    alice = visit("alice")
    photo: FilePayload = {"name": "naïve café.jpg", "mimeType": "image/jpeg", "buffer": jpeg}
    for _ in range(2):
        alice.get_by_label("Photo").set_input_files(photo)
        alice.get_by_role("button", name="Upload").click()
    expect(alice.locator(".cars img")).to_have_count(2)
    for picture in alice.locator(".cars img").all():
        is_shown(picture)
    alice.screenshot(path=screenshots / "django-cars-two.png")
    alice.get_by_role("button", name="Sign out").click()
    expect(alice.get_by_label("Username")).to_be_visible()
    alice.screenshot(path=screenshots / "django-cars-sign-in.png")
