"""The domain's direction: equity -> metrics -> grading -> scoring, and nothing of the platform in it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "hl_assets"
LAYERS = ("equity", "metrics", "grading", "scoring")


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_no_module_reads_a_later_layer_or_anything_outside_the_domain(layer):
    modules = sorted((PACKAGE / layer).rglob("*.py"))
    assert len(modules) > 2
    allowed = {f"hl_assets.{name}" for name in LAYERS[: LAYERS.index(layer) + 1]}
    for module in modules:
        for name in imports_of(module):
            if name.split(".")[0] == "hl_assets":
                assert ".".join(name.split(".")[:2]) in allowed, f"{module.name} imports {name}"
            assert name.split(".")[0] not in {
                "dagster",
                "httpx",
                "clickhouse_connect",
                "os",
                "pandas",
                "requests",
            }
