"""`deploy/kubernetes/` as Helm, kustomize and Dagster's run launcher would read it.

Belongs here: the files, the `dagster.yaml` and the job of a run that come out of the values. Does not belong here: what must
hold for them. The chart itself is no Python package; `instance_config` and `container_context` say in Python what its
templates (configmap-instance, _run-launcher, k8sContainerContext) make of the values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from dagster._config import process_config
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from dagster_k8s.launcher import K8sRunLauncher
from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict

from hl_assets_tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "kubernetes"
NAMESPACE = "hl-assets"
_SNAKE = {
    "containerConfig": "container_config",
    "podSpecConfig": "pod_spec_config",
    "jobSpecConfig": "job_spec_config",
}


def read(name: str) -> list[dict[str, Any]]:
    """The documents of a file."""
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def values() -> dict[str, Any]:
    """The values of Dagster's chart."""
    (document,) = read("dagster-values.yaml")
    return document


def kustomization() -> dict[str, Any]:
    (document,) = read("kustomization.yaml")
    return document


def manifests() -> list[dict[str, Any]]:
    """What kustomize takes from files, before it changes images and namespace."""
    return [document for name in kustomization()["resources"] for document in read(name)]


def settings() -> dict[str, str]:
    """The variables that every pod gets from the ConfigMap."""
    lines = (FOLDER / "settings.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))  # type: ignore[misc]


def checked(model: type, definition: Mapping[str, Any]) -> Any:
    """A Kubernetes object, with an error for every field that its type does not know or that it misses."""
    return k8s_model_from_dict(model, k8s_snake_case_dict(model, definition))


def code_location() -> dict[str, Any]:
    """The one user deployment of the values."""
    (deployment,) = values()["dagster-user-deployments"]["deployments"]
    return dict(deployment)


def launcher_config() -> dict[str, Any]:
    """The run launcher's entry of `dagster.yaml`."""
    given = values()["runLauncher"]["config"]["k8sRunLauncher"]
    return {
        "load_incluster_config": given["loadInclusterConfig"],
        "job_namespace": NAMESPACE,
        "image_pull_policy": given["imagePullPolicy"],
        "service_account_name": "dagster",
        "dagster_home": values()["global"]["dagsterHome"],
        "instance_config_map": "dagster-instance",
        "postgres_password_secret": values()["global"]["postgresqlSecretName"],
        "security_context": given["securityContext"],
        "run_k8s_config": {_SNAKE[name]: config for name, config in given["runK8sConfig"].items()},
    }


def instance_config() -> dict[str, Any]:
    """The `dagster.yaml` that the chart mounts, as far as these values decide it."""
    chart = values()
    postgresql = chart["postgresql"]
    database = {
        "username": postgresql["postgresqlUsername"],
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "hostname": postgresql["postgresqlHost"],
        "db_name": postgresql["postgresqlDatabase"],
        "port": postgresql["service"]["port"],
        "params": postgresql["postgresqlParams"],
        "scheme": postgresql["postgresqlScheme"],
    }
    storages = {
        "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
        "event_log_storage": ("dagster_postgres.event_log", "PostgresEventLogStorage"),
        "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
    }
    threads = chart["dagsterDaemon"]["schedules"]
    watching = chart["dagsterDaemon"]["sensors"]
    return {
        **{
            name: {"module": module, "class": kind, "config": {"postgres_db": database}}
            for name, (module, kind) in storages.items()
        },
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher_config()},
        "schedules": {"use_threads": threads["useThreads"], "num_workers": threads["numWorkers"]},
        "sensors": {"use_threads": watching["useThreads"], "num_workers": watching["numWorkers"]},
        "telemetry": chart["telemetry"],
        **chart["additionalInstanceConfig"],
    }


def container_context() -> dict[str, Any]:
    """What the chart tells the launcher about the code location's runs."""
    deployment = code_location()
    return {
        "k8s": {
            "image_pull_policy": deployment["image"]["pullPolicy"],
            "env_config_maps": [source["name"] for source in deployment["envConfigMaps"]],
            "env": deployment["env"],
            "volumes": deployment["volumes"],
            "volume_mounts": deployment["volumeMounts"],
            "resources": deployment["resources"],
            "namespace": NAMESPACE,
            "service_account_name": "dagster-user-deployments",
            "run_k8s_config": {"pod_spec_config": {"automount_service_account_token": True}},
        }
    }


def run_job(kubeconfig: Path) -> Any:
    """The Kubernetes job of a run, made by Dagster's own launcher code.

    Args:
        kubeconfig: Written here; the launcher wants a cluster to be named, and none is asked.
    """
    named = {"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "none",
                "clusters": [named],
                "users": [{"name": "none", "user": {}}],
                "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
            }
        )
    )
    processed = process_config(K8sRunLauncher.config_type(), launcher_config())
    assert processed.success, processed.errors
    config = {
        **(processed.value or {}),
        "load_incluster_config": False,
        "kubeconfig_file": str(kubeconfig),
    }
    launcher = K8sRunLauncher(**config)
    context = K8sContainerContext(
        security_context=launcher.security_context,
        run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(dict(launcher.run_k8s_config)),
    ).merge(K8sContainerContext.create_from_config(container_context()))
    image = code_location()["image"]
    return construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(f"{image['repository']}:{image['tag']}", launcher),
        args=["dagster", "api", "execute_run", "{}"],
        job_name="dagster-run-1",
        user_defined_k8s_config=context.run_k8s_config,
    )
