"""Moves the files of named fields out of the public root into the private one, under the same names.

The database is not touched: it holds names below a root, and they stay. A file is copied, then both are read and compared,
and only then the public one is deleted, with the folders that it leaves empty. So it may be ended at any moment, and goes
on where it was.
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

_PIECE = 1 << 20


class Found(Enum):
    """What is there of a name."""

    PUBLIC = "to move"
    PRIVATE = "moved already"
    BOTH = "in both"
    CONFLICT = "two different files"
    MISSING = "nowhere"
    BLOCKED = "a private folder has this name, or a private file the name of its folder"
    ILLEGAL = "no name that could be served"


@dataclass
class Result:
    """How many names there are of each kind, and which ones need somebody to look."""

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
    """Give each name that the database has in these fields, once."""
    names: dict[str, None] = {}
    for each in fields:
        rows = each.model._base_manager.exclude(**{each.name: ""}).exclude(**{each.name: None})  # noqa: SLF001
        names.update(dict.fromkeys(rows.values_list(each.name, flat=True).iterator()))
    return list(names)


class Relocation:
    """From a public root into private storage."""

    def __init__(self, public_root: str | os.PathLike[str], storage: PrivateMediaStorage) -> None:
        """Open the public root; the private one is opened, or made, by the first file."""
        # Everything below the public root is public already, so its links may be followed.
        location = os.path.abspath(os.fspath(public_root))  # noqa: PTH100 (links stay as they are)
        self._public = _core.Root(location, follow_links=True)
        self._storage = storage

    def run(self, names: Iterable[str], *, apply: bool) -> Iterator[tuple[str, Result]]:
        """Look at each name, and move it if told to; gives each name and the result so far."""
        result = Result()
        for name in names:
            try:
                found, length = self._look(name)
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

    def _look(self, name: str) -> tuple[Found, int]:
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
            used = self._storage.keep(name, iter(lambda: source.read(_PIECE), b""))
            if used != name:
                # Somebody stored another file of that name meanwhile.
                self._storage.delete(used)
                return Found.CONFLICT
            # A browser's copy stays good by its date.
            with self._storage.open(name) as copied:
                times = os.fstat(source.fileno())
                os.utime(copied.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))
        return Found.BOTH

    def _finish(self, name: str, *, apply: bool) -> Found:
        """Delete the public file if the private one is the same to the byte."""
        before = self._public.metadata(name)
        with self._open(name) as public, self._storage.open(name) as private:
            if private.file is None or not _are_same(public, private.file):
                return Found.CONFLICT
        if self._public.metadata(name) != before:
            return Found.CONFLICT
        if apply:
            self._public.delete(name)
            self._tidy(name)
        return Found.PUBLIC

    def _tidy(self, name: str) -> None:
        """Remove the folders that this file was the last one of; the public root itself stays."""
        folder = name.rpartition("/")[0]
        while folder:
            try:
                self._public.remove_folder(folder)
            except OSError:
                # There is more in it, or it is a link.
                return
            folder = folder.rpartition("/")[0]

    def _open(self, name: str) -> IO[bytes]:
        return os.fdopen(self._public.open(name, "r"), "rb")


def _are_same(one: IO[bytes], other: IO[bytes]) -> bool:
    while True:
        piece = one.read(_PIECE)
        if piece != other.read(len(piece) or 1):
            return False
        if not piece:
            return True
