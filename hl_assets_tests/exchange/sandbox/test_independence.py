"""The local exchange is an implementation of its own: were it to share code with the client, both could be wrong alike."""

import ast
from pathlib import Path

import pytest

import hl_assets.exchange.sandbox

FOLDER = Path(hl_assets.exchange.sandbox.__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_imports_nothing_of_this_project_but_the_sandbox(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    ]
    ours = [name for name in imported if name.split(".")[0] == "hl_assets"]
    assert all(name.startswith("hl_assets.exchange.sandbox") for name in ours)
