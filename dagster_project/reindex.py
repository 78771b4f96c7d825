"""Caption and index with the version that the alias names, now and from a shell.

The job `reindex` of the Dagster UI, run here as `make run` runs the whole pipeline: on the home's
own instance, so that it can be looked at afterwards. Which profile the home holds, the home says.
"""

import os
from collections.abc import Mapping

import dagster as dg

from dagster_project.home import Home
from dagster_project.run import execute, prepare, say, use_profile
from finecap.config import ProfileError


class ReindexError(RuntimeError):
    """The index could not be brought up to the champion."""


def reindex(home: Home) -> None:
    """Caption and index with today's champion of `home`.

    Raises:
        ReindexError: the home's profile is not known here, or the run failed.
    """
    wanted = profile_of(home)
    try:
        profile = use_profile(wanted)
    except ProfileError as error:
        raise ReindexError(
            f"{home.path} holds profile {home.owner!r}: set FINECAP_PROFILE to its YAML file to "
            f"index from here ({error})"
        ) from error
    if profile.name != home.owner:
        raise ReindexError(
            f"{home.path} holds profile {home.owner!r}, but FINECAP_PROFILE says {profile.name!r}"
        )
    prepare(home, profile)
    with dg.DagsterInstance.get() as instance:
        from dagster_project.definitions import reindex_job

        run_id, is_success = execute(reindex_job, instance, {})
    if not is_success:
        raise ReindexError(
            f"run {run_id} failed, the error is above; the alias has moved, the index has not: "
            "run the pipeline (`make run`)"
        )
    say("captions and index are the champion's")


def profile_of(home: Home, environ: Mapping[str, str] = os.environ) -> str:
    """Name or file of the home's profile: what the environment says, else what the home says."""
    return environ.get("FINECAP_PROFILE") or home.owner
