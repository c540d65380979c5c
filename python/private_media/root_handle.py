"""The handle of the private root. Files are opened relative to it."""

from __future__ import annotations

import os
from typing import NamedTuple

from private_media import _core, conf


class _Opened(NamedTuple):
    location: str
    identity: tuple[int, int]
    modes: tuple[int | None, int | None, bool, bool]
    root: _core.Root


class RootHandle:
    """Opens the root when it is first needed, and again when its path leads to another folder.

    Tests delete and create roots, and a deployment may replace a symbolic link. The open handle keeps the inode number from
    being reused.
    """

    _opened: _Opened | None = None

    def at(
        self,
        location: str,
        file_mode: int | None = None,
        dir_mode: int | None = None,
        *,
        durable: bool = True,
    ) -> _core.Root:
        """Return the root at a location, opened with these modes. Raises FileNotFoundError."""
        found = os.stat(location)  # noqa: PTH116 (each request calls it)
        identity, modes = (found.st_dev, found.st_ino), (file_mode, dir_mode, durable, conf.follow_links())
        opened = self._opened
        if opened is None or opened[:3] != (location, identity, modes):
            root = _core.Root(
                location, file_mode=file_mode, dir_mode=dir_mode, durable=durable, follow_links=modes[3]
            )
            opened = _Opened(location, identity, modes, root)
            self._opened = opened
        return opened.root

    def __getstate__(self) -> dict[str, object]:
        """Exclude the handle from copies and pickles: they open their own."""
        return {}
