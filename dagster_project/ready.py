"""`python -m dagster_project.ready ADDRESS`: whether a server answers, as exit code.

What `make up` waits for, and what a container engine asks every few seconds: so nothing heavy is
imported. `http://...` is asked for its page, `grpc://HOST:PORT` by gRPC's health protocol, for the
service that Dagster's code servers name.
"""

import http.client
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
_CODE_SERVICE = "DagsterApi"


def is_ready(address: str) -> bool:
    """Whether the server at the address answers, and says that it is well.

    Raises:
        ValueError: the address is neither http:// nor grpc://.
    """
    scheme = urlsplit(address).scheme
    if scheme == "http":
        return _answers(address)
    if scheme == "grpc":
        return _serves(urlsplit(address).netloc)
    raise ValueError(f"{address}: expected http://HOST:PORT/PATH or grpc://HOST:PORT")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S):  # noqa: S310  http, seen above
            return True
    except (OSError, http.client.HTTPException):  # not up yet, or not well; HTTPError is an OSError
        return False


def _serves(place: str) -> bool:
    import grpc
    from grpc_health.v1 import health_pb2 as health

    with grpc.insecure_channel(place) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health.HealthCheckRequest.SerializeToString,
            health.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health.HealthCheckRequest(service=_CODE_SERVICE), timeout=TIMEOUT_S)
        except grpc.RpcError:
            return False
    return answer.status == health.HealthCheckResponse.SERVING


if __name__ == "__main__":
    sys.exit(0 if is_ready(sys.argv[1]) else 1)
