"""Applications for the command line to load, whole ones and broken ones."""

from dataclasses import dataclass

from perdure import Context

notes = Context("notes")


@notes.event
@dataclass(frozen=True)
class Noted:
    text: str
    stars: int = 0


@dataclass(frozen=True)
class Journal:
    texts: tuple[str, ...] = ()
    stars: int = 0


@dataclass(frozen=True)
class Totals:
    notes: int = 0


journal = notes.service("journal", Journal)
totals = notes.service("totals", Totals, single=True)


@journal.react
def noted(model: Journal, event: Noted) -> Journal:
    if event.text == "poison":
        raise ValueError("cannot take poison")
    while event.text == "endless":
        pass
    return Journal((*model.texts, event.text), model.stars + event.stars)


@totals.react
def counted(model: Totals, event: Noted) -> Totals:
    return Totals(model.notes + 1)


others = Context("others", strict=True)
both = [notes, others]
nothing: list[Context] = []
number = 42
