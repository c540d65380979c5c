"""The gateway under test: its process, its log and its command line."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from oracle import GRANTS

#: `identity.cache_ttl` and `storage.revalidate_after`, in seconds.
CACHE, FRESH = 1.0, 1.0


class Gateway:
    """A gateway in a folder of its own, on one port for the whole run."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.log_lines: list[str] = []
        self.is_reading = threading.Event()
        self.is_reading.set()
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = ("127.0.0.1", int(probe.getsockname()[1]))
        grants = "".join(
            f'[[grant]]\npath = "{path}"\nto = [{", ".join(repr(to) for to in names.split(","))}]\n'
            for path, _, names in (grant.partition("=") for grant in GRANTS)
        )
        (folder / "private-media.toml").write_text(
            f'listen = "{self.address[0]}:{self.address[1]}"\nroot = "private"\nworkers = 2\n'
            f'[[identity]]\nsource = "accounts"\naccounts = "accounts.toml"\ncache_ttl = "{CACHE:g}s"\n'
            f'[storage]\nrevalidate_after = "{FRESH:g}s"\n[limits]\nheader_timeout = "5s"\nshutdown_timeout = "5s"\n{grants}'
        )

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    def start(self, log: str) -> None:
        """Starts the gateway with its log in a pipe that is read, in a closed pipe, or on a full device."""
        if log == "full":
            with Path("/dev/full").open("wb") as full:
                self._spawn(full.fileno())
        else:
            reader, writer = os.pipe()
            self._spawn(writer)
            os.close(writer)
            if log == "closed":
                os.close(reader)
            else:
                threading.Thread(target=self._read_log, args=(reader,), daemon=True).start()

    def _spawn(self, stderr: int) -> None:
        self.process = subprocess.Popen(
            [self.program, "serve"],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on "):
            time.sleep(0.5)
            message = f"the gateway did not start: {line!r} {self.log_lines[-5:]}"
            raise RuntimeError(message)

    def _read_log(self, reader: int) -> None:
        with os.fdopen(reader, "rb") as pipe:
            for line in pipe:
                self.is_reading.wait()
                if b'"access"' not in line:
                    self.log_lines.append(line.decode(errors="replace").rstrip())

    def stop(self, number: signal.Signals, seconds: float) -> float:
        """Sends a signal and waits for the end; returns how long it took."""
        assert self.process is not None
        begin = time.monotonic()
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if self.process.stdout:
                self.process.stdout.close()
        return time.monotonic() - begin

    def command(self, *arguments: str, password: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command of the program while the gateway runs."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.folder,
            input=password,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def add_account(self, name: str, number: str, password: str, *, staff: bool = False) -> None:
        """Adds an account, or raises an error."""
        flags = ["--staff"] if staff else []
        done = self.command(
            "account", "add", name, "--id", number, "--password-stdin", *flags, password=password + "\n"
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    def usage(self) -> tuple[int, int]:
        """Returns the resident memory in KiB and the number of open descriptors."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        return memory, len(os.listdir(f"/proc/{self.pid}/fd"))

    def limit_descriptors(self, count: int | None) -> None:
        """Sets the soft limit of open descriptors of the running process; None restores it to the hard limit."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (hard if count is None else count, hard))


def folder() -> tempfile.TemporaryDirectory[str]:
    """Returns a new folder for a run."""
    return tempfile.TemporaryDirectory(prefix="private-media-soak-")
