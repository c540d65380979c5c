"""An S3 server for tests, and a client that needs no credentials."""

from __future__ import annotations

import contextlib
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[2]
_PYTHON = _REPOSITORY / "target/buckets/bin/python"
BUCKET = "uploads"
#: The server accepts any signature.
_SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
}


class Server:
    """A running server with an empty bucket."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.options = {"endpoint": self.endpoint, "allow_http": True}
        self.request("PUT", "")

    def request(self, method: str, key: str, content: bytes | None = None, query: str = "", **headers: str):
        url = f"{self.endpoint}/{BUCKET}/{urllib.parse.quote(key)}{query}"
        headers = {"Content-Type": "application/octet-stream", **_SIGNED, **headers}
        request = urllib.request.Request(url, content, headers, method=method)  # noqa: S310 (it is http)
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 (it is http)
            return response.headers, response.read()

    def put(self, key: str, content: bytes, **headers: str) -> None:
        self.request("PUT", key, content, **headers)

    def get(self, key: str) -> bytes:
        return self.request("GET", key)[1]

    def head(self, key: str):
        return self.request("HEAD", key)[0]

    def keys(self, prefix: str = "") -> list[str]:
        query = f"?list-type=2&prefix={urllib.parse.quote(prefix, safe='')}"
        listed = ET.fromstring(self.request("GET", "", query=query)[1])  # noqa: S314 (our own server)
        return [key.text for key in listed.iterfind("{*}Contents/{*}Key")]

    def uploads(self) -> int:
        """Return the number of multipart uploads that have not ended."""
        return self.request("GET", "", query="?uploads")[1].count(b"<UploadId>")


@contextlib.contextmanager
def running(**environment: str):
    if not _PYTHON.exists():
        assert "PRIVATE_MEDIA_TEST_ALL" not in os.environ, "no S3 server in target/buckets"
        pytest.skip("no S3 server in target/buckets")
    process = subprocess.Popen(
        [_PYTHON, _REPOSITORY / "tests/buckets/server.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    with process:
        try:
            yield Server(int(process.stdout.readline()))
        finally:
            process.kill()
