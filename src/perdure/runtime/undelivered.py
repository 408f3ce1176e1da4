"""Deliveries that failed as often as their policy allows: they stand still, and say why.

A record a parked delivery; the intent itself stays open, and those behind it in its order wait. It is
tried again when the code that carries it out has changed, or when somebody says so; or it is discarded.
"""

import traceback
from typing import Literal

import msgspec

from perdure.core.answers import answer
from perdure.core.parcels import unpack
from perdure.ports.engine import Log
from perdure.vocabulary.commits import Commit, Intent, Put, Settle
from perdure.vocabulary.errors import IntentNotFound, InvalidData
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import id_text, parse_id

KIND = "undelivered"
#: What a saga is told of a command that an operator gave up.
DISCARDED = "discarded by an operator"
OUTCOME = "outcome"
_PAGE = 1000
_TRACEBACK_CHARS_MAX = 8_000


class Undelivered(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that stands still.

    ``outcome`` is what is known of the last attempt: ``unknown`` means that it may have happened.
    ``code`` is the fingerprint of what failed; ``at`` in microseconds since 1970.
    """

    id: str
    kind: str
    target: str
    ordering: str
    attempts: int
    outcome: Literal["failed", "unknown"]
    cause: str
    traceback: str
    code: str
    at: int


class EffectOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an effect."""

    effect: str
    outcome: Literal["succeeded", "failed", "unknown", "discarded"]
    attempts: int
    at: int
    cause: str = ""


def parked(
    intent: Intent,
    failure: BaseException,
    *,
    attempts: int,
    outcome: Literal["failed", "unknown"],
    code: str,
    at: int,
) -> Undelivered:
    """Make the record of a delivery that stands still from now on."""
    return Undelivered(
        id=id_text(intent.id),
        kind=intent.kind,
        target=intent.target,
        ordering=intent.ordering,
        attempts=attempts,
        outcome=outcome,
        cause=f"{type(failure).__name__}: {failure}"[:1000],
        traceback="".join(traceback.format_exception(failure))[-_TRACEBACK_CHARS_MAX:],
        code=code,
        at=at,
    )


def put(record: Undelivered) -> Put:
    """Write the record."""
    return Put(KIND, record.id, msgspec.json.encode(record))


def remove(intent_id: bytes) -> Put:
    """Take the record away: the delivery is tried again, or is done with."""
    return Put(KIND, id_text(intent_id), None)


def put_outcome(intent_id: bytes, outcome: EffectOutcome) -> Put:
    """Write what became of an effect."""
    return Put(OUTCOME, id_text(intent_id), msgspec.json.encode(outcome))


async def load(log: Log) -> dict[bytes, Undelivered]:
    """Read all parked deliveries, by the id of their intent."""
    found: dict[bytes, Undelivered] = {}
    after = ""
    while records := await log.records(KIND, after=after, limit=_PAGE):
        for record in records:
            found[parse_id(record.key)] = msgspec.json.decode(record.value, type=Undelivered)
        after = records[-1].key
    return found


async def outcome_of(log: Log, intent_id: bytes) -> EffectOutcome | None:
    """Give what became of an effect; ``None`` while that is not known."""
    record = await log.record(OUTCOME, id_text(intent_id))
    return None if record is None else msgspec.json.decode(record.value, type=EffectOutcome)


async def retry(log: Log, intent_id: bytes) -> None:
    """Let a parked delivery be tried again, from its first attempt. Raises ``IntentNotFound``."""
    await _find(log, intent_id)
    await log.commit([Commit(records=(remove(intent_id),))])


async def discard(log: Log, intent_id: bytes, *, at: int) -> None:
    """Give a delivery up for good, parked or not; what waits behind it goes on. Raises ``IntentNotFound``."""
    intent = await _find(log, intent_id)
    puts = [remove(intent_id)]
    if intent.kind == "effect":
        outcome = EffectOutcome(effect=intent.target, outcome="discarded", attempts=0, at=at)
        puts.append(put_outcome(intent_id, outcome))
    told = _refused(intent) if intent.kind == "command" else ()
    await log.commit([Commit(events=told, records=tuple(puts), intents=(Settle(intent_id),))])


def _refused(intent: Intent) -> tuple[NewEvent, ...]:
    """Tell the saga that sent a command, if one did, that it will not be carried out."""
    try:
        parcel = unpack(intent)
    except InvalidData:  # it cannot be carried out because nobody can read it
        return ()
    return (answer(parcel, intent.id, DISCARDED),) if parcel.saga else ()


async def _find(log: Log, intent_id: bytes) -> Intent:
    intent = await log.intent(intent_id)
    if intent is None:
        raise IntentNotFound(f"no intent is open under {id_text(intent_id)}")
    return intent
