"""The storage of private files: what a model's field is given."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import FileSystemStorage
from django.utils.deconstruct import deconstructible
from django.utils.functional import cached_property

from private_media import _core, conf
from private_media.roots import RootHandle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_SETTINGS = {
    "PRIVATE_MEDIA_ROOT": ("base_location", "location"),
    "PRIVATE_MEDIA_URL": ("base_url",),
    "FORCE_SCRIPT_NAME": ("base_url",),
}


@deconstructible(path="private_media.storages.PrivateMediaStorage")
class PrivateMediaStorage(FileSystemStorage):
    """Files below PRIVATE_MEDIA_ROOT, under PRIVATE_MEDIA_URL.

    It is a FileSystemStorage with another way to the disk: a save is whole or nothing, and nothing is reached that is
    not beneath the root, wherever links lead. Names are those of private files: none of a path's segments begins with
    a dot.
    """

    # Django's own attributes, which its stubs do not tell of.
    _location: Any
    _base_url: str | None

    def __init__(self, location: Any = None, base_url: str | None = None, **kwargs: Any) -> None:
        """Take what FileSystemStorage takes; without a location or a URL the settings say them."""
        super().__init__(location, base_url, **kwargs)
        self._root = RootHandle()

    @cached_property
    def base_location(self) -> str:
        """The root as it was given."""
        return conf.root() if self._location is None else os.fspath(self._location)

    @cached_property
    def location(self) -> str:
        """The root's full path."""
        return os.path.abspath(self.base_location)  # noqa: PTH100 (links stay as they are)

    @cached_property
    def base_url(self) -> str:
        """The URL below which the files are."""
        if self._base_url is None:
            return conf.url()
        return self._base_url if self._base_url.endswith("/") else self._base_url + "/"

    def _clear_cached_properties(self, setting: str, **kwargs: Any) -> None:
        super()._clear_cached_properties(setting, **kwargs)  # type: ignore[arg-type]
        for name in _SETTINGS.get(setting, ()):
            self.__dict__.pop(name, None)

    def get_valid_name(self, name: str) -> str:
        """Give the name that an upload of this name gets: Django's, without what would hide it."""
        return _core.safe_name(super().get_valid_name(name))

    def delete(self, name: str) -> None:
        """Delete a file, or a folder that is empty; what is not there is deleted already."""
        if not name:
            msg = "The name must be given to delete()."
            raise ValueError(msg)
        path = self._media_path(name)
        try:
            root = self._open_root()
            try:
                root.delete(path)
            except FileNotFoundError:
                root.remove_folder(path)
        except FileNotFoundError:
            pass

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """List the folders and the files that could be served of a folder."""
        entries = self._open_root().list(self._media_path(path) or None)
        folders = [name for name, is_folder in entries if is_folder]
        return folders, [name for name, is_folder in entries if not is_folder]

    def size(self, name: str) -> int:
        """Give the size in bytes."""
        return self._stat(name).st_size

    def get_accessed_time(self, name: str) -> datetime:
        """Give the time of the last reading."""
        return self._datetime(self._stat(name).st_atime)

    def get_created_time(self, name: str) -> datetime:
        """Give the time of the last change of the file's own record, as Django's storage does."""
        return self._datetime(self._stat(name).st_ctime)

    def get_modified_time(self, name: str) -> datetime:
        """Give the time of the last change of its content."""
        return self._datetime(self._stat(name).st_mtime)

    def _datetime(self, timestamp: float) -> datetime:
        return cast("datetime", super()._datetime_from_timestamp(timestamp))  # type: ignore[misc]

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        descriptor = self._open_root().open(self._media_path(name), mode)
        file: IO[Any] = os.fdopen(descriptor, mode)
        opened: File[Any] = File(file, name=self.path(name))
        return opened

    def _save(self, name: str, content: File[Any]) -> str:
        return self.keep(name, _pieces(content), replace=self._replaces())

    def keep(self, name: str, pieces: Iterator[bytes], *, replace: bool = False) -> str:
        """Store pieces of bytes, and give the name really used: another one where the name is taken."""
        path = self._media_path(name)
        root = self._open_root(make=True)
        try:
            used = root.save(path, pieces, replace=replace)
        except NotADirectoryError as error:
            folder = str(Path(self.path(name)).parent)
            msg = f"{folder} exists and is not a directory."
            raise FileExistsError(msg) from error
        self._share_group(root, used)
        return used

    def _replaces(self) -> bool:
        # Before Django 5.1, and until 6.0, a subclass says so by its flags.
        flags = getattr(self, "OS_OPEN_FLAGS", os.O_EXCL)
        return bool(getattr(self, "_allow_overwrite", False)) or not flags & os.O_EXCL

    def _share_group(self, root: _core.Root, path: str) -> None:
        """Give a new file the root's group, as Django's storage does."""
        group = os.stat(self.location).st_gid  # noqa: PTH116
        descriptor = root.open(path, "r")
        try:
            if os.fstat(descriptor).st_gid != group:
                os.fchown(descriptor, -1, group)
        except PermissionError:
            pass
        finally:
            os.close(descriptor)

    def _stat(self, name: str) -> os.stat_result:
        descriptor = self._open_root().open(self._media_path(name), "r")
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _open_root(self, *, make: bool = False) -> _core.Root:
        if make and not Path(self.location).is_dir():
            self._make_root()
        return self._root.at(self.location, self.file_permissions_mode, self.directory_permissions_mode)

    def _make_root(self) -> None:
        location = Path(self.location)
        location.mkdir(parents=True, exist_ok=True)
        mode = self.directory_permissions_mode
        if mode is not None and stat.S_IMODE(location.stat().st_mode) != mode:
            location.chmod(mode)

    def _media_path(self, name: str) -> str:
        """Give the path that a name stands for below the root; the root itself is an empty one."""
        # safe_join takes a full path, too, if it is below the root.
        relative = os.path.relpath(self.path(name), self.location)
        if relative == os.curdir:
            return ""
        try:
            return _core.media_path(relative)
        except _core.IllegalPath as error:
            raise SuspiciousFileOperation(str(error)) from error


def _pieces(content: File[Any]) -> Iterator[bytes]:
    for chunk in content.chunks():
        yield chunk.encode() if isinstance(chunk, str) else bytes(chunk)
