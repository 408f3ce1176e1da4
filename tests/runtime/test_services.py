"""What a service sees and what becomes of its models, on every engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import attrs
import msgspec
import pydantic
import pytest

from perdure import Context, Envelope, InvalidInput, ModelNotFound, NotCaughtUp
from tests.runtime.support import START, Opener, at_second, opener, raw

__all__ = ["opener"]


@dataclass(frozen=True)
class Added:
    sku: str
    price: Decimal = Decimal(0)


class Removed(msgspec.Struct, frozen=True):
    sku: str


@attrs.frozen
class Renamed:
    name: str


class Checked(pydantic.BaseModel, frozen=True):
    total: Decimal


@dataclass(frozen=True)
class Story:
    lines: tuple[str, ...] = ()

    def then(self, line: str) -> "Story":
        return Story((*self.lines, line))


def declared() -> Context:
    shop = Context("shop")
    for cls in (Added, Removed, Renamed, Checked):
        shop.event(cls)
    return shop


async def test_events_of_every_kind_of_class_reach_a_service(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story)

    @story.react
    def tell(model: Story, event: Added | Removed | Renamed | Checked) -> Story:
        return model.then(repr(event))

    cart = uuid4()
    told: list[object] = [
        Added("tea", Decimal("8.79")),
        Removed("tea"),
        Renamed("gift"),
        Checked(total=Decimal("1.15")),
    ]
    async with opener(shop) as app:
        done = await app.append(*(shop.new(cart, event) for event in told))

        model = await app.model(story[cart], after=done.position)

    assert model.lines == tuple(map(repr, told))


async def test_a_key_never_seen_answers_the_initial_model(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story)
    story.react(lambda_react)

    async with opener(shop) as app:
        assert await app.model(story[uuid4()]) == Story()
        with pytest.raises(ModelNotFound, match="other"):
            await app.context("shop").models.read("other", str(uuid4()))
        with pytest.raises(InvalidInput):
            await app.context("shop").models.read("story", str(at_second(0)))


def lambda_react(model: Story, event: Added) -> Story:
    return model.then(event.sku)


async def test_one_event_feeds_services_by_entity_by_field_and_single(opener: Opener) -> None:
    shop = declared()
    by_cart = shop.service("by_cart", Story)
    by_sku = shop.service("by_sku", Story, by="sku")
    by_letter = shop.service("by_letter", Story, by=lambda event: event.sku[0])
    everything = shop.service("everything", Story, single=True)
    for service in (by_cart, by_sku, by_letter, everything):
        service.react(lambda_react)
    carts = [uuid4(), uuid4()]

    async with opener(shop) as app:
        events = [
            shop.new(carts[i % 2], Added(sku), id=at_second(i))
            for i, sku in enumerate(["tea", "mug", "tea", "tin"])
        ]
        token = (await app.append(*events)).position

        assert (await app.model(by_cart[carts[0]], after=token)).lines == ("tea", "tea")
        assert (await app.model(by_sku["tea"], after=token)).lines == ("tea", "tea")
        assert (await app.model(by_letter["t"], after=token)).lines == ("tea", "tea", "tin")
        assert (await app.model(everything.ref, after=token)).lines == ("tea", "mug", "tea", "tin")
        page = await app.context("shop").models.page("by_sku")
        assert [view.key for view in page] == ["mug", "tea", "tin"]


async def test_a_reaction_gets_what_it_asks_for_by_name(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story)

    @story.react
    def tell(
        model: Story,
        event: Added,
        *,
        at: datetime,
        entity: UUID,
        event_id: UUID,
        position: int,
        key: str,
    ) -> Story:
        return model.then(f"{at.isoformat()} {entity} {event_id} {position} {key}")

    @story.react
    def tell_more(model: Story, event: Envelope[Removed]) -> Story:
        return model.then(
            f"{event.data.sku} {event.type} {event.at - START} {event.tags} {event.domain}"
        )

    cart, id_ = uuid4(), at_second(1.5)
    async with opener(shop) as app:
        token = (
            await app.append(
                shop.new(cart, Added("tea"), id=id_),
                shop.new(cart, Removed("tea"), id=at_second(2), tags=["a", "b"], domain="desk"),
            )
        ).position

        model = await app.model(story[cart], after=token)

    moment = (START + timedelta(seconds=1.5)).isoformat()
    assert model.lines == (
        f"{moment} {cart} {id_} 1 {cart}",
        "tea removed 0:00:02 ('a', 'b') desk",
    )


async def test_a_batched_reaction_gets_runs_of_its_events(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story)

    @story.react
    def added(model: Story, events: Sequence[Added]) -> Story:
        return model.then("+".join(event.sku for event in events))

    @story.react
    def removed(model: Story, event: Removed) -> Story:
        return model.then(f"-{event.sku}")

    cart = uuid4()
    told = [Added("a"), Added("b"), Removed("a"), Added("c")]
    async with opener(shop) as app:
        events = [shop.new(cart, event, id=at_second(i)) for i, event in enumerate(told)]
        token = (await app.append(*events)).position

        model = await app.model(story[cart], after=token)

    assert model.lines == ("a+b", "-a", "c")


@dataclass(frozen=True)
class Count:
    skus: dict[str, int] = field(default_factory=dict)


async def test_models_of_one_key_move_together_and_are_asked_for_apart(opener: Opener) -> None:
    shop = declared()
    cart = shop.service("cart", Story).beside("count", Count)

    @cart.react
    def added(story: Story, count: Count, event: Added) -> tuple[Story, Count]:
        skus = count.skus | {event.sku: count.skus.get(event.sku, 0) + 1}
        return story.then(f"{event.sku} no. {skus[event.sku]}"), Count(skus)

    @cart.react
    def removed(story: Story, count: Count, event: Removed) -> tuple[Story, Count]:
        return story, Count({s: n for s, n in count.skus.items() if s != event.sku})

    key = uuid4()
    told = [Added("tea"), Added("tea"), Removed("tea"), Added("tea")]
    async with opener(shop) as app:
        events = [shop.new(key, event, id=at_second(i)) for i, event in enumerate(told)]
        token = (await app.append(*events)).position
        models = app.context("shop").models

        story = await models.read("cart", str(key), after=token, wait_seconds=5)
        count = await models.read("count", str(key), after=token, wait_seconds=5)

    assert story.json == b'{"lines":["tea no. 1","tea no. 2","tea no. 1"]}'
    assert count.json == b'{"skus":{"tea":1}}'


async def test_types_nobody_declared_are_taken_by_name_as_dictionaries(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story)

    @story.react("seen", "touched")
    def noticed(model: Story, event: dict[str, object]) -> Story:
        return model.then(str(event["what"]))

    cart = uuid4()
    async with opener(shop) as app:
        token = (
            await app.append(
                raw("seen", cart, b'{"what": "tea"}', at_second(1)),
                raw("ignored", cart, b"{}", at_second(2)),
                raw("touched", cart, b'{"what": 1}', at_second(3)),
            )
        ).position

        model = await app.model(story[cart], after=token)

    assert model.lines == ("tea", "1")


async def test_a_service_of_some_domains_takes_no_others(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story, domains=["web"])
    story.react(lambda_react)
    cart = uuid4()

    async with opener(shop) as app:
        token = (
            await app.append(
                shop.new(cart, Added("tea"), domain="web"),
                shop.new(cart, Added("mug"), domain="desk"),
                shop.new(cart, Added("tin")),
            )
        ).position

        assert (await app.model(story[cart], after=token)).lines == ("tea",)


async def test_models_outlive_the_application(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story)
    story.react(lambda_react)
    cart = uuid4()

    async with opener(shop) as app:
        await app.append(shop.new(cart, Added("tea")))
    async with opener(shop) as app:
        token = (await app.append(shop.new(cart, Added("mug")))).position

        assert (await app.model(story[cart], after=token)).lines == ("tea", "mug")


async def test_a_reader_that_asks_for_more_than_is_reached_is_told_so(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story)
    story.react(lambda_react)
    cart = uuid4()

    async with opener(shop, react=False, wait_seconds_max=0.01) as app:
        token = (await app.append(shop.new(cart, Added("tea")))).position

        with pytest.raises(NotCaughtUp, match="position 0, not yet at 1"):
            await app.model(story[cart], after=token)
        assert await app.model(story[cart]) == Story()


async def test_a_model_as_it_was_known_at_a_position_and_as_of_a_time(opener: Opener) -> None:
    shop = declared()
    story = shop.service("story", Story)
    by_sku = shop.service("by_sku", Story, by="sku")
    story.react(lambda_react)
    by_sku.react(lambda_react)
    cart = uuid4()

    async with opener(shop) as app:
        for sku, second in (("first", 10), ("third", 30), ("second", 20)):
            token = (await app.append(shop.new(cart, Added(sku), id=at_second(second)))).position
        await app.model(by_sku["third"], after=token)

        known_at_two = await app.model(story[cart], as_of=2)
        happened_by_25 = await app.model(story[cart], at=START + timedelta(seconds=25))
        both = await app.model(story[cart], as_of=2, at=START + timedelta(seconds=25))
        before = await app.model(by_sku["third"], as_of=1)
        after = await app.model(by_sku["third"], as_of=2)
        with pytest.raises(InvalidInput, match="not recorded yet"):
            await app.model(story[cart], as_of=99)

    assert known_at_two.lines == ("first", "third")
    assert happened_by_25.lines == ("first", "second")
    assert both.lines == ("first",)
    assert (before.lines, after.lines) == ((), ("third",))
