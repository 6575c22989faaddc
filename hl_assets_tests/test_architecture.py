"""The shape of the code: who may import whom, and what is read where."""

import ast
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hl_assets
from hl_assets_tests.conftest import REPOSITORY

PACKAGE = Path(hl_assets.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

DAGSTER_PLACES = {
    "definitions", "instance", "sqlite_storage", "partitions", "jobs", "schedules", "sensors", "failures", "assets", "checks",
    "resources", "cli", "maintenance",
}  # fmt: skip

# Each package may import those before it, never one after it.
FLOW = ("exchange", "equity", "metrics", "grading", "claude", "scoring")


def top_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_dagster_is_imported_only_where_it_belongs(path: Path) -> None:
    uses = any(name.split(".")[0] == "dagster" for name in imports_of(path))
    assert not uses or top_of(path) in DAGSTER_PLACES


def test_the_flow_has_one_direction() -> None:
    backward = [
        (name_of(path), name)
        for path in MODULES
        for name in imports_of(path)
        for earlier, later in itertools.combinations(FLOW, 2)
        if top_of(path) == earlier and name.startswith(f"hl_assets.{later}")
    ]
    assert backward == []


def test_the_domain_knows_no_warehouse_settings_or_assets() -> None:
    forbidden = (
        "hl_assets.warehouse",
        "hl_assets.settings",
        "hl_assets.assets",
        "hl_assets.resources",
        "hl_assets.cli",
    )
    found = [
        (name_of(path), name)
        for path in MODULES
        for name in imports_of(path)
        if top_of(path) in {*FLOW, "schemas"} and name.startswith(forbidden)
    ]
    assert found == []


def test_the_sandbox_does_not_share_the_clients_code() -> None:
    sandbox = [path for path in MODULES if "sandbox" in path.parts and "cli" not in path.parts]
    assert sandbox
    found = [
        (name_of(path), name)
        for path in sandbox
        for name in imports_of(path)
        if name.startswith("hl_assets.") and not name.startswith("hl_assets.exchange.sandbox")
    ]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_belongs_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_environment_is_read_in_settings_only(path: Path) -> None:
    # `cli/dev.py` hands its own environment on to Dagster's processes; the embedded server sets its time zone.
    if name_of(path) in {"settings.py", "cli/dev.py", "warehouse/embedded/__main__.py"}:
        return
    text = path.read_text(encoding="utf-8")
    assert "os.environ" not in text
    assert "getenv" not in text


def test_the_packaged_instance_configuration_is_the_repositorys() -> None:
    assert (PACKAGE / "dagster.yaml").read_text(encoding="utf-8") == (REPOSITORY / "dagster.yaml").read_text(
        encoding="utf-8"
    )


def test_who_grades_by_rule_does_not_wait_for_the_sdk_and_who_reads_not_for_dagster() -> None:
    code = (
        "import sys, hl_assets.cli.grade, hl_assets.cli.wallet; assert 'dagster' not in sys.modules; "
        "import hl_assets.definitions; assert 'anthropic' not in sys.modules; assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_the_api_serves_without_dagster_and_is_served_by_the_command_line_only() -> None:
    served = [path for path in MODULES if top_of(path) == "api"]
    assert served
    foreign = (
        "hl_assets.assets",
        "hl_assets.checks",
        "hl_assets.resources",
        "hl_assets.cli",
        "hl_assets.jobs",
    )
    assert [name for path in served for name in imports_of(path) if name.startswith(foreign)] == []
    users = {
        top_of(path) for path in MODULES for name in imports_of(path) if name.startswith("hl_assets.api")
    }
    assert users == {"api", "cli"}
