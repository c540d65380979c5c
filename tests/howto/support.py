"""What the tests of the how-to pages share: the text of a page, and a gateway with two accounts."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[2]
# Not in the environment of the program, which warns of unknown variables.
PROGRAM = Path(os.environ.pop("PRIVATE_MEDIA_PROGRAM"))
PASSWORDS = {"alice": "roadster-for-alice", "bob": "hatchback-for-bob"}
IDS = {"alice": "7", "bob": "8"}
CONFIG = """\
root = "private"

[[grant]]
path = "cars/{owner}/{*file}"
to = ["owner", "staff"]
"""


class Page:
    """A page of the documentation."""

    def __init__(self, name: str) -> None:
        self.text = (REPOSITORY / "docs/how-to" / name).read_text()

    def section(self, heading: str) -> str:
        """Return the text below a heading, up to the next heading of that or a higher level."""
        level, _, rest = self.text.partition(f"# {heading}\n")
        assert rest, f"no heading {heading!r}"
        marks = len(level) - len(level.rstrip("#")) + 1
        return re.split(rf"^#{{1,{marks}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]

    def blocks(self, language: str, heading: str | None = None) -> list[str]:
        """Return the code blocks of a language, of the whole page or below a heading."""
        text = self.text if heading is None else self.section(heading)
        return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)

    def rows(self, heading: str) -> list[list[str]]:
        """Return the cells of the first table below a heading, without its head."""
        table = re.search(r"(?:^\|.*\n)+", self.section(heading), flags=re.MULTILINE)
        assert table, f"no table below {heading!r}"
        return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def get(url: str, user: str | None = None, headers: dict[str, str] | None = None) -> Response:
    """Send a GET, with the password of a user."""
    request = urllib.request.Request(url, headers=headers or {})
    if user is not None:
        credential = base64.b64encode(f"{user}:{PASSWORDS[user]}".encode()).decode()
        request.add_header("Authorization", f"Basic {credential}")
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=30) as response:
            return Response(response.status, lower(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, lower(error.headers), error.read())


def lower(headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Gateway:
    """A gateway in a folder of its own, with the accounts alice (7) and bob (8)."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        # A command that runs the program with other rights.
        self.prefix: list[str] = []
        self.folder, self.root = folder, folder / "private"
        self.log = folder / "gateway.log"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        folder.mkdir(exist_ok=True)
        self.root.mkdir(mode=0o750, exist_ok=True)
        (self.root / "cars/7").mkdir(parents=True, exist_ok=True)
        self.configure(config)
        for name, password in PASSWORDS.items():
            add = ["account", "add", name, "--id", IDS[name], "--password-stdin"]
            if not (folder / "accounts.toml").exists() or name not in (folder / "accounts.toml").read_text():
                self.run(*add, text=password)

    def configure(self, config: str) -> None:
        (self.folder / "private-media.toml").write_text(config)

    def run(self, *arguments: str, text: str = "", status: int | None = 0) -> str:
        """Run a command of the program, and return its output and errors, in their order."""
        done = subprocess.run(
            [*self.prefix, PROGRAM, *arguments],
            cwd=self.folder,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert status is None or done.returncode == status, done.stdout
        return done.stdout

    def serve(self, *arguments: str, health: tuple[int, ...] = (200,)):
        command = [*self.prefix, PROGRAM, "serve", "--listen", f"127.0.0.1:{self.port}", *arguments]
        return running(command, self.folder, f"{self.base}/private/-/health", self.log, health)

    def get(self, path: str, user: str | None = None, headers: dict[str, str] | None = None) -> Response:
        return get(f"{self.base}/private/{path}", user, headers)

    def logged(self, expected: dict) -> dict:
        """Wait for a log line that has these fields, and return it."""
        deadline = time.monotonic() + 10
        while True:
            lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
            for line in lines:
                if expected.items() <= line.items():
                    return line
            assert time.monotonic() < deadline, f"{expected} not in\n{self.log.read_text()}"
            time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(
    command: list, folder: Path, url: str, log: Path, ready: tuple[int, ...] = (200,), **options
) -> Iterator[subprocess.Popen]:
    """Run a server until the end of the block, and wait until it responds."""
    assert shutil.which(command[0]), f"{command[0]} is missing"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, process_group=0, **options
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError):
                if get(url).status in ready:
                    break
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@contextlib.contextmanager
def nginx(folder: Path, http: str, url: str) -> Iterator[None]:
    """Run nginx with these directives of its http block."""
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        f"user root;\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{http}\n}}\n"
    )
    with running(
        ["nginx", "-p", folder, "-c", folder / "nginx.conf"], folder, url, folder / "log", (200, 303, 404)
    ):
        yield
