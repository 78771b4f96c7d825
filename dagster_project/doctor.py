"""`finecap doctor`: whether this installation and this home can run, and what mends them.

It reads, and changes nothing. Each examination is a function that yields findings (`installation`,
`shared_stores`, `stores`); one that fails in a way nobody foresaw is a finding too, because whoever
asks a doctor wants all of the answer.
"""

import os
from collections.abc import Callable, Mapping

from dagster_project import installation, object_store, shared_stores, stores
from dagster_project.findings import Finding, Findings
from dagster_project.home import Home
from finecap.config import Profile


def examined(home: Home, profile: Profile, environ: Mapping[str, str] = os.environ) -> Findings:
    """All findings, the installation first.

    Args:
        home: whose stores are looked at.
        profile: that is to run there.
        environ: the environment that it runs in.
    """
    parts: dict[str, Callable[[], Findings]] = {
        "python": installation.python,
        "packages": installation.packages,
        "programs": installation.programs,
        "device": installation.device,
        "environment": lambda: installation.environment(environ),
        "profile": lambda: installation.files_of(profile),
        "home": lambda: stores.home_folder(home, profile),
        "data": lambda: stores.data(home, profile),
        "postgres": lambda: shared_stores.databases(environ),
        "server": lambda: shared_stores.server(environ),
        "artifacts": lambda: object_store.examined(environ),
        "mlflow": lambda: stores.tracking(home),
        "dagster": lambda: stores.dagster(home, environ),
        "index": lambda: stores.index(home),
        "ports": lambda: stores.ports(environ),
    }
    for name, part in parts.items():
        try:
            yield from part()
        except Exception as error:  # noqa: BLE001  see the charter
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Finding(name, "fail", said)
