"""The modules of the package import each other without a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "private_media"


def imports(source, modules):
    """Return the package's modules that a source imports, anywhere: at the top, in a function or for type checking."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names} & modules
            found.update(names or {node.module})
    return found & modules


def check_for_circles(sources):
    graph = {name: imports(source, sources.keys()) for name, source in sources.items()}
    TopologicalSorter(graph).prepare()
    return graph


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_imports_itself_through_others():
    graph = check_for_circles({module_name(path): path.read_text() for path in PACKAGE.rglob("*.py")})
    assert graph["private_media.servers"] == {
        "private_media.buckets",
        "private_media.conf",
        "private_media.responses",
        "private_media.root_handle",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "import a.b",
        "from a import b",
        "from a.b import name",
        "if TYPE_CHECKING:\n    from a.b import Name",
        "def function():\n    from a import b",
    ],
)
def test_a_circle_is_found(statement):
    with pytest.raises(CycleError, match="cycle"):
        check_for_circles({"a": "", "a.b": "from a.c import name", "a.c": statement})
