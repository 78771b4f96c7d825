"""What the server counts of itself, in the form that Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "finecap_requests",
            "Requests answered, by route and status",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "finecap_request_seconds",
            "Time from a request's head to the end of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.captioned = Counter(
            "finecap_images_captioned",
            "Images that were sent and captioned",
            registry=self.registry,
        )
        self.refused = Counter(
            "finecap_images_refused",
            "Images that were sent and refused, by status",
            ["status"],
            registry=self.registry,
        )
        self.rows = Gauge(
            "finecap_live_rows", "Images in the live build", ["build"], registry=self.registry
        )

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(route, method, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def live(self, build_id: str, rows: int) -> None:
        """Say which build is live, and only that one."""
        self.rows.clear()
        self.rows.labels(build_id).set(rows)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
