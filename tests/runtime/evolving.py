"""A bank in two versions: what the first one recorded, the second reads through upcasters."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from perdure import App, Context


@dataclass(frozen=True)
class DepositedAtFirst:
    amount: Decimal


@dataclass(frozen=True)
class PaidOut:
    cents: int
    currency: str


@dataclass(frozen=True)
class Exchanged:
    sold: int
    sold_currency: str
    bought: int
    bought_currency: str


@dataclass(frozen=True)
class Deposited:
    cents: int
    currency: str


@dataclass(frozen=True)
class Withdrawn:
    cents: int
    currency: str


@dataclass(frozen=True)
class Noticed:
    line: str


@dataclass(frozen=True)
class Statement:
    """A model that remembers the order: any slip in it shows."""

    lines: tuple[str, ...] = ()


def in_cents(data: dict[str, Any]) -> dict[str, Any]:
    return {"cents": int(data["amount"] * 100)}


def in_euro(data: dict[str, Any]) -> dict[str, Any]:
    return data | {"currency": "EUR"}


def unchanged(data: dict[str, Any]) -> dict[str, Any]:
    return data


def both_sides(data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    if data["sold"] == 0:
        return []
    return [
        ("withdrawn", {"cents": data["sold"], "currency": data["sold_currency"]}),
        ("deposited_at_last", {"cents": data["bought"], "currency": data["bought_currency"]}),
    ]


KEYINGS: dict[str, dict[str, Any]] = {
    "of_account": {},
    "of_currency": {"by": "currency"},
    "of_bank": {"single": True},
    "as_recorded": {"order": "recorded"},
}


def first_bank() -> Context:
    """The bank as it was at first."""
    bank = Context("bank")
    bank.event("deposited")(DepositedAtFirst)
    bank.event("paid_out")(PaidOut)
    bank.event("exchanged")(Exchanged)
    service = bank.service("first", Statement)

    @service.react
    def happened(model: Statement, event: DepositedAtFirst | PaidOut | Exchanged) -> Statement:
        return Statement((*model.lines, repr(event)))

    return bank


def evolved(bank: Context) -> Context:
    """Today's types, and what leads to them; no class is left for two of the old names."""
    bank.event("deposited", version=3)(Deposited)
    bank.event("withdrawn")(Withdrawn)
    bank.event(Noticed)
    bank.upcast("deposited", 1)(in_cents)
    bank.upcast("deposited", 2)(in_euro)
    bank.upcast("paid_out", 1, into="withdrawn")(unchanged)
    bank.upcast("exchanged", 1, into=["withdrawn", "deposited_at_last"])(both_sides)
    bank.upcast("deposited_at_last", 1, into=["deposited"])(lambda data: ("deposited", data, 3))
    return bank


def line_of(event: Deposited | Withdrawn) -> str:
    return f"{type(event).__name__} {event.cents} {event.currency}"


def told(model: Statement, event: Deposited | Withdrawn) -> Statement:
    return Statement((*model.lines, line_of(event)))


def today_s_bank() -> Context:
    bank = evolved(Context("bank"))
    for name, keying in KEYINGS.items():
        bank.service(name, Statement, **keying).react(told)
    return bank


async def lines(app: App, domain: str, key: object, token: int) -> tuple[str, ...]:
    models = app.context("bank").models
    view = await models.read(domain, str(key), after=token, wait_seconds=20)
    return msgspec.json.decode(view.json, type=Statement).lines
