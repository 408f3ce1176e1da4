"""The Triple Shuffle passes whoever keeps the promise, and finds whoever breaks it, in few events."""

from pathlib import Path

import pytest

import perdure
from perdure import Context
from perdure.testing import OrderMatters, open_app, triple_shuffle
from perdure.testing.shuffle import shrunk
from tests.testing.arriving import (
    CARTS,
    Added,
    Told,
    by_position,
    events,
    latest_arrival,
    shop,
    shop_in_order,
    stumble,
    tell,
)


async def test_models_that_are_made_of_the_set_of_their_events_pass() -> None:
    compared = await triple_shuffle(shop_in_order(), events(40))

    assert compared.events == 40
    assert compared.models == 3 + 4 + 1 + 3 + 2 * 4  # a saga keeps its status besides
    assert compared.arrivals == 40 + 3 * 3 * 40 + 3 * 40
    assert compared.left_out == (
        'as_recorded of shop: declared order="recorded", it was replayed in that order',
        'waiting of shop: declared order="recorded", it was replayed in that order',
        "starts of shop: it takes what the server does",
    )


async def test_a_model_that_depends_on_arrival_is_found_in_two_events() -> None:
    context = shop(good=tell, bad=by_position)

    with pytest.raises(OrderMatters) as found:
        await triple_shuffle(context, events(60))

    case = found.value
    assert (case.context, case.domain) == ("shop", "bad")
    assert case.key in map(str, CARTS)
    assert len(case.events) == 2
    assert [event.id for event in case.second.events] == [
        event.id for event in reversed(case.first.events)
    ]
    assert (case.first.json, case.second.json) == (b'{"numbers":[1,2]}', b'{"numbers":[2,1]}')


async def test_the_case_is_told_so_that_a_person_can_read_it() -> None:
    with pytest.raises(OrderMatters) as found:
        await triple_shuffle(shop(bad=by_position), events(12), seeds=1)

    said = str(found.value)
    assert "model 'bad' of 00000000-" in said
    assert "depends on the order in which its events arrive" in said
    assert '  added {"sku":' in said
    assert "  as recorded: 1 2\n      {" in said
    assert "  shuffled (seed 0): 2 1\n      {" in said


async def test_what_a_function_keeps_to_itself_is_found() -> None:
    with pytest.raises(OrderMatters, match="model 'latest'"):
        await triple_shuffle(shop(latest=latest_arrival()), events(10))


@pytest.mark.parametrize("store", ["manual", "memory", "sqlite"])
async def test_the_models_of_an_application_are_compared_too(store: str, tmp_path: Path) -> None:
    context = shop_in_order()
    url = "memory://" if store == "memory" else f"sqlite:///{tmp_path}/store"
    app = open_app(context) if store == "manual" else perdure.open(context, store=url)
    async with app:
        for event in events(20):
            await app.append(event)
        assert (await triple_shuffle(context, app)).events >= 20

    kept = latest_arrival()
    async with open_app(shop(latest=kept)) as app:
        await app.append(*events(3))
        with pytest.raises(OrderMatters, match="as the application keeps it"):
            await triple_shuffle(shop(latest=kept), app)


async def test_a_key_that_cannot_be_folded_is_left_out_and_said() -> None:
    compared = await triple_shuffle(shop(stumbles=stumble, good=tell), events(12))

    assert compared.left_out == (f"stumbles '{CARTS[1]}' of shop: it is parked",)
    assert compared.models == 2 + 3


async def test_contexts_are_shuffled_apart() -> None:
    office = Context("office")
    office.event(Added)
    office.service("bad", Told).react(by_position)
    contexts = [shop(good=tell), office]

    compared = await triple_shuffle(contexts, {"shop": events(5), "office": events(1)})
    assert (compared.events, compared.models) == (6, 4)
    with pytest.raises(OrderMatters, match="in context 'office'"):
        await triple_shuffle(contexts, {"shop": [], "office": events(9)})


async def test_nothing_is_given_out_for_what_is_replayed() -> None:
    context = shop(good=tell)
    answering = context.service("answering", Told, emit_history=True)

    @answering.react
    def answer(model: Told, event: Added) -> tuple[Told, list[Added]]:
        return tell(model, event), [Added(event.sku, event.number + 1)]

    compared = await triple_shuffle(context, events(6))
    assert compared.models == 6


async def test_a_context_with_tables_is_shuffled_without_them() -> None:
    context = shop(good=tell)
    context.table("CREATE TABLE IF NOT EXISTS added (number INTEGER)")

    @context.write
    def write(event: Added) -> list[perdure.Statement]:
        raise AssertionError("no table is written here")

    compared = await triple_shuffle(context, events(6))
    assert compared.left_out == ("the tables that shop writes",)


async def test_shrinking_leaves_what_is_needed_and_nothing_else() -> None:
    everything = list(events(50))
    needed = {everything[7].id, everything[31].id, everything[32].id}

    async def shows(some: list[perdure.NewEvent]) -> bool:
        return needed <= {event.id for event in some}

    assert {event.id for event in await shrunk(everything, shows)} == needed
