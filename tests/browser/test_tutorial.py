"""Follows docs/tutorial.md in a browser.

With PRIVATE_MEDIA_PICTURES, writes the pictures of the page into that folder.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from conftest import REPOSITORY, STOP_SECONDS, Complaints, listening

PHOTO = REPOSITORY / "crates" / "private-media-gateway" / "assets" / "coupe.jpg"
PATH = "/private/cars/7/photo.jpg"
ALICE = ("alice", "roadster-for-alice")
BOB = ("bob", "hatchback-for-bob")
WIDTH, HEIGHT = 760, 480


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    """Start the gateway in a folder with the photo and the accounts of the tutorial."""
    default = REPOSITORY / "target" / "release" / "private-media"
    program = os.environ.get("PRIVATE_MEDIA_BIN", str(default))
    root = tmp_path / "private" / "cars" / "7"
    root.mkdir(parents=True)
    (root / "photo.jpg").write_bytes(PHOTO.read_bytes())
    for (name, password), number in ((ALICE, "7"), (BOB, "8")):
        add = [program, "account", "add", name, "--id", number, "--password-stdin"]
        subprocess.run(add, input=password, text=True, cwd=tmp_path, check=True)  # noqa: S603 (our own program)
    serve = [program, "serve", "--listen", "127.0.0.1:0", "--grant", "cars/{owner}/{*file}=owner,staff"]
    with subprocess.Popen(serve, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            yield listening(process.stdout)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


def picture(page: Page, name: str, height: int = HEIGHT) -> None:
    """Write a picture of the tutorial."""
    if folder := os.environ.get("PRIVATE_MEDIA_PICTURES"):
        page.screenshot(path=Path(folder) / name, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


def test_the_photo_is_visible_to_its_owner_alone(
    gateway: str, browser: Browser, complaints: Complaints
) -> None:
    """Each of them begins with the address of the photo."""
    complaints.expect("404")
    for (name, password), is_visible in ((ALICE, True), (BOB, False)):
        with browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}) as context:
            complaints.watch(context)
            page = context.new_page()
            page.goto(gateway + PATH)
            expect(page.get_by_label("Password")).to_be_visible()
            if is_visible:
                picture(page, "sign-in.png")
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(password)
            page.keyboard.press("Enter")
            page.wait_for_url(gateway + PATH)
            if is_visible:
                shown = "document.images.length === 1 && document.images[0].naturalWidth > 0"
                assert page.evaluate(shown), "the photo is not shown"
                picture(page, "photo.jpg")
                page.goto(gateway + "/private/-/")
                page.get_by_role("button", name="Sign out").click()
                page.goto(gateway + PATH)
                expect(page.get_by_label("Password")).to_be_visible()
            else:
                expect(page.locator("body")).to_contain_text("Not found, or not yours")
                picture(page, "not-found.png", height=440)
