"""What the doctor looks at where a team shares stores: databases, and MLflow's server.

It reads, and changes nothing. No finding holds a password: an address is shown as host, port and
name, and what a driver says of an address is left out where it may quote it.
"""

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from importlib import metadata
from importlib.util import find_spec
from urllib.parse import urlsplit

from dagster_project.findings import Finding, Findings
from dagster_project.home import TRACKING_URI, tracking_uri, without_password
from dagster_project.instance import STORAGE
from finecap.search.engines import URL_VARIABLE

TIMEOUT_S = 5
LEAST_PGVECTOR = (0, 7)
_TEAM = "pip install 'finecap[team]'"


def databases(environ: Mapping[str, str] = os.environ) -> Findings:
    """Each database that is named: whether it lets us in, its version and pgvector's."""
    for variable in (STORAGE, URL_VARIABLE, TRACKING_URI):
        url = environ.get(variable, "")
        if url.startswith("postgres"):
            yield _database(variable, url)


def fault_of(url: str) -> str:
    """Why a database does not let us in; empty where it does."""
    import psycopg

    if urlsplit(url).netloc.count("@") > 1:
        return "the address holds an @ too many: write one in a password as %40, or use PGPASSWORD"
    try:
        psycopg.connect(_plain(url), connect_timeout=TIMEOUT_S).close()
    except psycopg.OperationalError as error:
        return " ".join(str(error).split())
    except psycopg.ProgrammingError:
        return "that is no address of a database, expected postgresql://USER@HOST/NAME"
    return ""


def server(environ: Mapping[str, str] = os.environ) -> Findings:
    """MLflow's server: whether it answers, and whether it is of the version that is here."""
    uri = without_password(tracking_uri(environ))
    if not uri.startswith("http"):
        return
    here, address = metadata.version("mlflow"), f"{uri.rstrip('/')}/version"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:  # noqa: S310  http(s)
            there = answer.read(100).decode(errors="replace").strip()
    except urllib.error.HTTPError as error:
        said = f"{uri} answers {error.code} when asked for its version"
        yield Finding("mlflow", "warn", said, "look whether it is MLflow's, and lets you in")
    except (OSError, HTTPException) as error:
        said = f"{uri} does not answer: {getattr(error, 'reason', error)}"
        yield Finding("mlflow", "fail", said, f"start it, or mend {TRACKING_URI}")
    else:
        if there == here:
            yield Finding("mlflow", "ok", f"server {there} at {uri}")
        else:
            said = f"server at {uri} is {there}, the client here is {here}"
            yield Finding("mlflow", "warn", said, "run the same version on both sides")


def _database(variable: str, url: str) -> Finding:
    wanted = "psycopg" if variable != STORAGE else "dagster_postgres"
    if find_spec(wanted) is None:
        said = f"{variable} names PostgreSQL, and {wanted} is not installed"
        return Finding("postgres", "fail", said, _TEAM)
    fault = fault_of(url)
    if fault:
        fix = "start the server, or mend the address; PGPASSWORD or PGPASSFILE hold the password"
        return Finding("postgres", "fail", f"{variable}: {fault}", fix)
    version, vector = _versions(url)
    parts = urlsplit(url)
    said = f"{variable}: PostgreSQL {version} at {parts.hostname}{parts.path}"
    if variable != URL_VARIABLE:
        return Finding("postgres", "ok", said)
    if not vector:
        return Finding("postgres", "fail", f"{said}, without pgvector", "install it on the server")
    if tuple(int(part) for part in vector.split(".")[:2]) < LEAST_PGVECTOR:
        least = ".".join(str(part) for part in LEAST_PGVECTOR)
        fix = f"install {least} or newer on the server, then `ALTER EXTENSION vector UPDATE`"
        return Finding("postgres", "fail", f"{said}, pgvector {vector}", fix)
    return Finding("postgres", "ok", f"{said}, pgvector {vector}")


def _versions(url: str) -> tuple[str, str]:
    """Of the server, and of pgvector: that in the database, else that it may get, else ""."""
    import psycopg

    asked = (
        "SELECT current_setting('server_version'), coalesce(installed_version, default_version) "
        "FROM (SELECT) AS one LEFT JOIN pg_available_extensions ON name = 'vector'"
    )
    with psycopg.connect(_plain(url), connect_timeout=TIMEOUT_S) as connection:
        version, vector = connection.execute(asked).fetchone() or ("", None)
    return version.split()[0], vector or ""


def _plain(url: str) -> str:
    """The address as PostgreSQL's own programs read it, without SQLAlchemy's driver."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"
