"""Where MLflow's server keeps artifacts: in the home, or in an S3-compatible store.

`MLFLOW_ARTIFACTS_DESTINATION=s3://bucket/path`, with `MLFLOW_S3_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`
and `AWS_SECRET_ACCESS_KEY` beside it, as in `compose.yaml`. The server alone needs these: clients
send artifacts through it. It would start without a look at the store and fail when the first model
is registered, so it is asked before. Nothing is written, and no message holds a key.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from dagster_project.findings import Finding, Findings
from dagster_project.home import without_password

DESTINATION = "MLFLOW_ARTIFACTS_DESTINATION"
"""Variable of an MLflow server that takes and gives artifacts itself."""
ROOT = "MLFLOW_DEFAULT_ARTIFACT_ROOT"
"""Variable of an MLflow whose clients take and give them at that address."""
ENDPOINT = "MLFLOW_S3_ENDPOINT_URL"
TIMEOUT_S = 5
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_ADVICE = {
    "NoSuchBucket": "create the bucket, or mend the address",
    "404": "create the bucket, or mend the address",
    "InvalidAccessKeyId": f"mend {_KEYS}",
    "SignatureDoesNotMatch": f"mend {_KEYS}",
    "403": f"mend {_KEYS}, or let that key list, read and write the bucket",
    "AccessDenied": f"mend {_KEYS}, or let that key list, read and write the bucket",
}
"""What to do, by what S3 answers."""


class ObjectStoreError(RuntimeError):
    """The store for artifacts cannot be used."""


def destination(folder: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Where a server keeps artifacts.

    Args:
        folder: of the home, where nothing else is asked for.
        environ: may ask for something else.

    Raises:
        ObjectStoreError: that is an S3-compatible store which does not let us in.
    """
    asked = environ.get(DESTINATION)
    if not asked:
        return folder.as_uri()
    if found := fault_of(asked, environ):
        fault, fix = found
        raise ObjectStoreError(f"{DESTINATION}: {fault}; {fix}")
    return asked


def examined(environ: Mapping[str, str] = os.environ) -> Findings:
    """What the doctor finds."""
    for variable in (DESTINATION, ROOT):
        place = environ.get(variable, "")
        if urlsplit(place).scheme != "s3":
            continue
        if found := fault_of(place, environ):
            yield Finding("artifacts", "fail", f"{variable}: {found[0]}", found[1])
        else:
            said = f"{variable}: {without_password(place)} lets us in"
            yield Finding("artifacts", "ok", said)


def fault_of(place: str, environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Why a store of artifacts cannot be used, and what mends it; None where it can.

    Only `s3://` is asked: a folder is MLflow's to make, and other stores are MLflow's to know.
    """
    parts = urlsplit(place)
    if parts.scheme != "s3":
        return None
    if find_spec("boto3") is None:
        return f"{place} is S3, and boto3 is not installed", "pip install 'finecap[team]'"
    if not parts.hostname or "@" in parts.netloc:
        return "that names no bucket", f"expected s3://BUCKET/PATH; keys are in {_KEYS}"
    return _refusal(parts.netloc, parts.path.strip("/"), environ)


def _refusal(bucket: str, prefix: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """What S3 says against us, and what mends it."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    where = without_password(environ.get(ENDPOINT) or "Amazon S3")
    try:
        _ask(bucket, prefix, environ)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "?"))
        fix = _ADVICE.get(code, f"ask who runs it; {ENDPOINT} and {_KEYS} say where and who we are")
        return f"bucket {bucket} at {where} answers {code}", fix
    except NoCredentialsError:
        return f"no keys to bucket {bucket}", f"set {_KEYS}"
    except (BotoCoreError, ValueError) as error:  # ValueError: of the endpoint's address
        said = f"{where} does not answer ({type(error).__name__})"
        return said, f"start it, or mend {ENDPOINT}, which is unset for Amazon's own"
    return None


def _ask(bucket: str, prefix: str, environ: Mapping[str, str]) -> None:
    """List one object, as MLflow's client would reach it."""
    import boto3
    from botocore.config import Config

    ignores_tls = environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in {"true", "1"}
    client = boto3.client(
        "s3",
        endpoint_url=environ.get(ENDPOINT) or None,
        aws_access_key_id=environ.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=environ.get("AWS_SESSION_TOKEN"),
        verify=False if ignores_tls else None,
        config=Config(
            signature_version="s3v4",
            connect_timeout=TIMEOUT_S,
            read_timeout=TIMEOUT_S,
            retries={"total_max_attempts": 1},
        ),
    )
    client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
