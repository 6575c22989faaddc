"""What the API tells Prometheus of itself.

Belongs here: the metrics and their labels. Does not belong here: measuring (`middleware`, `service`), the platform's figures
(`hl_assets.observability`), which are shown with them. Labels are route templates and statuses, never what a client sent.
"""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series per series that nobody reads

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNMATCHED = "unmatched"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """The metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "hl_assets_api_requests",
            "Requests answered",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "hl_assets_api_request_seconds",
            "Seconds until the answer was sent",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.active = Gauge(
            "hl_assets_api_active_requests", "Requests being answered", registry=self.registry
        )
        self.limited = Counter(
            "hl_assets_api_rate_limited", "Requests refused by the rate limit", registry=self.registry
        )
        self.reads = Histogram(
            "hl_assets_api_read_seconds",
            "Seconds that reading and building an answer took",
            ("answer",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.rereads = Counter(
            "hl_assets_api_rereads",
            "Answers read again because their snapshot vanished",
            registry=self.registry,
        )
        self.warehouse_up = Gauge(
            "hl_assets_api_warehouse_up", "Whether the warehouse answered this scrape", registry=self.registry
        )
        self.newest_slot = Gauge(
            "hl_assets_api_newest_slot_timestamp_seconds",
            "Newest scored slot, Unix time; NaN if unknown",
            registry=self.registry,
        )

    def watch_cache(
        self, hits: Callable[[], float], misses: Callable[[], float], size: Callable[[], float]
    ) -> None:
        """Show a cache's figures, read at each scrape."""
        for name, meaning, read in (
            ("hits", "Answers taken from the cache", hits),
            ("misses", "Answers that had to be made", misses),
            ("bytes", "Memory of cached answers", size),
        ):
            gauge = Gauge(f"hl_assets_api_cache_{name}", meaning, registry=self.registry)
            gauge.set_function(read)

    def show(self, collector: Collector) -> None:
        """Show what a collector says, too."""
        self.registry.register(collector)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)
