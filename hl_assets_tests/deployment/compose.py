"""`docker-compose.yml` as compose would read it, for tests that check it and that start its services by hand.

Belongs here: reading the file with its variables filled in, and the order of start. Does not belong here: starting.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hl_assets_tests.conftest import REPOSITORY

COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<rule>:?[-?])(?P<text>(?:[^{}]|\{[^{}]*\})*))?\})"
)


class MissingVariableError(Exception):
    """A variable that the file demands is not set."""


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Fill in `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$$` as compose does; a default may hold another variable."""

    def fill(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        value, rule = variables.get(match["name"]), match["rule"] or ""
        if value or (value is not None and not rule.startswith(":")):
            return value
        if rule.endswith("?"):
            raise MissingVariableError(match["text"])
        return interpolate(match["text"], variables) if rule.endswith("-") else ""

    return _VARIABLE.sub(fill, text)


def _filled(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return interpolate(node, variables)
    if isinstance(node, list):
        return [_filled(item, variables) for item in node]
    if isinstance(node, dict):
        return {key: _filled(value, variables) for key, value in node.items()}
    return node


@dataclass(frozen=True)
class Service:
    """One service of the file.

    Attributes:
        name: Its name, which is its host name too.
        definition: What the file says of it, filled in.
    """

    name: str
    definition: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        return list(self.definition["command"])

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.definition.get("environment", {}).items()}

    @property
    def healthcheck(self) -> list[str]:
        """The command that says whether it is healthy."""
        kind, *command = self.definition["healthcheck"]["test"]
        assert kind == "CMD"
        return command

    @property
    def waits_for(self) -> dict[str, str]:
        """Service -> condition, of those that must be there first."""
        return {name: entry["condition"] for name, entry in self.definition.get("depends_on", {}).items()}

    @property
    def profiles(self) -> list[str]:
        return list(self.definition.get("profiles", []))


def load(path: Path = COMPOSE_FILE) -> dict[str, Any]:
    """The file as it is written, anchors resolved."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def services(variables: Mapping[str, str], profiles: frozenset[str] = frozenset()) -> dict[str, Service]:
    """The services that `docker compose up` would start, in an order in which each comes after those it waits for."""
    definitions = _filled(load()["services"], variables)
    active = {
        name: Service(name, definition)
        for name, definition in definitions.items()
        if not definition.get("profiles") or profiles & set(definition["profiles"])
    }
    ordered: dict[str, Service] = {}
    while len(ordered) < len(active):
        ready = [
            service for name, service in active.items()
            if name not in ordered and all(first in ordered or first not in active for first in service.waits_for)
        ]  # fmt: skip
        assert ready, "services wait for each other"
        ordered |= {service.name: service for service in ready}
    return ordered


def env_file(path: Path) -> dict[str, str]:
    """Variables of a file that is given as `--env-file`."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))  # type: ignore[misc]
