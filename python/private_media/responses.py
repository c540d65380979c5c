"""What the core answers, as a response of Django."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders
from django.utils.datastructures import CaseInsensitiveMapping

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from private_media import _core

_OK = 200
_NOT_MODIFIED = 304
#: How many bytes a response may send before the event loop runs its other tasks.
_TURN = 256 << 10


def response_of(answer: _core.Answer) -> HttpResponseBase:
    """Make the response of an answer. Only more than a little of a file is a stream."""
    content, status = answer.content, answer.status
    response: HttpResponseBase
    if not isinstance(content, bytes):
        response = PrivateFileResponse(content, content_type="", status=status)
    elif status == _NOT_MODIFIED:
        response = HttpResponseNotModified()
    else:
        response = SmallFileResponse(content, content_type="", status=status)
    headers = answer.headers
    # Who asks is known by the session's cookie.
    headers["Vary"] = "Cookie"
    response.headers = _Headers(headers)
    return response


class _Headers(ResponseHeaders):
    """Headers that the core wrote, so they need not be looked through again."""

    def __init__(self, data: dict[str, str]) -> None:
        CaseInsensitiveMapping.__init__(self, data)


class _AsItIs(HttpResponseBase):
    def has_header(self, header: str) -> bool:
        """Tell whether a header is set. How the content is encoded is settled: not at all.

        GZipMiddleware asks for this before it compresses; of a part of a file that would make another part.
        """
        return header.lower() == "content-encoding" or super().has_header(header)


class SmallFileResponse(_AsItIs, HttpResponse):
    """A private file, or a part of one, that is so small that it is sent at once; or a line that says why there is none."""


class PrivateFileResponse(_AsItIs, StreamingHttpResponse):
    """The bytes of a private file, whole or in part, read as the client takes them."""

    #: How much a server's file wrapper reads at a time.
    block_size = 64 << 10
    #: What `wsgi.file_wrapper` is given: the whole file, or None where it is anything else.
    file_to_stream: _FileToStream | None = None

    def __init__(self, body: _core.Body, **more: Any) -> None:
        """Make a stream of a body."""
        self._body = body
        super().__init__(body, **more)

    def _set_streaming_content(self, value: Any) -> None:
        super()._set_streaming_content(value)  # type: ignore[misc]
        self.file_to_stream = None
        # Servers differ in what they make of a file's middle, so they get only whole ones. What a middleware puts in place of
        # the content has to be iterated.
        if value is self._body and self.status_code == _OK and (number := value.fileno()) is not None:
            self.file_to_stream = _FileToStream(value, number)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the bytes to an event loop.

        A piece that is in memory suspends nothing, and neither does a server's `send()` while its client keeps up or has
        left. Without a pause of our own the loop would run nothing else, not even what notices that the client left.
        """
        sent = 0
        async with aclosing(self._parts()) as parts:
            async for part in parts:
                yield part
                sent += len(part)
                if sent >= _TURN:
                    sent = 0
                    await asyncio.sleep(0)

    async def _parts(self) -> AsyncGenerator[bytes]:
        """Read without waiting for the disk in the event loop, and never all at once."""
        if self.is_async:
            async for part in self.streaming_content:  # type: ignore[union-attr]
                yield part
        elif self._iterator is self._body:  # type: ignore[attr-defined]
            while True:
                part = self._body.read_now()
                if part is None:
                    part = await asyncio.to_thread(self._body.read)
                if not part:
                    return
                yield part
        else:
            iterator: Iterator[bytes] = iter(self.streaming_content)  # type: ignore[arg-type]
            while (part := await asyncio.to_thread(next, iterator, None)) is not None:
                yield part


class _FileToStream:
    """A file as servers' file wrappers take it: those that know how send its descriptor, the others read."""

    def __init__(self, body: _core.Body, number: int) -> None:
        self._body = body
        self._number = number
        self._rest = b""

    def fileno(self) -> int:
        return self._number

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            return self._rest + b"".join(self._body)
        piece = self._rest or self._body.read()
        self._rest = piece[size:]
        return piece[:size]

    def close(self) -> None:
        self._body.close()
