"""The application of the notes, after its journal was mended: it takes what was poison."""

from dataclasses import dataclass

from perdure import Context
from tests.cli.applications import Journal

notes = Context("notes")


@notes.event
@dataclass(frozen=True)
class Noted:
    text: str
    stars: int = 0


@notes.service("journal", Journal).react
def noted(model: Journal, event: Noted) -> Journal:
    return Journal((*model.texts, event.text), model.stars + event.stars)
