"""The locks belong to `pyproject.toml` and name a hash for everything."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from hl_assets_tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
DIRECT = PROJECT["project"]["dependencies"]
WANTED = {
    "requirements.lock": [*DIRECT, *EXTRAS["postgres"], *EXTRAS["kubernetes"]],
    "requirements-dev.lock": [*DIRECT, *(line for lines in EXTRAS.values() for line in lines)],
    "requirements-build.lock": PROJECT["build-system"]["requires"],
}
_PIN = re.compile(r"^(?P<name>[\w.-]+)(\[[\w,-]+\])?==(?P<version>\S+)(?P<rest>.*)", re.MULTILINE)


def locked(name: str) -> dict[str, set[Version]]:
    """Package -> its versions; more than one where Python versions differ."""
    found: dict[str, set[Version]] = {}
    for pin in _PIN.finditer((REPOSITORY / name).read_text(encoding="utf-8")):
        found.setdefault(canonicalize_name(pin["name"]), set()).add(Version(pin["version"]))
    return found


@pytest.mark.parametrize("name", WANTED)
def test_every_requirement_is_locked_within_its_bounds(name: str) -> None:
    pins = locked(name)
    wrong = []
    for requirement in map(Requirement, WANTED[name]):
        if canonicalize_name(requirement.name) == canonicalize_name(PROJECT["project"]["name"]):
            continue  # one extra named by another
        versions = pins.get(canonicalize_name(requirement.name), set())
        if not versions or not all(version in requirement.specifier for version in versions):
            wrong.append(f"{requirement}: {sorted(map(str, versions)) or 'missing'}")
    assert wrong == [], "run `make lock`"


@pytest.mark.parametrize("name", WANTED)
def test_everything_locked_has_a_hash(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    pins = list(_PIN.finditer(text))
    assert pins
    assert [
        pin["name"]
        for pin in pins
        if not re.match(r"[^\n]*\\\n\s+--hash=sha256:[0-9a-f]{64}", text[pin.start() :])
    ] == []


def test_the_image_runs_what_is_developed_with() -> None:
    developed = locked("requirements-dev.lock")
    assert {
        name: versions
        for name, versions in locked("requirements.lock").items()
        if developed.get(name) != versions
    } == {}


def test_nothing_is_installed_but_from_the_locks() -> None:
    """Makefile and Dockerfile know no other way to install."""
    for name in ("Makefile", "Dockerfile"):
        lines = [
            line
            for line in Path(REPOSITORY / name).read_text(encoding="utf-8").splitlines()
            if "pip install" in line
        ]
        assert lines
        assert all("--require-hashes" in line or "--no-deps" in line for line in lines), name
