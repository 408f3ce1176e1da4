"""The rules of the bank's fields.

One rule: a field of one name keeps the same rule wherever it stands, in a command or in an event. So
nothing malformed can be made, by whatever road it comes in.

``commands`` and ``events`` are made of values that are ``Checked``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, NamedTuple

ACCOUNT_ID_LENGTH = 6
NAME_LENGTH_MIN, NAME_LENGTH_MAX = 5, 15
AMOUNT_MAX = Decimal(1_000_000)
TRANSACTION_ID_LENGTH_MAX = 50
#: Nothing smaller is ever moved, so that balances stay exact.
CENT = Decimal("0.01")


class Rule(NamedTuple):
    """What must hold of a field, and how to say so."""

    holds: Callable[[Any], bool]
    sentence: str


def _is_amount(value: Decimal) -> bool:
    return value.is_finite() and 0 < value <= AMOUNT_MAX and value == value.quantize(CENT)


_ACCOUNT_ID = Rule(
    lambda value: len(value) == ACCOUNT_ID_LENGTH, f"has exactly {ACCOUNT_ID_LENGTH} characters"
)
_AMOUNT = Rule(_is_amount, f"is more than 0 and at most {AMOUNT_MAX:,}, in whole cents")

RULES: Mapping[str, Rule] = {
    "account_id": _ACCOUNT_ID,
    "funding_account_id": _ACCOUNT_ID,
    "funded_account_id": _ACCOUNT_ID,
    "amount": _AMOUNT,
    "initial_deposit": _AMOUNT,
    "name": Rule(
        lambda value: NAME_LENGTH_MIN <= len(value) <= NAME_LENGTH_MAX,
        f"has {NAME_LENGTH_MIN} to {NAME_LENGTH_MAX} characters",
    ),
    "transaction_id": Rule(
        lambda value: 1 <= len(value) <= TRANSACTION_ID_LENGTH_MAX,
        f"has 1 to {TRANSACTION_ID_LENGTH_MAX} characters",
    ),
    "timeout_at": Rule(lambda value: value.tzinfo is not None, "has a time zone"),
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A value whose fields keep the rules of their names. A field that is missing keeps any.

    Raises:
        ValueError: a field breaks its rule, or money is to go from an account to itself.
    """

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            rule = RULES.get(name)
            if rule is not None and value is not None and not rule.holds(value):
                raise ValueError(f"{name} {rule.sentence}, not {value!r}")
        funded = values.get("funded_account_id")
        if funded is not None and funded == values.get("funding_account_id"):
            raise ValueError("an account cannot send to itself, or request from itself")
