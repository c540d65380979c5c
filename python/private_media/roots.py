"""The root's handle, which everything is opened beneath."""

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
    """Opens a root when it is first needed, and again when another folder has taken its place.

    A folder that was deleted and made again, as tests do it, or a name that now leads to another release, is another
    folder. As long as the handle is open its number is not given to a new one.
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
        """Open the root at this location; raises FileNotFoundError if there is no such folder."""
        found = os.stat(location)  # noqa: PTH116 (each request asks)
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
        """Keep the handle out of copies and pickles: they open their own."""
        return {}
