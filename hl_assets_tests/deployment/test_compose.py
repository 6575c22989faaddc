"""What `docker-compose.yml` and the `Dockerfile` must keep to, checked without an engine."""

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hl_assets.alerts.config import parse_secrets
from hl_assets.settings import FILE_SUFFIX, Settings, environment_name
from hl_assets.warehouse.access import Role
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.deployment import compose, dockerfile

EVERYTHING = compose.services({}, frozenset({"sandbox", "monitoring"}))
PLATFORM = {"migrate", "code-location", "daemon", "webserver", "api", "sandbox"}
SETTINGS = {environment_name(field) for field in Settings.model_fields.values()}


@pytest.fixture(params=sorted(EVERYTHING))
def service(request: pytest.FixtureRequest) -> compose.Service:
    return EVERYTHING[request.param]


@pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/compose.grafana.yml"])
def test_the_file_fits_the_compose_specification(name: str) -> None:
    pytest.importorskip("check_jsonschema", reason="the development extra is not installed")
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(REPOSITORY / name),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_web_server_and_api_are_published_and_on_loopback() -> None:
    published = {
        name: service.definition["ports"]
        for name, service in EVERYTHING.items()
        if "ports" in service.definition
    }
    assert published == {"webserver": ["127.0.0.1:3000:3000"], "api": ["127.0.0.1:8080:8080"]}
    # Where an operator asks for another address, it is the only thing that changes.
    elsewhere = compose.services({"PUBLISH_ADDRESS": "10.0.0.5", "API_PORT": "80"})
    assert elsewhere["api"].definition["ports"] == ["10.0.0.5:80:8080"]


def test_services_reach_each_other_but_only_those_that_must_reach_the_world() -> None:
    networks = compose.load()["networks"]
    assert networks["backend"] == {"internal": True}
    outward = {name for name, service in EVERYTHING.items() if "outside" in service.definition["networks"]}
    assert outward == {"code-location", "api"}
    assert all("backend" in service.definition["networks"] for service in EVERYTHING.values())


def test_what_waits_for_the_migration() -> None:
    waiting = {
        name
        for name, service in EVERYTHING.items()
        if service.waits_for.get("migrate") == "service_completed_successfully"
    }
    assert waiting == {"code-location", "daemon", "webserver", "api"}
    assert EVERYTHING["migrate"].waits_for == {"clickhouse": "service_healthy", "postgres": "service_healthy"}
    order = list(EVERYTHING)
    assert (
        order.index("postgres")
        < order.index("migrate")
        < order.index("code-location")
        < order.index("daemon")
    )


def test_every_service_is_limited_watched_and_restarted(service: compose.Service) -> None:
    definition = service.definition
    assert re.fullmatch(r"\d+[mg]", definition["mem_limit"])
    assert definition["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    assert "no-new-privileges:true" in definition["security_opt"]
    if service.name == "migrate":
        assert definition["restart"] == "no"
    else:
        assert definition["restart"] == "unless-stopped"
        assert definition["healthcheck"]["test"][0] == "CMD"


def test_images_are_pinned_by_version(service: compose.Service) -> None:
    name, _, tag = service.definition["image"].partition(":")
    if service.name in PLATFORM:
        assert (name, service.definition["build"]) == ("hl_assets", ".")
    else:
        assert re.match(r"v?\d+\.\d+", tag), f"{name} has the tag {tag!r}"


def test_the_platforms_services_have_no_rights_to_spare(service: compose.Service) -> None:
    if service.name in PLATFORM:
        assert service.definition["read_only"] is True
        assert service.definition["cap_drop"] == ["ALL"]
        writable = {mount.partition(":")[2] for mount in service.definition.get("volumes", [])}
        assert writable <= {"/opt/dagster/storage", "/var/lib/hl_assets"}


def test_secrets_come_as_files_and_only_to_those_who_need_them(service: compose.Service) -> None:
    definition = service.definition
    granted = set(definition.get("secrets", []))
    files = {value for value in service.environment.values() if value.startswith("/run/secrets/")}
    entrypoint = " ".join(definition.get("entrypoint", []))
    files |= set(re.findall(r"/run/secrets/\w+", entrypoint))
    assert {Path(file).name for file in files} == granted
    assert granted <= set(compose.load()["secrets"])
    assert ("anthropic_api_key" in granted) == (service.name in {"code-location", "api"})
    assert ("api_write_key" in granted) == (service.name == "api")
    assert ("alert_webhook_secret" in granted) == (service.name == "code-location")


def test_each_service_is_the_database_user_that_it_needs_to_be() -> None:
    def user(name: str, variables: dict[str, str]) -> tuple[str, str]:
        given = compose.services(variables)[name].environment
        return given["CLICKHOUSE_URL"], Path(given["CLICKHOUSE_PASSWORD_FILE"]).name

    for name in ("code-location", "daemon", "webserver", "api"):
        assert user(name, {}) == ("http://hl_assets_writer@clickhouse:8123", "clickhouse_writer_password")
    assert user("migrate", {}) == ("http://hl_assets@clickhouse:8123", "clickhouse_password")
    # A server of one's own, with one user or with several.
    own = {"CLICKHOUSE_URL": "https://me@ch.example"}
    assert user("api", own)[0] == user("migrate", own)[0] == "https://me@ch.example"
    assert (
        user("migrate", {**own, "CLICKHOUSE_ADMIN_URL": "https://root@ch.example"})[0]
        == "https://root@ch.example"
    )
    owner = EVERYTHING["clickhouse"].environment
    assert (owner["CLICKHOUSE_USER"], owner["CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT"]) == ("hl_assets", "1")
    made = {f"CLICKHOUSE_{role.value.upper()}_PASSWORD_FILE" for role in (Role.WRITER, Role.READER, Role.API)}
    assert made <= set(EVERYTHING["migrate"].environment)
    holders = {
        name
        for name, service in EVERYTHING.items()
        if "clickhouse_password" in service.definition.get("secrets", [])
    }
    assert holders == {"clickhouse", "migrate"}


def test_no_secret_is_written_down() -> None:
    text = compose.COMPOSE_FILE.read_text(encoding="utf-8")
    assert re.findall(r"://[^\s/:@$]+:[^\s@]+@", text) == [], "a URL with a password"
    for service in EVERYTHING.values():
        for name, value in service.environment.items():
            if "PASSWORD" in name or name.endswith("_KEY"):
                assert value == "" or value.startswith("/run/secrets/"), name


def test_every_variable_of_the_platform_is_a_setting(service: compose.Service) -> None:
    if service.name in PLATFORM:
        known = SETTINGS | {name + FILE_SUFFIX for name in SETTINGS}
        assert set(service.environment) <= known


def test_settings_of_env_reach_the_services() -> None:
    for name in PLATFORM:
        assert EVERYTHING[name].definition["env_file"] == [{"path": ".env", "required": False}]


def test_the_sandbox_profile_points_the_platform_at_the_sandbox() -> None:
    variables = compose.env_file(REPOSITORY / "deploy" / "sandbox.env")
    assert variables.pop("COMPOSE_PROFILES") == "sandbox"
    assert set(variables) <= SETTINGS
    services = compose.services(variables, frozenset({"sandbox"}))
    given = services["code-location"].environment
    assert given["HL_ASSETS_SOURCE"] == "sandbox"
    assert given["HYPERLIQUID_INFO_URL"] == "http://sandbox:8455"
    assert "sandbox" not in compose.services({})
    # A service writes none of what it is told into the image: no variable is given that compose does not pass on.
    assert {name for name in variables if given.get(name) != variables[name]} == set()


def test_interpolation_is_composes() -> None:
    values = {"A": "a", "EMPTY": ""}
    for text, expected in {
        "${A}": "a", "${A:-b}": "a", "${EMPTY:-b}": "b", "${EMPTY-b}": "", "${NONE-b}": "b", "${NONE}": "", "$${A}": "${A}",
        "${NONE:-${A}}": "a", "${NONE:-${NONE:-c}}!": "c!", "${A:-${NONE}}": "a",
    }.items():  # fmt: skip
        assert compose.interpolate(text, values) == expected
    with pytest.raises(compose.MissingVariableError, match="set it"):
        compose.interpolate("${NONE:?set it}", values)


def test_made_secrets_are_closed_to_other_users_and_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = REPOSITORY / "deploy" / "make-secrets.sh"
    first = subprocess.run([script, folder], check=True, capture_output=True, text=True, timeout=60)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == {Path(secret["file"]).name for secret in compose.load()["secrets"].values()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    assert {name for name, text in made.items() if not text.strip()} == {
        "anthropic_api_key",
        "alert_webhook_url",
    }
    signing = made.pop("alert_webhook_secret").strip()
    assert parse_secrets(signing), "the alerts' own rules take it"
    assert signing not in first.stdout
    random = [text.strip() for name, text in made.items() if text.strip()]
    assert all(re.fullmatch(r"[0-9a-f]{48}", text) for text in random)
    assert len(set(random)) == len(random)
    assert [text for text in random if text in first.stdout] == []
    subprocess.run([script, folder], check=True, capture_output=True, timeout=60)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        **made,
        "alert_webhook_secret": f"{signing}\n",
    }


# The image


def test_the_image_is_built_in_stages_and_runs_as_nobody_in_particular() -> None:
    words = [word for word, _ in dockerfile.instructions()]
    assert words.count("FROM") == 2
    final = dockerfile.instructions()[words.index("FROM", words.index("FROM") + 1) :]
    user = [rest for word, rest in final if word == "USER"]
    assert user == ["10001:10001"], "by number: Kubernetes' runAsNonRoot cannot judge a name"
    assert not any("pip install" in rest for word, rest in final if word == "RUN"), (
        "no build tools in the final stage"
    )


def test_the_base_image_is_pinned_to_a_patch_release() -> None:
    arguments = dict(rest.split("=", 1) for word, rest in dockerfile.instructions() if word == "ARG")  # type: ignore[misc]
    assert re.fullmatch(r"python:3\.1[123]\.\d+-slim-\w+", arguments["PYTHON_IMAGE"])


def test_dependencies_are_installed_by_hash_only() -> None:
    installs = [rest for word, rest in dockerfile.instructions() if word == "RUN" and "pip install" in rest]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or ("--no-index" in line and "--no-deps" in line), line


def test_everything_that_is_copied_is_sent_to_the_builder() -> None:
    sent = {
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        name for word, rest in dockerfile.instructions() if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    }  # fmt: skip
    assert copied <= sent
    assert sent - copied == {"Dockerfile"}
    assert all((REPOSITORY / name).exists() for name in sent)


def test_the_images_folders_are_the_services() -> None:
    image = dockerfile.environment()
    given = EVERYTHING["code-location"].environment
    assert {name: image[name] for name in ("DAGSTER_HOME", "HL_ASSETS_HOME")} == {
        name: given[name] for name in ("DAGSTER_HOME", "HL_ASSETS_HOME")
    }
    assert dockerfile.copied_into(image["DAGSTER_HOME"]) == ["dagster.yaml", "deploy/workspace.yaml"]


def test_the_workspace_names_the_code_locations_service() -> None:
    document: dict[str, Any] = yaml.safe_load((REPOSITORY / "deploy" / "workspace.yaml").read_text())
    (entry,) = document["load_from"]
    command = EVERYTHING["code-location"].command
    assert entry["grpc_server"]["host"] == "code-location"
    assert str(entry["grpc_server"]["port"]) == command[command.index("--port") + 1]
    assert entry["grpc_server"]["location_name"] == command[command.index("--location-name") + 1]


# Monitoring


def test_grafana_finds_prometheus_and_prometheus_the_api() -> None:
    folder = REPOSITORY / "deploy"
    scrapes = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
    targets = {
        target for scrape in scrapes for static in scrape["static_configs"] for target in static["targets"]
    }
    assert "api:8080" in targets
    assert {target.partition(":")[0] for target in targets} <= set(EVERYTHING)
    (source,) = yaml.safe_load((folder / "grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    mounts = dict(mount.split(":")[:2] for mount in EVERYTHING["grafana"].definition["volumes"])  # type: ignore[misc]
    (provider,) = yaml.safe_load((folder / "grafana/provisioning/dashboards/hl_assets.yml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == mounts["./deploy/grafana/dashboards"]
