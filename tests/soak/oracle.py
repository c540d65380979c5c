"""A second, naive implementation of what the gateway promises, to check every response against.

It shares no code with the gateway and prefers simple code to fast code. It stores the times at which files, accounts and
sessions change: a response is right if it was right at any moment between its request and its last byte.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

PREFIX = "/private/"


class Timeline:
    """A value that changes. While a change is in progress, both the old and the new value count."""

    def __init__(self, value: object, start: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._entries: list[list[Any]] = [[start, float("inf"), value]]

    def change(self, value: object, begin: float, end: float) -> None:
        """Records that the value changed at some moment between `begin` and `end`."""
        with self._lock:
            self._entries[-1][1] = min(self._entries[-1][1], end)
            self._entries.append([begin, float("inf"), value])
            del self._entries[:-6]

    def begin(self, value: object, begin: float) -> None:
        """Records that a change began; `settle` tells when it has ended."""
        with self._lock:
            self._entries.append([begin, float("inf"), value])
            del self._entries[:-6]

    def settle(self, end: float) -> None:
        """Ends everything but the newest value."""
        with self._lock:
            for entry in self._entries[:-1]:
                entry[1] = min(entry[1], end)

    def values(self, start: float, stop: float) -> list[Any]:
        """Returns the values that were in force at any moment from `start` to `stop`."""
        with self._lock:
            return [value for begin, end, value in self._entries if begin <= stop and end >= start]


@dataclass
class User:
    """An account."""

    name: str
    id: str
    password: str
    staff: bool = False
    exists: Timeline = field(default_factory=lambda: Timeline(True))
    #: Whether a wrong password was sent for this account, so that its sign-ins may be throttled.
    was_guessed: bool = False


@dataclass
class Session:
    """A session cookie, and whether it is still in force."""

    cookie: str
    user: User
    valid: Timeline = field(default_factory=lambda: Timeline(True))


@dataclass
class Request:
    """A request, and what the client knows about it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    user: User | None = None
    session: Session | None = None
    uses_password: bool = False


@dataclass
class Response:
    """A response as it came over the connection."""

    status: int
    headers: dict[str, str]
    body: bytes


class World:
    """The files, the service's state, and the faults in force."""

    def __init__(self) -> None:
        self.files: dict[str, Timeline] = {}
        #: Reasons why a permitted request may fail at the moment: a set of statuses, or `{"down"}`.
        self.excuses = Timeline(frozenset())
        self.etags: dict[tuple[str, str], set[bytes]] = {}
        self._lock = threading.Lock()

    def check(self, request: Request, response: Response, start: float, stop: float) -> str | None:
        """Returns what is wrong with a response, or None."""
        excuses = frozenset().union(*self.excuses.values(start, stop))
        path = path_of(request.target)
        problems = []
        for user in self._identities(request, start, stop):
            contents = self.files[path].values(start, stop) if path in self.files else [None]
            permitted = path is not None and may_read(user, path)
            if request.method not in {"GET", "HEAD"} and request.target.startswith(PREFIX):
                outcomes = [405]
            elif permitted:
                outcomes = [*contents]
                if response.status in excuses:
                    return None
            else:
                outcomes = [None]
            if request.uses_password and request.user and must_wait(request.user, response):
                return None
            for outcome in outcomes:
                problem = self._mismatch(request, response, path, outcome)
                if problem is None:
                    return None
                problems.append(problem)
        return "; or ".join(dict.fromkeys(problems)) or "no possible outcome"

    @staticmethod
    def _identities(request: Request, start: float, stop: float) -> list[User | None]:
        user = request.user
        if user is None:
            return [None]
        exists = user.exists.values(start, stop)
        valid = request.session.valid.values(start, stop) if request.session else [True]
        found: list[User | None] = []
        if True in exists and True in valid:
            found.append(user)
        if False in exists or False in valid:
            found.append(None)
        return found

    def _mismatch(
        self, request: Request, response: Response, path: str | None, outcome: object
    ) -> str | None:
        """Compares a response with one outcome: a content, None (not found), or a status."""
        is_head = request.method == "HEAD"
        if outcome == 405:
            return None if response.status == 405 else f"expected 405, got {response.status}"
        if outcome is None:
            if response.status != 404:
                return f"expected 404, got {response.status} with {len(response.body)} bytes"
            if not is_head and response.body != b"not found\n":
                return f"a 404 with the body {response.body[:60]!r}"
            leaked = {
                "etag",
                "last-modified",
                "content-range",
                "content-disposition",
            } & response.headers.keys()
            return f"a 404 with {leaked}" if leaked else None
        assert isinstance(outcome, bytes)
        assert path is not None
        return self._file_mismatch(request, response, path, outcome)

    def _file_mismatch(self, request: Request, response: Response, path: str, content: bytes) -> str | None:
        headers = {name.lower(): value for name, value in request.headers}
        if "private" not in response.headers.get("cache-control", ""):
            return "no Cache-Control: private"
        etag = response.headers.get("etag", "")
        if response.status in {200, 206, 304} and not re.fullmatch(r'"[^"]+"', etag):
            return f"a weak or missing entity tag {etag!r}"
        known = headers.get("if-none-match")
        if response.status == 304:
            with self._lock:
                seen = self.etags.get((path, known or ""), set())
            return None if content in seen else "304 for another content"
        ranged = headers.get("range") if request.method == "GET" else None
        problem = _body_mismatch(request.method, ranged, response, content)
        if problem is None and response.status in {200, 206}:
            with self._lock:
                self.etags.setdefault((path, etag), set()).add(content)
        return problem


def _body_mismatch(method: str, ranged: str | None, response: Response, content: bytes) -> str | None:
    if response.status == 200 and method == "HEAD":
        length = response.headers.get("content-length")
        return (
            None
            if length == str(len(content)) and not response.body
            else f"HEAD says {length} of {len(content)}"
        )
    if response.status == 200:
        wanted = ranges_of(ranged, len(content))
        if ranged and wanted and len(wanted) == 1:
            return "200 for a range that can be satisfied"
        return None if response.body == content else _difference(response.body, content)
    wanted = ranges_of(ranged, len(content))
    if response.status == 416:
        return None if wanted == [] else f"416 for {ranged} of {len(content)}"
    if response.status == 206 and wanted:
        return _partial_mismatch(wanted, response, content)
    return f"got {response.status} for {method} {ranged} of {len(content)} bytes"


def _partial_mismatch(wanted: list[tuple[int, int]], response: Response, content: bytes) -> str | None:
    boundary = re.fullmatch(r"multipart/byteranges; boundary=(\S+)", response.headers.get("content-type", ""))
    if not boundary:
        parts = [(response.headers.get("content-range", ""), response.body)]
    else:
        parts = []
        for part in response.body.split(b"--" + boundary[1].encode())[1:-1]:
            head, _, body = part.partition(b"\r\n\r\n")
            line = re.search(rb"(?i)content-range: ([^\r]+)", head)
            parts.append((line[1].decode() if line else "", body.removesuffix(b"\r\n")))
    covered: set[int] = set()
    for content_range, body in parts:
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range)
        if not found:
            return f"a part with the Content-Range {content_range!r}"
        first, last, length = map(int, found.groups())
        if length != len(content):
            return f"a part of {length} bytes, expected {len(content)}"
        if body != content[first : last + 1]:
            return _difference(body, content[first : last + 1])
        covered.update((first, last))
    edges = {edge for begin, end in wanted for edge in (begin, end)}
    inside = all(any(int(m[1]) <= edge <= int(m[2]) for m in _ranges(parts)) for edge in edges)
    return None if inside else f"{wanted} is not covered"


def _ranges(parts: list[tuple[str, bytes]]) -> list[re.Match[str]]:
    return [found for text, _ in parts if (found := re.fullmatch(r"bytes (\d+)-(\d+)/\d+", text))]


def _difference(got: bytes, expected: bytes) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b),
        min(len(got), len(expected)),
    )
    return f"wrong bytes: {len(got)} of {len(expected)}, first difference at {at}: {got[at : at + 12]!r}"


def ranges_of(header: str | None, length: int) -> list[tuple[int, int]] | None:
    """Returns the satisfiable ranges of a Range header, or None without a valid one (RFC 9110 section 14)."""
    if header is None or not header.startswith("bytes="):
        return None
    found = []
    for spec in header.removeprefix("bytes=").split(","):
        match = re.fullmatch(r"\s*(\d*)-(\d*)\s*", spec)
        if not match or match[0].strip() == "-":
            return None
        first, last = match.groups()
        if first == "":
            if int(last) > 0 and length > 0:
                found.append((max(0, length - int(last)), length - 1))
        elif last and int(last) < int(first):
            return None
        elif int(first) < length:
            found.append((int(first), min(int(last) if last else length - 1, length - 1)))
    return found


def path_of(target: str) -> str | None:
    """Returns the path of a file that a request target names, or None if it is not a legal one."""
    rest = target.partition("?")[0]
    if not rest.startswith(PREFIX):
        return None
    segments = []
    for raw in rest.removeprefix(PREFIX).split("/"):
        if re.search(r"%(?![0-9A-Fa-f]{2})", raw):
            return None
        try:
            segment = unquote_to_bytes(raw).decode("utf-8", "strict")
        except UnicodeDecodeError:
            return None
        if segment in {"", ".", ".."} or segment.startswith(".") or len(segment.encode()) > 255:
            return None
        if any(c in "/\\" or ord(c) < 32 or 127 <= ord(c) < 160 for c in segment):
            return None
        segments.append(segment)
    path = "/".join(segments)
    return path if segments[0] != "-" and len(path.encode()) <= 1024 else None


def must_wait(user: User, response: Response) -> bool:
    """Returns whether a response may delay a password check: too many are waiting, or too many were wrong."""
    return "retry-after" in response.headers and (
        response.status == 503 or (response.status == 429 and user.was_guessed)
    )


def may_read(user: User | None, path: str) -> bool:
    """The grants of the run: cars to owner and staff, shared to authenticated, open to everyone."""
    segments = path.split("/")
    if segments[0] == "cars" and len(segments) >= 3:
        return user is not None and (user.staff or user.id == segments[1])
    if segments[0] == "shared" and len(segments) >= 2:
        return user is not None
    return segments[0] == "open" and len(segments) >= 2


GRANTS = ["cars/{owner}/{*file}=owner,staff", "shared/{*file}=authenticated", "open/{*file}=everyone"]
