"""The demo in a browser: the owner and staff see a file, and nobody else does."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import CDPSession, FilePayload, Locator, Page, Response, Route, expect

from conftest import ALICE, BOB, CAROL, LOOKS, Account, Ask, Complaints, Look, Visit, sign_in

ACCOUNTS = (ALICE, BOB, CAROL)

ROADSTER = "/private/cars/7/roadster.jpg"
ROADSTER_FORM: dict[str, str | float | bool] = {"path": "cars/7/roadster.jpg"}
VIDEO = "/private/cars/7/first%20drive.mp4"
AWKWARD = 'mon café "été" 100% #1?.jpg'
NAMED_ROLES = {"button", "dialog", "heading", "image", "link", "progressbar", "region", "textbox", "Video"}


def photo(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def card(page: Page, name: str) -> Locator:
    return page.get_by_test_id("file").filter(has=page.get_by_role("heading", name=name, exact=True))


def choose(page: Page, *files: FilePayload) -> None:
    page.get_by_test_id("drop").locator("input[type=file]").set_input_files(list(files))


def drop(page: Page, name: str, content: bytes) -> None:
    transfer = page.evaluate_handle(
        """([name, base64]) => {
            const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    zone = page.get_by_test_id("drop")
    for event in ("dragenter", "dragover", "drop"):
        zone.dispatch_event(event, {"dataTransfer": transfer})


@contextmanager
def slowed(line: CDPSession, *, upload: int = -1, download: int = -1) -> Iterator[None]:
    """Limit the network of a page to this many bytes per second, for the duration of the block."""

    def throughput(upload: int, download: int) -> None:
        line.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "uploadThroughput": upload, "downloadThroughput": download},
        )

    line.send("Network.enable")
    throughput(upload, download)
    try:
        yield
    finally:
        throughput(-1, -1)


def is_shown(picture: Locator) -> None:
    """Check that the browser has decoded a picture, so that its bytes arrived."""
    picture.scroll_into_view_if_needed()
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => image.naturalWidth") > 0


def delete(page: Page, name: str) -> None:
    card(page, name).get_by_test_id("delete").click()
    card(page, name).get_by_test_id("delete-really").click()
    expect(card(page, name)).to_have_count(0)


def test_the_right_password_shows_the_garage_and_a_wrong_one_does_not(
    visit: Visit, complaints: Complaints
) -> None:
    complaints.expect("status of 403 .*/-/sign-in")
    page = visit()
    with page.expect_response("**/private/-/sign-in") as answer:
        sign_in(page, ALICE.name, "wrong")
    assert answer.value.status == 403
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.context.cookies() == []
    page.goto("/")
    expect(page.get_by_test_id("sign-in")).to_be_visible()

    sign_in(page, ALICE.name, ALICE.password)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your cars")
    is_shown(card(page, "roadster.jpg").get_by_test_id("photo"))


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account.name)
def test_a_card_signs_in_with_one_click(visit: Visit, account: Account) -> None:
    page = visit()
    page.get_by_test_id(f"as-{account.name}").click()
    expect(page.get_by_test_id("me")).to_have_text(account.name)


def test_one_url_has_four_responses(ask: Ask) -> None:
    answers = {}
    for who, account in {"alice": ALICE, "bob": BOB, "carol": CAROL, "nobody": None}.items():
        answers[who] = ask(account).get(ROADSTER)
    assert {who: answer.status for who, answer in answers.items()} == {
        "alice": 200, "bob": 404, "carol": 200, "nobody": 404,
    }  # fmt: skip
    assert answers["alice"].body() == answers["carol"].body()
    missing = ask(BOB).get("/private/cars/7/was-never-here.jpg")
    assert missing.status == 404
    assert answers["bob"].body() == answers["nobody"].body() == missing.body()


@pytest.mark.parametrize(
    ("me", "name", "codes"),
    [
        (ALICE, "roadster.jpg", {"alice": 200, "bob": 404, "carol": 200, "nobody": 404}),
        (ALICE, "first drive.mp4", {"alice": 200, "bob": 404, "carol": 200, "nobody": 404}),
        (BOB, "hatchback.jpg", {"alice": 404, "bob": 200, "carol": 200, "nobody": 404}),
        (CAROL, "pickup.jpg", {"alice": 404, "bob": 404, "carol": 200, "nobody": 404}),
    ],
    ids=["alice photo", "alice video", "bob", "carol"],
)
def test_the_tiles_show_the_responses_of_other_users(
    visit: Visit, ask: Ask, me: Account, name: str, codes: dict[str, int]
) -> None:
    page = visit(me)
    url = card(page, name).get_by_test_id("url").get_attribute("href")
    assert url is not None
    for who, code in codes.items():
        tile = card(page, name).get_by_test_id(f"seen-{who}")
        expect(tile.locator(".code")).to_have_text(str(code))
        expect(tile.locator("img, video")).to_have_count(1 if code == 200 else 0)
        expect(tile.get_by_text("you", exact=True)).to_have_count(1 if who == me.name else 0)
        account = next((account for account in ACCOUNTS if account.name == who), None)
        assert ask(account).get(url).status == code


def test_the_file_of_another_user_is_a_page_with_a_404(visit: Visit, complaints: Complaints) -> None:
    complaints.expect("status of 404")
    page = visit(BOB)
    answer = page.goto(ROADSTER)
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", name="Not found, or not yours")).to_be_visible()


def test_a_locked_tile_leads_a_visitor_to_the_sign_in_page(visit: Visit) -> None:
    page = visit()
    page.get_by_test_id("locked").get_by_role("link").first.click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert "/private/-/sign-in?next=/private/cars/" in page.url


def test_bob_sees_his_files_and_carol_sees_all(visit: Visit) -> None:
    bob = visit(BOB)
    expect(card(bob, "hatchback.jpg")).to_be_visible()
    expect(card(bob, "roadster.jpg")).to_have_count(0)
    carol = visit(CAROL)
    for owner, name in [("alice", "roadster.jpg"), ("bob", "hatchback.jpg")]:
        expect(card(carol, name)).to_have_count(1)
        is_shown(carol.get_by_test_id(f"files-{owner}").get_by_alt_text(name, exact=True))


def test_a_sign_out_ends_the_session(visit: Visit) -> None:
    page = visit(ALICE)
    is_shown(card(page, "roadster.jpg").get_by_test_id("photo"))
    kept = {cookie.get("name"): cookie.get("value") for cookie in page.context.cookies()}
    assert kept.keys() == {"private_media_session", "private_media_device"}
    with page.expect_response("**/private/-/sign-out") as answer:
        page.get_by_test_id("sign-out").click()
    assert answer.value.status == 303
    expect(page.get_by_test_id("sign-in")).to_be_visible()
    # The device cookie stays, which signs nobody in.
    assert [cookie.get("name") for cookie in page.context.cookies()] == ["private_media_device"]

    page.goto(ROADSTER)
    assert "/private/-/sign-in?next=" in page.url, "the browser kept no copy that it shows without asking"

    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in kept.items())}
    assert page.request.get(ROADSTER, headers=cookie).status == 404, (
        "a stolen cookie is as dead as the session"
    )


def test_forms_of_other_sites_are_rejected(ask: Ask) -> None:
    alice = ask(ALICE)
    foreign = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
    for path in ("/delete", "/upload", "/private/-/sign-out", "/private/-/sign-in"):
        assert alice.post(path, form=ROADSTER_FORM, headers=foreign, max_redirects=0).status == 403, path
    assert alice.get(ROADSTER).status == 200


def test_deleting_or_uploading_for_another_user_is_denied(ask: Ask, jpeg: bytes) -> None:
    alice = ask(ALICE)
    for who, code in ((BOB, 404), (CAROL, 404), (None, 403)):
        assert ask(who).post("/delete", form=ROADSTER_FORM, max_redirects=0).status == code
    assert alice.get(ROADSTER).status == 200

    assert ask().put("/upload?name=new.jpg", data=jpeg).status == 403
    climbing = ask(BOB).put("/upload?name=..%2F7%2Fnew.jpg", data=jpeg)
    assert climbing.status == 201
    assert climbing.json()["path"] == "cars/8/new.jpg"
    assert alice.get("/private/cars/7/new.jpg").status == 404

    assert alice.post("/delete", form=ROADSTER_FORM, max_redirects=0).status == 303
    assert alice.get(ROADSTER).status == 404


@pytest.mark.parametrize("way", ["choose", "drop"])
def test_an_upload_is_shown_to_its_owner_only(visit: Visit, ask: Ask, jpeg: bytes, way: str) -> None:
    page = visit(ALICE)
    if way == "choose":
        choose(page, photo(AWKWARD, jpeg))
    else:
        drop(page, AWKWARD, jpeg)
    expect(page.get_by_test_id("status")).to_have_text("Uploaded.")
    is_shown(card(page, AWKWARD).get_by_test_id("photo"))
    url = card(page, AWKWARD).get_by_test_id("url").get_attribute("href")
    assert url is not None
    assert page.request.get(url).body() == jpeg
    assert ask(BOB).get(url).status == 404
    assert ask().get(url).status == 404

    page.reload()
    is_shown(card(page, AWKWARD).get_by_test_id("photo"))
    delete(page, AWKWARD)
    assert page.request.get(url).status == 404


def test_several_files_are_uploaded_at_once(visit: Visit, jpeg: bytes) -> None:
    page = visit(BOB)
    names = ["one.jpg", "two.jpg", "three.jpg"]
    choose(page, *(photo(name, jpeg) for name in names))
    expect(page.get_by_test_id("status")).to_have_text("3 files uploaded.")
    expect(page.get_by_test_id("uploads").get_by_role("listitem")).to_have_count(0)
    for name in names:
        is_shown(card(page, name).get_by_test_id("photo"))


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[-1]], ids=str)
def test_an_upload_shows_its_progress(visit: Visit, screenshots: Path, look: Look) -> None:
    page = visit(ALICE, look=look)
    page.evaluate("""() => {
        window.seen = [];
        new MutationObserver((changes) => {
            for (const { target } of changes) {
                if (target.matches("progress")) window.seen.push(target.value);
            }
        }).observe(document.querySelector("[data-uploads]"), { subtree: true, attributeFilter: ["value"] });
    }""")
    line = page.context.new_cdp_session(page)
    with slowed(line, upload=512 * 1024):
        choose(page, photo("big.jpg", b"\0" * (2 << 20)))
        row = page.get_by_test_id("uploads").get_by_role("listitem")
        page.wait_for_function("() => seen.some((value) => value > 0.4 && value < 1)")
        expect(row.get_by_text(re.compile(r"^\d\d %$"))).to_be_visible()
        page.screenshot(path=screenshots / f"upload-{look}.png")
    expect(page.get_by_test_id("status")).to_have_text("Uploaded.")
    expect(row).to_have_count(0)
    seen = page.evaluate("seen")
    assert seen == sorted(seen), "it never goes back"
    between = {value for value in seen if 0 < value < 1}
    assert len(between) >= 3, f"it moves and does not jump: {seen}"
    expect(card(page, "big.jpg")).to_have_count(1)


def test_a_rejected_upload_says_why(visit: Visit, complaints: Complaints, jpeg: bytes) -> None:
    complaints.expect("status of 413")
    page = visit(ALICE)
    page.route("**/upload?*", lambda route: route.fulfill(status=413, body="too large: 5 bytes at most\n"))
    choose(page, photo("huge.jpg", jpeg))
    row = page.get_by_test_id("uploads").get_by_role("listitem")
    expect(row).to_contain_text("too large: 5 bytes at most")
    expect(page.get_by_test_id("status")).to_contain_text("huge.jpg: too large")
    expect(card(page, "huge.jpg")).to_have_count(0)


def test_upload_and_delete_work_without_javascript(visit: Visit, ask: Ask, jpeg: bytes) -> None:
    page = visit(javascript=False)
    sign_in(page, BOB.name, BOB.password)
    name = 'plain "form".jpg'
    choose(page, photo(name, jpeg))
    with page.expect_response("**/upload") as answer:
        page.get_by_test_id("drop").get_by_role("button", name="Upload").click()
    assert answer.value.status == 303
    expect(card(page, name)).to_be_visible()
    url = card(page, name).get_by_test_id("url").get_attribute("href")
    assert url is not None
    assert page.request.get(url).body() == jpeg
    assert ask(ALICE).get(url).status == 404
    with page.expect_response("**/delete") as answer:
        delete(page, name)
    assert answer.value.status == 303
    assert page.request.get(url).status == 404


@pytest.mark.parametrize("name", ["drawing.svg", "page.html"])
def test_active_content_is_downloaded_and_never_runs(visit: Visit, complaints: Complaints, name: str) -> None:
    # Nothing listens at the address that the control calls.
    complaints.expect("status of 404 .*/ran")
    page = visit(ALICE)
    ran: list[str] = []
    page.context.on("request", lambda request: ran.append(request.url) if "/ran" in request.url else None)
    call = "<script>fetch('/ran?' + location.pathname)</script>"
    content, kind = {
        "drawing.svg": (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{call}</svg>',
            "image/svg+xml",
        ),
        "page.html": (f"<!doctype html><title>page</title>{call}", "text/html"),
    }[name]
    choose(page, {"name": name, "mimeType": kind, "buffer": content.encode()})
    expect(page.get_by_test_id("status")).to_have_text("Uploaded.")
    url = card(page, name).get_by_test_id("url")
    href = url.get_attribute("href")
    assert href is not None
    headers = page.request.get(href).headers
    assert headers["content-disposition"].startswith("attachment")
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"

    with page.expect_download() as download:
        url.click()
    assert download.value.suggested_filename == name
    assert download.value.path().read_bytes() == content.encode()
    with page.context.new_page() as typed, typed.expect_download():
        typed.evaluate("url => { location = url }", page.url.rstrip("/") + href)

    # This page of the same origin has no policy, so only the headers of the file protect it.
    def trial(route: Route) -> None:
        route.fulfill(
            content_type="text/html", body=f'<iframe src="{href}"></iframe><iframe src="/ran/open"></iframe>'
        )

    page.route("**/trial", trial)
    page.route("**/ran/open", lambda route: route.fulfill(content_type=kind, body=content))
    with page.expect_download(), page.expect_request("**/ran?/ran/open"):
        page.goto("/trial")
    assert {urlsplit(request).query for request in ran} == {"", "/ran/open"}, (
        "only the one without headers ran"
    )


def test_a_video_seeks_by_ranges(visit: Visit, site: str) -> None:
    page = visit(ALICE)
    length = len(page.request.get(VIDEO).body())
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.setCacheDisabled", {"cacheDisabled": True})
    # With a slow network, the end of the video cannot have arrived before the seek.
    alone = f'<!doctype html><title>alone</title><video src="{VIDEO}" preload="metadata"></video>'
    page.route("**/alone", lambda route: route.fulfill(content_type="text/html", body=alone))
    with slowed(line, download=128 * 1024):
        with page.expect_response(site + VIDEO) as first:
            page.goto("/alone")
        assert first.value.status == 206
        assert start(first.value) == 0
        page.wait_for_function("() => document.querySelector('video').readyState >= 1")
        video = page.locator("video")
        with page.expect_response(lambda answer: start(answer) > length / 2) as second:
            wanted = video.evaluate("video => video.currentTime = video.duration * 0.9")
        assert second.value.status == 206
        assert second.value.headers["content-range"] == f"bytes {start(second.value)}-{length - 1}/{length}"
    page.wait_for_function("() => !document.querySelector('video').seeking")
    assert video.evaluate("video => video.currentTime") == pytest.approx(wanted, abs=0.5)
    video.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("at => document.querySelector('video').currentTime > at", arg=wanted)


def start(answer: Response) -> int:
    """Return the offset of a response's first byte in the file."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("content-range", ""))
    return int(found[1]) if found else 0


def test_a_range_is_as_private_as_the_whole_file(ask: Ask) -> None:
    alice = ask(ALICE)
    whole = alice.get(VIDEO).body()
    part = alice.get(VIDEO, headers={"range": "bytes=100-199"})
    assert part.status == 206
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert part.body() == whole[100:200]
    assert alice.get(VIDEO, headers={"range": f"bytes={len(whole)}-"}).status == 416
    for who in (BOB, None):
        for asked in ("bytes=100-199", f"bytes={len(whole)}-"):
            answer = ask(who).get(VIDEO, headers={"range": asked})
            assert answer.status == 404
            assert not {"content-range", "accept-ranges", "etag", "last-modified"} & set(answer.headers)


def test_everything_works_with_a_keyboard(visit: Visit) -> None:
    page = visit()
    # Playwright intercepts file choosers only some time after the first listener was added.
    page.on("filechooser", lambda _: None)
    focused = page.locator(":focus")
    tab_to(page, page.get_by_test_id("as-alice"))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("me")).to_have_text("alice")

    tab_to(page, page.get_by_test_id("drop").locator("input[type=file]"))
    outline = page.get_by_test_id("drop").evaluate("form => getComputedStyle(form).outlineStyle")
    assert outline == "solid", "the drop zone shows that it has the focus"
    with page.expect_file_chooser():
        page.keyboard.press("Space")
    tab_to(page, page.get_by_test_id("delete").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.reload()
    tab_to(page, page.get_by_test_id("sign-out"))
    assert focused.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("sign-in")).to_be_visible()


@pytest.mark.parametrize("account", [None, ALICE, CAROL], ids=["nobody", "alice", "carol"])
def test_every_control_has_a_name(visit: Visit, account: Account | None) -> None:
    page = visit(account)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    controls = [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in tree["nodes"]
        if not node["ignored"] and node.get("role", {}).get("value") in NAMED_ROLES
    ]
    assert len(controls) > 5
    assert [role for role, name in controls if not name] == []
    buttons = [name for role, name in controls if role == "button" and name.startswith(("Delete ", "Copy "))]
    assert len(buttons) == len(set(buttons)), "each says which file it is for"

    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map((one) => Number(one.tagName[1]))")
    assert all(after <= before + 1 for before, after in pairwise(levels)), f"no level is left out: {levels}"
    ids = page.locator("[id]").evaluate_all("all => all.map((one) => one.id)")
    assert len(ids) == len(set(ids))
    expect(page.locator("[tabindex]:not([tabindex='-1'])")).to_have_count(0)


def test_tab_moves_down_the_page(visit: Visit) -> None:
    page = visit()
    stops = ["private-media", "as-alice", "as-bob", "as-carol", "name", "password", "Sign in"]
    tiles = page.get_by_test_id("locked").get_by_role("link").count()
    assert stops_of_tab(page, len(stops)) == stops
    for _ in range(tiles):
        page.keyboard.press("Tab")
        expect(page.get_by_test_id("locked").locator(":focus")).to_have_count(1)

    page = visit(ALICE)
    assert stops_of_tab(page, 6) == [
        "private-media",
        "sign-out",
        "file",
        "delete",
        "url",
        "Copy the URL of coupé.jpg",
    ]


def stops_of_tab(page: Page, count: int) -> list[str]:
    """Press Tab this many times. Return the name of each focused element, which must be visible."""
    stops: list[str] = []
    for _ in range(count):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        stop = focused.evaluate(
            "one => one.dataset.testid ?? (one.id || one.getAttribute('aria-label') || one.innerText.trim())"
        )
        ring = focused.evaluate(
            "one => getComputedStyle(one.matches('.live input') ? one.form : one).outlineStyle"
        )
        assert ring == "solid", f"{stop} shows that it has the focus"
        stops.append(stop)
    return stops


def tab_to(page: Page, target: Locator) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"40 times Tab do not reach {target}")


def test_the_whole_url_is_copied(visit: Visit, site: str) -> None:
    page = visit(ALICE)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card(page, "roadster.jpg").get_by_role("button", name="Copy the URL").click()
    expect(page.get_by_test_id("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == site + ROADSTER


def test_every_page_has_the_strict_policy(ask: Ask) -> None:
    for account, path in [(None, "/"), (ALICE, "/"), (None, "/nothing"), (ALICE, "/nothing")]:
        answer = ask(account).get(path)
        assert answer.status == (404 if path == "/nothing" else 200)
        policy = {part.strip() for part in answer.headers["content-security-policy"].split(";")}
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'"} <= policy
        assert not any("unsafe" in part for part in policy)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_pages_fit_their_screen(visit: Visit, complaints: Complaints, screenshots: Path, look: Look) -> None:
    complaints.expect("status of 404 .*/nothing")
    complaints.expect("status of 403 .*/-/sign-in")
    for account, path, name in [
        (None, "/", "landing"),
        (ALICE, "/", "alice"),
        (CAROL, "/", "carol"),
        (None, "/nothing", "nothing"),
    ]:
        page = visit(account, look=look)
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        everything_is_there(page)
        fits(page)
        page.screenshot(path=screenshots / f"{name}-{look}.png", full_page=True)

    page = visit(look=look)
    sign_in(page, ALICE.name, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    fits(page)
    page.screenshot(path=screenshots / f"sign-in-{look}.png", full_page=True)


def fits(page: Page) -> None:
    """Check that no element is wider than the screen."""
    content, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert content <= window


def everything_is_there(page: Page) -> None:
    """Wait for each picture, and for the first frame of each video."""
    page.wait_for_function("""() =>
        [...document.images].every((image) => image.complete && image.naturalWidth > 0)
        && [...document.querySelectorAll("video")].every((video) => video.readyState >= 2)
    """)
