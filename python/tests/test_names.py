"""Unusual names: each call has the same outcome as in FileSystemStorage, except for the deviations below."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from private_media.storages import PrivateMediaStorage

NAMES = {
    "empty": "",
    "dot": ".",
    "slash": "/",
    "a file": "cars/a.txt",
    "a folder": "cars",
    "an empty folder": "empty",
    "missing": "none.txt",
    "missing in a missing folder": "none/none.txt",
    "below a file": "cars/a.txt/b",
    "two below a file": "cars/a.txt/b/c",
    "trailing slash of a file": "cars/a.txt/",
    "trailing slash of a folder": "cars/",
    "two slashes": "cars//a.txt",
    "dot inside": "cars/./a.txt",
    "dots that stay": "cars/../cars/a.txt",
    "dots that lead out": "../a.txt",
    "dots that lead out late": "cars/../../a.txt",
    "only dots": "..",
    "absolute": "/etc/passwd",
    "backslash": "a\\b",
    "backslash dots": "..\\a.txt",
    "nul": "a\0b",
    "newline": "a\nb",
    "hidden": ".hidden",
    "missing hidden": ".none",
    "in a hidden folder": ".git/config",
    "reserved": "-/a.txt",
    "long": "a" * 300,
    "long in a folder": "cars/" + "a" * 300 + "/b",
    "long path": "/".join(["a" * 200] * 6),
    "no UTF-8": "a\udc80",
    "surrogate": "a\ud800",
    "composed": "caf\u00e9.txt",
    "decomposed": "cafe\u0301.txt",
    "emoji": "😀.txt",
    "spaces": " a b ",
    "percent": "100%?#.txt",
}


def read(storage, name):
    with storage.open(name) as file:
        return file.read()


CALLS = {
    "open": read,
    "change": lambda storage, name: storage.open(name, "r+b").close(),
    "exists": lambda storage, name: storage.exists(name),
    "size": lambda storage, name: storage.size(name),
    "get_accessed_time": lambda storage, name: storage.get_accessed_time(name),
    "get_created_time": lambda storage, name: bool(storage.get_created_time(name)),
    "get_modified_time": lambda storage, name: storage.get_modified_time(name),
    "listdir": lambda storage, name: tuple(map(sorted, storage.listdir(name))),
    "url": lambda storage, name: storage.url(name),
    "path": lambda storage, name: storage.path(name).removeprefix(storage.location),
    "get_valid_name": lambda storage, name: storage.get_valid_name(name),
    "save": lambda storage, name: re.sub(
        "_[a-zA-Z0-9]{7}", "_RANDOM", storage.save(name, ContentFile(b"new"))
    ),
    "delete": lambda storage, name: storage.delete(name),
}
READS = ("open", "change", "size", "get_accessed_time", "get_created_time", "get_modified_time", "listdir")

#: Intended deviations: the call and the name, and our outcome.
DEVIATIONS = {
    # Names that no URL can have are not stored.
    **{
        ("save", name): "SuspiciousFileOperation"
        for name in (
            "newline", "hidden", "missing hidden", "in a hidden folder", "reserved", "long path", "no UTF-8",
        )
    },
    # Such names are not found, even if another program stored the file.
    **{(call, name): "FileNotFoundError" for call in READS for name in ("hidden", "in a hidden folder")},
    ("exists", "hidden"): False,
    ("exists", "in a hidden folder"): False,
    ("listdir", "empty"): (["cars", "empty"], []),
    ("listdir", "dot"): (["cars", "empty"], []),
    # The root cannot be deleted.
    ("delete", "dot"): "ValueError",
    # An upload's name has no leading dot, is short enough for a file system, and keeps its extension.
    ("get_valid_name", "hidden"): "hidden",
    ("get_valid_name", "missing hidden"): "none",
    ("get_valid_name", "in a hidden folder"): "gitconfig",
    ("get_valid_name", "dots that lead out"): "a.txt",
    ("get_valid_name", "backslash dots"): "a.txt",
    ("get_valid_name", "long"): "a" * 255,
    ("get_valid_name", "long in a folder"): "cars" + "a" * 251,
    ("get_valid_name", "long path"): "a" * 255,
    ("get_valid_name", "emoji"): "file.txt",
}  # fmt: skip


class Outcome(NamedTuple):
    result: object = None
    error: str | None = None
    errno: int | None = None
    message: str = ""


def outcome(storage, call, name):
    try:
        return Outcome(CALLS[call](storage, name))
    except Exception as error:  # noqa: BLE001 (which one it is, is the question)
        # Other messages depend on the version of Python or Django.
        message = str(error).replace(storage.location, "ROOT") if isinstance(error, OSError) else ""
        return Outcome(error=type(error).__name__, errno=getattr(error, "errno", None), message=message)


@pytest.fixture
def storages(settings, tmp_path):
    settings.PRIVATE_MEDIA_ROOT = tmp_path / "ours"
    made = PrivateMediaStorage(), FileSystemStorage(tmp_path / "theirs", "/private/")
    for storage in made:
        root = Path(storage.location)
        for name in ("cars/a.txt", ".hidden", ".git/config"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("old")
        (root / "empty").mkdir()
        for place in (root, *root.rglob("*")):
            os.utime(place, (1_000_000_000.25, 1_000_000_001.5))
    return made


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("call", CALLS)
def test_each_call_has_the_same_outcome_as_in_django(storages, call, name):
    ours, djangos = (outcome(storage, call, NAMES[name]) for storage in storages)
    if (call, name) not in DEVIATIONS:
        assert ours == djangos
        return
    assert ours != djangos, "it is no deviation any more"
    assert (ours.error or ours.result) == DEVIATIONS[call, name]


@pytest.mark.parametrize("name", NAMES)
def test_exists_is_true_for_files_that_open_and_for_folders(storages, name):
    ours, _ = storages
    exists, opened, listed = (outcome(ours, call, NAMES[name]) for call in ("exists", "open", "listdir"))
    if exists.error is None:
        assert exists.result is (opened.error is None or listed.error is None)
    else:
        assert exists.error == opened.error == listed.error
