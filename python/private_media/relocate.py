"""Moves the files of given fields from the public to the private root.

The database is unchanged: it holds names relative to a root. Each file is copied, both are compared, and then the public one
is deleted, with the folders that become empty. A relocation may be interrupted at any time and run again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, TYPE_CHECKING

from private_media import _core

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
        if found in {Found.CONFLICT, Found.MISSING, Found.BLOCKED, Found.ILLEGAL}:
            self.problems.append((name, found))


def names_of(fields: Iterable[FileField]) -> list[str]:
    """Return the names in these fields, without duplicates."""
    names: dict[str, None] = {}
    for each in fields:
        rows = each.model._base_manager.exclude(**{each.name: ""}).exclude(**{each.name: None})  # noqa: SLF001
        names.update(dict.fromkeys(rows.values_list(each.name, flat=True).iterator()))
    return list(names)


class Relocation:
    """Moves files from a public root to private storage."""

    def __init__(self, public_root: str | os.PathLike[str], storage: PrivateMediaStorage) -> None:
        """Open the public root. The first file opens or creates the private one."""
        # All files below the public root are public already, so links may be followed.
        location = os.path.abspath(os.fspath(public_root))  # noqa: PTH100 (links stay as they are)
        self._public = _core.Root(location, follow_links=True)
        self._storage = storage

    def run(self, names: Iterable[str], *, apply: bool) -> Iterator[tuple[str, Result]]:
        """Inspect each file, and move it with `apply`. Yields each name with the result so far."""
        result = Result()
        for name in names:
            try:
                found, length = self._inspect(name)
            except _core.IllegalPath:
                found, length = Found.ILLEGAL, 0
            except (IsADirectoryError, NotADirectoryError):
                found, length = Found.BLOCKED, 0
            if apply and found is Found.PUBLIC:
                found = self._move(name)
            if found is Found.BOTH:
                found = self._finish(name, apply=apply)
            result.add(name, found, length)
            yield name, result

    def _inspect(self, name: str) -> tuple[Found, int]:
        try:
            length, _ = self._public.metadata(name)
        except FileNotFoundError:
            return (Found.PRIVATE if self._is_private(name) else Found.MISSING), 0
        return (Found.BOTH if self._is_private(name) else Found.PUBLIC), length

    def _is_private(self, name: str) -> bool:
        try:
            self._storage.open(name).close()
        except FileNotFoundError:
            return False
        return True

    def _move(self, name: str) -> Found:
        with self._open(name) as source:
            used = self._storage._store(name, iter(lambda: source.read(_CHUNK), b""))  # noqa: SLF001 (of this package)
            if used != name:
                # Another file of this name was stored in the meantime.
                self._storage.delete(used)
                return Found.CONFLICT
            # Browsers' cached copies stay valid by their date.
            with self._storage.open(name) as copied:
                times = os.fstat(source.fileno())
                os.utime(copied.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))
        return Found.BOTH

    def _finish(self, name: str, *, apply: bool) -> Found:
        """Delete the public file if the private one has the same bytes."""
        before = self._public.metadata(name)
        with self._open(name) as public, self._storage.open(name) as private:
            if private.file is None or not _are_equal(public, private.file):
                return Found.CONFLICT
        if self._public.metadata(name) != before:
            return Found.CONFLICT
        if apply:
            self._public.delete(name)
            self._remove_empty_folders(name)
        return Found.PUBLIC

    def _remove_empty_folders(self, name: str) -> None:
        """Remove the folders above a file that are now empty, except for the public root."""
        folder = name.rpartition("/")[0]
        while folder:
            try:
                self._public.remove_folder(folder)
            except OSError:
                # The folder is not empty, or is a link.
                return
            folder = folder.rpartition("/")[0]

    def _open(self, name: str) -> IO[bytes]:
        return os.fdopen(self._public.open(name, "r"), "rb")


def _are_equal(one: IO[bytes], other: IO[bytes]) -> bool:
    while True:
        chunk = one.read(_CHUNK)
        if chunk != other.read(len(chunk) or 1):
            return False
        if not chunk:
            return True
