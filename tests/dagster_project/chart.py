"""Dagster's Helm chart, as far as our values use it: its keys, and what it renders of them.

The chart is not here. Its keys, their kinds and what its templates make of them were read from its
sources (copies that name no release, the newest of them with `concurrency`), and are said below in
our own words. A key that is not here is refused: it is misspelt, or it is to be added with a look
at the chart. What the chart hands on to pods as it is, is a dictionary here and is checked where it
ends: in a manifest, by Kubernetes' own schema.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

VERSION = "1.13.27"
RELEASE = "dagster"
NAMESPACE = "default"
HOME = "/dagster-home"
Handed = dict[str, Any]


class Part(BaseModel):
    """Keys are the chart's, in its camel case."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Switch(Part):
    enabled: bool


class Global(Part):
    postgresql_secret_name: str = Field(min_length=1)


class Postgresql(Part):
    enabled: bool
    postgresql_host: str
    postgresql_username: str
    postgresql_database: str
    postgresql_scheme: str


class Pools(Part):
    granularity: Literal["op", "run"]
    default_limit: int = Field(ge=0)


class Runs(Part):
    max_concurrent_runs: int


class Concurrency(Part):
    enabled: Literal[True]  # the chart renders none of it otherwise, and says nothing
    pools: Pools
    runs: Runs


class Image(Part):
    repository: str
    tag: str
    pull_policy: Literal["Always", "IfNotPresent", "Never"]


class Deployment(Part):
    name: str = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    image: Image
    port: int = Field(gt=0, lt=65_536)
    code_server_args: list[str] = Field(min_length=1)
    include_config_in_launched_runs: Switch
    env: list[Handed]
    env_secrets: list[Handed]
    volumes: list[Handed]
    volume_mounts: list[Handed]
    pod_security_context: Handed
    security_context: Handed
    resources: Handed


class Deployments(Part):
    enabled: Literal[True]
    deployments: list[Deployment] = Field(min_length=1)


class RunK8sConfig(Part):
    container_config: Handed
    pod_spec_config: Handed
    job_spec_config: Handed


class K8sRunLauncher(Part):
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"]
    load_incluster_config: bool
    fail_pod_on_run_failure: bool
    security_context: Handed
    run_config: RunK8sConfig = Field(alias="runK8sConfig")


class LauncherConfig(Part):
    launcher: K8sRunLauncher = Field(alias="k8sRunLauncher")


class RunLauncher(Part):
    type: Literal["K8sRunLauncher"]
    config: LauncherConfig


class QueuedRunCoordinator(Part):
    """Null takes away what the chart's own values say."""

    max_concurrent_runs: int | None
    block_op_concurrency_limited_runs: Handed | None


class CoordinatorConfig(Part):
    queued_run_coordinator: QueuedRunCoordinator


class Coordinator(Part):
    enabled: bool
    type: Literal["QueuedRunCoordinator"]
    config: CoordinatorConfig


class Monitoring(Part):
    enabled: bool
    start_timeout_seconds: int = Field(gt=0)
    max_resume_run_attempts: int = Field(ge=0)


class Daemon(Part):
    run_coordinator: Coordinator
    run_monitoring: Monitoring


class Values(Part):
    """What a file of values says."""

    global_: Global = Field(alias="global")
    generate_postgresql_password_secret: bool
    telemetry: Switch
    migrate: Switch
    postgresql: Postgresql
    additional_instance_config: Handed
    concurrency: Concurrency
    user_deployments: Deployments = Field(alias="dagster-user-deployments")
    run_launcher: RunLauncher
    dagster_daemon: Daemon


def instance(values: Values) -> dict[str, Any]:
    """`dagster.yaml` of every pod, as the chart's ConfigMap has it."""
    queued = values.dagster_daemon.run_coordinator.config.queued_run_coordinator
    monitoring = values.dagster_daemon.run_monitoring
    coordinator: dict[str, Any] = {
        "module": "dagster.core.run_coordinator",
        "class": "QueuedRunCoordinator",
    }
    if queued.max_concurrent_runs is not None:
        coordinator["config"] = {"max_concurrent_runs": queued.max_concurrent_runs}
    return {
        **{
            f"{kind}_storage": {
                "module": f"dagster_postgres.{module}",
                "class": f"Postgres{name}",
                "config": _database(values.postgresql),
            }
            for kind, module, name in (
                ("schedule", "schedule_storage", "ScheduleStorage"),
                ("run", "run_storage", "RunStorage"),
                ("event_log", "event_log", "EventLogStorage"),
            )
        },
        "run_launcher": {
            "module": "dagster_k8s",
            "class": "K8sRunLauncher",
            "config": launcher(values),
        },
        "run_coordinator": coordinator,
        "run_monitoring": monitoring.model_dump(),
        "telemetry": values.telemetry.model_dump(),
        "concurrency": {
            "pools": values.concurrency.pools.model_dump(),
            "runs": values.concurrency.runs.model_dump(),
        },
        **values.additional_instance_config,
    }


def launcher(values: Values) -> dict[str, Any]:
    """The run launcher's config."""
    said = values.run_launcher.config.launcher
    return {
        "load_incluster_config": said.load_incluster_config,
        "job_namespace": NAMESPACE,
        "image_pull_policy": said.image_pull_policy,
        "service_account_name": RELEASE,
        "dagster_home": HOME,
        "instance_config_map": f"{RELEASE}-instance",
        "postgres_password_secret": values.global_.postgresql_secret_name,
        "fail_pod_on_run_failure": said.fail_pod_on_run_failure,
        "security_context": said.security_context,
        "run_k8s_config": said.run_config.model_dump(),
    }


def container_context(deployment: Deployment) -> dict[str, Any]:
    """What the pod of the definitions hands on to the pods of its runs and steps."""
    if not deployment.include_config_in_launched_runs.enabled:
        return {}
    return {
        "k8s": {
            "image_pull_policy": deployment.image.pull_policy,
            "env_config_maps": [f"{RELEASE}-dagster-user-deployments-{deployment.name}-user-env"],
            "env_secrets": [secret["name"] for secret in deployment.env_secrets],
            "volume_mounts": deployment.volume_mounts,
            "volumes": deployment.volumes,
            "resources": deployment.resources,
            "namespace": NAMESPACE,
            "service_account_name": f"{RELEASE}-dagster-user-deployments-user-deployments",
            "env": deployment.env,
            "run_k8s_config": {"pod_spec_config": {"automount_service_account_token": True}},
        }
    }


def code_server(values: Values, deployment: Deployment) -> dict[str, Any]:
    """The manifest of the pod of the definitions."""
    labels = {"deployment": deployment.name}
    password = {"name": values.global_.postgresql_secret_name, "key": "postgresql-password"}
    container = {
        "name": "dagster-user-deployments",
        "image": f"{deployment.image.repository}:{deployment.image.tag}",
        "imagePullPolicy": deployment.image.pull_policy,
        "args": [
            *("dagster", "code-server", "start", "-h", "0.0.0.0", "-p", str(deployment.port)),  # noqa: S104
            *deployment.code_server_args,
        ],
        "env": [
            {"name": "DAGSTER_PG_PASSWORD", "valueFrom": {"secretKeyRef": password}},
            *deployment.env,
        ],
        "envFrom": [{"secretRef": secret} for secret in deployment.env_secrets],
        "volumeMounts": deployment.volume_mounts,
        "securityContext": deployment.security_context,
        "resources": deployment.resources,
    }
    pod = {
        "containers": [container],
        "volumes": deployment.volumes,
        "securityContext": deployment.pod_security_context,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment.name, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _database(said: Postgresql) -> dict[str, Any]:
    return {
        "postgres_db": {
            "username": said.postgresql_username,
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": said.postgresql_host,
            "db_name": said.postgresql_database,
            "port": 5432,
            "params": {},
            "scheme": said.postgresql_scheme,
        }
    }
