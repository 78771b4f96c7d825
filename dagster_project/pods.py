"""What a step asks of Kubernetes where each step is a pod: by what it does, not by its name.

`FINECAP_EXECUTOR=kubernetes` makes every step a pod (dagster-k8s); otherwise the tag is there and
nothing reads it. `FINECAP_GPU_NODES=KEY=VALUE` says which nodes have a GPU: what computes with
PyTorch then asks for one, and goes to those. Sizes are those of `scenes`, a third to spare; a
profile with larger models says its own in the Launchpad, by the same tag.
"""

import os
from collections.abc import Collection, Mapping
from typing import Any

from dagster_project.home import HomeError

TAG = "dagster-k8s/config"
EXECUTOR, GPU_NODES = "FINECAP_EXECUTOR", "FINECAP_GPU_NODES"
KUBERNETES = "kubernetes"
GPU = "nvidia.com/gpu"
COMPUTES = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
READS = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


def is_chosen(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether steps are to be pods.

    Raises:
        HomeError: the executor asked for is unknown.
    """
    asked = environ.get(EXECUTOR, "")
    if asked not in {"", KUBERNETES}:
        raise HomeError(
            f"{EXECUTOR} is {asked!r}, expected {KUBERNETES!r}, or unset for processes here"
        )
    return asked == KUBERNETES


def gpu_nodes(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Label of the nodes that have a GPU; empty where none has.

    Raises:
        HomeError: it is no label.
    """
    asked = environ.get(GPU_NODES, "")
    key, sign, value = asked.partition("=")
    if asked and not (key and sign and value):
        raise HomeError(f"{GPU_NODES} is {asked!r}, expected a node's label, e.g. gpu=true")
    return {key: value} if asked else {}


def pod(kinds: Collection[str], environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What a step of these kinds asks for, as dagster-k8s reads it.

    Args:
        kinds: of the asset; what computes is `pytorch`.
        environ: names the nodes with a GPU.
    """
    if "pytorch" not in kinds:
        return {"container_config": {"resources": READS}}
    nodes = gpu_nodes(environ)
    if not nodes:
        return {"container_config": {"resources": COMPUTES}}
    limits = {**COMPUTES["limits"], GPU: "1"}
    return {
        "container_config": {"resources": {**COMPUTES, "limits": limits}},
        "pod_spec_config": {
            "node_selector": nodes,
            "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        },
    }
