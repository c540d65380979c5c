"""Clients that send all kinds of requests. The oracle checks each response."""

from __future__ import annotations

import base64
import random
import re
import threading
import time
from collections import Counter, defaultdict
from urllib.parse import quote, urlencode

from client import Client, ConnectionEndedError
from oracle import PREFIX, Request, Session, User, World, must_wait

SIGN_IN = PREFIX + "-/sign-in"
SIGN_OUT = PREFIX + "-/sign-out"
MAX_SESSIONS = 60
#: A response that takes longer is a finding unless a fault excuses it, in seconds.
PATIENCE = 20.0


class Load:
    """The shared state of all clients: sessions, counts and findings."""

    def __init__(self, world: World, address: tuple[str, int], users: list[User], seed: int) -> None:
        self.world, self.address, self.users, self.seed = world, address, users, seed
        self.sessions: list[Session] = []
        self.ended: list[Session] = []
        self.findings: list[str] = []
        self.counts: Counter[str] = Counter()
        self.latency: dict[str, float] = defaultdict(float)
        self.requests_by_fault: Counter[str] = Counter()
        self.fault = "none"
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    def finding(self, text: str) -> None:
        """Records a wrong response."""
        with self._lock:
            self.findings.append(f"[during {self.fault}] {text}")

    def excused(self, start: float, stop: float, *reasons: str) -> bool:
        """Returns whether one of the reasons was in force."""
        found = frozenset().union(*self.world.excuses.values(start, stop))
        return any(reason in found for reason in reasons)

    def run(self, number: int) -> None:
        """Sends requests until the run stops."""
        worker = _Worker(self, random.Random(self.seed * 1000 + number))
        while not self.stopping.is_set():
            worker.step()


class _Worker:
    def __init__(self, load: Load, rng: random.Random) -> None:
        self.load, self.rng = load, rng
        self.client = Client(load.address)

    def step(self) -> None:
        action = self.rng.choices(
            [self._file, self._sign_in, self._sign_out, self._abandon, self._pipeline, self._malformed],
            [200, 2, 1, 4, 6, 4],
        )[0]
        start = time.monotonic()
        try:
            action()
        except (ConnectionEndedError, OSError) as error:
            self.client.close()
            if not self.load.excused(start, time.monotonic(), "down"):
                self.load.finding(f"{action.__name__}: no response: {error!r}")
            time.sleep(0.05)

    def _file(self) -> None:
        request = self._request()
        start = time.monotonic()
        response = self.client.request(request.method, request.target, request.headers)
        self._judge(request, response, start)

    def _judge(self, request: Request, response: object, start: float) -> None:
        load, stop = self.load, time.monotonic()
        problem = load.world.check(request, response, start, stop)  # type: ignore[arg-type]
        load.counts[str(response.status)] += 1  # type: ignore[attr-defined]
        load.requests_by_fault[load.fault] += 1
        if not request.uses_password:
            load.latency[load.fault] = max(load.latency[load.fault], stop - start)
        if stop - start > PATIENCE and not load.excused(start, stop, "down", "slow"):
            load.finding(f"{request.target} took {stop - start:.1f} s")
        if problem:
            who = request.user.name if request.user else "nobody"
            load.finding(f"{request.method} {request.target} {request.headers} as {who}: {problem}")

    def _request(self) -> Request:
        rng = self.rng
        request = Request(rng.choices(["GET", "HEAD", "DELETE", "PUT"], [90, 8, 1, 1])[0], self._target(), [])
        self._authenticate(request)
        kind = rng.random()
        if kind < 0.25:
            request.headers.append(("Range", self._range()))
        elif kind < 0.45:
            known = [etag for path, etag in list(self.load.world.etags) if quote(path) in request.target]
            request.headers.append(("If-None-Match", rng.choice(known) if known else '"unknown"'))
        return request

    def _target(self) -> str:
        rng = self.rng
        path = rng.choice(list(self.load.world.files))
        target = PREFIX + quote(path, safe="/")
        if rng.random() < 0.85:
            return target
        name = quote(path.rpartition("/")[2])
        return rng.choice(
            [
                target + "x",
                target + "/",
                target + "%2f..",
                target.replace("/", "//", 2),
                target + "?download",
                target + "?a=/../",
                PREFIX + "cars/7/..%2f8/" + name,
                PREFIX + "open/../cars/7/" + name,
                PREFIX + "open/%2e%2e/cars/7/" + name,
                PREFIX + "cars/7/.hidden",
                PREFIX + "%63ars/7/" + name,
                PREFIX + "cars//7/" + name,
                PREFIX + "open/%ff",
                PREFIX + "open/%zz",
                PREFIX + "cars/7%00/" + name,
                PREFIX + "shared/..;/cars/7/" + name,
                PREFIX + "shared/%5c..%5ccars/7/" + name,
                PREFIX + "cars/07/" + name,
                PREFIX + "CARS/7/" + name,
                PREFIX,
                PREFIX + "cars",
                PREFIX + "-",
                PREFIX + "a" * 300,
            ]
        )

    def _range(self) -> str:
        rng = self.rng
        one = [
            lambda: f"{rng.randrange(5000)}-",
            lambda: f"-{rng.randrange(3000)}",
            lambda: f"{(a := rng.randrange(4000))}-{a + rng.randrange(2000)}",
        ]
        return "bytes=" + ",".join(rng.choice(one)() for _ in range(rng.choice([1, 1, 1, 2, 3])))

    def _authenticate(self, request: Request) -> None:
        rng, load = self.rng, self.load
        kind = rng.random()
        if kind < 0.12 or not load.sessions:
            return
        if kind < 0.22:
            forged = list(rng.choice(load.sessions).cookie)
            at = rng.randrange(len(forged) - 1)
            forged[at] = "A" if forged[at] != "A" else "B"
            request.headers.append(("Cookie", "private_media_session=" + "".join(forged)))
        elif kind < 0.32:
            request.user = rng.choice(load.users)
            request.uses_password = True
            token = base64.b64encode(f"{request.user.name}:{request.user.password}".encode()).decode()
            request.headers.append(("Authorization", "Basic " + token))
        else:
            pool = load.ended if load.ended and kind < 0.42 else load.sessions
            request.session = rng.choice(pool)
            request.user = request.session.user
            request.headers.append(("Cookie", "theme=dark; private_media_session=" + request.session.cookie))

    def _sign_in(self) -> None:
        user = self.rng.choice(self.load.users)
        if user.exists.values(time.monotonic(), time.monotonic()) != [True]:
            return
        form = urlencode({"name": user.name, "password": user.password, "next": "/"}).encode()
        start = time.monotonic()
        headers = [("Content-Type", "application/x-www-form-urlencoded")]
        response = self.client.request("POST", SIGN_IN, headers, form)
        if must_wait(user, response):
            return
        found = re.search(r"private_media_session=([^;]+)", response.headers.get("set-cookie", ""))
        if response.status != 303 or not found:
            if user.exists.values(start, time.monotonic()) == [True]:
                self.load.finding(f"sign-in of {user.name}: {response.status} {response.body[-300:]!r}")
            return
        session = Session(found[1], user)
        if False in user.exists.values(start, time.monotonic()):
            return
        with self.load._lock:
            self.load.sessions.append(session)
            del self.load.sessions[:-MAX_SESSIONS]

    def _sign_out(self) -> None:
        with self.load._lock:
            if len(self.load.sessions) < 10:
                return
            session = self.load.sessions.pop(self.rng.randrange(len(self.load.sessions)))
        cookie = [("Cookie", "private_media_session=" + session.cookie)]
        start = time.monotonic()
        session.valid.begin(value=False, begin=start)
        response = self.client.request("POST", SIGN_OUT, cookie)
        # A sign-out that could not be stored says so; a restart may forget it, so its session is not used again.
        if response.status == 303:
            session.valid.settle(time.monotonic())
            with self.load._lock:
                self.load.ended.append(session)
                del self.load.ended[:-200]
        elif not (response.status == 503 and self.load.excused(start, time.monotonic(), "state")):
            self.load.finding(f"sign-out: {response.status} {response.body[:200]!r}")

    def _abandon(self) -> None:
        """Begins a download and leaves, or sends half a head."""
        client = Client(self.load.address)
        try:
            stream = client.open()
            target = PREFIX + quote(
                self.rng.choice([path for path in self.load.world.files if "large" in path]), safe="/"
            )
            head = f"GET {target} HTTP/1.1\r\nHost: x\r\n"
            if self.load.sessions:
                head += f"Cookie: private_media_session={self.rng.choice(self.load.sessions).cookie}\r\n"
            stream.sendall((head if self.rng.random() < 0.3 else head + "\r\n").encode())
            if self.rng.random() < 0.5:
                stream.recv(self.rng.choice([1, 100, 70_000]))
        finally:
            client.close()

    def _pipeline(self) -> None:
        """Sends several requests at once; each response must be the one of its request."""
        client, requests = (
            Client(self.load.address),
            [self._request() for _ in range(self.rng.randrange(2, 6))],
        )
        requests = [request for request in requests if request.method in {"GET", "HEAD"}] or [self._request()]
        try:
            start = time.monotonic()
            message = b"".join(
                f"{request.method} {request.target} HTTP/1.1\r\nHost: x\r\n".encode()
                + "".join(f"{name}: {value}\r\n" for name, value in request.headers).encode()
                + b"\r\n"
                for request in requests
            )
            client.open().sendall(message)
            for request in requests:
                self._judge(request, client.read_response(request.method), start)
        finally:
            client.close()

    def _malformed(self) -> None:
        """Sends bytes that are no request: an error or the end of the connection is right, a file is not."""
        client = Client(self.load.address)
        cookie = (
            f"Cookie: private_media_session={self.rng.choice(self.load.sessions).cookie}\r\n"
            if self.load.sessions
            else ""
        )
        path = PREFIX + "cars/7/photo-0.jpg"
        message = self.rng.choice(
            [
                f"GET {path} HTTP/1.1\r\n{cookie}\r\n",
                f"GET {path} HTTP/1.1\nHost: x\n\x00\n",
                f"GET  {path} HTTP/1.1\r\nHost: x\r\n\r\n",
                f"GET {path}#a HTTP/1.1\r\nHost: x\r\n{cookie}\r\n",
                f"GET {path} HTTP/1.1\r\nHost: x\r\nHost: y\r\n{cookie}\r\n",
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "\x16\x03\x01\x02\x00\x01\r\n\r\n",
                f"GET {path} HTTP/9.9\r\nHost: x\r\n\r\n",
                f"GET {path} HTTP/1.1\r\nHost : x\r\n{cookie}\r\n",
            ]
        )
        try:
            client.open().sendall(message.encode("latin-1"))
            try:
                response = client.read_response("GET")
            except (ConnectionEndedError, ConnectionResetError):
                return
            if response.status < 400:
                self.load.finding(f"{message!r}: {response.status}")
        finally:
            client.close()
