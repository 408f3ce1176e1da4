"""An application that gives out all there is to give out, for the commands that send and deliver.

Its effects write into files that a test names: one whose directory is missing cannot be written.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from perdure import After, Context, Emit, Rejected, Reply, Retry, Send

post = Context("post")
archive = Context("archive")


@post.event
@dataclass(frozen=True)
class Posted:
    text: str


@archive.event
@dataclass(frozen=True)
class Filed:
    text: str


@dataclass(frozen=True)
class Box:
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Post:
    """Post a text; with a file, have it written there; ``momentary``: at most once."""

    text: str
    file: str = ""
    momentary: bool = False


@dataclass(frozen=True)
class Remind:
    """Post a text tomorrow."""

    text: str


@dataclass(frozen=True)
class PassOn:
    """Post a text in another box."""

    text: str
    to: UUID


@dataclass(frozen=True)
class File:
    """Record a text in the archive."""

    text: str


@dataclass(frozen=True)
class Wait:
    """Wait for somebody who never comes."""


@dataclass(frozen=True)
class Greet:
    """Take a name, and greet it: what a LOW handler does."""

    name: str


@dataclass(frozen=True)
class Write:
    file: str
    text: str


@dataclass(frozen=True)
class Whisper:
    file: str
    text: str


@dataclass(frozen=True)
class Stall:
    pass


box = post.entity("box", Box)


@box.handle
def take(state: Box, command: Post) -> list[Posted | Write | Whisper]:
    if not command.text:
        raise Rejected("there is nothing in it")
    posted = Posted(command.text)
    if not command.file:
        return [posted]
    effect = Whisper if command.momentary else Write
    return [posted, effect(command.file, command.text)]


@box.handle
def remind(state: Box, command: Remind) -> list[After]:
    return [After(timedelta(days=1), Post(command.text), name="reminder")]


@box.handle
def pass_on(state: Box, command: PassOn) -> list[Send]:
    return [Send(Post(command.text), box[command.to])]


@box.handle
def put_aside(state: Box, command: File, *, entity: UUID) -> list[Emit]:
    return [Emit(event=Filed(command.text), entity=entity, context="archive", tags=("kept",))]


@box.handle
def wait(state: Box, command: Wait) -> list[Stall]:
    return [Stall()]


@box.update
def posted(state: Box, event: Posted) -> Box:
    return Box((*state.texts, event.text))


@box.query
def count(state: Box) -> int:
    return len(state.texts)


@box.query
def newest(state: Box) -> str:
    return state.texts[-2]


@post.low()
def greet(command: Greet) -> list[Reply]:
    return [Reply({"said": f"hello {command.name}"})]


@post.effect(retry=Retry(attempts=1))
async def write(effect: Write) -> None:
    _append(effect.file, effect.text)


@post.effect(delivery="at_most_once")
async def whisper(effect: Whisper) -> None:
    await asyncio.sleep(0.2)  # longer than the command has anything else to do
    _append(effect.file, effect.text)


@post.effect(retry=Retry(attempts=1), timeout_seconds=0.05)
async def stall(effect: Stall) -> None:
    await asyncio.Event().wait()


def _append(file: str, text: str) -> None:
    with Path(file).open("a") as opened:
        opened.write(f"{text}\n")


both = [post, archive]
