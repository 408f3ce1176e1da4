"""Recording events through the application: ids, repeats, conditions, and what is refused."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid1, uuid4

import pytest

from perdure import (
    App,
    ConditionFailed,
    Context,
    Criteria,
    EntityAt,
    EventIdTaken,
    InvalidData,
    InvalidId,
    InvalidName,
    LimitExceeded,
    NewEvent,
    NothingAfter,
    Settings,
    WrongVersion,
)
from perdure.testing import FixedNode, ManualClock, ManualEnvironment, SeededChance
from perdure.vocabulary.ids import event_ticks, id_version, make_event_id, ticks_at
from tests.runtime.support import Opener, OutlivingEngine, at_second, opener, raw

__all__ = ["opener"]


@dataclass(frozen=True)
class Added:
    sku: str
    quantity: int = 1


def declared(*, strict: bool = False) -> Context:
    shop = Context("shop", strict=strict)
    shop.event(Added)
    return shop


async def test_the_same_event_again_gets_its_first_receipt(opener: Opener) -> None:
    shop = declared()
    cart, id_ = uuid4(), at_second(1)

    async with opener(shop) as app:
        first = await app.append(raw("added", cart, b'{"sku":"tea","quantity":2}', id_))
        await app.append(shop.new(cart, Added("mug")))
        again = await app.append(
            raw("added", cart, b' {"quantity": 2, "sku": "tea"} ', id_),
            guards=[EntityAt(cart.bytes, 0)],
        )

        assert again.repeated
        assert again.receipts == first.receipts
        assert [e.version async for e in app.events()] == [1, 2]


async def test_the_same_id_with_other_content_is_refused_and_changes_nothing(
    opener: Opener,
) -> None:
    cart, id_ = uuid4(), at_second(1)

    async with opener(declared()) as app:
        await app.append(raw("seen", cart, b'{"n":1}', id_))
        for other in (
            raw("seen", cart, b'{"n":2}', id_),
            raw("seen", cart, b'{"n":true}', id_),
            raw("felt", cart, b'{"n":1}', id_),
            raw("seen", uuid4(), b'{"n":1}', id_),
        ):
            with pytest.raises(EventIdTaken, match=str(id_)) as refused:
                await app.append(raw("new", cart, b"{}", at_second(9)), other)
            assert refused.value.indices == [1]

        assert [e.data async for e in app.events()] == [b'{"n":1}']


async def test_conditions_that_are_false_write_nothing_and_say_what_is(opener: Opener) -> None:
    shop = declared()
    cart = uuid4()

    async with opener(shop) as app:
        await app.append(shop.new(cart, Added("tea")))
        with pytest.raises(WrongVersion, match=f"{cart} is at version 1, not 0"):
            await app.append(shop.new(cart, Added("mug")), guards=[EntityAt(cart.bytes, 0)])
        with pytest.raises(ConditionFailed, match="position 1 matches"):
            await app.append(
                shop.new(cart, Added("mug")), guards=[NothingAfter(Criteria(types=("added",)), 0)]
            )
        done = await app.append(
            shop.new(cart, Added("mug")),
            guards=[EntityAt(cart.bytes, 1), NothingAfter(Criteria(types=("added",)), 1)],
        )

    assert done.receipts[0].version == 2


@pytest.mark.parametrize(
    ("event", "error", "reason"),
    [
        (raw("added", uuid4(), b'{"sku": 7}'), InvalidData, "/sku"),
        (raw("added", uuid4(), b"{}"), InvalidData, "sku"),
        (raw("seen", uuid4(), b"[]"), InvalidData, "object"),
        (raw("seen", uuid4(), b'{"a": NaN}'), InvalidData, "."),
        (raw("seen", uuid4(), b'{"a": 1, "a": 1}'), InvalidData, "."),
        (raw("seen", uuid4(), b"\xff"), InvalidData, "."),
        (raw("seen", uuid4(), b'{"a":' * 65 + b"1" + b"}" * 65), LimitExceeded, "deep"),
        (raw("seen", uuid4(), b'{"a": 9223372036854775808}'), InvalidData, "."),
        (raw("events", uuid4(), b"{}"), InvalidName, "reserved"),
        (raw("1seen", uuid4(), b"{}"), InvalidName, "letter first"),
        (raw("perdure.key_parked", uuid4(), b"{}"), InvalidName, "server"),
        (raw("perdure.other", uuid4(), b"{}"), InvalidName, "server"),
        (raw("seen", uuid1(), b"{}"), InvalidId, "not time-based"),
        (raw("seen", uuid4(), b"{}", uuid4()), InvalidId, "time-based"),
        (raw("seen", uuid4(), b"{}", at_second(10**9)), InvalidId, "ahead of the server's clock"),
        (NewEvent(type="seen", entity=b"short", data=b"{}"), InvalidId, "16 bytes"),
        (NewEvent(type="seen", entity=uuid4().bytes, data=b"{}", tags=("\n",)), InvalidName, "tag"),
        (NewEvent(type="seen", entity=uuid4().bytes, data=b"{}", domain="no/"), InvalidName, "domain"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_with_its_reason_and_nothing_is_stored(
    opener: Opener, event: NewEvent, error: type[Exception], reason: str
) -> None:
    async with opener(declared()) as app:
        with pytest.raises(error, match=reason):
            await app.append(raw("good", uuid4(), b"{}"), event)

        assert await app.context("shop").log.head() == 0


async def test_a_strict_context_takes_declared_types_only(opener: Opener) -> None:
    shop = declared(strict=True)

    async with opener(shop) as app:
        await app.append(shop.new(uuid4(), Added("tea")))
        with pytest.raises(
            InvalidName, match="'seen' is not declared in the strict context 'shop'"
        ):
            await app.append(raw("seen", uuid4(), b"{}"))


async def test_ids_the_server_makes_ascend_within_an_entity_whatever_is_there(
    opener: Opener,
) -> None:
    shop = declared()
    cart = uuid4()
    ahead = ticks_at(datetime.now(UTC)) + 3600 * 10_000_000  # an hour ahead: within the bound

    async with opener(shop) as app:
        await app.append(raw("added", cart, b'{"sku":"a"}', UUID(bytes=make_event_id(ahead, 1, 1))))
        await asyncio.gather(*(app.append(shop.new(cart, Added(str(n)))) for n in range(50)))
        await app.append(*(shop.new(cart, Added(str(n))) for n in range(10)))
        recorded = [event async for event in app.events()]

    assert [event.ticks for event in recorded] == sorted({event.ticks for event in recorded})
    assert recorded[1].ticks > ahead
    assert {id_version(event.id) for event in recorded} == {1}


async def test_two_nodes_with_clocks_apart_never_go_back_within_an_entity() -> None:
    shop = declared()
    engine = OutlivingEngine(ManualClock())
    cart = uuid4()
    fast = ManualEnvironment(chance=SeededChance(1), node=FixedNode("fast"))
    slow = ManualEnvironment(chance=SeededChance(2), node=FixedNode("slow"))
    fast.clock.advance(30)

    async with (
        App([shop], engine, fast, Settings(), version="test", react=False) as one,
        App([shop], engine, slow, Settings(), version="test", react=False) as two,
    ):
        for n in range(20):
            await (one if n % 3 else two).append(shop.new(cart, Added(str(n))))
        recorded = [event async for event in one.events()]

    ticks = [event_ticks(event.id) for event in recorded]
    assert len(ticks) == 20
    assert ticks == sorted(set(ticks))


async def test_a_payload_that_cannot_be_stored_is_refused_before_it_is_sent() -> None:
    @dataclass(frozen=True)
    class Weighed:
        grams: float

    shop = declared()
    shop.event(Weighed)

    with pytest.raises(InvalidData, match="/grams"):
        shop.new(uuid4(), Weighed(float("nan")))
    with pytest.raises(InvalidId):
        shop.new(uuid1(), Weighed(1.0))
