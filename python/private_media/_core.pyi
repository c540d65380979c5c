# The Rust part of private_media, documented in crates/private-media-python.

from collections.abc import Iterator
from typing import Any, final

__version__: str

__all__ = [
    "Body",
    "Cors",
    "Delivery",
    "FrontConfig",
    "FrontError",
    "Grants",
    "IllegalPath",
    "QueuedRequest",
    "RequestQueue",
    "Response",
    "Root",
    "Sessions",
    "__version__",
    "content_type",
    "media_path",
    "path_of_url",
    "run_program",
    "safe_name",
    "serve",
    "url_of_path",
]

class IllegalPath(ValueError): ...
class FrontError(ValueError): ...

def content_type(file_name: str) -> tuple[str, bool]: ...
def media_path(path: str) -> str: ...
def path_of_url(url: str) -> str: ...
def url_of_path(path: str) -> str: ...
def safe_name(raw: str) -> str: ...

@final
class Cors:
    def __new__(cls, origins: list[str], *, credentials: bool = False) -> Cors: ...
    def headers(self, meta: dict[str, Any]) -> dict[str, str]: ...
    def preflight(self, method: str, meta: dict[str, Any]) -> dict[str, str] | None: ...

@final
class Grants:
    def __new__(cls, grants: list[tuple[str, list[str]]]) -> Grants: ...
    @staticmethod
    def default() -> Grants: ...
    @property
    def names_groups(self) -> bool: ...
    def templates(self) -> list[str]: ...
    def suspicious_segments(self) -> list[tuple[str, str]]: ...
    def decide(
        self,
        path: str,
        user: str | None,
        *,
        name: str | None = None,
        staff: bool = False,
        groups: list[str] | None = None,
    ) -> tuple[bool, str]: ...

@final
class Root:
    def __new__(
        cls,
        location: str,
        *,
        file_mode: int | None = None,
        dir_mode: int | None = None,
        durable: bool = True,
        follow_links: bool = False,
    ) -> Root: ...
    def respond(
        self, delivery: Delivery, method: str, path: str, meta: dict[str, Any], *, download: bool = False
    ) -> Response: ...
    def open(self, path: str, mode: str) -> int: ...
    def save(
        self, path: str, content: Iterator[bytes], *, replace: bool = False, expected_len: int | None = None
    ) -> str: ...
    def delete(self, path: str) -> None: ...
    def remove_folder(self, path: str) -> None: ...
    def list(self, folder: str | None = None) -> list[tuple[str, bool]]: ...
    def stat(self, name: str) -> tuple[bool, int, float, float, float]: ...
    def remove(self, name: str) -> None: ...
    def metadata(self, path: str) -> tuple[int, str]: ...

@final
class Delivery:
    @staticmethod
    def direct() -> Delivery: ...
    @staticmethod
    def nginx(internal_url: str) -> Delivery: ...
    @staticmethod
    def nginx_full_path(root: str) -> Delivery: ...
    @staticmethod
    def apache(root: str, encoding: str = "auto") -> Delivery: ...

@final
class Response:
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def content(self) -> bytes | Body: ...

@final
class Body:
    def read(self) -> bytes: ...
    def read_now(self) -> bytes | None: ...
    def fileno(self) -> int | None: ...
    @property
    def remaining(self) -> int: ...
    def close(self) -> None: ...
    def __iter__(self) -> Body: ...
    def __next__(self) -> bytes: ...

@final
class RequestQueue:
    def __new__(cls, cache: float, *, by_path: bool = False) -> RequestQueue: ...
    def next(self) -> QueuedRequest | None: ...

@final
class QueuedRequest:
    @property
    def path(self) -> str | None: ...
    def environ(self, script: str) -> dict[str, str]: ...
    def reply_identity(
        self, user: str | None, *, name: str = "", staff: bool = False, groups: list[str] | None = None
    ) -> None: ...
    def reply_decision(self, allowed: bool, reason: str) -> None: ...
    def fail(self, reason: str) -> None: ...

@final
class Sessions:
    def __new__(
        cls,
        database: str,
        keys: list[str],
        *,
        cookie: str,
        backends: list[str],
        cache: float,
        max_age: float | None = None,
    ) -> Sessions: ...

def serve(
    bind: str,
    url: str,
    root: str,
    delivery: Delivery,
    queue: RequestQueue,
    *,
    sessions: Sessions | None = None,
    grants: Grants | None = None,
    cors: Cors | None = None,
    cache_files: bool = False,
    follow_links: bool = False,
    download: bool = False,
    debug: bool = False,
    workers: int | None = None,
    log: str = "info",
    notes: list[str] | None = None,
) -> bool: ...
def run_program(arguments: list[str]) -> int: ...

@final
class FrontConfig:
    def __new__(
        cls,
        front: str,
        url: str,
        root: str,
        *,
        application: str,
        gateway: str | None = None,
        keep_alive: int,
        printed_by: str,
    ) -> FrontConfig: ...
    def hand_off_to_nginx(self, internal_url: str | None = None) -> None: ...
    def hand_off_to_apache(self, encoding: str) -> None: ...
    def publish(self, url: str, folder: str) -> None: ...
    def render(self, server: str) -> str: ...
