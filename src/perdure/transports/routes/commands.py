"""Sending commands: to an entity, or to a LOW handler.

The ``Idempotency-Key`` is the command's id, and the first outcome under it stands for ever. A rejection is an
outcome, told as a problem. Whatever goes wrong once a command has been carried out is told together with its
outcome, for nobody must take it for a command that may be sent anew.
"""

import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from perdure.core.command_records import check_command_id
from perdure.core.reactor import Reactor
from perdure.runtime.commands import Caller
from perdure.transports.exchange import Answer, Request
from perdure.transports.parameters import QUERY, read_integer
from perdure.transports.problems import RETRY_AFTER, AnswerFailed, Headers, ServicesBehind
from perdure.vocabulary.errors import (
    HandlerFailed,
    InvalidInput,
    NotCaughtUp,
    Rejected,
    WrongVersion,
)
from perdure.vocabulary.ids import entity_id
from perdure.vocabulary.jsontext import DATA_BYTES_MAX
from perdure.vocabulary.outcomes import Accepted

COMMAND: Final = (QUERY,)

# A version as this server's ETags say it: alone, or before the checksum of a state. A weak one (that of an
# answer that was compressed) names the same version.
_VERSION = re.compile(rb'(?:W/)?"(?P<tag>\d{1,19})(?:-[0-9a-f]{8})?"|(?P<bare>\d{1,19})')


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command that was carried out, as it is answered. ``state`` and ``version`` are the entity's."""

    command_id: str
    state: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    version: int | msgspec.UnsetType = msgspec.UNSET
    position: int
    events: tuple[UUID, ...]
    reply: Any = None
    repeated: bool


async def send_to_entity(request: Request) -> Answer:
    """Send a command to an entity; give the state that it made, at which version and position."""
    _, domain, text, _, name = request.segments
    live, query = request.live, request.query.one("query")
    live.commands.handler(domain, name)  # before anything else is looked at
    entity = entity_id(text)
    if query is not None:
        live.models.query(domain, query)
    awaited = _awaited(request)
    caller, command = _caller(request), await request.body_or_nothing(DATA_BYTES_MAX)
    expected = await _expected_version(request, domain, text)
    request.is_at_stake = True
    given = await live.commands.send_json(
        name, command, caller, domain=domain, entity=entity, expected_version=expected
    )
    accepted = _accepted(given)
    outcome = _outcome(accepted, version=accepted.version)
    headers = (*_receipt(request, accepted), (b"etag", b'"%d"' % accepted.version))
    try:
        state = live.models.shown(domain, accepted.state, query)
    except HandlerFailed as failure:
        said = f"{_done(outcome)} What was asked for of the state cannot be told; the log says why."
        raise AnswerFailed(_write(outcome), said, *headers) from failure
    outcome = msgspec.structs.replace(outcome, state=msgspec.Raw(state))
    return await _answer(request, outcome, headers, awaited)


async def send(request: Request) -> Answer:
    """Send a command to the LOW handler that takes it; give what happened, and the position."""
    name = request.segments[2]
    commands = request.live.commands
    commands.handler("", name)
    if b"if-match" in request.headers:
        raise InvalidInput(
            f"{name} is about no one entity, so there is no version to match", "If-Match"
        )
    awaited = _awaited(request)
    caller, command = _caller(request), await request.body_or_nothing(DATA_BYTES_MAX)
    request.is_at_stake = True
    accepted = _accepted(await commands.send_json(name, command, caller))
    return await _answer(request, _outcome(accepted), _receipt(request, accepted), awaited)


# -- what is asked -----------------------------------------------------------------------------


def _caller(request: Request) -> Caller:
    """Say who sends the command, under which id. Raises ``InvalidInput``."""
    key = request.request_key()
    if key is not None:
        try:
            check_command_id(key)
        except InvalidInput as fault:
            raise InvalidInput(f"Idempotency-Key: {fault}", "Idempotency-Key") from None
    correlation, trace = request.belongs_to()
    return Caller(command_id=key, correlation_id=correlation, traceparent=trace)


async def _expected_version(request: Request, domain: str, entity: str) -> int | None:
    """Read the version that the sender has seen. Raises ``WrongVersion`` for ``*`` and an unseen entity."""
    given = request.headers.get(b"if-match")
    if given is None:
        return None
    if (
        given == b"*"
    ):  # an entity that has been seen once stays so, so this need not be in the commit
        if not (await request.live.models.read(domain, entity)).version:
            raise WrongVersion(entity, 1, 0)
        return None
    found = _VERSION.fullmatch(given)
    if found is None:
        raise InvalidInput('If-Match is one version as its ETag says it ("7"), or *', "If-Match")
    return read_integer((found["tag"] or found["bare"]).decode(), "If-Match")


def _awaited(request: Request) -> Sequence[Reactor]:
    """Find the services that the answer is to wait for. Raises ``InvalidInput``."""
    given = request.headers.get(b"perdure-wait")
    if given is None:
        return ()
    services = request.live.definition.reactors
    names = [name.strip() for name in given.decode("latin-1").split(",")]
    for name in names:
        if name not in services:
            known = ", ".join(services) or "none"
            raise InvalidInput(
                f"no service is named {name[:64]!r} here; there are: {known}", "Perdure-Wait"
            )
    return [services[name] for name in dict.fromkeys(names)]


# -- what is answered --------------------------------------------------------------------------


def _accepted(given: Accepted[Any] | Rejected) -> Accepted[Any]:
    if isinstance(given, Rejected):
        raise given
    return given


def _outcome(accepted: Accepted[Any], version: int | msgspec.UnsetType = msgspec.UNSET) -> Outcome:
    return Outcome(
        command_id=accepted.command_id,
        version=version,
        position=accepted.position,
        events=accepted.events,
        reply=accepted.reply,
        repeated=accepted.repeated,
    )


def _receipt(request: Request, accepted: Accepted[Any]) -> Headers:
    return (
        (b"perdure-position", b"%d" % accepted.position),
        (b"perdure-durability", request.site.durability),
    )


async def _answer(
    request: Request, outcome: Outcome, headers: Headers, awaited: Sequence[Reactor]
) -> Answer:
    """Answer with an outcome, once the services that are waited for have taken what happened."""
    clock = request.app.environment.clock
    deadline = clock.monotonic() + request.app.settings.wait_seconds_max
    for reactor in awaited:
        left = max(0.0, deadline - clock.monotonic())
        try:
            await request.live.models.wait(reactor, outcome.position, left)
        except NotCaughtUp as cause:
            raise _behind(request, outcome, headers, cause) from None
    return Answer(200, _write(outcome), headers)


def _behind(
    request: Request, outcome: Outcome, headers: Headers, cause: NotCaughtUp
) -> ServicesBehind:
    """Say that the command was carried out all the same.

    ``Retry-After`` only where asking again is asking for the same: with a key of the client's own.
    """
    detail = (
        f"{_done(outcome)} {cause.reactor} is at position {cause.reached}, not yet at {cause.wanted}. "
        f"Repeat the request under Idempotency-Key {outcome.command_id} to go on waiting for it."
    )
    has_key = b"idempotency-key" in request.headers
    retry = RETRY_AFTER if has_key else ()
    return ServicesBehind(cause, _write(outcome), detail, *headers, *retry)


def _done(outcome: Outcome) -> str:
    return f"The command was carried out, at position {outcome.position}: do not send it anew."


def _write(outcome: Outcome) -> bytes:
    return msgspec.json.encode(outcome)
