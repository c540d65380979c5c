"""The faults that a run injects.

A fault tells the oracle which failures it excuses. Most excuse none: permitted users are served, and nobody else.
"""

from __future__ import annotations

import itertools
import mmap
import os
import random
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

from client import Client, ConnectionEndedError
from gateway import CACHE, FRESH, Gateway
from load import SIGN_IN, Load
from oracle import PREFIX, Timeline, User, World

#: How much longer than a promised time a loaded machine may take, in seconds.
SLACK = 2.0
_numbers = itertools.count(1)


class Run:
    """What a fault needs: the gateway, the world, the load and a source of random numbers."""

    def __init__(self, gateway: Gateway, world: World, load: Load, rng: random.Random) -> None:
        self.gateway, self.world, self.load, self.rng = gateway, world, load, rng

    @contextmanager
    def excusing(self, *reasons: object, settle: float = 0.0) -> Iterator[None]:
        """Lets responses fail for these reasons until the block ends, and for some seconds more."""
        self.world.excuses.begin(frozenset(reasons), time.monotonic())
        try:
            yield
        finally:
            now = time.monotonic()
            self.world.excuses.change(frozenset(), now, now + settle)

    def health(self) -> int:
        """Returns the status of the health page."""
        client = Client(self.gateway.address, timeout=10)
        try:
            return client.request("GET", PREFIX + "-/health", []).status
        finally:
            client.close()

    def await_health(self, status: int, seconds: float) -> None:
        """Waits until the health page has a status. If it does not in time, that is a finding."""
        end = time.monotonic() + seconds
        while (found := self.health()) != status:
            if time.monotonic() > end:
                self.load.finding(f"health is {found} after {seconds} s, expected {status}")
                return
            time.sleep(0.2)


def stalled_log(run: Run) -> None:
    """Nobody reads the log: nothing stops, and an account that is removed meanwhile loses its access."""
    gateway = run.gateway
    gateway.is_reading.clear()
    try:
        time.sleep(2)
        removed_account(run)
    finally:
        gateway.is_reading.set()


def removed_account(run: Run) -> None:
    """An account is removed, and added again with another password: its old sessions stay invalid."""
    user = next(user for user in run.load.users if user.name == "dave")
    begin = time.monotonic()
    user.was_guessed = True
    user.exists.begin(value=False, begin=begin)
    done = run.gateway.command("account", "remove", user.name)
    if done.returncode != 0:
        run.load.finding(f"account remove: {done.stderr}")
    end = time.monotonic() + CACHE + SLACK
    user.exists.settle(end)
    for session in run.load.sessions + run.load.ended:
        if session.user is user:
            session.valid.change(value=False, begin=begin, end=end)
    time.sleep(CACHE + SLACK + 1)
    new = User(
        user.name,
        user.id,
        f"password number {next(_numbers)}",
        exists=Timeline(value=False),
        was_guessed=True,
    )
    begin = time.monotonic()
    run.gateway.add_account(new.name, new.id, new.password)
    new.exists.change(value=True, begin=begin, end=time.monotonic() + CACHE + SLACK)
    # Clients that picked the old record before this moment still expect a denial.
    run.load.users[run.load.users.index(user)] = new


def parallel_accounts(run: Run) -> None:
    """Six commands change the accounts at once: each change is in the file afterwards."""
    names = [f"temporary{next(_numbers)}" for _ in range(4)]
    run.gateway.add_account(names[0], names[0], "a long password")
    run.gateway.add_account(names[1], names[1], "a long password")
    commands = [["add", name, "--password-stdin"] for name in names[2:]] + [
        ["remove", name] for name in names[:2]
    ]
    running = [
        subprocess.Popen(
            [run.gateway.program, "account", *command],
            cwd=run.gateway.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for command in commands
    ]
    for process in running:
        process.communicate("a long password\n", timeout=60)
    listed = {line.split("\t")[0] for line in run.gateway.command("account", "list").stdout.splitlines()}
    codes = [process.returncode for process in running]
    if any(codes) or not set(names[2:]) <= listed or set(names[:2]) & listed:
        run.load.finding(f"parallel account commands: exit codes {codes}, listed {sorted(listed)}")
    for name in names[2:]:
        run.gateway.command("account", "remove", name)


def broken_accounts(run: Run) -> None:
    """The accounts file is half written, then missing: the accounts in force stay in force."""
    path = run.gateway.folder / "accounts.toml"
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], b"\xff\xfe", None):
        if broken is None:
            path.unlink()
        else:
            _replace(path, broken)
        time.sleep(CACHE + 0.5)
    _replace(path, content)
    time.sleep(CACHE + 0.5)


def root_away(run: Run) -> None:
    """The root is renamed: permitted requests may fail, other responses stay, and the health page reports it."""
    root = run.gateway.folder / "private"
    away = root.with_name("private.away")
    with run.excusing(500, 503, settle=12.0 + SLACK):
        root.rename(away)
        try:
            run.await_health(503, 15)
            time.sleep(2)
        finally:
            away.rename(root)
        run.await_health(200, 20)


def locked_state(run: Run) -> None:
    """Another process locks the state database: a sign-out that cannot be stored says so."""
    path = run.gateway.folder / "state.db"
    if not path.exists():
        run.load.finding(f"no state database at {path.name}")
        return
    with run.excusing("state", settle=6.0):
        lock = sqlite3.connect(path, timeout=10)
        try:
            lock.execute("BEGIN EXCLUSIVE")
            time.sleep(8)
            lock.rollback()
        finally:
            lock.close()
    run.await_health(200, 20)


def hangups(run: Run) -> None:
    """SIGHUP, several in a row."""
    for _ in range(5):
        os.kill(run.gateway.pid, signal.SIGHUP)
        time.sleep(0.3)


def stopped_process(run: Run) -> None:
    """The process is stopped for two seconds."""
    with run.excusing("slow"):
        os.kill(run.gateway.pid, signal.SIGSTOP)
        time.sleep(2)
        os.kill(run.gateway.pid, signal.SIGCONT)
        time.sleep(1)


def many_connections(run: Run) -> None:
    """400 connections idle or stop in the middle of a head."""
    streams = []
    try:
        for number in range(400):
            stream = socket.create_connection(run.gateway.address, 10)
            if number % 2:
                stream.sendall(b"GET /private/open/pic")
            streams.append(stream)
        time.sleep(4)
    finally:
        for stream in streams:
            stream.close()


def guesses(run: Run) -> None:
    """300 wrong passwords from clients that hang up; a sign-in from elsewhere goes through meanwhile."""
    form = urlencode({"name": "victim", "password": "wrong", "next": "/"})
    message = (
        f"POST {SIGN_IN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\n\r\n{form}"
    ).encode()

    def guess() -> None:
        for _ in range(60):
            try:
                with socket.create_connection(run.gateway.address, 10, ("127.0.0.66", 0)) as stream:
                    stream.sendall(message)
            except OSError:
                time.sleep(0.05)

    threads = [threading.Thread(target=guess) for _ in range(5)]
    for thread in threads:
        thread.start()
    begin, client = time.monotonic(), Client(run.gateway.address)
    alice = next(user for user in run.load.users if user.name == "alice")
    right = urlencode({"name": alice.name, "password": alice.password, "next": "/"}).encode()
    response = client.request("POST", SIGN_IN, [("Content-Type", "application/x-www-form-urlencoded")], right)
    took = time.monotonic() - begin
    client.close()
    if response.status != 303 or took > 10:
        run.load.finding(f"a sign-in during guesses: {response.status} after {took:.1f} s")
    for thread in threads:
        thread.join()


def few_descriptors(run: Run) -> None:
    """The process runs out of descriptors for some seconds."""
    # A connection that was reset by the full process, a file that could not be opened, a sign-out that could not be stored.
    with run.excusing("down", "slow", "state", 500, 503, settle=SLACK):
        run.gateway.limit_descriptors(run.gateway.usage()[1] + 8)
        try:
            many = [threading.Thread(target=_try_connect, args=(run.gateway.address,)) for _ in range(30)]
            for thread in many:
                thread.start()
            for thread in many:
                thread.join()
        finally:
            run.gateway.limit_descriptors(None)
        time.sleep(1)
    run.await_health(200, 10)


def _try_connect(address: tuple[str, int]) -> None:
    try:
        with socket.create_connection(address, 3) as stream:
            stream.settimeout(3)
            stream.sendall(b"GET /private/-/health HTTP/1.1\r\nHost: x\r\n\r\n")
            stream.recv(100)
            time.sleep(1)
    except OSError:
        pass


def changed_files(run: Run) -> None:
    """Files are replaced, deleted and made again."""
    root = run.gateway.folder / "private"
    paths = [path for path in run.world.files if "photo" in path]
    for path in run.rng.sample(paths, 5):
        timeline = run.world.files[path]
        content = run.rng.randbytes(run.rng.choice([0, 1, 1000, 16_384, 40_000]))
        begin = time.monotonic()
        if run.rng.random() < 0.3:
            timeline.begin(None, begin)
            (root / path).unlink()
            timeline.settle(time.monotonic() + FRESH + SLACK)
            time.sleep(FRESH + SLACK + 0.5)
            begin = time.monotonic()
        timeline.begin(content, begin)
        _replace(root / path, content)
        timeline.settle(time.monotonic() + FRESH + SLACK)
        time.sleep(0.2)
    time.sleep(FRESH + SLACK)


def mapped_file(run: Run) -> None:
    """A file changes through a shared mapping, which updates its modification time late."""
    path = "cars/7/mapped.bin"
    timeline, file = run.world.files[path], run.gateway.folder / "private" / path
    (old,) = timeline.values(time.monotonic(), time.monotonic())
    new = bytes(byte ^ 0xFF for byte in old)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapping:
        timeline.begin(new, time.monotonic())
        mapping[:] = new
        timeline.settle(time.monotonic() + 2 * FRESH + SLACK)
        time.sleep(2 * FRESH + SLACK + 1)


def cold_files(run: Run) -> None:
    """The large files are evicted from the page cache."""
    for path in run.world.files:
        if "large" in path:
            with (run.gateway.folder / "private" / path).open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def stalled_clients(run: Run) -> None:
    """Twenty clients begin a download and do not read it."""
    target = PREFIX + quote(next(path for path in run.world.files if path.startswith("open/large")))
    streams = []
    try:
        for _ in range(20):
            stream = socket.create_connection(run.gateway.address, 10)
            stream.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            streams.append(stream)
        time.sleep(4)
    finally:
        for stream in streams:
            stream.close()


def restart(run: Run, number: signal.Signals, log: str) -> None:
    """Ends the process under load and starts it again: what was signed out stays signed out."""
    with run.excusing("down", "slow", settle=1.0):
        try:
            took = run.gateway.stop(number, 20)
        except subprocess.TimeoutExpired:
            run.load.finding(f"{number.name} did not end the process within 20 s")
            took = 20.0
        if number == signal.SIGTERM and took > 5 + SLACK:
            run.load.finding(f"SIGTERM took {took:.1f} s")
        try:
            run.gateway.start(log)
        except RuntimeError as error:
            run.load.finding(str(error))
            run.gateway.start("pipe")
    time.sleep(1)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(".draft-" + path.name)
    draft.write_bytes(content)
    draft.chmod(0o600)
    draft.replace(path)


Fault = Callable[[Run], None]

#: Faults that a process survives.
LASTING: list[Fault] = [
    stalled_log,
    removed_account,
    parallel_accounts,
    broken_accounts,
    root_away,
    locked_state,
    hangups,
    stopped_process,
    many_connections,
    guesses,
    few_descriptors,
    changed_files,
    mapped_file,
    cold_files,
    stalled_clients,
]
#: Faults that are also injected while the log cannot be written.
WITH_ANY_LOG: list[Fault] = [removed_account, changed_files, guesses, hangups, root_away]

__all__ = ["LASTING", "WITH_ANY_LOG", "ConnectionEndedError", "Fault", "Run", "restart"]
