"""The storage of private files, for model fields."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import FileSystemStorage
from django.utils._os import safe_join
from django.utils.deconstruct import deconstructible
from django.utils.functional import cached_property

from private_media import _core, bucket_file, buckets, conf
from private_media.root_handle import RootHandle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

#: The error of a bucket that does not respond. It is an OSError.
BucketUnavailable = _core.BucketUnavailable
#: The stem of a file whose own stem has no valid character, as in the core.
_UNNAMED = "file"
#: Longest name, in bytes, on common file systems.
_MAX_SEGMENT = 255
_SETTINGS = {
    "PRIVATE_MEDIA_ROOT": ("base_location", "location"),
    "PRIVATE_MEDIA_URL": ("base_url",),
    "FORCE_SCRIPT_NAME": ("base_url",),
}


@deconstructible(path="private_media.storages.PrivateMediaStorage")
class PrivateMediaStorage(FileSystemStorage):
    """Stores files below PRIVATE_MEDIA_ROOT and returns URLs below PRIVATE_MEDIA_URL.

    A FileSystemStorage with atomic saves that never reaches outside its root, even through links. No segment of a name may
    begin with a dot. The root may be a bucket: s3://bucket/prefix, gs://… or az://….
    """

    # Attributes of FileSystemStorage that its stubs lack.
    _location: Any
    _base_url: str | None
    _file_permissions_mode: int | None
    _directory_permissions_mode: int | None

    def __init__(
        self, location: Any = None, base_url: str | None = None, *, durable: bool = True, **kwargs: Any
    ) -> None:
        """Take the arguments of FileSystemStorage; `location` and `base_url` default to the settings.

        With `durable=False`, saves and deletes do not wait for the disk: a power cut may undo the last ones. The options of a
        bucket are those of PRIVATE_MEDIA_BUCKET_OPTIONS, and default to them.
        """
        options = {name: kwargs.pop(name) for name in buckets.OPTIONS & kwargs.keys()}
        super().__init__(location, base_url, **kwargs)
        self.bucket_options = buckets.validated("PrivateMediaStorage", options)
        self._durable = durable
        self._root = RootHandle()

    @cached_property
    def base_location(self) -> str:
        """The root, as configured."""
        return conf.root() if self._location is None else os.fspath(self._location)

    @cached_property
    def location(self) -> str:
        """The full path of the root, or the URL of the bucket."""
        if self.is_bucket:
            return self.base_location
        return os.path.abspath(self.base_location)  # noqa: PTH100 (links stay as they are)

    @property
    def is_bucket(self) -> bool:
        """Whether the files are in a bucket."""
        return conf.is_bucket(self.base_location)

    @cached_property
    def base_url(self) -> str:
        """The URL prefix of the files."""
        if self._base_url is None:
            return conf.url()
        return self._base_url if self._base_url.endswith("/") else self._base_url + "/"

    def _clear_cached_properties(self, setting: str, **kwargs: Any) -> None:
        super()._clear_cached_properties(setting, **kwargs)  # type: ignore[arg-type]
        for name in _SETTINGS.get(setting, ()):
            self.__dict__.pop(name, None)

    def get_valid_name(self, name: str) -> str:
        """Return the name for an upload: Django's, without leading dots."""
        valid = super().get_valid_name(name)
        if valid.startswith(".") and not name.strip().startswith("."):
            # Django removed the whole stem, as in "😀.txt"; keep the extension.
            valid = _UNNAMED + valid
        return _core.safe_name(valid)

    def path(self, name: str) -> str:
        """Return the full path of a file. Raises NotImplementedError for a bucket."""
        if self.is_bucket:
            msg = f"{self.location} is a bucket, whose files have no path; use open()"
            raise NotImplementedError(msg)
        return super().path(name)

    def exists(self, name: str) -> bool:
        """Return whether open() finds a file, or listdir() a folder."""
        try:
            self._stat(name)
        except IsADirectoryError:
            # All that a bucket knows of a folder.
            return True
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return False
        except OSError:
            if self.is_bucket:
                raise
            return False
        return True

    def delete(self, name: str) -> None:
        """Delete a file or an empty folder, if it exists."""
        relative = self._relative(name) if name else ""
        if not relative:
            msg = "The name must be given to delete()."
            raise ValueError(msg)
        with suppress(FileNotFoundError):
            self._open_root().remove(self._existing(name) if self.is_bucket else relative)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of a folder's servable folders and files."""
        entries = self._open_root().list(self._existing(path) or None)
        folders = [name for name, is_folder in entries if is_folder]
        return folders, [name for name, is_folder in entries if not is_folder]

    def size(self, name: str) -> int:
        """Return the size in bytes."""
        return self._stat(name)[1]

    def get_accessed_time(self, name: str) -> datetime:
        """Return the time of the last access. Raises NotImplementedError for a bucket."""
        if self.is_bucket:
            msg = "buckets store no time of access"
            raise NotImplementedError(msg)
        return self._datetime(self._stat(name)[2])

    def get_created_time(self, name: str) -> datetime:
        """Return the ctime, as FileSystemStorage does. In a bucket, it is the time of the upload."""
        return self._datetime(self._stat(name)[4])

    def get_modified_time(self, name: str) -> datetime:
        """Return the time of the last change of the content."""
        return self._datetime(self._stat(name)[3])

    def _datetime(self, timestamp: float) -> datetime:
        return cast("datetime", super()._datetime_from_timestamp(timestamp))  # type: ignore[misc]

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        may_create = any(kind in mode for kind in "wax")
        path = self._media_path(name) if may_create else self._existing(name)
        if not path:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.location)
        root = self._open_root()
        if isinstance(root, _core.Bucket):
            return bucket_file.open_file(root, path, mode)
        descriptor = root.open(path, mode)
        file: IO[Any] = os.fdopen(descriptor, mode)
        opened: File[Any] = File(file, name=self.path(name))
        return opened

    def _save(self, name: str, content: File[Any]) -> str:
        return self._store(name, _chunks(content), replace=self._replaces())

    def _store(
        self, name: str, chunks: Iterator[bytes], *, replace: bool = False, modified_ns: int | None = None
    ) -> str:
        """Store chunks of bytes. Returns the name used: another one if the given name was taken."""
        path = self._media_path(name)
        try:
            return self._open_root(create=True).save(path, chunks, replace=replace, modified_ns=modified_ns)
        except NotADirectoryError as error:
            if self.is_bucket:
                msg = f"a folder of {self.location}/{path} is a file."
                raise FileExistsError(msg) from error
            folder = Path(self.path(name)).parent
            if folder.exists():
                msg = f"{folder} exists and is not a directory."
                raise FileExistsError(msg) from error
            raise NotADirectoryError(error.errno, error.strerror, str(folder)) from error

    def _replaces(self) -> bool:
        # Before Django 6.0, a subclass may set OS_OPEN_FLAGS.
        flags = getattr(self, "OS_OPEN_FLAGS", os.O_EXCL)
        return bool(getattr(self, "_allow_overwrite", False)) or not flags & os.O_EXCL

    def _stat(self, name: str) -> tuple[bool, int, float, float, float]:
        return self._open_root().stat(self._existing(name) if self.is_bucket else self._relative(name))

    def _open_root(self, *, create: bool = False) -> _core.Root | _core.Bucket:
        if self.is_bucket:
            return self.bucket()
        modes = self.file_permissions_mode, self.directory_permissions_mode
        try:
            return self._root.at(self.location, *modes, durable=self._durable)
        except FileNotFoundError:
            if not create:
                raise
        self._create_root()
        return self._root.at(self.location, *modes, durable=self._durable)

    def bucket(self) -> _core.Bucket:
        """Return the bucket. Raises ImproperlyConfigured if the location is a folder, or an option is invalid."""
        return buckets.connect(self.location, self.bucket_options)

    def options_without_effect(self) -> tuple[list[str], str]:
        """Return the given options that do not apply to the location, and what the location is."""
        if not self.is_bucket:
            return sorted(self.bucket_options), "folder"
        given = {
            "durable": not self._durable,
            "file_permissions_mode": self._file_permissions_mode is not None,
            "directory_permissions_mode": self._directory_permissions_mode is not None,
        }
        return [name for name, is_given in given.items() if is_given], "bucket"

    def _create_root(self) -> None:
        location = Path(self.location)
        location.mkdir(parents=True, exist_ok=True)
        mode = self.directory_permissions_mode
        if mode is not None and stat.S_IMODE(location.stat().st_mode) != mode:
            location.chmod(mode)

    def _relative(self, name: str) -> str:
        """Return the name relative to the root. The root itself is the empty name."""
        if "\0" in os.fspath(name):
            msg = "embedded null byte"
            raise ValueError(msg)
        if self.is_bucket:
            # The rules of names are those of a folder, which is never used.
            root = os.path.abspath(f"/{self.location}")  # noqa: PTH100
            relative = os.path.relpath(safe_join(root, name), root)
        else:
            # Django's path() also accepts a full path below the root.
            relative = os.path.relpath(self.path(name), self.location)
        # Raises for names that no file system can hold.
        os.fsencode(relative)
        return "" if relative == os.curdir else relative

    def _media_path(self, name: str) -> str:
        """Return the path to store a name at. Raises SuspiciousFileOperation for names that no private file can have."""
        relative = self._relative(name)
        try:
            return _core.media_path(relative)
        except _core.IllegalPath as error:
            self._refuse_long_segments(relative)
            raise SuspiciousFileOperation(str(error)) from error
        except UnicodeEncodeError as error:
            msg = f"{relative!r}: the name is not UTF-8"
            raise SuspiciousFileOperation(msg) from error

    def _refuse_long_segments(self, relative: str) -> None:
        """Raise the file system's error if a segment is too long for it."""
        if self.is_bucket:
            return
        path = Path(self.location)
        for segment in Path(relative).parts:
            path /= segment
            if len(os.fsencode(segment)) > _MAX_SEGMENT:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))

    def _existing(self, name: str) -> str:
        """Return the path to read a name from. Raises FileNotFoundError for names that are not valid for a private file."""
        relative = self._relative(name)
        try:
            return _core.media_path(relative) if relative else ""
        except (_core.IllegalPath, UnicodeEncodeError):
            if self.is_bucket:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None
            # Raises the operating system's error, e.g. for a name that is too long.
            self._open_root().stat(relative)
            raise


def _chunks(content: File[Any]) -> Iterator[bytes]:
    for chunk in content.chunks():
        yield chunk.encode() if isinstance(chunk, str) else bytes(chunk)
