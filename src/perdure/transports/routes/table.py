"""What is answered where: every row, in the order of the documentation.

``{entity}``, ``{event_id}`` and ``{id}`` take ids, all other slots take names; ``paths`` says how a path
finds its row. HEAD is answered wherever GET is, and OPTIONS everywhere.
"""

from typing import Final

from perdure.transports.paths import Row
from perdure.transports.routes import append, commands, events, models, parked, system, v1
from perdure.transports.routes.commands import COMMAND
from perdure.transports.routes.events import KEYS, LISTING
from perdure.transports.routes.models import ENTITY_MODEL, KEYED_MODEL, MODEL, MODELS
from perdure.transports.routes.parked import PARKED

# fmt: off
ROWS: Final = (
    # Recording.
    Row("POST", "/{context}/{type}/{entity}/{event_id}", append.post_event,
        takes="Data", figure="event_post"),
    Row("POST", "/{context}/{domain}/{entity}/{type}", append.publish_event,
        takes="Wrapped", gives="Published", figure="event_post"),
    Row("POST", "/{context}/events", append.post_batch,
        takes="Batch", gives="Recorded", figure="event_post"),
    # Commands.
    Row("POST", "/{context}/{domain}/{entity}/commands/{command}", commands.send_to_entity, COMMAND,
        takes="Command", gives="EntityOutcome", figure="command"),
    Row("POST", "/{context}/commands/{command}", commands.send,
        takes="Command", gives="Outcome", figure="command"),
    # Events.
    Row("GET", "/{context}/{event_id}/event", events.get_event, gives="Event", figure="event_get"),
    Row("GET", "/{context}/{domain}/{id}", events.get_domain_member, LISTING,
        gives="EventOrEvents", figure="event_get"),
    Row("GET", "/{context}/{entity}/events", events.list_entity, LISTING,
        gives="Events", figure="event_get"),
    Row("GET", "/{context}/{entity}", events.list_entity, LISTING,
        gives="Events", figure="event_get"),
    Row("GET", "/{context}/events", events.list_context, LISTING,
        gives="Events", figure="event_get"),
    Row("GET", "/{context}/{domain}", events.list_domain, LISTING,
        gives="Events", figure="event_get"),
    Row("GET", "/{context}/keys", events.list_domains, gives="Names"),
    Row("GET", "/{context}/{domain}/keys", events.list_entities, KEYS, gives="Ids"),
    # Models.
    Row("GET", "/{context}/{domain}/{entity}/model", models.get_model, ENTITY_MODEL,
        gives="Model", figure="model_get"),
    Row("GET", "/{context}/{domain}/model", models.get_only_model, KEYED_MODEL,
        gives="Model", figure="model_get"),
    Row("GET", "/{context}/{domain}/models", models.list_models, MODELS,
        gives="Models", figure="model_get"),
    # What stands still.
    Row("GET", "/{context}/_parked", parked.list_parked, PARKED, gives="ParkedKeys"),
    Row("GET", "/{context}/_parked/{id}", parked.get_parked, gives="ParkedKey"),
    Row("POST", "/{context}/_parked/{id}/release", parked.release,
        takes="Release", gives="ParkedKey"),
    Row("POST", "/{context}/_parked/{id}/discard", parked.discard,
        takes="Discard", gives="ParkedKey"),
    # The context, described.
    Row("GET", "/{context}/_openapi.json", system.context_openapi, gives="Object"),
    # The server.
    Row("GET", "/", system.index, gives="Object"),
    Row("GET", "/livez", system.livez, gives="Object"),
    Row("GET", "/readyz", system.readyz, gives="Readiness"),
    Row("GET", "/metrics", system.metrics),
    Row("GET", "/ping", system.ping, gives="Object"),
    Row("GET", "/stats", system.stats, gives="Object"),
    Row("GET", "/openapi.json", system.openapi, gives="Object"),
    # The paths of the production Perhap.
    Row("GET", "/v1/ping", v1.ping, gives="Object"),
    Row("POST", "/v1/event/{context}/{domain}/{entity}/{type}/{event_id}", v1.post_event,
        takes="Data", figure="event_post"),
    Row("GET", "/v1/event/{event_id}", v1.get_event, gives="Event", figure="event_get"),
    Row("GET", "/v1/events/{domain}/{entity}", v1.list_ids, LISTING,
        gives="Ids", figure="event_get"),
    Row("GET", "/v1/model/{domain}/{entity}", v1.get_model, MODEL,
        gives="Object", figure="model_get"),
    Row("GET", "/v1/stats", system.stats, gives="Object"),
)
