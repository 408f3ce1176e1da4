"""A counter, and the alert that it asks for when it gets to five.

One rule: these functions say what should happen and do nothing. ``increment`` decides on a command,
``increased`` says what an event makes of the counter, ``total`` what there is to tell of it.

``mailer`` carries out what is asked for here; ``app`` wires it all to Perdure.
"""

from dataclasses import dataclass

#: The count at which somebody wants to know.
ALERT_AT = 5
STEP_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Increment:
    """Count on, by one unless it says otherwise.

    Raises:
        ValueError: the step is not positive, or too large.
    """

    by: int = 1

    def __post_init__(self) -> None:
        _check_step(self.by)


@dataclass(frozen=True, slots=True)
class Increased:
    """The counter was counted on.

    Raises:
        ValueError: the step is not positive, or too large.
    """

    amount: int

    def __post_init__(self) -> None:
        _check_step(self.amount)


@dataclass(frozen=True, slots=True)
class SendAlert:
    """An effect: tell the administrator that the counter has got to this count."""

    count: int


@dataclass(frozen=True, slots=True)
class Counter:
    """How far the counter has counted."""

    count: int = 0


def increment(state: Counter, command: Increment) -> list[Increased | SendAlert]:
    """Count on; on getting to ``ALERT_AT``, or past it, ask for the alert as well."""
    count = state.count + command.by
    if state.count < ALERT_AT <= count:
        return [Increased(command.by), SendAlert(count)]
    return [Increased(command.by)]


def increased(state: Counter, event: Increased) -> Counter:
    """Add what was counted on."""
    return Counter(state.count + event.amount)


def total(state: Counter) -> int:
    """Tell how far it has counted: a query, for those who want no more than the number."""
    return state.count


def _check_step(step: int) -> None:
    if not 0 < step <= STEP_MAX:
        raise ValueError(f"a step is from 1 to {STEP_MAX}, not {step}")
