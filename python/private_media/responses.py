"""Converts the core's responses to Django's."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders
from django.utils.datastructures import CaseInsensitiveMapping

from private_media import conf

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from django.http import HttpRequest

    from private_media import _core

_OK = 200
_NO_CONTENT = 204
_NOT_MODIFIED = 304
_UNAVAILABLE = 503
#: Seconds until a client should ask a bucket again.
_RETRY_AFTER = 5
#: Bytes that a response sends before it lets the event loop run other tasks.
_YIELD_AFTER = 256 << 10


def to_django(source: _core.Response, meta: dict[str, Any]) -> HttpResponseBase:
    """Return Django's response to a request with this `META`: a stream, unless the content is small."""
    content, status = source.content, source.status
    response: HttpResponseBase
    if not isinstance(content, bytes):
        response = PrivateFileResponse(content, content_type="", status=status)
    elif status == _NOT_MODIFIED:
        response = HttpResponseNotModified()
    else:
        response = SmallFileResponse(content, content_type="", status=status)
    response.headers = _Headers(_with_cors(source.headers, meta))
    return response


def _with_cors(headers: dict[str, str], meta: dict[str, Any]) -> dict[str, str]:
    # The session cookie identifies the user.
    if cors := conf.cors():
        headers.update(cors.headers(meta))
        headers["Vary"] = "Cookie, Origin, Referer"
    else:
        headers["Vary"] = "Cookie"
    return headers


def try_again_later(meta: dict[str, Any]) -> HttpResponse:
    """Return the response while the bucket does not respond, as the gateway sends it."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "private, no-cache"}
    headers["Retry-After"] = str(_RETRY_AFTER)
    response = SmallFileResponse(b"try again later\n", content_type="", status=_UNAVAILABLE)
    response.headers = _Headers(_with_cors(headers, meta))
    return response


def preflight(request: HttpRequest) -> HttpResponse | None:
    """Return the response to a preflight request of an allowed origin. It is the same for every path."""
    cors = conf.cors()
    headers = cors.preflight(request.method or "", request.META) if cors else None
    if headers is None:
        return None
    response = HttpResponse(status=_NO_CONTENT, headers={**headers, "Vary": "Cookie, Origin, Referer"})
    del response["Content-Type"]
    return response


class _Headers(ResponseHeaders):
    """Headers of the core, which need no further validation."""

    def __init__(self, data: dict[str, str]) -> None:
        CaseInsensitiveMapping.__init__(self, data)


class _Uncompressed(HttpResponseBase):
    def has_header(self, header: str) -> bool:
        """Return whether a header is set, and True for Content-Encoding.

        GZipMiddleware skips such responses. It would change the bytes of a range.
        """
        return header.lower() == "content-encoding" or super().has_header(header)


class SmallFileResponse(_Uncompressed, HttpResponse):
    """A small private file, a small part of one, or an error message."""


class PrivateFileResponse(_Uncompressed, StreamingHttpResponse):
    """A private file, or a part of one, read at the client's pace."""

    #: Bytes that a server's file wrapper reads at a time.
    block_size = 64 << 10
    #: The argument of `wsgi.file_wrapper`, if the content is a whole file.
    file_to_stream: _FileToStream | None = None

    def __init__(self, body: _core.Body, **more: Any) -> None:
        """Stream a body."""
        self._body = body
        super().__init__(body, **more)

    def _set_streaming_content(self, value: Any) -> None:
        super()._set_streaming_content(value)  # type: ignore[misc]
        self.file_to_stream = None
        # Servers handle a file's position differently, so their wrappers get whole files only. A middleware's own content is
        # iterated.
        if value is self._body and self.status_code == _OK and (number := value.fileno()) is not None:
            self.file_to_stream = _FileToStream(value, number)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the bytes in an event loop, with pauses.

        A chunk from the page cache does not suspend, nor does a server's `send()` to a fast or departed client. Without pauses
        the loop would run no other task, including the one that notices a disconnected client.
        """
        sent = 0
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                yield chunk
                sent += len(chunk)
                if sent >= _YIELD_AFTER:
                    sent = 0
                    await asyncio.sleep(0)

    async def _chunks(self) -> AsyncGenerator[bytes]:
        """Iterate in chunks, without blocking the event loop on the disk."""
        if self.is_async:
            async for chunk in self.streaming_content:  # type: ignore[union-attr]
                yield chunk
        elif self._iterator is self._body:  # type: ignore[attr-defined]
            while True:
                chunk = self._body.read_now()
                if chunk is None:
                    chunk = await asyncio.to_thread(self._body.read)
                if not chunk:
                    return
                yield chunk
        else:
            iterator: Iterator[bytes] = iter(self.streaming_content)  # type: ignore[arg-type]
            while (chunk := await asyncio.to_thread(next, iterator, None)) is not None:
                yield chunk


class _FileToStream:
    """A file object for `wsgi.file_wrapper`: servers use its descriptor or read it."""

    def __init__(self, body: _core.Body, number: int) -> None:
        self._body = body
        self._number = number
        self._rest = b""

    def fileno(self) -> int:
        return self._number

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            return self._rest + b"".join(self._body)
        chunk = self._rest or self._body.read()
        self._rest = chunk[size:]
        return chunk[:size]

    def close(self) -> None:
        self._body.close()
