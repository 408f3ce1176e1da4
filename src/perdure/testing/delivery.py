"""Every order in which a few events can arrive: not a sample, all of them.

``shuffle`` is for a whole history, of which it tries a few orders; this is for the small case that matters.
"""

from collections.abc import Sequence
from itertools import permutations
from math import factorial

from perdure.core.context import Context
from perdure.testing.arrivals import Past, Replay, Services, past
from perdure.testing.telling import Compared, Order, OrderMatters
from perdure.vocabulary.events import NewEvent

#: So many events have 720 orders.
EVENTS_MAX = 6


async def every_order(context: Context, events: Past, *, duplicated: bool = False) -> Compared:
    """Let events arrive in every order there is, and compare all models of the services.

    Each arrives at a fresh store in memory and is worked through before the next; ``duplicated``: each
    twice, the second time when all have arrived. They are given in the order in which they were recorded,
    and 6 at most. Services with ``order="recorded"`` and sagas are left out. Raises ``OrderMatters`` with the
    first two orders that differ, and ``ValueError`` for more events.
    """
    if len(events) > EVENTS_MAX:
        raise ValueError(
            f"{len(events)} events have {factorial(len(events)):,} orders; {EVENTS_MAX} at most, "
            "or use triple_shuffle"
        )
    services = Services(context)
    replay = Replay.of(context, sorted(services.shuffled))
    recorded = past(events)
    orders = [[*order, *order] if duplicated else [*order] for order in permutations(recorded)]
    first = await replay.models([event] for event in orders[0])
    for order in orders[1:]:
        found = await replay.models([event] for event in order)
        place = services.difference(first, found, services.shuffled)
        if place is not None:
            raise OrderMatters(
                context.name,
                *place,
                recorded,
                _order(orders[0], first.get(place)),
                _order(order, found.get(place)),
            )
    arrivals = sum(map(len, orders))
    return Compared(len(events), arrivals, len(first), tuple(services.left_out(context.name)))


def _order(events: Sequence[NewEvent], json: bytes | None) -> Order:
    return Order("arriving as", events, json)
