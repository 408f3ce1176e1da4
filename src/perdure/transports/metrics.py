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
#: How an attempt at an effect can end.
EFFECT_OUTCOMES: Final = ("succeeded", "failed", "unknown")
#: What the meter counts of commands and of what they give out.
COUNTERS: Final = (
    "command_conflicts",
    *(f"effects_{outcome}" for outcome in EFFECT_OUTCOMES),
    "snapshots_ignored",
)


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
        yield from _counted(app.meter)
        position = GaugeMetricFamily(
            "perdure_position", "The highest position of a context.", labels=("context",)
        )
        for name, head in self._heads.items():
            position.add_metric((name,), head)
        yield position
        yield GaugeMetricFamily(
            "perdure_troubles", "Loops that stand still.", value=len(app.troubles())
        )
        yield from self._commands()
        yield from self._reactors()

    def _commands(self) -> Iterator[Metric]:
        labels = ("context",)
        in_flight = GaugeMetricFamily(
            "perdure_commands_in_flight", "Commands that are being handled.", labels=labels
        )
        delivered = CounterMetricFamily(
            "perdure_deliveries", "Deliveries that were carried out.", labels=labels
        )
        parked = GaugeMetricFamily(
            "perdure_deliveries_parked", "Deliveries that stand still.", labels=labels
        )
        for context, live in self._site.app.contexts.items():
            in_flight.add_metric((context,), live.commands.in_flight)
            if live.deliver is not None:
                delivered.add_metric((context,), live.deliver.delivered)
                parked.add_metric((context,), live.deliver.parked)
        yield from (in_flight, delivered, parked)

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


def _counted(meter: Meter) -> Iterator[Metric]:
    """Give the counters: those that are known from 0 on, so that a rate is right from the first one."""
    counters = meter.counters
    yield CounterMetricFamily(
        "perdure_command_conflicts",
        "Decisions that were made again, because something was faster.",
        value=counters.get("command_conflicts", 0),
    )
    effects = CounterMetricFamily(
        "perdure_effects", "Attempts at effects, by how they ended.", labels=("outcome",)
    )
    for outcome in EFFECT_OUTCOMES:
        effects.add_metric((outcome,), counters.get(f"effects_{outcome}", 0))
    yield effects
    yield CounterMetricFamily(
        "perdure_snapshots_ignored",
        "Snapshots that could not be used.",
        value=counters.get("snapshots_ignored", 0),
    )
    others = CounterMetricFamily("perdure_counted", "What else is counted.", labels=("name",))
    for name, count in sorted(counters.items()):
        if name not in COUNTERS:
            others.add_metric((name,), count)
    yield others


def _durations(meter: Meter) -> Metric:
    summary = Metric("perdure_duration_seconds", "How long an operation took.", "summary")
    for name, timing in sorted(meter.timings.items()):
        for quantile, seconds in timing.figures().quantiles.items():
            labels = {"operation": name, "quantile": f"{quantile:g}"}
            summary.add_sample("perdure_duration_seconds", labels, seconds)
        summary.add_sample("perdure_duration_seconds_count", {"operation": name}, timing.count)
        summary.add_sample("perdure_duration_seconds_sum", {"operation": name}, timing.total)
    return summary
