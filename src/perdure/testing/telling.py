"""Telling a person what order did to a model: as few events as show it, and both models.

``shuffle`` and ``delivery`` find the case; this says it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from perdure.testing.arrivals import is_parked
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import id_text, moment_of

_CHARS_MAX, _EVENTS_MAX = 600, 30


@dataclass(frozen=True)
class Compared:
    """What was compared, and found equal.

    ``arrivals`` counts the events that arrived, in all orders and as often as they did. ``left_out`` says
    what was not put into another order, and why.
    """

    events: int = 0
    arrivals: int = 0
    models: int = 0
    left_out: tuple[str, ...] = ()

    def __add__(self, other: "Compared") -> "Compared":
        return Compared(
            self.events + other.events,
            self.arrivals + other.arrivals,
            self.models + other.models,
            (*self.left_out, *other.left_out),
        )


@dataclass(frozen=True)
class Order:
    """An order in which events arrived, what it is called, and the model that came of it."""

    name: str
    events: Sequence[NewEvent]
    json: bytes | None


class OrderMatters(AssertionError):
    """A model that should be a function of the *set* of its events depends on how they arrive.

    ``context``, ``domain`` and ``key`` name the model; ``events`` are the fewest found that show it, in the
    order they were recorded; ``first`` and ``second`` are two orders that come to different models.
    """

    def __init__(
        self,
        context: str,
        domain: str,
        key: str,
        events: Sequence[NewEvent],
        first: Order,
        second: Order,
    ) -> None:
        self.context, self.domain, self.key = context, domain, key
        self.events, self.first, self.second = tuple(events), first, second
        super().__init__(self._text())

    def _text(self) -> str:
        numbers = {event.id: number for number, event in enumerate(self.events, 1)}
        which = f"model {self.domain!r}" + (f" of {self.key}" if self.key else "")
        lines = [
            f"{which} in context {self.context!r} depends on the order in which its events arrive",
            "",
            *(f"  {numbers[event.id]}. {_line(event)}" for event in self.events[:_EVENTS_MAX]),
            *([f"  ... {len(self.events)} in all"] if len(self.events) > _EVENTS_MAX else []),
            "",
        ]
        for order in (self.first, self.second):
            arrived = " ".join(str(numbers[event.id]) for event in order.events)
            lines += [f"  {order.name}: {_cut(arrived)}".rstrip(), f"      {_shown(order.json)}"]
        lines += [
            "",
            'With order="happened" a model is made of the set of its events, folded by when they',
            "happened. What else goes into it (positions, what a function keeps to itself, a model that is",
            "changed in place) makes it depend on their arrival. Mend that, or declare the service with",
            'order="recorded".',
        ]
        return "\n".join(lines)


def _line(event: NewEvent) -> str:
    at = moment_of(event.ticks).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    return f"{at}  {event.type} {_cut(event.data.decode())}  about {id_text(event.entity)}"


def _shown(json: bytes | None) -> str:
    if json is None:
        return "(no model)"
    return _cut(json.decode()) if not is_parked(json) else f"({_cut(json.decode())})"


def _cut(text: str) -> str:
    return text if len(text) <= _CHARS_MAX else f"{text[:_CHARS_MAX]}... ({len(text)} characters)"
