"""What the server says of itself: alive, ready, counted, described.

None of these needs a context, and none names what a caller could not see otherwise.
"""

from typing import Any

import msgspec

from perdure.runtime.telemetry import Figures
from perdure.transports.exchange import Answer, Request
from perdure.transports.metrics import CONTENT_TYPE, COUNTERS, exposition
from perdure.transports.openapi import describe

#: The timings that ``/stats`` shows: by the names that the production Perhap gave them, and of commands.
STATS = ("event_get", "event_post", "model_get", "command")


async def livez(request: Request) -> Answer:
    """Say that the process answers."""
    return Answer(200, b'{"status":"alive"}')


async def readyz(request: Request) -> Answer:
    """Say whether the server does its work: 503 while a loop stands still, or the server stops."""
    troubles = sorted(request.app.troubles())
    stopping = request.site.stopping.is_set()
    document = {
        "status": "stopping" if stopping else "troubled" if troubles else "ready",
        "durability": request.app.durability,
        "troubles": troubles,
    }
    return Answer(503 if stopping or troubles else 200, msgspec.json.encode(document))


async def ping(request: Request) -> Answer:
    """Say that the server is there."""
    return Answer(200, b'{"status":"ACK"}')


async def stats(request: Request) -> Answer:
    """Give the figures of the main routes, in milliseconds, and how much is stored in all."""
    figures: dict[str, Any] = {}
    for name in STATS:
        seen = request.app.meter.timing(name).figures()
        figures |= {f"{name}_{key}": value for key, value in _listed(seen).items()}
    contexts = request.app.contexts.values()
    figures |= {name: request.app.meter.counters.get(name, 0) for name in COUNTERS}
    figures["commands_in_flight"] = sum(live.commands.in_flight for live in contexts)
    figures["deliveries_parked"] = sum(live.deliver.parked for live in contexts if live.deliver)
    sizes = [await live.size() for live in contexts]
    figures["total_events"] = sum(size.events for size in sizes)
    figures["total_entities"] = sum(size.entities for size in sizes)
    figures["total_domains"] = sum(size.domains for size in sizes)
    figures["total_realms"] = len(sizes)
    return Answer(200, msgspec.json.encode(figures, order="sorted"))


def _listed(seen: Figures) -> dict[str, float]:
    quantiles = {f"{q * 100:g}".replace(".", ""): seen.quantiles[q] for q in seen.quantiles}
    milliseconds = {
        "mean": seen.mean,
        "min": seen.min,
        "max": seen.max,
        "median": quantiles["50"],
        **quantiles,
    }
    counts: dict[str, float] = {"value": seen.count, "one": seen.one_minute, "n": seen.count}
    return counts | {key: round(seconds * 1000, 3) for key, seconds in milliseconds.items()}


async def metrics(request: Request) -> Answer:
    """Give the figures in the text format of Prometheus."""
    return Answer(200, await exposition(request.site), content_type=CONTENT_TYPE)


async def index(request: Request) -> Answer:
    """Say what is here, for a first look with curl."""
    app = request.app
    document = {
        "name": "perdure",
        "version": app.version,
        "contexts": {
            name: {
                "events": f"/{name}/events",
                "keys": f"/{name}/keys",
                "openapi": f"/{name}/_openapi.json",
                "models": {domain: f"/{name}/{domain}/models" for domain in live.definition.models},
            }
            for name, live in app.contexts.items()
        },
        "links": {
            name: f"/{name}" for name in ("openapi.json", "readyz", "livez", "metrics", "stats")
        },
    }
    return Answer(200, msgspec.json.encode(document))


async def openapi(request: Request) -> Answer:
    """Describe the HTTP surface of all contexts (OpenAPI 3.1)."""
    return _described(request, list(request.app.contexts))


async def context_openapi(request: Request) -> Answer:
    """Describe the HTTP surface of one context (OpenAPI 3.1)."""
    return _described(request, [request.live.name])


def _described(request: Request, contexts: list[str]) -> Answer:
    definitions = [request.app.contexts[name].definition for name in contexts]
    document = describe(definitions, request.site.rows, request.app.version)
    return Answer(200, msgspec.json.encode(document))
