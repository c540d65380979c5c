"""The wheel that the tests examine, and a virtual environment with it for each supported Python."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]
#: The versions of Python that the metadata of the wheel lists.
VERSIONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="session")
def wheel() -> Path:
    path = Path(os.environ.get("TEST_WHEEL", ""))
    if path.suffix != ".whl" or not path.is_file():
        pytest.fail("TEST_WHEEL names no wheel; run cargo xtask test --only wheel", pytrace=False)
    return path.absolute()


@pytest.fixture(scope="session")
def files(wheel: Path) -> dict[str, bytes]:
    """Return the content of each file of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def version() -> str:
    """Return the version of the workspace's crates."""
    manifest = (REPOSITORY / "Cargo.toml").read_text()
    found = re.search(r'^\[workspace\.package\]\nversion = "(.+)"$', manifest, re.MULTILINE)
    assert found
    return found[1]


def interpreter(minor: str) -> str | None:
    """Find a Python on the path or among the versions of pyenv."""
    candidates = [sys.executable, "python3", f"python{minor}"]
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True).stdout.strip()
        candidates += [str(path) for path in Path(root, "versions").glob(f"{minor}.*/bin/python")]
    script = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, map(shutil.which, candidates)):
        printed = subprocess.run(
            [candidate, "-c", script], capture_output=True, text=True, check=False
        ).stdout
        if printed.strip() == minor:
            return candidate
    return None


@pytest.fixture(scope="session", params=VERSIONS)
def environment(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a virtual environment that has the wheel, and nothing else: the program needs no Django."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"no Python {request.param}")
    folder = tmp_path_factory.mktemp(f"python{request.param}-")
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", wheel], check=True)
    return folder


@pytest.fixture(params=["command", "module"])
def program(request: pytest.FixtureRequest, environment: Path) -> list[str]:
    """Return the beginning of a command line, in each of the two ways to start the program."""
    folder = environment / "bin"
    return (
        [str(folder / "private-media")]
        if request.param == "command"
        else [str(folder / "python"), "-m", "private_media"]
    )


class Gateway(NamedTuple):
    """A running gateway."""

    process: subprocess.Popen[str]
    address: tuple[str, int]

    def stop(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[list[str]], Gateway]]:
    """Return a function that starts a gateway whose files everyone may read."""
    (tmp_path / "private").mkdir()
    (tmp_path / "accounts.toml").touch(0o600)
    running = []

    def start(program: list[str], *options: str) -> Gateway:
        command = [*program, "serve", "--listen=127.0.0.1:0", "--grant={*file}=everyone", *options]
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True)
        running.append(process)
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(r"listening on http://(127\.0\.0\.1):(\d+)\n", line)
        assert found, line + (tmp_path / "log").read_text()
        return Gateway(process, (found[1], int(found[2])))

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. The limit only ends a test that hangs."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "condition not met within 60 s"
        time.sleep(0.02)
