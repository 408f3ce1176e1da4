"""The figures of a server in the text format of Prometheus.

They are made for each scrape from counters that are kept anyway: so a request costs one entry in a
dictionary, two servers in one process do not share figures, and nothing is counted for nobody. Labels take
few values: a row of the table and not a path, a status, the name of a reactor.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from perdure.runtime.telemetry import Meter
from perdure.transports.exchange import Site

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


async def exposition(site: Site) -> bytes:
    """Write all figures as they stand."""
    contexts = site.app.contexts
    heads = {name: await live.head() for name, live in contexts.items()}
    registry = CollectorRegistry()
    registry.register(Snapshot(site, heads))
    return generate_latest(registry)


class Snapshot(Collector):
    """The figures of one scrape."""

    def __init__(self, site: Site, heads: Mapping[str, int]) -> None:
        self._site, self._heads = site, heads

    def collect(self) -> Iterator[Metric]:
        """Give every figure."""
        app = self._site.app
        requests = CounterMetricFamily(
            "perdure_http_requests",
            "Requests answered, by the path as the table names it.",
            labels=("path", "method", "status"),
        )
        for (path, method, status), count in sorted(self._site.served.items()):
            requests.add_metric((path, method, str(status)), count)
        yield requests
        yield _durations(app.meter)
        counted = CounterMetricFamily("perdure_counted", "What else is counted.", labels=("name",))
        for name, count in sorted(app.meter.counters.items()):
            counted.add_metric((name,), count)
        yield counted
        position = GaugeMetricFamily(
            "perdure_position", "The highest position of a context.", labels=("context",)
        )
        for name, head in self._heads.items():
            position.add_metric((name,), head)
        yield position
        yield GaugeMetricFamily(
            "perdure_troubles", "Loops that stand still.", value=len(app.troubles())
        )
        yield from self._reactors()

    def _reactors(self) -> Iterator[Metric]:
        labels = ("context", "reactor")
        behind = GaugeMetricFamily(
            "perdure_reactor_behind", "Positions not taken yet.", labels=labels
        )
        folded = CounterMetricFamily("perdure_reactor_folded", "Events folded.", labels=labels)
        refolds = CounterMetricFamily(
            "perdure_reactor_refolds", "Keys folded again for a late event.", labels=labels
        )
        parked = GaugeMetricFamily(
            "perdure_reactor_parked", "Keys that stand still.", labels=labels
        )
        for context, live in self._site.app.contexts.items():
            for name, loop in live.loops.items():
                at = (context, name)
                behind.add_metric(at, max(self._heads[context] - loop.reached, 0))
                folded.add_metric(at, loop.folded)
                refolds.add_metric(at, loop.refolds)
                parked.add_metric(at, len(loop.parking.keys) + len(loop.parking.sources))
        yield from (behind, folded, refolds, parked)


def _durations(meter: Meter) -> Metric:
    summary = Metric("perdure_duration_seconds", "How long an operation took.", "summary")
    for name, timing in sorted(meter.timings.items()):
        for quantile, seconds in timing.figures().quantiles.items():
            labels = {"operation": name, "quantile": f"{quantile:g}"}
            summary.add_sample("perdure_duration_seconds", labels, seconds)
        summary.add_sample("perdure_duration_seconds_count", {"operation": name}, timing.count)
        summary.add_sample("perdure_duration_seconds_sum", {"operation": name}, timing.total)
    return summary
