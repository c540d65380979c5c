"""Each example application with its own sign-in, beside the gateway: `cargo xtask test --only frameworks`.

A user signs in to the application, uploads a photo there, and reads it through the gateway. Another user and a client without a session
do not, and neither does the user after signing out.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import NamedTuple

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
GATEWAY = Path(os.environ["PRIVATE_MEDIA_PROGRAM"])
PHOTO = secrets.token_bytes(100_000)


class App(NamedTuple):
    """An example: its folder, its command with the port in it, and the configuration of the gateway."""

    folder: str
    command: list[str]
    config: str = "private-media.toml"
    # Whether clients reach the gateway through the application.
    is_front: bool = False


APPS = {
    "express-sessions": App("express", ["node", "sessions.js"], "sessions.toml"),
    "express-jwt": App("express", ["node", "jwt.js"], "jwt.toml"),
    "php": App("php", ["php", "-S", "127.0.0.1:{port}", "index.php"]),
    "symfony": App("symfony", ["php", "-S", "127.0.0.1:{port}", "index.php"]),
    "flask": App("flask", [sys.executable, "-m", "flask", "run", "--port", "{port}"]),
    "fastapi": App("fastapi", [sys.executable, "-m", "uvicorn", "app:app", "--port", "{port}"]),
    "go": App("go", ["go", "run", "."], is_front=True),
    "rails": App(
        "rails", ["puma", "--bind", "tcp://127.0.0.1:{port}", "--environment", "production", "config.ru"]
    ),
}


@pytest.mark.parametrize("name", APPS)
def test_a_user_of_the_application_reads_their_photo_until_they_sign_out(name: str, tmp_path: Path) -> None:
    app = APPS[name]
    port, gateway_port = free_port(), free_port()
    root = tmp_path / "private"
    root.mkdir()
    (tmp_path / "secret.key").write_text(secrets.token_hex(32))
    (tmp_path / "secret.key").chmod(0o600)
    site, gateway = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{gateway_port}"
    environment = {
        "PORT": str(port),
        "PRIVATE_ROOT": str(root),
        "SECRET_FILE": str(tmp_path / "secret.key"),
        "MEDIA_URL": f"{gateway}/private/",
        "GATEWAY": gateway,
    }
    command = [part.format(port=port) for part in app.command]
    config = (EXAMPLES / app.folder / app.config).read_text().replace("127.0.0.1:9000", f"127.0.0.1:{port}")
    (tmp_path / "private-media.toml").write_text(config)
    serve = [GATEWAY, "serve", "--listen", f"127.0.0.1:{gateway_port}"]
    if not app.is_front:
        serve += ["--cache-ttl", "1s"]
    with (
        running(command, EXAMPLES / app.folder, environment, f"{site}/", tmp_path / "app.log"),
        running(serve, tmp_path, {}, f"{gateway}/private/-/health", tmp_path / "gateway.log"),
    ):
        files = site if app.is_front else gateway
        photo = f"{files}/private/cars/7/photo.jpg"
        alice, bob, stranger = Client(), Client(), Client()
        assert alice.post_form(site, "/sign-in", name="alice", password="wrong password") == 401
        for client, user in [(alice, "alice"), (bob, "bob")]:
            assert client.post_form(site, "/sign-in", name=user, password="open sesame") == 200
        assert stranger.post_photo(site) in {401, 403, 422}
        assert alice.post_photo(site) == 200
        assert alice.get(photo) == (200, PHOTO)
        assert not [path for path in root.rglob("*") if path.is_file() and path.name != "photo.jpg"]
        for client in (bob, stranger):
            assert client.get(photo)[0] == 404
            assert client.get(f"{files}/private/cars/7/none.jpg")[0] == 404
        # A client cannot name a user itself.
        assert stranger.get(photo, {"Remote-User": "7", "X-User-Id": "7"})[0] == 404
        # The cookie of the session that was ended, even if a client keeps it.
        kept = alice.cookie_header()
        assert alice.post_form(site, "/sign-out") == 200
        time.sleep(1.5)
        assert alice.get(photo)[0] == 404
        if name not in STATELESS:
            assert stranger.get(photo, {"Cookie": kept})[0] == 404


# A signed cookie holds the session itself: a copy of it is valid until it expires, for the application and for the gateway.
STATELESS = {"express-jwt", "fastapi", "flask", "rails"}


class Client:
    """A browser: it keeps cookies, for all ports of the host, and follows redirects."""

    def __init__(self) -> None:
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        return self._open(urllib.request.Request(url, headers=headers or {}))

    def post_form(self, site: str, path: str, **fields: str) -> int:
        fields |= self._token(site, path)
        return self._open(urllib.request.Request(site + path, urllib.parse.urlencode(fields).encode()))[0]

    def post_photo(self, site: str) -> int:
        boundary = secrets.token_hex(16)
        disposition = "Content-Disposition: form-data; name="
        parts = [
            f'{disposition}"{key}"\r\n\r\n{value}'.encode()
            for key, value in self._token(site, "/photo").items()
        ]
        parts.append(
            f'{disposition}"photo"; filename="my car.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
            + PHOTO
        )
        body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts)
        body += f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self._open(urllib.request.Request(f"{site}/photo", body, headers))[0]

    def cookie_header(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)

    def _token(self, site: str, path: str) -> dict[str, str]:
        """Return the token against cross-site requests of the form with this action, if it has one."""
        page = self.get(f"{site}/")[1].decode()
        form = re.search(rf'<form[^>]*action="?{path}.*?</form>', page, re.DOTALL)
        token = form and re.search(r'name="(authenticity_token|_csrf_token)" value="([^"]*)"', form[0])
        return {token[1]: token[2]} if token else {}

    def _open(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with self.opener.open(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(command: list, folder: Path, environment: dict[str, str], url: str, log: Path):
    """Run a server until the end of the block, and wait until it responds."""
    assert shutil.which(command[0]), f"{command[0]} is missing"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=output, stderr=output, process_group=0
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=10).close()
                break
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        # `go run` has a child, in the same group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
