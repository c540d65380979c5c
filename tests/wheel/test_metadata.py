"""What a package index and a security scanner read in the wheel."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trove_classifiers

from conftest import REPOSITORY, VERSIONS

if TYPE_CHECKING:
    from email.message import Message

PYTHON = "Programming Language :: Python :: "


@pytest.fixture(scope="session")
def metadata(files: dict[str, bytes], version: str) -> Message:
    return message_from_bytes(files[f"private_media-{version}.dist-info/METADATA"])


@pytest.fixture(scope="session")
def library(files: dict[str, bytes]) -> bytes:
    return files["private_media/_core.abi3.so"]


def test_one_wheel_fits_each_python_and_its_tag_is_accepted(
    wheel: Path, files: dict[str, bytes], version: str
) -> None:
    tag = f"cp310-abi3-manylinux_2_[0-9]+_{platform.machine()}"
    assert re.fullmatch(rf"private_media-{version}-{tag}\.whl", wheel.name)
    tags = message_from_bytes(files[f"private_media-{version}.dist-info/WHEEL"]).get_all("Tag", [])
    assert any(re.fullmatch(tag, found) for found in tags), tags
    assert all("-linux_" not in found for found in tags), tags


def test_the_package_index_would_accept_it(wheel: Path) -> None:
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel], check=True)


def test_the_metadata_is_complete(metadata: Message, version: str) -> None:
    assert metadata["Version"] == version
    assert "private-media authors" in metadata["Author"]
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    urls = metadata.get_all("Project-URL", [])
    assert urls
    assert all(re.fullmatch(r"[A-Z][a-z]+, https://\S+", url) for url in urls), urls


def test_classifiers_exist_and_name_the_tested_pythons(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier", [])
    assert set(classifiers) <= trove_classifiers.classifiers
    named = [name.removeprefix(PYTHON) for name in classifiers if re.match(rf"{PYTHON}3\.", name)]
    assert tuple(named) == VERSIONS
    assert metadata["Requires-Python"] == f">={VERSIONS[0]}"


def test_links_of_the_readme_work_outside_the_repository(metadata: Message) -> None:
    readme = metadata.get_payload()
    assert isinstance(readme, str)
    assert "pipx install private-media" in readme
    assert not re.findall(r"\]\((?!https://)[^)]*\)", readme)


def test_it_has_a_console_script(files: dict[str, bytes], version: str) -> None:
    scripts = files[f"private_media-{version}.dist-info/entry_points.txt"].decode()
    assert "private-media=private_media.__main__:main" in scripts.replace(" ", "")


def test_the_library_is_stripped(library: bytes) -> None:
    assert b".dynsym\0" in library
    assert b".symtab\0" not in library
    assert b".debug_info\0" not in library


def test_the_library_names_no_folder_of_the_builder(library: bytes) -> None:
    folders = [str(REPOSITORY)]
    # The sources of dependencies are there. Only a release renames them, and compiles them again.
    if os.environ.get("TEST_WHEEL_IS_RELEASE"):
        folders += [str(Path.home()), os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))]
    assert [folder for folder in folders if f"{folder}/".encode() in library] == []


def test_the_bill_of_materials_names_the_crates_and_no_folder(files: dict[str, bytes], version: str) -> None:
    folder = f"private_media-{version}.dist-info/sboms/"
    names = [name for name in files if name.startswith(folder)]
    assert names
    for name in names:
        text = files[name].decode()
        components = {component["name"] for component in json.loads(text)["components"]}
        assert {"private-media-gateway", "tokio", "pyo3"} <= components
        assert str(REPOSITORY) not in text
        assert f"{Path.home()}/" not in text


def test_each_file_is_in_the_record(files: dict[str, bytes], version: str) -> None:
    record = files[f"private_media-{version}.dist-info/RECORD"].decode().splitlines()
    assert {line.rsplit(",", 2)[0] for line in record} == set(files)
