"""An application with a function that does not return, until it is mended."""

import os
from dataclasses import dataclass

from perdure import Context

#: The other version of this file: a test cannot edit it.
MENDED = "HANGING_IS_MENDED" in os.environ

app = Context("notes")


@app.event
@dataclass(frozen=True)
class Noted:
    text: str


@dataclass(frozen=True)
class Journal:
    texts: tuple[str, ...] = ()


journal = app.service("journal", Journal)


@journal.react
def noted(model: Journal, event: Noted) -> Journal:
    while event.text == "endless" and not MENDED:
        pass
    return Journal((*model.texts, event.text))
