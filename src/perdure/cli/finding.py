"""Intents as a command line names them: by their ids, in whichever context they are.

An id needs no context beside it: it is a UUID. With ``MODULE:APP`` before it, only the contexts of that
application are looked in.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click
import msgspec

from perdure.cli.deliveries import read_parked
from perdure.cli.loading import choose_contexts, opened
from perdure.runtime import undelivered
from perdure.runtime.app import App
from perdure.runtime.config import Settings
from perdure.runtime.live import LiveContext
from perdure.runtime.undelivered import Undelivered
from perdure.vocabulary.commits import Intent
from perdure.vocabulary.errors import IntentNotFound
from perdure.vocabulary.ids import id_text, parse_id

ids_argument = click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] ID...")


class Found(msgspec.Struct, frozen=True):
    """An open intent, where it was found, and the record that it is parked, if it is."""

    live: LiveContext
    intent: Intent
    record: Undelivered | None

    @property
    def what(self) -> str:
        """Name it, for people."""
        return f"{id_text(self.intent.id)}  {self.intent.kind} {self.intent.target}"


def split(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Tell MODULE:APP, which has a colon in it, from the ids behind it."""
    if words and ":" in words[0]:
        return words[0], words[1:]
    return None, words


@asynccontextmanager
async def opened_for(
    app: str | None, context_name: str | None, settings: Settings
) -> AsyncIterator[App]:
    """Open the contexts of an application, or without one those of the store."""
    contexts = choose_contexts(app, context_name, settings.store)
    async with opened(contexts, settings) as opened_app:
        yield opened_app


async def find_all(app: App, ids: Sequence[str]) -> list[Found]:
    """Find all intents before anything is done to one. Raises ``InvalidId``, ``IntentNotFound``."""
    if not ids:
        raise click.UsageError("name the intents by their ids")
    return [await _find(app, parse_id(text)) for text in dict.fromkeys(ids)]


async def _find(app: App, id_: bytes) -> Found:
    for live in app.contexts.values():
        intent = await live.log.intent(id_)
        if intent is not None:
            record = await live.log.record(undelivered.KIND, id_text(id_))
            return Found(live, intent, read_parked(record) if record else None)
    failure = IntentNotFound(f"no intent is open under {id_text(id_)}")
    for live in app.contexts.values():
        became = await undelivered.outcome_of(live.log, id_)
        if became is not None:
            failure.add_note(
                f"The effect {became.effect} under this id is done with: {became.outcome}"
            )
    raise failure
