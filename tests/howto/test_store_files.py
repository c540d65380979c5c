"""docs/how-to/store-files.md: its functions, its tables of names, and what it says about changed files."""

import http.client
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
from support import REPOSITORY, Gateway, Page

PAGE = Page("store-files.md")
REPLACEMENTS = 200
# Content N is the eight digits of N, so a mixture of two contents is recognized.
COPIES = 20_000

STORE = Path(__file__).parent / "store"
# The function of the page, and a program that calls it.
PROGRAMS = {
    "php": ("store.php", ["php", STORE / "run.php"]),
    "js": ("store.mjs", ["node", STORE / "run.mjs"]),
    "ruby": ("store.rb", ["ruby", STORE / "run.rb"]),
    "python": ("store.py", [sys.executable, "-B", STORE / "run.py"]),
}


def is_whole(content: bytes) -> bool:
    return content == content[:8] * COPIES and content[:8].isdigit()


def read_while_running(command: list, gateway: Gateway, path: Path) -> list[bytes]:
    """Request the file over one connection until the program ends. Return the responses that are not whole files."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    broken, whole = [], set()
    process = subprocess.Popen([*command, str(path), "1", str(REPLACEMENTS)], stderr=subprocess.PIPE)
    try:
        while process.poll() is None:
            try:
                connection.request("GET", "/private/cars/7/photo.jpg")
                response = connection.getresponse()
                content = response.read()
            except http.client.HTTPException as error:
                # The file shrank during the response.
                broken.append(str(error).encode())
                connection.close()
                continue
            if response.status == 200 and is_whole(content):
                whole.add(content)
            else:
                broken.append(b"%d %d" % (response.status, len(content)))
    finally:
        connection.close()
        process.kill()
        error = process.communicate()[1]
    assert process.returncode == 0, error.decode()
    assert broken or len(whole) > 5, "the reader has to see several of the contents"
    return broken


@pytest.fixture
def gateway(tmp_path: Path):
    place = Gateway(tmp_path, 'root = "private"\n[[grant]]\npath = "{*file}"\nto = ["everyone"]\n')
    (place.root / "cars/7/photo.jpg").write_bytes(b"00000000" * COPIES)
    with place.serve("--revalidate-after", "0s"):
        yield place


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_page_shows_the_function_that_is_tested(language: str) -> None:
    [block] = PAGE.blocks(language)
    assert (STORE / PROGRAMS[language][0]).read_text().removeprefix("<?php\n") == block


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_reader_never_gets_half_a_file(language: str, gateway: Gateway) -> None:
    photo = gateway.root / "cars/7/photo.jpg"
    command = PROGRAMS[language][1]
    assert read_while_running(command, gateway, photo) == []
    assert photo.read_bytes() == b"%08d" % REPLACEMENTS * COPIES
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]
    assert photo.stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_overwritten_in_place_is_read_in_part(gateway: Gateway) -> None:
    command = [sys.executable, STORE / "in_place.py"]
    assert read_while_running(command, gateway, gateway.root / "cars/7/photo.jpg") != []


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_full_disk_leaves_the_earlier_file(language: str, tmp_path: Path) -> None:
    command = PROGRAMS[language][1]
    photo = tmp_path / "new folder/photo.jpg"
    subprocess.run([*command, photo, "1", "1"], check=True)

    def limit() -> None:
        # A write beyond the limit is an error, as on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [*command, photo, "2", "2"], preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert re.search("too large|EFBIG|cannot write", done.stderr + done.stdout), done.stderr
    assert photo.read_bytes() == b"00000001" * COPIES
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]


def test_the_table_of_refused_names_is_complete(tmp_path: Path) -> None:
    place = Gateway(tmp_path)
    code = (REPOSITORY / "crates/private-media/src/request/path.rs").read_text()
    display = code.partition("impl fmt::Display for PathError")[2].partition("\n}\n")[0]
    reasons = set(re.findall(r'Self::\w+ => "(.*)"', display))
    assert len(reasons) == code.partition("pub enum PathError")[2].partition("\n}\n")[0].count("///")
    rows = PAGE.rows("Names that are refused")
    assert {reason for _, reason in rows} == reasons
    for example, reason in rows:
        paths = (
            [example.strip("`")]
            if example.startswith("`")
            else ["x" * 256, "/".join(["x" * 204] * 4 + ["x" * 205])]
        )
        assert example.startswith("`") or (len(paths[0]), len(paths[1])) == (256, 1025)
        for path in paths:
            assert place.run("check", "alice", "--", path, status=1) == f"denied: {reason}\n", path


def test_all_other_names_are_served(gateway: Gateway) -> None:
    table = PAGE.section("Names that are refused").partition("All other names are valid")[2]
    cells = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    names = re.findall("`([^`]*)`", " ".join(cells))
    assert len(names) == 10
    for name in names:
        path = gateway.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        response = gateway.get(urllib.parse.quote(name))
        assert (response.status, response.body) == (200, name.encode()), name


def test_a_replaced_file_is_new_for_every_client(gateway: Gateway) -> None:
    photo = gateway.root / "cars/7/photo.jpg"
    command = PROGRAMS["python"][1]
    before = gateway.get("cars/7/photo.jpg")
    etag = before.headers["etag"]
    assert gateway.get("cars/7/photo.jpg", headers={"If-None-Match": etag}).status == 304
    assert gateway.get("cars/7/photo.jpg", headers={"If-Range": etag, "Range": "bytes=8-"}).status == 206
    # A download that runs: the head is read, the rest is not.
    photo.write_bytes(b"00000000" * 2_000_000)
    running = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    running.request("GET", "/private/cars/7/photo.jpg")
    download = running.getresponse()
    subprocess.run([*command, photo, "1", "1"], check=True)
    assert gateway.get("cars/7/photo.jpg").body == b"00000001" * COPIES
    assert download.read() == b"00000000" * 2_000_000
    running.close()
    for headers in [{"If-None-Match": etag}, {"If-Range": etag, "Range": "bytes=8-"}]:
        response = gateway.get("cars/7/photo.jpg", headers=headers)
        assert (response.status, response.body) == (200, b"00000001" * COPIES)
    photo.unlink()
    assert gateway.get("cars/7/photo.jpg", headers={"If-None-Match": etag}).status == 404


def test_a_changed_file_is_served_within_a_second(tmp_path: Path) -> None:
    place = Gateway(tmp_path)
    photo = place.root / "cars/7/photo.jpg"
    photo.write_text("old")
    with place.serve():
        assert place.get("cars/7/photo.jpg", "alice").body == b"old"
        temporary = photo.with_name(".upload-1")
        temporary.write_text("new")
        temporary.replace(photo)
        time.sleep(1)
        assert place.get("cars/7/photo.jpg", "alice").body == b"new"
        photo.unlink()
        time.sleep(1)
        assert place.get("cars/7/photo.jpg", "alice").status == 404
