"""What one process of the pages counts for Prometheus: requests by route. Nothing of a patient."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


class Numbers:
    """One application's requests, by method, the route's pattern, and status."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "radloop_http_requests", "Requests.", ("method", "route", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "radloop_http_seconds", "Time to answer.", ("route",), registry=self._registry
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return bytes(generate_latest(self._registry))
