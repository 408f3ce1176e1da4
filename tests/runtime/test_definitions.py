"""What no type checker can see is an error at open that names the function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

import perdure
from perdure import Context, DefinitionError, InvalidName
from perdure.core.definition import define


@dataclass(frozen=True)
class Added:
    sku: str


@dataclass(frozen=True)
class Stranger:
    sku: str


@dataclass(frozen=True)
class Cart:
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoDefault:
    items: tuple[str, ...]


def context() -> Context:
    shop = Context("shop")
    shop.event(Added)
    return shop


def plain(model: Cart, event: Added) -> Cart:
    return model


def again(model: Cart, event: Added) -> Cart:
    return model


def unannotated(model: Cart, event) -> Cart:
    return model


def wrong_model(model: Added, event: Added) -> Cart:
    return Cart()


def stranger(model: Cart, event: Stranger) -> Cart:
    return model


def wants_colour(model: Cart, event: Added, *, colour: str) -> Cart:
    return model


def wants_at_as_text(model: Cart, event: Added, *, at: str) -> Cart:
    return model


def too_short(model: Cart) -> Cart:
    return model


def starred(model: Cart, event: Added, *rest: int) -> Cart:
    return model


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (unannotated, "annotate 'event'"),
        (wrong_model, "not a model of this service, which keeps Cart"),
        (stranger, "Stranger is not an event of this context"),
        (wants_colour, "'colour' cannot be given by name"),
        (wants_at_as_text, "'at' is a datetime"),
        (too_short, "takes \\(model, event\\)"),
        (starred, "\\*rest cannot be given"),
    ],
)
def test_a_reaction_that_cannot_be_called_is_named(
    function: Callable[..., Any], reason: str
) -> None:
    shop = context()
    cart = shop.service("cart", Cart)
    cart.react(function)

    with pytest.raises(DefinitionError, match=f"shop.cart: {function.__name__}.*{reason}"):
        perdure.open(shop, store="memory://")


def test_two_reactions_to_one_event_are_named() -> None:
    shop = context()
    cart = shop.service("cart", Cart)
    cart.react(plain)
    cart.react(again)

    with pytest.raises(DefinitionError, match=r"again: 'added' is taken by shop\.cart: plain"):
        perdure.open(shop, store="memory://")


def test_a_by_that_is_no_field_is_named() -> None:
    shop = context()
    shop.service("cart", Cart, by="skuu").react(plain)

    with pytest.raises(DefinitionError, match=r"shop\.cart: by='skuu' is not a field of Added"):
        perdure.open(shop, store="memory://")


def test_a_model_without_an_initial_value_is_named() -> None:
    shop = context()
    cart = shop.service("cart", NoDefault)

    @cart.react
    def added(model: NoDefault, event: Added) -> NoDefault:
        return model

    with pytest.raises(DefinitionError, match=r"NoDefault\(\) is the initial model"):
        perdure.open(shop, store="memory://")


def test_a_service_that_reacts_to_nothing_is_named() -> None:
    shop = context()
    shop.service("cart", Cart)

    with pytest.raises(DefinitionError, match=r"shop\.cart reacts to nothing"):
        perdure.open(shop, store="memory://")


def test_what_is_declared_twice_is_refused_at_once() -> None:
    shop = context()
    shop.service("cart", Cart)

    with pytest.raises(DefinitionError, match="two services"):
        shop.service("cart", Cart)
    with pytest.raises(DefinitionError, match="two events"):
        shop.event("added")(Stranger)
    with pytest.raises(DefinitionError, match="declared twice"):
        shop.event("other")(Added)
    with pytest.raises(DefinitionError, match="exclude one another"):
        shop.service("both", Cart, single=True, by="sku")


@pytest.mark.parametrize("name", ["Store", "1a", "", "a-b", "ping", "v1", "a" * 49, "ä"])
def test_a_context_has_a_name_of_its_kind(name: str) -> None:
    with pytest.raises(InvalidName):
        Context(name)


def test_the_wire_name_is_the_class_in_snake_case_unless_pinned() -> None:
    shop = context()

    @shop.event
    @dataclass(frozen=True)
    class HTTPRequestSeen: ...

    @shop.event("pinned.Name", version=2)
    @dataclass(frozen=True)
    class Whatever: ...

    assert list(shop.event_types) == ["added", "http_request_seen", "pinned.Name"]
    assert shop.event_types["pinned.Name"].version == 2


def test_a_decorated_function_is_returned_unchanged() -> None:
    shop = context()
    cart = shop.service("cart", Cart)

    assert cart.react(plain) is plain
    assert shop.event(Stranger) is Stranger


@dataclass
class Changeable:
    items: tuple[str, ...] = ()


class ChangeableStruct(msgspec.Struct):
    items: tuple[str, ...] = ()


@pytest.mark.parametrize("model", [Changeable, ChangeableStruct])
def test_a_model_that_can_be_changed_in_place_is_refused(model: type[Any]) -> None:
    shop = Context("shop")
    shop.event(Added)

    def follow(model: Any, event: Added) -> Any:
        return model

    follow.__annotations__["model"] = model
    shop.service("cart", model).react(follow)

    with pytest.raises(DefinitionError, match=f"{model.__name__} can be changed in place"):
        define(shop)
