"""Counters as Prometheus reads them."""

from finecap.server.metrics import Metrics


def test_requests_are_counted_by_route_and_status():
    metrics = Metrics()
    metrics.observe("/api/search", "GET", 200, 0.02)
    metrics.observe("/api/search", "GET", 200, 0.02)
    text = metrics.text().decode()
    assert 'finecap_requests_total{method="GET",route="/api/search",status="200"} 2.0' in text
    assert 'finecap_request_seconds_bucket{le="0.025",route="/api/search"} 2.0' in text


def test_one_build_is_live_at_a_time():
    metrics = Metrics()
    metrics.live("one", 10)
    metrics.live("two", 20)
    text = metrics.text().decode()
    assert 'finecap_live_rows{build="two"} 20.0' in text
    assert 'build="one"' not in text
