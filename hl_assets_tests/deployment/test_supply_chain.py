"""Licences, secrets, advisories, and that SECURITY.md names tests that exist."""

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hl_assets_tests.conftest import REPOSITORY

# Reviewed: used as libraries, unchanged; their sources are on PyPI.
WEAK_COPYLEFT = {
    "certifi": "MPL-2.0: a list of certificates",
    "orjson": "MPL-2.0 for parts of it",
    "psycopg2-binary": "LGPL with exceptions: the extra `postgres`",
    "tqdm": "MPL-2.0 for parts of it",
}


def script(name: str) -> ModuleType:
    """A script of `deploy/` as a module."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "deploy" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def listed_licences() -> dict[str, str]:
    rows = re.findall(
        r"^\| ([\w.-]+) \| (.+) \|$",
        (REPOSITORY / "docs" / "licences.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {name: licence for name, licence in rows if name != "package"}


def test_the_licences_are_those_of_the_lock() -> None:
    assert sorted(listed_licences()) == script("licences").packages(), "run `make docs`"


def test_every_licence_is_stated_and_copyleft_was_looked_at() -> None:
    licences = listed_licences()
    assert [name for name, licence in licences.items() if licence == "not stated"] == []
    copyleft = re.compile(r"GPL|General Public|MPL|Mozilla|EPL|CDDL|SSPL|Commons Clause|Business Source")
    assert {name for name, licence in licences.items() if copyleft.search(licence)} == set(WEAK_COPYLEFT)


@pytest.mark.parametrize(
    "line",
    [
        'ANTHROPIC_API_KEY = "sk-ant-api03-Qk3vT9xLw2Rb7Yz5Nc8Md1Pf6Gh4Js0Kd"',
        "clickhouse_url: http://writer:h8Kq2vXw9Lr4@clickhouse.example:8123",
        "-----BEGIN " + "RSA PRIVATE KEY-----",
        'password = "' + "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c" + '"',
    ],
)
def test_a_committed_secret_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    pytest.importorskip("detect_secrets", reason="the development extra is not installed")
    monkeypatch.chdir(tmp_path)
    scanner = script("secret_scan")
    monkeypatch.setattr(scanner, "ROOT", tmp_path)
    Path("settings.py").write_text(line + "\n", encoding="utf-8")
    assert scanner.scan(["settings.py"])


def test_an_accepted_finding_is_known_wherever_it_moves() -> None:
    pytest.importorskip("detect_secrets", reason="the development extra is not installed")
    scanner = script("secret_scan")
    found = {"a.py": [{"kind": "Secret Keyword", "hash": "x", "line": "3"}]}
    moved = {"a.py": [{"kind": "Secret Keyword", "hash": "x", "line": "30"}]}
    assert scanner.without_lines(found) == scanner.without_lines(moved)


CLEAN = {"name": "a", "version": "1", "vulns": []}
VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-2026-1"}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (3)"}


@pytest.mark.parametrize(
    ("found", "says", "audited", "clean"),
    [
        ([CLEAN], "no known vulnerability in 1", True, True),
        ([CLEAN, VULNERABLE], "b 2: PYSEC-2026-1", True, False),
        ([CLEAN, SKIPPED], "not audited: c", True, False),
        ([SKIPPED], "NOT AUDITED", False, False),
        ([], "NOT AUDITED", False, False),
    ],
)
def test_an_audit_that_nobody_answered_is_no_success(
    found: list[dict[str, object]], says: str, audited: bool, clean: bool
) -> None:
    """pip-audit itself ends with status 0 and "no known vulnerabilities" when an index knows no package."""
    text, was_audited, was_clean = script("audit").judge(found)
    assert says in text
    assert (was_audited, was_clean) == (audited, clean)


def test_every_test_that_security_names_exists() -> None:
    text = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"^- `(hl_assets_tests/[^`]+)`$", text, re.MULTILINE)
    assert len(named) > 30
    for test in named:
        file, _, function = test.partition("::")
        tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
        functions = {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in functions if function else any(name.startswith("test_") for name in functions), (
            test
        )


def test_every_threat_names_a_test() -> None:
    text = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    threats = text.partition("\n## Threats\n")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert len(threats) >= 10
    assert [threat.splitlines()[0] for threat in threats if "- `hl_assets_tests/" not in threat] == []
