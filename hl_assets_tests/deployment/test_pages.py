"""Commands on the pages for operators are commands: names, options, services and files exist."""

import re
import shlex
from typing import Any

import pytest
import typer

from hl_assets.cli.app import app
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.deployment import compose

PAGES = ("docs/deploy.md", "docs/kubernetes.md", "docs/upgrading.md")
SERVICES = set(compose.load()["services"])
_WITH_VALUE = {"--user", "--volume", "-f", "--env-file", "--profile", "--since"}


def lines(page: str) -> list[str]:
    """Every command on a page, those in running text included."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line for line in [*"\n".join(blocks).splitlines(), *inline] if line.strip()]


def commands(page: str, program: str) -> list[list[str]]:
    """Arguments of every call of a program on a page."""
    found = []
    for line in (re.sub(r"--namespace \S+|create namespace \S+", "", line) for line in lines(page)):
        for call in re.findall(rf"(?:^|[\s&]){re.escape(program)} ((?:(?! && )[^#|<>;])*)", line):
            words = shlex.split(call)
            if words and re.fullmatch(r"[a-z-]+", words[0]):
                found.append(words)
    return found


def known(words: list[str]) -> set[str]:
    """Options of the subcommand that `words` call; fails if there is none."""
    command: Any = typer.main.get_command(app)
    for word in words:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            break
        assert word in subcommands, f"hl-assets {' '.join(words)}"
        command = subcommands[word]
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


@pytest.mark.parametrize("page", PAGES)
def test_hl_assets_has_these_commands_and_options(page: str) -> None:
    calls = commands(page, "hl-assets")
    assert calls
    for words in calls:
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= known(words), f"hl-assets {' '.join(words)}"


def test_compose_has_these_services_and_files() -> None:
    calls = commands("docs/deploy.md", "docker compose")
    assert len(calls) > 10
    for words in [call for call in calls if call[0] in {"exec", "run", "stop", "logs"}]:
        plain, skip = [], False
        for word in words[1:]:
            if not skip and not word.startswith("-"):
                plain.append(word)
            skip = word in _WITH_VALUE
        if plain and plain[0] != "SERVICE":
            assert plain[0] in SERVICES, words


@pytest.mark.parametrize("page", PAGES)
def test_files_and_targets_that_are_named_exist(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:deploy|hl_assets|hl_assets_tests)/[\w./-]+\w", text):
        assert (REPOSITORY / name).exists() or (REPOSITORY / f"{name}.py").exists(), name
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for words in commands(page, "make"):
        assert words[0] in targets, words
    for link in re.findall(r"\]\(([^)#]+\.md)(?:#[\w-]+)?\)", text):
        assert (REPOSITORY / "docs" / link).exists(), link


def test_volumes_are_composes() -> None:
    text = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
    document = compose.load()
    volumes = {f"{document['name']}_{volume}" for volume in document["volumes"]}
    named = set(re.findall(r"\b(hl_assets_(?:clickhouse|postgres|runs|state)\w*)\b", text))
    assert named
    assert named <= volumes


def test_secrets_are_described() -> None:
    text = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `secrets/(\w+)`", text, re.MULTILINE)) == set(compose.load()["secrets"])


def test_a_command_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(AssertionError, match="hl-assets nonsense"):
        known(["nonsense"])
    assert "--nonsense" not in known(["export", "--nonsense"])
