"""Chromium over https and HTTP/2: a gallery, a video with seeking, a renewed certificate, and a sign-out."""

import base64
import hashlib
import os
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from conftest import CHROMIUM, REPOSITORY, Account, Complaints, program, running

ALICE = Account("alice", "a long password")
VIDEO = REPOSITORY / "crates" / "private-media-gateway" / "assets" / "first-drive.mp4"
IMAGES = 60
FILES = "/private/cars/7/"
RENEWAL_SECONDS = 60.0

#: Shows the images and the video, and returns how many images are shown.
SHOW = """async ([files, count, again]) => {
    const images = Array.from({ length: count }, (_, number) => new Promise((resolve) => {
        const image = new Image();
        image.onload = () => resolve(image.naturalWidth === 120);
        image.onerror = () => resolve(false);
        image.src = `${files}${number}.png${again}`;
        document.body.append(image);
    }));
    return (await Promise.all(images)).filter(Boolean).length;
}"""
#: The protocols of all private files that were received, and their number.
PROTOCOLS = """(files) => {
    const entries = performance.getEntriesByType("resource").filter(({ name }) => name.includes(files));
    return [[...new Set(entries.map(({ nextHopProtocol }) => nextHopProtocol))], entries.length];
}"""
STATUSES = """([files, names]) => Promise.all(
    names.map(async (name) => (await fetch(files + name, { cache: "no-store" })).status),
)"""


def png(seed: int) -> bytes:
    """Return an image of 120 by 120 pixels, long enough for several frames."""
    pixels = b"".join(b"\0" + hashlib.shake_128(bytes([seed, row])).digest(3 * 120) for row in range(120))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 120, 120, 8, 2, 0, 0, 0)
    image = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + image


def make_certificate(folder: Path, name: str) -> str:
    """Create a certificate for 127.0.0.1 and its key. Return the hash by which Chromium trusts it."""
    folder.mkdir(exist_ok=True)
    create = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    create += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30"]
    create += ["-keyout", "key.pem", "-out", "chain.pem"]
    subprocess.run(create, cwd=folder, check=True, capture_output=True)  # noqa: S603 (fixed arguments)
    (folder / "key.pem").chmod(0o600)
    public = ["openssl", "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"]
    key = subprocess.run(public, cwd=folder, check=True, capture_output=True).stdout  # noqa: S603
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with an account, images and a video."""
    folder = tmp_path / "site"
    files = folder / "private" / "cars" / "7"
    files.mkdir(parents=True)
    for number in range(IMAGES):
        (files / f"{number}.png").write_bytes(png(number))
    copy(VIDEO, files / "video.mp4")
    command = [program(), "account", "add", ALICE.name, "--id", "7", "--password-stdin"]
    subprocess.run(command, cwd=folder, input=ALICE.password, text=True, check=True)  # noqa: S603
    return folder


def sign_in(context: BrowserContext, url: str) -> Page:
    """Sign in with the form, and open an empty page of the site."""
    page = context.new_page()
    page.goto(f"{url}{FILES}0.png")
    page.get_by_label("Name").fill(ALICE.name)
    page.get_by_label("Password").fill(ALICE.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}{FILES}0.png")
    empty = "<!doctype html><title>A gallery</title><link rel=icon href=data:,>"
    context.route("**/gallery", lambda route: route.fulfill(content_type="text/html", body=empty))
    page.goto(f"{url}/gallery")
    return page


def seek(page: Page) -> None:
    """Play the video, and seek to its end and back."""
    page.evaluate(
        """(url) => {
            const video = document.createElement("video");
            Object.assign(video, { muted: true, preload: "metadata" });
            video.src = url;
            document.body.append(video);
        }""",
        f"{FILES}video.mp4",
    )
    video = page.locator("video")
    page.wait_for_function("() => document.querySelector('video').readyState >= 1")
    for part in (0.9, 0.1, 0.6):
        wanted = video.evaluate("(video, part) => video.currentTime = video.duration * part", part)
        page.wait_for_function("() => !document.querySelector('video').seeking")
        assert video.evaluate("video => video.currentTime") == pytest.approx(wanted, abs=0.5)
    video.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("at => document.querySelector('video').currentTime > at", arg=wanted)


def wait_for(log: Path, text: str) -> None:
    """Wait until the log of the gateway has a text."""
    end = time.monotonic() + RENEWAL_SECONDS
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@pytest.fixture
def trusting(browser: Browser, tmp_path: Path) -> Iterator[Browser]:
    """Start a browser that trusts the certificates `first` and `second`, and no other."""
    hashes = ",".join(make_certificate(tmp_path / name, name) for name in ("first", "second"))
    arguments = ["--no-sandbox", f"--ignore-certificate-errors-spki-list={hashes}"]
    trusting = browser.browser_type.launch(executable_path=CHROMIUM, args=arguments)
    yield trusting
    trusting.close()


def test_a_gallery_over_http2(site: Path, trusting: Browser, complaints: Complaints, tmp_path: Path) -> None:
    complaints.expect(r"status of 404")
    log = tmp_path / "gateway.log"
    copy(tmp_path / "first" / "chain.pem", site)
    copy(tmp_path / "first" / "key.pem", site)
    arguments = (
        "--grant",
        "cars/{owner}/{*file}=owner",
        "--tls-certificate",
        "chain.pem",
        "--tls-key",
        "key.pem",
    )
    names = ["video.mp4", *(f"{number}.png" for number in range(IMAGES))]
    with running("serve", *arguments, log=log, folder=site) as url:
        assert url.startswith("https://")
        context = trusting.new_context()
        complaints.watch(context)
        page = sign_in(context, url)
        assert page.evaluate(SHOW, [FILES, IMAGES, ""]) == IMAGES
        seek(page)
        protocols, count = page.evaluate(PROTOCOLS, FILES)
        assert protocols == ["h2"]
        assert count > IMAGES

        # Open connections continue after a renewal, and new ones get the new certificate.
        for name in ("chain.pem", "key.pem"):
            os.replace(copy(tmp_path / "second" / name, site / f"{name}.new"), site / name)  # noqa: PTH105
        wait_for(log, "the certificate was replaced")
        assert page.evaluate(SHOW, [FILES, IMAGES, "?again"]) == IMAGES
        other = trusting.new_context()
        complaints.watch(other)
        response = other.new_page().goto(f"{url}/private/-/")
        assert response is not None
        details = response.security_details()
        assert details is not None
        assert details["subjectName"] == "second"
        assert sign_in(other, url).evaluate(SHOW, [FILES, IMAGES, ""]) == IMAGES

        # A sign-out ends the session of its browser only.
        assert page.evaluate(STATUSES, [FILES, names]) == [200] * len(names)
        page.goto(f"{url}/private/-/")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
        page.goto(f"{url}/gallery")
        assert page.evaluate(SHOW, [FILES, IMAGES, "?signed-out"]) == 0
        assert page.evaluate(STATUSES, [FILES, names]) == [404] * len(names)
        assert other.pages[-1].evaluate(STATUSES, [FILES, names]) == [200] * len(names)
        assert page.evaluate(PROTOCOLS, FILES)[0] == ["h2"]
        other.close()
        context.close()
