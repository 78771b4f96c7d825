"""`python -m dagster_project.databases`: the databases that a team's servers keep their state in.

Run once before the servers start, as often as one likes: it creates what is missing, and brings
the tables of Dagster, of the index and of MLflow up to those that the installed versions expect.
Which databases, the environment says as it says to the servers. The passwords are not in those
addresses: `PGPASSWORD` or `PGPASSFILE` holds them, so that no message can show one.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping

import psycopg
from psycopg import conninfo, errors, sql

from dagster_project.home import BACKEND_URI, home_of, profile_in
from dagster_project.instance import STORAGE, write_instance
from dagster_project.run import prepare
from finecap.config import load_profile
from finecap.search.engines import URL_VARIABLE, open_index


class DatabaseError(RuntimeError):
    """A database that is needed cannot be had."""


def urls(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Addresses of the databases that the environment names."""
    named = (environ.get(name, "") for name in (STORAGE, BACKEND_URI, URL_VARIABLE))
    return [plain(url) for url in named if url.startswith("postgres")]


def plain(url: str) -> str:
    """An address as PostgreSQL's own programs read it, without SQLAlchemy's driver."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


def create(url: str) -> None:
    """Create the database of that address where it is missing.

    Raises:
        DatabaseError: the server cannot be reached, or this user may not create one.
    """
    parts = conninfo.conninfo_to_dict(url)
    name, place = str(parts["dbname"]), f"{parts.get('host')}:{parts.get('port', 5432)}"
    there = conninfo.make_conninfo(url, dbname="postgres", connect_timeout=10)
    try:
        with psycopg.connect(there, autocommit=True) as connection:
            asked = "SELECT FROM pg_database WHERE datname = %s"
            if connection.execute(asked, [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except errors.DuplicateDatabase:
        return  # another process was first
    except errors.InsufficientPrivilege as error:
        raise DatabaseError(
            f"user {parts.get('user')} may not create database {name} at {place}: create it there "
            f"by hand, owned by that user"
        ) from error
    except psycopg.OperationalError as error:
        said = " ".join(str(error).split())
        raise DatabaseError(
            f"PostgreSQL at {place} cannot be reached: {said}; is it up, and is its password in "
            "PGPASSWORD or PGPASSFILE?"
        ) from error


def upgrade(environ: Mapping[str, str] = os.environ) -> None:
    """Bring the tables that Dagster, the index and MLflow keep up to date."""
    import dagster as dg

    home = home_of(load_profile(profile_in(environ)).name, environ)
    if environ.get(STORAGE):
        with dg.DagsterInstance.from_config(str(write_instance(home, environ))) as instance:
            instance.upgrade()
    if environ.get(URL_VARIABLE):
        open_index(home.index, environ[URL_VARIABLE]).live()
    if environ.get(BACKEND_URI) and _has_tables(plain(environ[BACKEND_URI])):
        command = [sys.executable, "-m", "mlflow", "db", "upgrade", environ[BACKEND_URI]]
        subprocess.run(command, check=True)  # noqa: S603  our own program


def _has_tables(url: str) -> bool:
    """Whether MLflow's server, which makes its tables in an empty database, has done so."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    return found is not None and found[0] is not None


def main() -> int:
    """Create and upgrade; 0 when all is there."""
    profile = load_profile(profile_in())
    prepare(home_of(profile.name), profile)
    for url in urls():
        create(url)
    upgrade()
    return 0


if __name__ == "__main__":
    sys.exit(main())
