"""docs/how-to/cdn.md: nginx as a caching proxy, with the configurations of the page, and what the doctor says about them."""

import contextlib
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import CONFIG, Gateway, Page, free_port, get, nginx

PAGE = Page("cdn.md")
WRONG, RIGHT = PAGE.blocks("nginx fragment")
IGNORES = "    proxy_ignore_headers Cache-Control Vary;\n"
LEAK_REPORT, SLOW_REPORT = PAGE.blocks("text", "Check it")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    place = Gateway(tmp_path / "gateway")
    place.configure(f'listen = "127.0.0.1:{place.port}"\n{CONFIG}')
    (place.root / "cars/7/photo.jpg").write_text("the photo")
    with place.serve():
        yield place


@contextlib.contextmanager
def cdn(gateway: Gateway, locations: str) -> Iterator[str]:
    """Run nginx with these locations, and return the address of the site."""
    port, folder = free_port(), gateway.folder.parent / "cdn"
    assert "http://127.0.0.1:8000;" in locations
    locations = locations.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")
    http = f"proxy_cache_path {folder}/cache keys_zone=cdn:1m;\nserver {{\nlisten 127.0.0.1:{port};\n{locations}}}"
    # Not below the private URL, whose responses the wrong configuration caches.
    with nginx(folder, http, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"


def complaints(gateway: Gateway, site: str, status: int) -> str:
    """Return the doctor's lines, without those that are in order."""
    lines = gateway.run("doctor", "--url", site, status=status).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("ok ", "note ")))


def without_ids(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{16}\b", "…", text)


def test_a_cache_that_ignores_the_gateway_leaks_and_the_doctor_finds_it(gateway: Gateway) -> None:
    with cdn(gateway, WRONG) as site:
        photo = f"{site}/private/cars/7/photo.jpg"
        assert get(photo, "alice").body == b"the photo"
        assert get(photo).body == b"the photo"
        assert complaints(gateway, site, 1).startswith("problem  cache: ")
        assert without_ids(complaints(gateway, site, 1)) == without_ids(LEAK_REPORT)
        other = f"{site}/private/cars/7/photo.jpg?download"
        assert (get(other).status, get(other, "alice").status) == (404, 404)


def test_a_cache_that_obeys_stores_nothing_but_drops_ranges(gateway: Gateway) -> None:
    assert IGNORES in WRONG
    with cdn(gateway, WRONG.replace(IGNORES, "")) as site:
        photo = f"{site}/private/cars/7/photo.jpg"
        assert get(photo, "alice").body == b"the photo"
        assert get(photo).status == 404
        assert complaints(gateway, site, 1) == SLOW_REPORT


def test_the_right_configuration_has_no_problem(gateway: Gateway) -> None:
    with cdn(gateway, RIGHT) as site:
        photo = f"{site}/private/cars/7/photo.jpg"
        assert get(photo).status == 404
        assert get(photo, "alice").body == b"the photo"
        assert get(photo).status == 404
        assert get(photo, "alice", {"Range": "bytes=4-"}).body == b"photo"
        assert complaints(gateway, site, 0) == ""


def test_every_response_forbids_shared_caching(gateway: Gateway) -> None:
    for path, user, status in [
        ("cars/7/photo.jpg", "alice", 200),
        ("cars/7/photo.jpg", None, 404),
        ("cars/7/none.jpg", "alice", 404),
        ("cars/7/.hidden", "alice", 404),
    ]:
        response = gateway.get(path, user)
        assert (response.status, response.headers["cache-control"]) == (status, "private, no-cache"), path
        assert response.headers["vary"].lower() == "cookie, authorization"
    assert gateway.get("-/sign-in").headers["cache-control"] == "no-store"


def test_compression_makes_the_entity_tag_weak(gateway: Gateway) -> None:
    text = "a line of text\n" * 1000
    (gateway.root / "cars/7/note.txt").write_text(text)
    compressing = RIGHT.replace(
        "proxy_cache off;", "proxy_cache off; gzip on; gzip_types text/plain; gzip_proxied any;"
    )
    with cdn(gateway, compressing) as site:
        note = f"{site}/private/cars/7/note.txt"
        response = get(note, "alice", {"Accept-Encoding": "gzip"})
        assert response.headers["content-encoding"] == "gzip"
        assert gzip.decompress(response.body).decode() == text
        etag = response.headers["etag"]
        assert etag.startswith('W/"')
        assert get(note, "alice", {"If-None-Match": etag}).status == 304
        resumed = get(note, "alice", {"If-Range": etag, "Range": "bytes=100-"})
        assert (resumed.status, resumed.body.decode()) == (200, text)


def test_the_address_of_a_client_is_not_read_from_headers(gateway: Gateway) -> None:
    source = '{source = "header", header = "Remote-User", from = ["192.0.2.7"]}'
    with_header = Gateway(gateway.folder.parent / "trusting")
    (with_header.root / "cars/7/photo.jpg").write_text("the photo")
    for address, status in [("192.0.2.7", 404), ("127.0.0.1", 200)]:
        with with_header.serve("--identity", source.replace("192.0.2.7", address)):
            forwarded = {"X-Forwarded-For": "192.0.2.7", "CF-Connecting-IP": "192.0.2.7", "Remote-User": "7"}
            assert with_header.get("cars/7/photo.jpg", headers=forwarded).status == status
