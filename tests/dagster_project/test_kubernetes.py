"""The values for Dagster's chart: its keys, what it makes of them, what Kubernetes says to that.

The chart itself is not here: `chart` says in our own words what it takes and renders. What it
renders is read by those who would read it: Dagster's own schema of `dagster.yaml`, dagster-k8s, the
schemas of Kubernetes.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.errors import DagsterInvalidConfigError
from dagster._core.instance.config import dagster_instance_config
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import (
    DagsterK8sJobConfig,
    UserDefinedDagsterK8sConfig,
    construct_dagster_k8s_job,
    get_user_defined_k8s_config,
)
from kubernetes.client import ApiClient
from pydantic import ValidationError

from dagster_project import pods, stack
from dagster_project.definitions import all_assets
from dagster_project.home import CODE
from dagster_project.installation import VARIABLES
from dagster_project.instance import DRIVER
from finecap.config import load_profile
from tests.dagster_project import chart

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "dagster_project" / "kubernetes" / "values.yaml"
RAW: dict[str, Any] = yaml.safe_load(FILE.read_text())
VALUES = chart.Values.model_validate(RAW)
(DEPLOYMENT,) = VALUES.user_deployments.deployments
SERVER = chart.code_server(VALUES, DEPLOYMENT)
KUBERNETES = "1.34"
"""Version of the schemas."""


def is_known(manifest: dict[str, Any]) -> None:
    """Pass where Kubernetes knows every key, and each value is of its kind."""
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def job_of(tags: dict[str, str]) -> dict[str, Any]:
    """The Job of a run or a step with these tags, merged as dagster-k8s merges."""
    said = chart.launcher(VALUES)
    launched = K8sContainerContext(
        image_pull_policy=said["image_pull_policy"],
        service_account_name=said["service_account_name"],
        security_context=said["security_context"],
        namespace=said["job_namespace"],
        run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(said["run_k8s_config"]),
    )
    served = K8sContainerContext.create_from_config(chart.container_context(DEPLOYMENT))
    asked = K8sContainerContext(run_k8s_config=get_user_defined_k8s_config(tags))
    merged = launched.merge(served).merge(asked)
    config = DagsterK8sJobConfig(
        job_image="finecap-pipeline:0.1.0",
        dagster_home=chart.HOME,
        instance_config_map=said["instance_config_map"],
        postgres_password_secret=said["postgres_password_secret"],
    )
    job = construct_dagster_k8s_job(config, ["dagster"], "job", merged.run_k8s_config)
    return ApiClient().sanitize_for_serialization(job)


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Our values, with a slip."""
    values = deepcopy(RAW)
    change(values)
    return values


def test_chart_is_of_the_version_that_its_keys_were_read_from():
    assert f"--version {chart.VERSION} " in FILE.read_text()
    assert f'"dagster=={chart.VERSION}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v["telemetry"].update(enable=False), "telemetry.enable\n.*not permitted"),
        (lambda v: v.update(runLaunchers={}), "runLaunchers\n.*not permitted"),
        (lambda v: v["concurrency"].pop("enabled"), "concurrency.enabled\n.*required"),
        (lambda v: v["concurrency"]["pools"].update(defaultLimit="2"), "valid integer"),
        (lambda v: v["runLauncher"].update(type="K8SRunLauncher"), "'K8sRunLauncher'"),
        (
            lambda v: v["dagster-user-deployments"]["deployments"][0].update(port="4000"),
            "port\n.*valid integer",
        ),
    ],
)
def test_slip_is_found(change: Callable[[dict[str, Any]], object], said: str):
    with pytest.raises(ValidationError, match=said):
        chart.Values.model_validate(changed(change))


def read_by_dagster(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    text = yaml.safe_dump(chart.instance(chart.Values.model_validate(values)))
    (folder / "dagster.yaml").write_text(text)
    config, _ = dagster_instance_config(str(folder))
    return dict(config)


def test_dagster_reads_its_settings_and_limits_runs_and_pools(tmp_path: Path):
    config = read_by_dagster(RAW, tmp_path)
    assert config["concurrency"]["pools"] == {"granularity": "op", "default_limit": 2}
    assert config["concurrency"]["runs"] == {"max_concurrent_runs": 1}
    assert config["freshness"] == {"enabled": True}
    assert config["run_monitoring"]["max_resume_run_attempts"] == 3


def test_dagster_refuses_a_limit_of_runs_in_two_places(tmp_path: Path):
    coordinator = "runCoordinator"
    twice = changed(
        lambda v: v["dagsterDaemon"][coordinator]["config"]["queuedRunCoordinator"].update(
            maxConcurrentRuns=1
        )
    )
    with pytest.raises(DagsterInvalidConfigError, match="incompatible with the `concurrency"):
        read_by_dagster(twice, tmp_path)


def test_run_launcher_is_one_that_dagster_k8s_accepts():
    schema = resolve_to_config_type(DagsterK8sJobConfig.config_type_run_launcher())
    given = {k: v for k, v in chart.launcher(VALUES).items() if k != "postgres_password_secret"}
    result = process_config(schema, given)
    assert result.success, result.errors


def test_pod_of_the_definitions_is_one_that_kubernetes_knows():
    is_known(SERVER)


@pytest.mark.parametrize(
    "slip",
    [
        {"runAsNonroot": True},
        {"runAsUser": "10001"},
    ],
)
def test_kubernetes_finds_a_slip(slip: dict[str, Any]):
    wrong = deepcopy(SERVER)
    wrong["spec"]["template"]["spec"]["securityContext"] |= slip
    with pytest.raises(kubernetes_validate.ValidationError):
        is_known(wrong)


@pytest.mark.parametrize(
    "asset", all_assets(load_profile("smoke")), ids=lambda asset: asset.node_def.name
)
def test_pod_of_every_step_is_one_that_kubernetes_knows_and_has_all_it_needs(
    asset: dg.AssetsDefinition,
):
    job = job_of(dict(asset.node_def.tags))
    is_known(job)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    asked = yaml.safe_load(asset.node_def.tags[pods.TAG])["container_config"]["resources"]
    assert container["resources"] == asked  # its own, not those of the pod of the definitions
    _has_all(job)


def test_pod_of_a_run_has_what_the_definitions_have_and_no_more_rights():
    job = job_of({})
    is_known(job)
    _has_all(job)
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "1Gi"}


def _has_all(job: dict[str, Any]) -> None:
    """Variables, secrets, volumes and the narrow rights reach the pod."""
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert {one["name"]: one["value"] for one in DEPLOYMENT.env}.items() <= told.items()
    assert {"secretRef": {"name": "finecap"}} in container["envFrom"]
    served = SERVER["spec"]["template"]["spec"]
    assert pod["securityContext"] == served["securityContext"]
    assert container["securityContext"] == DEPLOYMENT.security_context
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {m["name"]: m["mountPath"] for m in DEPLOYMENT.volume_mounts}.items() <= mounts.items()
    assert {volume["name"] for volume in DEPLOYMENT.volumes} <= {v["name"] for v in pod["volumes"]}


def test_definitions_are_served_as_elsewhere():
    _, *command = stack.code().command
    assert command[:2] == ["code-server", "start"]
    assert DEPLOYMENT.code_server_args == command[command.index("--module-name") :]
    assert DEPLOYMENT.port == CODE.usual


def test_image_and_profile_are_those_of_compose():
    compose = (ROOT / "compose.yaml").read_text()
    image = DEPLOYMENT.image
    assert f"image: {image.repository}:{image.tag}" in compose
    told = {one["name"]: one["value"] for one in DEPLOYMENT.env}
    assert f"FINECAP_PROFILE:-{told['FINECAP_PROFILE']}}}" in compose


def test_variables_are_read_and_hold_no_password():
    for one in DEPLOYMENT.env:
        is_ours = one["name"].startswith("FINECAP_")
        assert not is_ours or one["name"] in VARIABLES
        assert not re.search(r"://[^/]*:[^/]*@", one["value"])
    assert DEPLOYMENT.env_secrets == [{"name": VALUES.global_.postgresql_secret_name}]


def test_dagsters_database_is_spoken_to_by_the_driver_that_works():
    assert VALUES.postgresql.postgresql_scheme == DRIVER


def test_pods_run_as_the_images_user_and_write_only_what_is_mounted():
    pod = DEPLOYMENT.pod_security_context
    assert VALUES.run_launcher.config.launcher.run_config.pod_spec_config["securityContext"] == pod
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}" in dockerfile
    assert DEPLOYMENT.security_context["readOnlyRootFilesystem"] is True
    mounts = {mount["name"]: mount["mountPath"] for mount in DEPLOYMENT.volume_mounts}
    assert set(mounts) == {volume["name"] for volume in DEPLOYMENT.volumes}
    # What DVC writes besides its cache, which is in the home.
    assert {"/tmp", "/app/.dvc/tmp"} <= set(mounts.values())  # noqa: S108
    assert "core.site_cache_dir /tmp/" in dockerfile
