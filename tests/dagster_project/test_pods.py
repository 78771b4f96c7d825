"""What each step asks of Kubernetes, as dagster-k8s itself reads it."""

import json
from typing import Any

import dagster as dg
import pytest
from dagster_k8s.job import (
    DagsterK8sJobConfig,
    construct_dagster_k8s_job,
    get_user_defined_k8s_config,
)

from dagster_project import pods
from dagster_project.definitions import all_assets, build_defs
from dagster_project.home import Home, HomeError
from finecap.config import load_profile
from tests.dagster_project.conftest import ROOT

NODES = {pods.GPU_NODES: "gpu=true"}
SMOKE = load_profile("smoke")


def job_of(tags: dict[str, str]) -> dict[str, Any]:
    """The Kubernetes job of a step with these tags."""
    config = DagsterK8sJobConfig(job_image="finecap", dagster_home="/x")
    asked = get_user_defined_k8s_config(tags)
    return construct_dagster_k8s_job(config, ["dagster"], "job", asked).to_dict()


def spec_of(tags: dict[str, str]) -> dict[str, Any]:
    return job_of(tags)["spec"]["template"]["spec"]


def tags_of(kinds: set[str], environ: dict[str, str]) -> dict[str, str]:
    return {pods.TAG: json.dumps(pods.pod(kinds, environ))}


@pytest.mark.parametrize("asset", all_assets(SMOKE), ids=lambda asset: asset.node_def.name)
def test_every_asset_makes_a_job_that_kubernetes_knows(asset: dg.AssetsDefinition):
    spec = spec_of(dict(asset.node_def.tags))
    resources = spec["containers"][0]["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert "memory" in resources["limits"]


def test_what_computes_asks_for_a_gpu_and_its_nodes_where_there_are_any():
    spec = spec_of(tags_of({"pytorch", "mlflow"}, NODES))
    assert spec["containers"][0]["resources"]["limits"] == {"memory": "4Gi", "nvidia.com/gpu": "1"}
    assert spec["node_selector"] == {"gpu": "true"}
    assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"


@pytest.mark.parametrize(("kinds", "environ"), [({"dvc"}, NODES), ({"pytorch"}, {})])
def test_others_go_anywhere_and_ask_for_none(kinds: set[str], environ: dict[str, str]):
    spec = spec_of(tags_of(kinds, environ))
    assert "nvidia.com/gpu" not in spec["containers"][0]["resources"]["limits"]
    assert spec["node_selector"] is None


@pytest.mark.parametrize("said", ["gpu", "=true", "gpu="])
def test_label_that_is_none_is_refused(said: str):
    with pytest.raises(HomeError, match=r"FINECAP_GPU_NODES is .*, expected a node's label"):
        pods.gpu_nodes({pods.GPU_NODES: said})


def test_steps_are_processes_until_kubernetes_is_asked_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    def executor() -> dg.ExecutorDefinition:
        return build_defs(SMOKE, Home(ROOT, home.path)).resolve_job_def("retrain").executor_def

    assert executor().name == "multiprocess"
    monkeypatch.setenv(pods.EXECUTOR, "kubernetes")
    assert executor().name == "k8s"
    assert "step_k8s_config" in executor().config_schema.config_type.fields  # type: ignore[union-attr]


def test_unknown_executor_is_refused():
    with pytest.raises(HomeError, match="FINECAP_EXECUTOR is 'k8s', expected 'kubernetes'"):
        pods.is_chosen({pods.EXECUTOR: "k8s"})
