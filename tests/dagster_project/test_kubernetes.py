"""The values for Dagster's chart: known keys, what dagster-k8s accepts, what this project reads.

The chart itself is not here. Its keys below were read from its schema.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig
from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
from kubernetes import client

from dagster_project import stack
from dagster_project.home import CODE
from dagster_project.installation import VARIABLES
from dagster_project.instance import DRIVER

ROOT = Path(__file__).resolve().parents[2]
VALUES: dict[str, Any] = yaml.safe_load(
    (ROOT / "dagster_project" / "kubernetes" / "values.yaml").read_text()
)
(DEPLOYMENT,) = VALUES["dagster-user-deployments"]["deployments"]
LAUNCHER: dict[str, Any] = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
CHART = {
    "": "global generatePostgresqlPasswordSecret telemetry migrate postgresql concurrency "
    "additionalInstanceConfig dagster-user-deployments runLauncher dagsterDaemon",
    "global": "postgresqlSecretName",
    "telemetry": "enabled",
    "migrate": "enabled",
    "postgresql": "enabled postgresqlHost postgresqlUsername postgresqlDatabase postgresqlScheme",
    "concurrency": "pools",
    "dagster-user-deployments": "enabled deployments",
    "runLauncher": "type config",
    "dagsterDaemon": "runCoordinator runMonitoring",
}
"""Keys of ours that the chart has, by the key above them."""
OF_A_DEPLOYMENT = {
    *("name", "image", "port", "codeServerArgs", "includeConfigInLaunchedRuns", "env"),
    *("envSecrets", "volumes", "volumeMounts", "podSecurityContext", "securityContext"),
    "resources",
}
OF_THE_LAUNCHER = {
    "imagePullPolicy": "image_pull_policy",
    "loadInclusterConfig": "load_incluster_config",
    "failPodOnRunFailure": "fail_pod_on_run_failure",
    "runK8sConfig": "run_k8s_config",
}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@pytest.mark.parametrize("above", CHART)
def test_keys_are_the_charts(above: str):
    assert set(VALUES[above] if above else VALUES) == set(CHART[above].split())
    assert set(DEPLOYMENT) == OF_A_DEPLOYMENT


def test_run_launcher_is_one_that_dagster_k8s_accepts():
    config = {OF_THE_LAUNCHER[name]: value for name, value in LAUNCHER.items()}
    asked = {snake(name): value for name, value in config["run_k8s_config"].items()}
    given = {**config, "run_k8s_config": asked, "instance_config_map": "dagster-instance"}
    schema = resolve_to_config_type(DagsterK8sJobConfig.config_type_run_launcher())
    result = process_config(schema, given)
    assert result.success, result.errors
    pod = UserDefinedDagsterK8sConfig.from_dict(asked)
    assert pod.pod_spec_config["security_context"]["run_as_non_root"] is True


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (client.V1Volume, DEPLOYMENT["volumes"]),
        (client.V1VolumeMount, DEPLOYMENT["volumeMounts"]),
        (client.V1EnvVar, DEPLOYMENT["env"]),
        (client.V1PodSecurityContext, [DEPLOYMENT["podSecurityContext"]]),
        (client.V1SecurityContext, [DEPLOYMENT["securityContext"]]),
        (client.V1ResourceRequirements, [DEPLOYMENT["resources"]]),
    ],
)
def test_parts_of_pods_are_such_as_kubernetes_knows(kind: type, parts: list[dict[str, Any]]):
    for part in parts:
        assert k8s_model_from_dict(kind, k8s_snake_case_dict(kind, part))


def test_definitions_are_served_as_elsewhere():
    _, *command = stack.code().command
    assert command[:2] == ["code-server", "start"]
    assert DEPLOYMENT["codeServerArgs"] == command[command.index("--module-name") :]
    assert DEPLOYMENT["port"] == CODE.usual


def test_image_and_profile_are_those_of_compose():
    compose = (ROOT / "compose.yaml").read_text()
    image = DEPLOYMENT["image"]
    assert f"image: {image['repository']}:{image['tag']}" in compose
    told = {one["name"]: one["value"] for one in DEPLOYMENT["env"]}
    assert f"FINECAP_PROFILE:-{told['FINECAP_PROFILE']}}}" in compose


def test_variables_are_read_and_hold_no_password():
    for one in DEPLOYMENT["env"]:
        is_ours = one["name"].startswith("FINECAP_")
        assert not is_ours or one["name"] in VARIABLES
        assert not re.search(r"://[^/]*:[^/]*@", one["value"])
    assert DEPLOYMENT["envSecrets"] == [{"name": VALUES["global"]["postgresqlSecretName"]}]


def test_dagsters_database_is_spoken_to_by_the_driver_that_works():
    assert VALUES["postgresql"]["postgresqlScheme"] == DRIVER


def test_pods_run_as_the_images_user_and_write_only_what_is_mounted():
    launched = LAUNCHER["runK8sConfig"]["podSpecConfig"]["securityContext"]
    assert launched == DEPLOYMENT["podSecurityContext"]
    assert launched["runAsUser"] == 10001
    assert DEPLOYMENT["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["name"] for mount in DEPLOYMENT["volumeMounts"]} == {
        volume["name"] for volume in DEPLOYMENT["volumes"]
    }
