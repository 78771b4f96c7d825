"""Dagster's own settings: where it keeps runs and events, and how many runs there are at once.

`FINECAP_DAGSTER_STORAGE=postgresql+psycopg2://...` keeps them in a database that many machines
share; without it they are in SQLite in the home folder. Each kind has a folder of its own, so that
a home may change from one to the other and back. The file in it is written once, and the user's
then.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from dagster_project.home import Home, HomeError

STORAGE = "FINECAP_DAGSTER_STORAGE"
DRIVER = "postgresql+psycopg2"
"""Named, because SQLAlchemy 2.1 takes psycopg 3 for `postgresql`, with which no event is stored:
Dagster's `NOTIFY run_events, %(id)s` is then a syntax error."""
SETTINGS = """\
# Written by dagster_project; edit it freely, it is not written again.
telemetry:
  enabled: false
# No newsletter dialogue over the first page a person sees.
nux:
  enabled: false
# Whether the index is as recent as it should be (see `caption_index`).
freshness:
  enabled: true
python_logs:
  python_log_level: INFO
  # Writes only where FINECAP_LOG=json.
  dagster_handler_config:
    handlers:
      json:
        class: dagster_project.logs.JsonHandler
        level: DEBUG
run_coordinator:
  module: dagster._core.run_coordinator
  class: QueuedRunCoordinator
  config:
    max_concurrent_runs: 1
"""
"""`dagster.yaml` of every home."""
_SHARED = f"""\
storage:
  postgres:
    postgres_url:
      env: {STORAGE}
"""


def storage_url(environ: Mapping[str, str] = os.environ) -> str:
    """Address of the database that Dagster's storage is in; "" for SQLite in the home folder.

    Raises:
        HomeError: it is of another kind.
    """
    url = environ.get(STORAGE, "")
    if url and not url.startswith(f"{DRIVER}://"):
        raise HomeError(
            f"{STORAGE} is {url.partition('://')[0]}://..., expected {DRIVER}://USER@HOST/NAME, or "
            "unset for SQLite in the home folder"
        )
    return url


def instance_folder(home: Home, environ: Mapping[str, str] = os.environ) -> Path:
    """`$DAGSTER_HOME` of this home, which may not exist yet."""
    return home.dagster if not storage_url(environ) else home.path / "dagster-shared"


def write_instance(home: Home, environ: Mapping[str, str] = os.environ) -> Path:
    """`$DAGSTER_HOME` of this home, its settings written where there are none."""
    folder = instance_folder(home, environ)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "dagster.yaml"
    if not file.is_file():
        file.write_text(SETTINGS + (_SHARED if storage_url(environ) else ""))
    return folder
