"""The platform's figures in Prometheus's data model.

Belongs here: turning facts into samples at each scrape. Does not belong here: reading facts (`reading`, `refreshing`), what the
metrics are called (`catalogue`).
"""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from hl_assets import __version__
from hl_assets.observability.catalogue import METRICS, PREFIX, Limits, Metric
from hl_assets.observability.refreshing import Reading

Family = GaugeMetricFamily | CounterMetricFamily

OWN = {
    f"{PREFIX}build_info": "Version of the code that is scraped and the source it reads; always 1",
    f"{PREFIX}platform_readable": "Whether the figures of the platform could be read; 0: all of them are absent",
    f"{PREFIX}platform_read_seconds": "Seconds that the newest reading took; absent while it is not over",
}
"""Metrics about the reading itself."""


class PlatformCollector(Collector):
    """Samples of what is known when Prometheus asks.

    Args:
        newest: The newest reading.
        limits: What the settings allow.
        source: The exchange whose figures these are: sandbox, recorded or live.
    """

    def __init__(self, newest: Callable[[], Reading], limits: Limits, source: str) -> None:
        self._newest = newest
        self._limits = limits
        self._source = source

    def describe(self) -> Iterator[Family]:
        """The names, so that registering reads nothing."""
        yield from (_family(metric) for metric in METRICS)
        yield from (GaugeMetricFamily(name, meaning) for name, meaning in OWN.items())

    def collect(self) -> Iterator[Family]:
        """The samples; what is unknown has none."""
        reading = self._newest()
        yield from self._own(reading)
        if reading.facts is None:
            return
        for metric in METRICS:
            family = _family(metric)
            for labels, value in metric.samples(reading.facts, self._limits):
                family.add_metric(labels, value)
            if family.samples:
                yield family

    def _own(self, reading: Reading) -> Iterator[Family]:
        info, readable, seconds = OWN
        built = GaugeMetricFamily(info, OWN[info], labels=("version", "source"))
        built.add_metric((__version__, self._source), 1)
        yield built
        yield GaugeMetricFamily(readable, OWN[readable], value=float(reading.facts is not None))
        if reading.seconds is not None:
            yield GaugeMetricFamily(seconds, OWN[seconds], value=reading.seconds)


def _family(metric: Metric) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.full_name, metric.meaning, labels=metric.labels)
