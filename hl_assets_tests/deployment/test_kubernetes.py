"""What `deploy/kubernetes/` must keep to, checked without a cluster and without Helm."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

pytest.importorskip("dagster_k8s", reason="the extra `kubernetes` is not installed")

from dagster._core.instance.ref import InstanceRef
from kubernetes.client import models

from hl_assets.settings import Settings, environment_name, is_secret
from hl_assets.warehouse.access import Role, user_name
from hl_assets_tests.conftest import REPOSITORY
from hl_assets_tests.deployment import compose, dockerfile, kubernetes
from hl_assets_tests.deployment.test_locks import locked

SETTINGS = {environment_name(field): field for field in Settings.model_fields.values()}
KINDS = {
    "PersistentVolumeClaim": models.V1PersistentVolumeClaim,
    "Job": models.V1Job,
    "Deployment": models.V1Deployment,
    "Service": models.V1Service,
}
VALUES = kubernetes.values()
LOCATION = kubernetes.code_location()
PODS = {"location": LOCATION, "daemon": VALUES["dagsterDaemon"], "webserver": VALUES["dagsterWebserver"]}


def templates() -> dict[str, dict[str, Any]]:
    """Pod specs of the manifests by name."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]
        for document in kubernetes.manifests()
        if "template" in document["spec"]
    }


@pytest.fixture(scope="module")
def run_job(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return kubernetes.run_job(tmp_path_factory.mktemp("kube") / "config")


def assert_harmless(pod: Any, container: Any) -> None:
    """Not root, nothing to gain, nothing to write on."""
    assert pod.run_as_non_root is True
    assert pod.run_as_user == int(_user())
    assert pod.seccomp_profile.type == "RuntimeDefault"
    assert container.allow_privilege_escalation is False
    assert container.read_only_root_filesystem is True
    assert container.capabilities.drop == ["ALL"]


def _user() -> str:
    return next(rest for word, rest in dockerfile.instructions() if word == "USER").partition(":")[0]


# The manifests


def test_every_field_is_one_that_kubernetes_knows() -> None:
    for document in kubernetes.manifests():
        kubernetes.checked(KINDS[document["kind"]], document)


@pytest.mark.parametrize("name", ["hl-assets-api", "hl-assets-migrate"])
def test_pods_are_limited_harmless_and_have_no_token(name: str) -> None:
    spec = kubernetes.checked(models.V1PodSpec, templates()[name])
    (container,) = spec.containers
    assert spec.automount_service_account_token is False
    assert_harmless(spec.security_context, container.security_context)
    assert container.resources.limits["memory"]
    assert {"cpu", "memory"} <= set(container.resources.requests)


def test_commands_are_those_of_compose() -> None:
    services = compose.services({})
    for name in ("api", "migrate"):
        (container,) = templates()[f"hl-assets-{name}"]["containers"]
        assert container["command"] == services[name].command


def test_the_api_is_reached_by_its_probes_and_its_service() -> None:
    (container,) = templates()["hl-assets-api"]["containers"]
    (port,) = container["ports"]
    assert str(port["containerPort"]) == container["command"][-1]
    probes = {
        container[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert probes == {"/healthz"}
    deployment, service = (document for document in kubernetes.read("api.yaml"))
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert service["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_the_api_has_no_secret_but_its_own_database_users() -> None:
    (container,) = templates()["hl-assets-api"]["containers"]
    assert [entry["name"] for entry in container["env"]] == ["CLICKHOUSE_API_PASSWORD"]


def test_only_the_migration_knows_the_owner_of_the_database() -> None:
    def secrets(environment: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
        refs = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in environment}
        return {name: (ref["name"], ref["key"]) for name, ref in refs.items()}

    migrate = secrets(templates()["hl-assets-migrate"]["containers"][0]["env"])
    api = secrets(templates()["hl-assets-api"]["containers"][0]["env"])
    location = secrets(LOCATION["env"])
    owner = {name for name, (secret, _) in migrate.items() if secret == "hl-assets-clickhouse-admin"}
    assert owner == {"CLICKHOUSE_URL", "CLICKHOUSE_PASSWORD"}
    assert not any(
        secret == "hl-assets-clickhouse-admin" for secret, _ in (*api.values(), *location.values())
    )
    # The users are made with the passwords that their services have.
    assert migrate["CLICKHOUSE_WRITER_PASSWORD"] == location["CLICKHOUSE_PASSWORD"]
    assert migrate["CLICKHOUSE_API_PASSWORD"] == api["CLICKHOUSE_API_PASSWORD"]
    assert urlsplit(kubernetes.settings()["CLICKHOUSE_URL"]).username == user_name(Role.WRITER)


def test_one_image_one_namespace() -> None:
    kustomization = kubernetes.kustomization()
    (image,) = kustomization["images"]
    assert {container["image"] for spec in templates().values() for container in spec["containers"]} == {
        image["name"]
    }
    used = {(pod["image"]["repository"], pod["image"]["tag"]) for pod in PODS.values()}
    assert used == {(image["newName"], str(image["newTag"]))}
    assert kustomization["namespace"] == kubernetes.NAMESPACE


def test_kustomize_builds_them() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        [kubectl, "kustomize", kubernetes.FOLDER], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert {document["metadata"]["namespace"] for document in built} == {kubernetes.NAMESPACE}
    (settings,) = [document for document in built if document["kind"] == "ConfigMap"]
    assert settings["metadata"]["name"] == "hl-assets-settings"
    assert settings["data"] == kubernetes.settings()


# Settings and secrets


def test_every_variable_is_a_setting_and_no_secret_is_written_down() -> None:
    given = kubernetes.settings()
    assert set(given) <= set(SETTINGS)
    for name, value in given.items():
        assert not is_secret(SETTINGS[name]) or "@" in value, name
        assert re.search(r"://[^/@]*:[^/@]*@", value) is None, f"{name} holds a password"
    environments = [LOCATION["env"], *(spec["containers"][0]["env"] for spec in templates().values())]
    for entry in (entry for environment in environments for entry in environment):
        assert entry["name"] in SETTINGS
        assert set(entry) == {"name", "valueFrom"}
        assert set(entry["valueFrom"]) == {"secretKeyRef"}


def test_the_settings_are_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in kubernetes.settings().items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    database = VALUES["postgresql"]
    expected = f"{database['postgresqlUsername']}@{database['postgresqlHost']}:{database['service']['port']}"
    assert f"{expected}/{database['postgresqlDatabase']}" in str(settings.dagster_postgres_address)


def test_every_secret_is_made_on_the_page() -> None:
    page = (REPOSITORY / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    environments = [LOCATION["env"], *(spec["containers"][0]["env"] for spec in templates().values())]
    wanted = {
        (ref["name"], ref["key"])
        for environment in environments
        for ref in (entry["valueFrom"]["secretKeyRef"] for entry in environment)
    }
    for name, key in wanted:
        assert re.search(rf"create secret generic {name} [^\n]*--from-(file|literal)={key}=", page), (
            name,
            key,
        )


# Dagster's chart


def test_the_chart_is_of_dagsters_version() -> None:
    (version,) = locked("requirements.lock")["dagster"]
    for name in ("deploy/kubernetes/dagster-values.yaml", "docs/kubernetes.md"):
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        assert re.findall(r"dagster/dagster --version (\S+)", text) == [str(version)], name


def test_dagster_takes_the_instances_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry is one that Dagster knows, and the storages are PostgreSQL with psycopg2."""
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "x")
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(kubernetes.instance_config()))
    reference = InstanceRef.from_dir(str(tmp_path))
    for storage in (
        reference.run_storage_data,
        reference.event_storage_data,
        reference.schedule_storage_data,
    ):
        assert storage is not None
        assert storage.config_dict["postgres_db"]["scheme"] == "postgresql+psycopg2"
    assert reference.run_launcher_data is not None
    assert reference.run_launcher_data.class_name == "K8sRunLauncher"


def test_the_instance_is_that_of_dagster_yaml() -> None:
    ours = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    theirs = kubernetes.instance_config()
    for storage in ("run_storage", "event_log_storage", "schedule_storage"):
        del theirs[storage]
    del theirs["run_launcher"], ours["run_launcher"], ours["instance_class"]
    assert theirs == ours


def test_what_additional_configuration_says_the_chart_does_not_say_again() -> None:
    daemon = VALUES["dagsterDaemon"]
    assert {"run_monitoring", "run_retries", "concurrency"} <= set(VALUES["additionalInstanceConfig"])
    for name in ("runMonitoring", "runRetries", "runCoordinator"):
        assert daemon[name]["enabled"] is False
    assert "retention" not in VALUES
    assert "concurrency" not in VALUES


@pytest.mark.parametrize("name", PODS)
def test_the_charts_pods_are_limited_harmless_and_known(name: str) -> None:
    pod = PODS[name]
    assert_harmless(
        kubernetes.checked(models.V1PodSecurityContext, pod["podSecurityContext"]),
        kubernetes.checked(models.V1SecurityContext, pod["securityContext"]),
    )
    assert kubernetes.checked(models.V1ResourceRequirements, pod["resources"]).limits["memory"]
    volumes = {kubernetes.checked(models.V1Volume, volume).name for volume in pod["volumes"]}
    mounts = [kubernetes.checked(models.V1VolumeMount, mount) for mount in pod["volumeMounts"]]
    assert {mount.name for mount in mounts} == volumes
    assert {"/tmp", f"{VALUES['global']['dagsterHome']}/storage"} <= {mount.mount_path for mount in mounts}
    for kind in ("readinessProbe", "livenessProbe"):
        probe = {key: value for key, value in pod.get(kind, {}).items() if key != "enabled"}
        kubernetes.checked(models.V1Probe, probe)


def test_folders_are_the_images() -> None:
    image = dockerfile.environment()
    assert VALUES["global"]["dagsterHome"] == image["DAGSTER_HOME"]
    state = next(mount["mountPath"] for mount in LOCATION["volumeMounts"] if mount["name"] == "state")
    assert state == image["HL_ASSETS_HOME"]


def test_the_web_server_is_not_published_and_listens_where_it_may() -> None:
    server = VALUES["dagsterWebserver"]
    assert server["service"] == {"type": "ClusterIP", "port": server["readinessProbe"]["httpGet"]["port"]}
    assert server["service"]["port"] >= 1024, "the user is not root"
    assert "ingress" not in VALUES


# A run


def test_a_run_is_a_job_without_rights_to_spare(run_job: Any) -> None:
    spec = run_job.spec.template.spec
    (container,) = spec.containers
    assert_harmless(spec.security_context, container.security_context)
    assert container.resources.limits["memory"] == LOCATION["resources"]["limits"]["memory"]
    assert spec.restart_policy == "Never"
    assert run_job.spec.ttl_seconds_after_finished == 86_400


def test_runs_share_the_budget_of_the_exchange_on_one_node(run_job: Any) -> None:
    """The budget is counted in the clock of one machine."""
    spec = run_job.spec.template.spec
    assert spec.node_selector == LOCATION["nodeSelector"] == {"hl-assets/exchange": "true"}
    claims = {volume.name: volume.persistent_volume_claim for volume in spec.volumes}
    claim = claims["state"]
    assert claim.claim_name in {
        document["metadata"]["name"]
        for document in kubernetes.manifests()
        if document["kind"] == "PersistentVolumeClaim"
    }
    mounts = {mount.name: mount.mount_path for mount in spec.containers[0].volume_mounts}
    assert mounts["state"] == dockerfile.environment()["HL_ASSETS_HOME"]


def test_a_run_gets_settings_and_secrets_by_reference(run_job: Any) -> None:
    (container,) = run_job.spec.template.spec.containers
    assert "hl-assets-settings" in {source.config_map_ref.name for source in container.env_from}
    by_reference = {variable.name for variable in container.env if variable.value_from}
    assert {entry["name"] for entry in LOCATION["env"]} | {"DAGSTER_PG_PASSWORD"} <= by_reference
