"""``Criteria.matches`` is the only meaning of a selection."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.vocabulary.criteria import EVERYTHING, Criteria
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import make_event_id

CART, OTHER_CART = uuid4().bytes, uuid4().bytes
EVENT_ID = make_event_id(1, 2, 3)

TYPES, DOMAINS, TAGS = ("added", "removed", "Added"), ("cart", "stock"), ("vip", "eu", "sku:1")
EVENTS = st.builds(
    NewEvent,
    type=st.sampled_from(TYPES),
    entity=st.sampled_from((CART, OTHER_CART)),
    id=st.just(EVENT_ID),
    data=st.just(b"{}"),
    domain=st.none() | st.sampled_from(DOMAINS),
    tags=st.lists(st.sampled_from(TAGS), unique=True).map(tuple),
)


def subset(values: tuple[object, ...]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(values), unique=True).map(tuple)


CRITERIA = st.builds(
    Criteria,
    types=subset(TYPES),
    domains=subset(DOMAINS),
    entities=subset((CART, OTHER_CART)),
    tags=subset(TAGS),
)


def added(domain: str | None = "cart", tags: tuple[str, ...] = ("vip", "eu")) -> NewEvent:
    return NewEvent(type="added", entity=CART, id=EVENT_ID, data=b"{}", domain=domain, tags=tags)


def recorded(event: NewEvent) -> RecordedEvent:
    return RecordedEvent(
        position=1,
        version=1,
        ticks=event.ticks,
        recorded_at=0,
        type=event.type,
        entity=event.entity,
        id=event.id,
        data=event.data,
        domain=event.domain,
        tags=event.tags,
    )


@pytest.mark.parametrize(
    "criteria",
    [
        Criteria(types=("added",)),
        Criteria(types=("removed", "added")),
        Criteria(domains=("stock", "cart")),
        Criteria(entities=(OTHER_CART, CART)),
        Criteria(tags=("vip",)),
        Criteria(tags=("eu", "vip")),
        Criteria(types=("added",), domains=("cart",), entities=(CART,), tags=("eu",)),
    ],
)
def test_an_event_is_selected_by_one_of_each_and_all_of_the_tags(criteria: Criteria) -> None:
    assert criteria.matches(added())


@pytest.mark.parametrize(
    "criteria",
    [
        Criteria(types=("removed",)),
        Criteria(types=("Added",)),
        Criteria(types=("add",)),
        Criteria(domains=("stock",)),
        Criteria(entities=(OTHER_CART,)),
        Criteria(tags=("vip", "sku:1")),
        Criteria(tags=("vi",)),
        Criteria(types=("added",), domains=("cart",), entities=(CART,), tags=("sku:1",)),
        Criteria(types=("removed",), tags=("vip",)),
    ],
)
def test_an_event_is_not_selected_when_one_field_says_no(criteria: Criteria) -> None:
    assert not criteria.matches(added())


def test_an_event_without_a_domain_is_in_none() -> None:
    assert not Criteria(domains=("cart",)).matches(added(domain=None))
    assert Criteria(types=("added",)).matches(added(domain=None))


def test_an_event_without_tags_is_selected_by_no_tag() -> None:
    assert not Criteria(tags=("vip",)).matches(added(tags=()))


@given(EVENTS)
def test_everything_selects_everything(event: NewEvent) -> None:
    assert EVERYTHING.matches(event)
    assert Criteria() == EVERYTHING


@given(CRITERIA, EVENTS)
def test_an_event_is_selected_before_and_after_it_is_stored_alike(
    criteria: Criteria, event: NewEvent
) -> None:
    assert criteria.matches(event) == criteria.matches(recorded(event))


@given(CRITERIA, EVENTS)
def test_a_selection_is_the_meeting_of_its_fields(criteria: Criteria, event: NewEvent) -> None:
    alone = [
        Criteria(types=criteria.types),
        Criteria(domains=criteria.domains),
        Criteria(entities=criteria.entities),
        *(Criteria(tags=(tag,)) for tag in criteria.tags),
    ]

    assert criteria.matches(event) == all(part.matches(event) for part in alone)


@given(CRITERIA, EVENTS)
def test_the_order_within_a_field_means_nothing(criteria: Criteria, event: NewEvent) -> None:
    turned = Criteria(
        types=criteria.types[::-1],
        domains=criteria.domains[::-1],
        entities=criteria.entities[::-1],
        tags=criteria.tags[::-1],
    )

    assert criteria.matches(event) == turned.matches(event)


def test_criteria_are_values() -> None:
    assert {Criteria(types=("a",)), Criteria(types=("a",))} == {Criteria(types=("a",))}
