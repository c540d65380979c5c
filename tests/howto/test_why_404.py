"""docs/how-to/why-404.md: each cause, driven for real, gives the log lines and outputs of its section."""

import contextlib
import itertools
import json
import re
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support import CONFIG, PASSWORDS, Gateway, NoRedirect, Page, free_port, get, nginx

PAGE = Page("why-404.md")
ROOMS = ["The client", "The path", "The file", "The machine"]
LOOKUP = """
[[grant]]
path = "blobs/{key}"
to = ["owner"]

[[lookup]]
path = "blobs/{key}"
database = "sqlite:shop.db"
query = "select owner_id as owner, key from blobs where key = {key}"
cache = "0s"
"""


class Cause(NamedTuple):
    """What makes a request fail: it is called while a gateway with these arguments runs."""

    drive: Callable[[Gateway], None]
    arguments: list[str]
    # A command that runs the program with fewer rights.
    prefix: list[str]


CAUSES: dict[str, Cause] = {}


def cause(heading: str, arguments: list[str] | None = None, prefix: list[str] | None = None) -> Callable:
    """Register the function of a section of the page."""

    def register(drive: Callable[[Gateway], None]) -> Callable[[Gateway], None]:
        CAUSES[heading] = Cause(drive, arguments or [], prefix or [])
        return drive

    return register


def log_lines(heading: str) -> list[str]:
    """Return the lines of the log in a section of the page."""
    lines = "".join(PAGE.blocks("text", heading)).splitlines()
    return [line for line in lines if line.startswith("{")]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table blobs (key text primary key, owner_id integer)")
        database.execute("insert into blobs values ('a1', 7)")
    place = Gateway(tmp_path)
    place.configure(f'listen = "127.0.0.1:{place.port}"\n{CONFIG}{LOOKUP}')
    for name in [
        "cars/7/photo.jpg",
        "cars/7/.photo.jpg",
        "cars/7/album/a.jpg",
        "shared/a.jpg",
        "blobs/a1",
        "blobs/a2",
    ]:
        path = place.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (place.root / "cars/7/link.jpg").symlink_to("photo.jpg")
    return place


def test_each_section_is_driven_and_linked() -> None:
    headings = [
        heading for room in ROOMS for heading in re.findall("^### (.*)$", PAGE.section(room), re.MULTILINE)
    ]
    assert sorted(headings) == sorted(CAUSES)
    assert len(re.findall("^### ", PAGE.text, re.MULTILINE)) == len(headings)
    table = "".join(cause for _, cause in PAGE.rows("Find the reason"))
    for heading in headings:
        assert f"[{heading}]" in table or f"(#{heading.lower().replace(' ', '-')})" in PAGE.text, heading


def test_the_table_has_the_words_of_the_log() -> None:
    for words, links in PAGE.rows("Find the reason"):
        for heading in re.findall(r"\[([^]]*)\]", links):
            logged = "".join(log_lines(heading))
            found = [part for part in re.findall("`([^`]*)`", words) if part in logged]
            assert found or "`" not in words, (words, heading)


@cause("The client is not signed in")
def not_signed_in(gateway: Gateway) -> None:
    assert_404(gateway, None, "cars/7/photo.jpg")


@cause("The credential is rejected")
def rejected(gateway: Gateway) -> None:
    response = gateway.get("cars/7/photo.jpg", headers={"Authorization": "Basic YWxpY2U6d3Jvbmc="})
    assert response.status == 404


@cause("Another user")
def another_user(gateway: Gateway) -> None:
    assert_404(gateway, "bob", "cars/7/photo.jpg")


@cause("No grant matches")
def no_grant(gateway: Gateway) -> None:
    assert_404(gateway, "alice", "shared/a.jpg")


@cause("The lookup has no row")
def no_row(gateway: Gateway) -> None:
    assert gateway.get("blobs/a1", "alice").status == 200
    assert_404(gateway, "alice", "blobs/a2")


@cause("The name is refused")
def refused_name(gateway: Gateway) -> None:
    assert_404(gateway, "alice", "cars/7/.photo.jpg")


@cause("The URL is not private")
def not_private(gateway: Gateway) -> None:
    assert get(f"{gateway.base}/media/cars/7/photo.jpg", "alice").status == 404
    line = gateway.logged({"path": "/media/cars/7/photo.jpg"})
    assert line["refused"] == "the path is outside /private/"


@cause("The file does not exist")
def missing(gateway: Gateway) -> None:
    assert_404(gateway, "alice", "cars/7/none.jpg")


@cause("A link")
def link(gateway: Gateway) -> None:
    assert_404(gateway, "alice", "cars/7/link.jpg")


@cause("A folder")
def folder(gateway: Gateway) -> None:
    assert_404(gateway, "alice", "cars/7/album")


# Root may read every file; without these capabilities it is like another user.
@cause(
    "The gateway may not read the file",
    prefix=["setpriv", "--bounding-set", "-dac_override,-dac_read_search"],
)
def unreadable(gateway: Gateway) -> None:
    (gateway.root / "cars/7/photo.jpg").chmod(0)
    assert_404(gateway, "alice", "cars/7/photo.jpg")


@cause("The request does not reach the gateway")
def not_reached(gateway: Gateway) -> None:
    with front(gateway, "location / { return 404; }") as site:
        response = get(f"{site}/private/cars/7/photo.jpg", "alice")
        assert (response.status, response.headers.get("x-request-id")) == (404, None)
        assert_doctor("The request does not reach the gateway", gateway, site)


@cause("The front server drops the cookie")
def cookie_dropped(gateway: Gateway) -> None:
    form = urllib.parse.urlencode({"name": "alice", "password": PASSWORDS["alice"]}).encode()
    request = urllib.request.Request(f"{gateway.base}/private/-/sign-in", form)
    with pytest.raises(urllib.error.HTTPError) as signed_in:
        urllib.request.build_opener(NoRedirect).open(request, timeout=30)
    with signed_in.value as response:
        cookie = {"Cookie": response.headers["Set-Cookie"].partition(";")[0]}
    proxy = f"location / {{ proxy_pass {gateway.base}; proxy_set_header Cookie ''; }}"
    with front(gateway, proxy) as site:
        assert get(f"{gateway.base}/private/cars/7/photo.jpg", headers=cookie).status == 200
        assert get(f"{site}/private/cars/7/photo.jpg", headers=cookie).status == 404
        gateway.logged(json.loads(log_lines("The client is not signed in")[0]))
        assert_doctor("The front server drops the cookie", gateway, site)


@cause("The root was replaced")
def replaced_root(gateway: Gateway) -> None:
    gateway.root.rename(gateway.folder / "moved")
    gateway.logged(json.loads(log_lines("The root was replaced")[2]))
    assert gateway.get("cars/7/photo.jpg", "alice").status == 500
    assert gateway.get("cars/7/photo.jpg", "bob").status == 404
    gateway.root.mkdir(mode=0o750)
    gateway.logged({"message": "the root was replaced; serving the new folder"})
    assert_404(gateway, "alice", "cars/7/photo.jpg")


@cause("The database is unavailable")
def unavailable_database(gateway: Gateway) -> None:
    (gateway.folder / "shop.db").rename(gateway.folder / "moved.db")
    assert_404(gateway, "alice", "blobs/a1")


# A port on which nothing listens.
APPLICATION = f"127.0.0.1:{free_port()}"


@cause(
    "The application does not answer",
    arguments=["--identity", f'{{source = "forward", url = "http://{APPLICATION}/whoami"}}'],
)
def application_away(gateway: Gateway) -> None:
    assert gateway.get("cars/7/photo.jpg", headers={"Cookie": "session=x7Fq2Ab"}).status == 404


def assert_404(gateway: Gateway, user: str | None, path: str) -> None:
    response = gateway.get(path, user)
    assert (response.status, response.body) == (404, b"not found\n")
    assert "x-request-id" in response.headers
    gateway.logged({"id": response.headers["x-request-id"]})


@contextlib.contextmanager
def front(gateway: Gateway, location: str) -> Iterator[str]:
    """Run nginx with this location, and return the address of the site."""
    port = free_port()
    http = f"server {{ listen 127.0.0.1:{port}; {location} }}"
    with nginx(gateway.folder / "nginx", http, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"


def assert_doctor(heading: str, gateway: Gateway, site: str) -> None:
    """Compare the doctor's first problem with that of the page."""
    output = gateway.run("doctor", "--url", site, status=1)
    begin = output.index("problem ")
    found = "".join(output[begin:].splitlines(keepends=True)[:2])
    found = found.replace(site, "https://example.org").replace(str(gateway.port), "8000")
    [expected] = PAGE.blocks("text", heading)
    assert re.sub(r"\b[0-9a-f]{16}\b", "…", found) == re.sub(r"\b[0-9a-f]{16}\b", "…", expected)


@pytest.mark.parametrize("heading", CAUSES)
def test_a_cause_gives_what_its_section_says(heading: str, gateway: Gateway) -> None:
    drive, arguments, gateway.prefix = CAUSES[heading]
    with gateway.serve("--revalidate-after", "0s", *arguments):
        if not arguments:
            assert gateway.get("cars/7/photo.jpg", "alice").status == 200
        drive(gateway)
        for line in log_lines(heading):
            gateway.logged(json.loads(line.replace("127.0.0.1:9000", APPLICATION)))
        assert_commands(heading, gateway)


def assert_commands(heading: str, gateway: Gateway) -> None:
    """Run the commands of a section, and compare their output with the block after them."""
    blocks = re.findall(
        r"^```(sh|text)(?: fragment)?\n(.*?)^```$", PAGE.section(heading), flags=re.MULTILINE | re.DOTALL
    )
    for (language, command), (_, expected) in itertools.pairwise(blocks):
        if language != "sh" or not re.search("private-media (check|who)", command):
            continue
        given, _, arguments = command.strip().rpartition("private-media ")
        text = given.removeprefix("echo '").partition("'")[0]
        assert gateway.run(*arguments.split(), text=text, status=None) == expected
