"""Selecting events by type, domain, entity and tag.

One rule: ``Criteria.matches`` is the only meaning of a selection. What engines do with indexes is an
optimisation of it, and the conformance suite compares them with it.
"""

import msgspec

from perdure.vocabulary.events import NewEvent, RecordedEvent


class Criteria(msgspec.Struct, frozen=True, gc=False):
    """A selection of events. An empty field selects everything.

    An event is selected when its type is one of ``types``, its domain one of ``domains``, its entity
    one of ``entities``, and it carries *all* of ``tags``.
    """

    types: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    entities: tuple[bytes, ...] = ()
    tags: tuple[str, ...] = ()

    def matches(self, event: NewEvent | RecordedEvent) -> bool:
        """Tell whether the event is selected."""
        return (
            (not self.types or event.type in self.types)
            and (not self.domains or event.domain in self.domains)
            and (not self.entities or event.entity in self.entities)
            and all(tag in event.tags for tag in self.tags)
        )


#: Every event there is.
EVERYTHING = Criteria()
