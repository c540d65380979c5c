"""What the demo promises, in a browser: the owner and staff get the file, everybody else gets nothing."""

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Locator, Page, Response, expect

from conftest import ALICE, BOB, CAROL, LOOKS, Complaints, Look, Visit, sign_in

ROADSTER = "/private/cars/7/roadster.jpg"
AWKWARD = 'mon café "été" 100% #1?.jpg'


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


def is_shown(picture: Locator) -> None:
    """Make sure that the browser has decoded it, so that the bytes came."""
    picture.scroll_into_view_if_needed()
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => image.naturalWidth") > 0


def delete(page: Page, name: str) -> None:
    card(page, name).get_by_test_id("delete").click()
    card(page, name).get_by_test_id("delete-really").click()
    expect(card(page, name)).to_have_count(0)


def test_wrong_password_is_refused_and_right_one_shows_the_garage(
    visit: Visit, complaints: Complaints
) -> None:
    complaints.expect("status of (401|403|429)")
    page = visit()
    sign_in(page, ALICE.name, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto("/")
    expect(page.get_by_test_id("sign-in")).to_be_visible()

    sign_in(page, ALICE.name, ALICE.password)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your cars")
    is_shown(card(page, "roadster.jpg").get_by_test_id("photo"))


@pytest.mark.parametrize("account", [ALICE, BOB, CAROL], ids=lambda account: account.name)
def test_a_card_signs_in_with_one_click(visit: Visit, account: Any) -> None:  # noqa: ANN401
    page = visit()
    page.get_by_test_id(f"as-{account.name}").click()
    expect(page.get_by_test_id("me")).to_have_text(account.name)


def test_one_url_four_answers(visit: Visit) -> None:
    answers = {}
    for who, account in {"alice": ALICE, "bob": BOB, "carol": CAROL, "nobody": None}.items():
        answers[who] = visit(account).request.get(ROADSTER)
    assert {who: answer.status for who, answer in answers.items()} == {
        "alice": 200, "bob": 404, "carol": 200, "nobody": 404,
    }  # fmt: skip
    assert answers["alice"].body() == answers["carol"].body()
    missing = visit(BOB).request.get("/private/cars/7/was-never-here.jpg")
    assert missing.status == 404
    assert answers["bob"].body() == answers["nobody"].body() == missing.body()


def test_the_page_shows_the_answers_that_are_given(visit: Visit) -> None:
    page = visit(ALICE)
    for who, code in {"alice": "200", "bob": "404", "carol": "200", "nobody": "404"}.items():
        tile = card(page, "roadster.jpg").get_by_test_id(f"seen-{who}")
        expect(tile).to_contain_text(code)
        expect(tile.locator("img")).to_have_count(1 if code == "200" else 0)
    expect(card(page, "roadster.jpg").get_by_test_id("seen-alice")).to_contain_text("you")


def test_a_locked_tile_is_the_404_it_shows(visit: Visit, complaints: Complaints) -> None:
    complaints.expect("status of 404")
    page = visit()
    tiles = page.get_by_test_id("locked").get_by_role("link")
    assert tiles.count() > 0
    with page.expect_response(lambda response: "/private/cars/" in response.url) as answer:
        tiles.first.click()
    assert answer.value.status == 404


def test_bob_sees_his_own_and_carol_sees_all(visit: Visit) -> None:
    bob = visit(BOB)
    expect(card(bob, "hatchback.jpg")).to_be_visible()
    expect(card(bob, "roadster.jpg")).to_have_count(0)
    carol = visit(CAROL)
    for owner, name in [("alice", "roadster.jpg"), ("bob", "hatchback.jpg")]:
        expect(card(carol, name)).to_have_count(1)
        is_shown(carol.get_by_test_id(f"files-{owner}").get_by_alt_text(name, exact=True))


def test_sign_out_ends_it(visit: Visit) -> None:
    page = visit(ALICE)
    assert page.request.get(ROADSTER).status == 200
    page.get_by_test_id("sign-out").click()
    expect(page.get_by_test_id("sign-in")).to_be_visible()
    assert page.request.get(ROADSTER).status == 404


@pytest.mark.parametrize("way", ["choose", "drop"])
def test_an_upload_is_shown_to_its_owner_only(visit: Visit, jpeg: bytes, way: str) -> None:
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
    assert visit(BOB).request.get(url).status == 404
    assert visit().request.get(url).status == 404

    page.reload()
    is_shown(card(page, AWKWARD).get_by_test_id("photo"))
    delete(page, AWKWARD)
    assert page.request.get(url).status == 404


def test_several_files_at_once(visit: Visit, jpeg: bytes) -> None:
    page = visit(BOB)
    names = ["one.jpg", "two.jpg", "three.jpg"]
    choose(page, *(photo(name, jpeg) for name in names))
    expect(page.get_by_test_id("status")).to_have_text("3 files uploaded.")
    expect(page.get_by_test_id("uploads").get_by_role("listitem")).to_have_count(0)
    for name in names:
        is_shown(card(page, name).get_by_test_id("photo"))
        delete(page, name)


def test_an_upload_that_is_refused_says_why(visit: Visit, complaints: Complaints, jpeg: bytes) -> None:
    complaints.expect("status of 413")
    page = visit(ALICE)
    page.route("**/upload?*", lambda route: route.fulfill(status=413, body="too large: 5 bytes at most\n"))
    choose(page, photo("huge.jpg", jpeg))
    row = page.get_by_test_id("uploads").get_by_role("listitem")
    expect(row).to_contain_text("too large: 5 bytes at most")
    expect(page.get_by_test_id("status")).to_contain_text("huge.jpg: too large")
    expect(card(page, "huge.jpg")).to_have_count(0)


def test_upload_without_javascript(visit: Visit, jpeg: bytes) -> None:
    page = visit(BOB, javascript=False)
    choose(page, photo("plain form.jpg", jpeg))
    page.get_by_test_id("drop").get_by_role("button", name="Upload").click()
    expect(card(page, "plain form.jpg")).to_be_visible()
    url = card(page, "plain form.jpg").get_by_test_id("url").get_attribute("href")
    assert url is not None
    assert page.request.get(url).body() == jpeg
    delete(page, "plain form.jpg")


@pytest.mark.parametrize("name", ["drawing.svg", "page.html"])
def test_what_could_run_is_downloaded(visit: Visit, name: str) -> None:
    page = visit(ALICE)
    script = "<script>document.documentElement.dataset.ran = 'yes'</script>"
    content = {
        "drawing.svg": f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{script}</svg>',
        "page.html": f"<!doctype html><title>page</title>{script}",
    }[name]
    choose(page, {"name": name, "mimeType": "text/html", "buffer": content.encode()})
    expect(page.get_by_test_id("status")).to_have_text("Uploaded.")
    url = card(page, name).get_by_test_id("url")
    with page.expect_download() as download:
        url.click()
    assert download.value.suggested_filename == name
    expect(page.locator("html[data-ran]")).to_have_count(0)
    href = url.get_attribute("href")
    assert href is not None
    headers = page.request.get(href).headers
    assert headers["content-disposition"].startswith("attachment")
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    delete(page, name)


def test_video_seeks_by_ranges(visit: Visit) -> None:
    page = visit(ALICE)
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 (Playwright looks into a function)
    page.reload()
    video = page.get_by_test_id("video").first
    url = video.evaluate("video => video.src")
    at, wanted = video.evaluate("""async (video) => {
        if (video.readyState < 1) {
            await new Promise((resolve) => video.addEventListener("loadedmetadata", resolve, { once: true }));
        }
        const seeked = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
        video.currentTime = video.duration * 0.8;
        await seeked;
        return [video.currentTime, video.duration * 0.8];
    }""")
    assert at == pytest.approx(wanted, abs=0.5)
    ranged = [answer for answer in answers if answer.url == url and "range" in answer.request.all_headers()]
    assert ranged
    assert {answer.status for answer in ranged} == {206}

    video.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("([video, at]) => video.currentTime > at", arg=[video.element_handle(), at])

    part = page.request.get(url, headers={"range": "bytes=100-199"})
    assert part.status == 206
    assert part.headers["content-range"].startswith("bytes 100-199/")
    assert part.body() == page.request.get(url).body()[100:200]


def test_a_keyboard_is_enough(visit: Visit) -> None:
    page = visit()
    # Playwright catches choosers from a moment after the first listener: this one is early enough.
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


def tab_to(page: Page, target: Locator) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"40 times Tab do not reach {target}")


def test_the_url_is_copied_whole(visit: Visit, site: str) -> None:
    page = visit(ALICE)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card(page, "roadster.jpg").get_by_role("button", name="Copy the URL").click()
    expect(page.get_by_test_id("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == site + ROADSTER


def test_every_page_has_the_strict_policy(visit: Visit) -> None:
    for account, path in [(None, "/"), (ALICE, "/"), (None, "/nothing"), (ALICE, "/nothing")]:
        answer = visit(account).request.get(path)
        assert answer.status == (404 if path == "/nothing" else 200)
        policy = {part.strip() for part in answer.headers["content-security-policy"].split(";")}
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'"} <= policy
        assert not any("unsafe" in part for part in policy)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_how_it_looks(visit: Visit, complaints: Complaints, screenshots: Path, look: Look) -> None:
    complaints.expect("status of 404 .*/nothing")
    for account, path, name in [
        (None, "/", "landing"),
        (ALICE, "/", "alice"),
        (CAROL, "/", "carol"),
        (None, "/nothing", "nothing"),
    ]:
        page = visit(account, look=look)
        page.goto(path, wait_until="networkidle")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], "nothing sticks out at the side"
        page.screenshot(path=screenshots / f"{name}-{look}.png", full_page=True)
