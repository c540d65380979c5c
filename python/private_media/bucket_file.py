"""Files of a bucket, as `open()` of the storage returns them."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings
from django.core.files import File

if TYPE_CHECKING:
    from types import TracebackType

    from private_media import _core

    _File = File[Any]
else:
    _File = File

#: Bytes of the first request, and of each request after a seek. What follows in sequence is one more request.
_FIRST = 256 << 10
_CHUNK = 1 << 20
#: Called with the chunks of a file that was written.
Store = Callable[[Iterator[bytes]], Any]


class BucketReader(io.RawIOBase):
    """Reads an object when it is needed: by ranges after a seek, and by one stream in sequence."""

    def __init__(self, source: _core.BucketFile) -> None:
        """Take an open object."""
        self._source = source
        self._position = 0
        #: The bytes that were received last, and their offset.
        self._piece, self._start = b"", 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position, without a request."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            msg = f"negative seek position {base + offset}"
            raise ValueError(msg)
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read at least one byte, except at the end."""
        rest = self._rest()[: len(buffer)]
        buffer[: len(rest)] = rest
        self._position += len(rest)
        return len(rest)

    def readall(self) -> bytes:
        """Read up to the end."""
        pieces = []
        while rest := self._rest():
            pieces.append(rest)
            self._position += len(rest)
        return b"".join(pieces)

    def close(self) -> None:
        """End the request."""
        self._source.close()
        super().close()

    def _rest(self) -> memoryview:
        """Return the bytes at the position that were received, and receive some if there are none."""
        if self.closed:
            msg = "I/O operation on closed file."
            raise ValueError(msg)
        end = self._start + len(self._piece)
        if self._position < self._source.size and not self._start <= self._position < end:
            is_next = self._position == end and self._piece
            read = self._source.read_next(self._position) if is_next else self._read_range()
            self._piece, self._start = read, self._position
        return memoryview(self._piece)[max(self._position - self._start, 0) :]

    def _read_range(self) -> bytes:
        return self._source.read_at(self._position, _FIRST)


class BucketWriter(_File):
    """A file that `close()` stores. Until then, it is a temporary file.

    After an exception in a `with` block, nothing is stored.
    """

    def __init__(self, name: str, mode: str, store: Store, source: _core.BucketFile | None = None) -> None:
        """Open a temporary file with the content of `source`, if there is one."""
        self._raw: IO[bytes] = tempfile.TemporaryFile(  # noqa: SIM115 (close() closes it)
            "a+b" if "a" in mode else "w+b", dir=settings.FILE_UPLOAD_TEMP_DIR
        )
        self._store: Store | None = store
        if source is not None:
            with BucketReader(source) as reader:
                while chunk := reader.read(_CHUNK):
                    self._raw.write(chunk)
            if "a" not in mode:
                self._raw.seek(0)
        self._written: IO[Any] = self._raw if "b" in mode else io.TextIOWrapper(self._raw)
        super().__init__(self._written, name)
        self.mode = mode

    def close(self) -> None:
        """Store the content, and delete the temporary file."""
        store, self._store = self._store, None
        try:
            if store is not None:
                self._written.flush()
                self._raw.seek(0)
                store(iter(lambda: self._raw.read(_CHUNK), b""))
        finally:
            super().close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Store the content, unless the block raised."""
        if kind is not None:
            self._store = None
        self.close()


def open_file(bucket: _core.Bucket, path: str, mode: str) -> File[Any]:
    """Open a file with a mode of Python's `open()`. Nothing of the content is requested before the first read."""
    kind = [letter for letter in mode if letter in "rwax"]
    if len(kind) != 1 or set(mode) - set("rwaxbt+"):
        msg = f"invalid mode: {mode!r}"
        raise ValueError(msg)
    if kind == ["r"] and "+" not in mode:
        return _open_to_read(bucket.open(path), mode, path)
    source = None
    if kind == ["x"]:
        _refuse_existing(bucket, path)
    elif kind != ["w"]:
        try:
            source = bucket.open(path)
        except FileNotFoundError:
            if kind == ["r"]:
                raise
    is_new = kind == ["x"]

    def store(chunks: Iterator[bytes]) -> str:
        return bucket.save(path, chunks, replace=not is_new, create_new=is_new)

    return BucketWriter(path, mode, store, source)


def _refuse_existing(bucket: _core.Bucket, path: str) -> None:
    with suppress(FileNotFoundError):
        bucket.metadata(path)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def buffered(source: _core.BucketFile) -> io.BufferedReader:
    """Return a binary file for reading."""
    return io.BufferedReader(BucketReader(source), _FIRST)


def _open_to_read(source: _core.BucketFile, mode: str, name: str) -> File[Any]:
    reader = buffered(source)
    opened: File[Any] = File(reader if "b" in mode else io.TextIOWrapper(reader), name=name)
    # File.size would look for a local file.
    opened.size = source.size
    return opened
