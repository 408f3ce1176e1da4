"""What the processes of ``test_delivery_crash`` do: send commands, and carry out what they give out.

``python -m tests.system.posting TASK STORE JOURNAL NAME``. What was acknowledged they say on standard
output, a line each, at once. What their effects do to the world is a line in the journal.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import perdure
from perdure import App, Context, Retry, Send

PATIENCE_SECONDS = 30.0
LEDGERS = 3


@dataclass(frozen=True)
class Post:
    what: str


@dataclass(frozen=True)
class Enter:
    what: str


@dataclass(frozen=True)
class Posted:
    what: str


@dataclass(frozen=True)
class Book:
    """What was entered, in order."""

    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mail:
    what: str


@dataclass(frozen=True)
class Ring:
    what: str


post = Context("post")
post.event(Posted)
book = post.entity("book", Book)


@book.handle
def posting(state: Book, command: Post) -> list[Any]:
    ledger = f"ledger {sum(command.what.encode()) % LEDGERS}"
    return [
        Posted(command.what),
        Mail(command.what),
        Ring(command.what),
        Send(Enter(command.what), to=book.named(ledger)),
    ]


@book.handle
def enter(state: Book, command: Enter) -> list[Any]:
    return [Posted(command.what)]


@book.update
def posted(state: Book, event: Posted) -> Book:
    return Book((*state.lines, event.what))


@post.effect(retry=Retry(first_seconds=0.05), ordered=False)
async def mail(effect: Mail, *, key: str, config: Path) -> None:
    note(config, "mail", effect.what, key)
    await asyncio.sleep(0.002)  # time to be killed in


@post.effect(delivery="at_most_once")
async def ring(effect: Ring, *, key: str, config: Path) -> None:
    note(config, "ring", effect.what, key)


def note(journal: Path, *words: str) -> None:
    """Write a line, at once: it outlives the process."""
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{' '.join(words)}\n".encode())
    os.close(file)


async def flow(app: App, name: str) -> None:
    """Send commands, a few at a time, to several books, until the end."""

    async def send(number: int) -> None:
        what = f"{name}-{number}"
        await app.send(book.named(f"book {number % 4}"), Post(what), command_id=what)
        print(what, flush=True)  # noqa: T201

    for start in range(0, 1_000_000, 5):
        await asyncio.gather(*(send(start + each) for each in range(5)))
        await asyncio.sleep(0.001)


async def drain(app: App, name: str) -> None:
    """Wait until all is delivered, and tell what the books say."""
    log = app.context("post").log
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await log.intents("effect", limit=1) or await log.intents("command", limit=1):
            await asyncio.sleep(0.01)
    told = {
        kind: [await lines(app, f"{kind} {number}") for number in range(count)]
        for kind, count in (("book", 4), ("ledger", LEDGERS))
    }
    told["outcomes"] = [[record.key for record in await log.records("outcome", limit=1_000_000)]]
    print(json.dumps(told), flush=True)  # noqa: T201


async def lines(app: App, name: str) -> list[str]:
    return list((await app.model(book.named(name))).lines)


async def main(task: str, store: str, journal: str, name: str) -> None:
    async with perdure.open(post, store=f"sqlite:///{store}", config=Path(journal)) as app:
        print("open", flush=True)  # noqa: T201
        await {"flow": flow, "drain": drain}[task](app, name)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
