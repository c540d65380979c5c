"""The program `private-media`, as pip, pipx and uv install it, behaves like the native one."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Serve = Callable[..., Gateway]


def run(
    command: list[str], folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_prints_its_version(program: list[str], version: str) -> None:
    short = run([*program, "-V"])
    assert (short.returncode, short.stdout, short.stderr) == (0, f"private-media {version}\n", "")
    long = run([*program, "--version"])
    build = r"( \([0-9a-f]{10,} \d{4}-\d\d-\d\d\))?"
    assert re.fullmatch(rf"private-media {re.escape(version)}{build}\n", long.stdout), long


def test_the_module_has_the_version(environment: Path, version: str) -> None:
    script = "import importlib.metadata as installed, private_media as package\n"
    script += "print(package.__version__, installed.version('private-media'))"
    printed = run([str(environment / "bin/python"), "-c", script])
    assert printed.stdout == f"{version} {version}\n", printed.stderr


def test_usage_names_the_program(program: list[str]) -> None:
    assert "Usage: private-media <COMMAND>" in run([*program, "--help"]).stdout
    for arguments, usage in [([], "private-media <COMMAND>"), (["check"], "private-media check")]:
        wrong = run([*program, *arguments])
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert f"Usage: {usage}" in wrong.stderr


def test_it_decides(program: list[str], tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    grant = "--grant=cars/{owner}/{*file}=owner"
    add = subprocess.run(
        [*program, "account", "add", "alice", "--id=7", "--password-stdin"],
        cwd=tmp_path,
        input="roadster-for-alice\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert add.returncode == 0, add.stderr
    for path, code in [("cars/7/ä.jpg", 0), ("cars/8/ä.jpg", 1)]:
        checked = run([*program, "check", "alice", path, grant], tmp_path)
        assert checked.returncode == code, checked
        assert checked.stdout, checked
    invalid = run([*program, "serve", "--cache-ttl=5"], tmp_path)
    assert (invalid.returncode, invalid.stdout) == (2, "")
    assert invalid.stderr.startswith("private-media: "), invalid.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully(
    program: list[str], serve: Serve, tmp_path: Path, number: signal.Signals
) -> None:
    gateway = serve(program)
    (tmp_path / "private/photo.jpg").write_bytes(b"the photo")
    client = http.client.HTTPConnection(*gateway.address, timeout=60)
    client.request("GET", "/private/photo.jpg")
    response = client.getresponse()
    assert (response.status, response.read()) == (200, b"the photo")
    client.close()
    assert gateway.stop(number) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_second_signal_stops_it_immediately(program: list[str], serve: Serve, tmp_path: Path) -> None:
    gateway = serve(program, "--shutdown-timeout=1h")
    (tmp_path / "private/film.mp4").write_bytes(bytes(64 << 20))
    with socket.create_connection(gateway.address, 60) as client:
        client.sendall(b"GET /private/film.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        gateway.process.send_signal(signal.SIGINT)
        until(lambda: "stopping" in (tmp_path / "log").read_text())
        assert gateway.stop(signal.SIGINT) == 130


def test_a_signal_ends_a_command_that_waits_for_input(program: list[str], tmp_path: Path) -> None:
    # A shell starts commands in the background with this signal ignored.
    command = ["env", "--default-signal=INT", *program, "account", "add", "alice", "--password-stdin"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # Wait until it reads standard input; the call has one number on x86_64 and another on ARM.
    syscall = Path(f"/proc/{process.pid}/syscall")
    until(lambda: syscall.read_text().startswith(("0 0x0 ", "63 0x0 ")))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == -signal.SIGINT
    assert process.communicate()[1] == ""


def test_closed_standard_streams_are_not_replaced_by_files(program: list[str], tmp_path: Path) -> None:
    """The number of a closed stream is free: a file that is opened later could receive the output."""
    (tmp_path / "private").mkdir()
    (tmp_path / "accounts.toml").touch(0o600)
    script = "import os, sys; os.closerange(0, 3); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *program, "serve", "--listen=unix:socket", "--grant={*file}=everyone"],
        cwd=tmp_path,
    )
    try:
        until((tmp_path / "socket").exists)
        streams = {Path(f"/proc/{process.pid}/fd/{descriptor}").readlink() for descriptor in range(3)}
        assert streams == {Path("/dev/null")}
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_pipx_installs_the_command(wheel: Path, version: str, tmp_path: Path) -> None:
    folders = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    pipx = [sys.executable, "-m", "pipx", "install", "--python", sys.executable, str(wheel)]
    installed = run(pipx, **folders)
    assert installed.returncode == 0, installed.stderr
    assert run([str(tmp_path / "bin/private-media"), "-V"]).stdout == f"private-media {version}\n"


def test_uvx_runs_the_command(wheel: Path, version: str, tmp_path: Path) -> None:
    uvx = ["uv", "tool", "run", "--no-config", "--python", sys.executable, "--from", str(wheel)]
    folder = str(Path(sys.executable).parent)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "UV_TOOL_DIR": str(tmp_path / "tools")}
    if certificates := os.environ.get("PIP_CERT"):
        environment["SSL_CERT_FILE"] = certificates
    printed = run([*uvx, "private-media", "-V"], **environment)
    assert printed.stdout == f"private-media {version}\n", printed.stderr
