"""Moves the files of given fields from another root, by default the public one, to the private root.

The database is unchanged: it holds names relative to a root. Each file is copied, both are compared, and then the first one
is deleted, with the folders that become empty. A relocation may be interrupted at any time and run again. Each root may be a
folder or a bucket.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, TYPE_CHECKING, Any

from private_media import _core, bucket_file, buckets, conf

if TYPE_CHECKING:
    from django.db.models import FileField

    from private_media.storages import PrivateMediaStorage

_CHUNK = 1 << 20


class Found(Enum):
    """Where the file of a name is."""

    PUBLIC = "to move"
    PRIVATE = "already moved"
    BOTH = "in both"
    CONFLICT = "two different files"
    MISSING = "missing"
    CHANGED = "the file was replaced while it was copied"
    BLOCKED = "a private folder has this name, or a private file has its folder's name"
    ILLEGAL = "not a valid name of a private file"


@dataclass
class Result:
    """The number of names of each kind, and those with a problem."""

    counts: dict[Found, int] = field(default_factory=dict)
    length: int = 0
    problems: list[tuple[str, Found]] = field(default_factory=list)

    def add(self, name: str, found: Found, length: int) -> None:
        """Count a name."""
        self.counts[found] = self.counts.get(found, 0) + 1
        if found in {Found.PUBLIC, Found.BOTH}:
            self.length += length
        if found in {Found.CONFLICT, Found.MISSING, Found.CHANGED, Found.BLOCKED, Found.ILLEGAL}:
            self.problems.append((name, found))


def names_of(fields: Iterable[FileField]) -> list[str]:
    """Return the names in these fields, without duplicates."""
    names: dict[str, None] = {}
    for each in fields:
        rows = each.model._base_manager.exclude(**{each.name: ""}).exclude(**{each.name: None})  # noqa: SLF001
        names.update(dict.fromkeys(rows.values_list(each.name, flat=True).iterator()))
    return list(names)


class Folder:
    """A folder whose files are moved."""

    def __init__(self, location: str | os.PathLike[str]) -> None:
        """Open the folder."""
        # Without an option, all files below it are public already, so links may be followed.
        self.location = os.path.abspath(os.fspath(location))  # noqa: PTH100 (links stay as they are)
        self._root = _core.Root(self.location, follow_links=True)

    def metadata(self, name: str) -> tuple[int, str]:
        """Return the size and the version of a file."""
        return self._root.metadata(name)

    def open(self, name: str) -> tuple[IO[bytes], int]:
        """Return the open file, and its time in nanoseconds."""
        file = os.fdopen(self._root.open(name, "r"), "rb")
        return file, os.fstat(file.fileno()).st_mtime_ns

    def delete(self, name: str, version: tuple[int, str]) -> bool:
        """Delete a version of a file, and the folders above it that are now empty. Returns False if it is another version."""
        if self._root.metadata(name) != version:
            return False
        self._root.delete(name)
        folder = name.rpartition("/")[0]
        while folder:
            try:
                self._root.remove_folder(folder)
            except OSError:
                # The folder is not empty, or is a link.
                break
            folder = folder.rpartition("/")[0]
        return True


class Bucket:
    """A bucket whose files are moved."""

    def __init__(self, location: str, options: dict[str, Any]) -> None:
        """Connect to the bucket, and check that it exists."""
        self.location = location
        self._bucket = buckets.connect(location, options)
        self._bucket.check_access()

    def metadata(self, name: str) -> tuple[int, str]:
        """Return the size and the version of a file."""
        return self._bucket.metadata(name)

    def open(self, name: str) -> tuple[IO[bytes], int]:
        """Return the open file, and its time in nanoseconds."""
        source = self._bucket.open(name)
        return bucket_file.buffered(source), source.modified_ns

    def delete(self, name: str, version: tuple[int, str]) -> bool:
        """Delete a version of a file. Returns False if it is another version."""
        try:
            self._bucket.delete(name, version[1])
        except OSError as error:
            if error.errno == errno.ESTALE:
                return False
            raise
        return True


def source_at(location: str | os.PathLike[str], storage: PrivateMediaStorage) -> Folder | Bucket:
    """Return the folder or bucket at a location. A bucket has the options of the storage, if that is a bucket too."""
    if isinstance(location, str) and conf.is_bucket(location):
        return Bucket(location, storage.bucket_options)
    return Folder(location)


class Relocation:
    """Moves files from a folder or bucket to private storage."""

    def __init__(self, source: Folder | Bucket, storage: PrivateMediaStorage) -> None:
        """Take both places. The first file opens or creates the private one."""
        self._source = source
        self._storage = storage
        #: Folders of a bucket whose names no file has.
        self._folders: set[str] = set()

    def run(self, names: Iterable[str], *, apply: bool) -> Iterator[tuple[str, Result]]:
        """Inspect each file, and move it with `apply`. Yields each name with the result so far."""
        result = Result()
        for name in names:
            try:
                found, length = self._inspect(name)
                if apply and found is Found.PUBLIC:
                    found = self._copy(name)
                if found is Found.BOTH:
                    found = self._finish(name, apply=apply)
            except _core.IllegalPath:
                found, length = Found.ILLEGAL, 0
            except (FileExistsError, IsADirectoryError, NotADirectoryError):
                found, length = Found.BLOCKED, 0
            result.add(name, found, length)
            yield name, result

    def _inspect(self, name: str) -> tuple[Found, int]:
        try:
            length, _ = self._source.metadata(name)
        except FileNotFoundError:
            return (Found.PRIVATE if self._is_private(name) else Found.MISSING), 0
        return (Found.BOTH if self._is_private(name) else Found.PUBLIC), length

    def _is_private(self, name: str) -> bool:
        try:
            if self._storage.is_bucket:
                self._require_folders(name)
                # Raises IsADirectoryError for a folder.
                self._storage.size(name)
            else:
                self._storage.open(name).close()
        except FileNotFoundError:
            return False
        return True

    def _require_folders(self, name: str) -> None:
        """Raise NotADirectoryError if a folder above a name is a file: a bucket itself would allow both."""
        folder = name.rpartition("/")[0]
        while folder and folder not in self._folders:
            with suppress(FileNotFoundError, IsADirectoryError):
                self._storage.size(folder)
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]

    def _copy(self, name: str) -> Found:
        file, modified_ns = self._source.open(name)
        with file:
            # Browsers' cached copies stay valid by their date.
            chunks = iter(lambda: file.read(_CHUNK), b"")
            used = self._storage._store(name, chunks, modified_ns=modified_ns)  # noqa: SLF001 (of this package)
        if used == name:
            return Found.BOTH
        # Another file or folder of this name was stored in the meantime.
        self._storage.delete(used)
        return Found.CONFLICT if self._is_private(name) else Found.BLOCKED

    def _finish(self, name: str, *, apply: bool) -> Found:
        """Delete the source if the private file has the same bytes."""
        version = self._source.metadata(name)
        file, _ = self._source.open(name)
        with file, self._storage.open(name) as private:
            if private.file is None or not _are_equal(file, private.file):
                return Found.CONFLICT
        if apply:
            return Found.PUBLIC if self._source.delete(name, version) else Found.CHANGED
        return Found.PUBLIC if self._source.metadata(name) == version else Found.CHANGED


def _are_equal(one: IO[bytes], other: IO[bytes]) -> bool:
    while True:
        chunk = one.read(_CHUNK)
        if chunk != other.read(len(chunk) or 1):
            return False
        if not chunk:
            return True
