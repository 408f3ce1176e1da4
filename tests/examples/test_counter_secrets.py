"""The mailer at most once: what it sends is never written down (S3.8, S3.17).

A one-time code is made when it is asked for. The event says that there is one, and what it hashes to; the
code itself goes to the mailer and nowhere else.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import perdure
from perdure import Context, EntityRef
from perdure.core.effect import Delivery
from tests.examples.mailbox import Mailbox, accepted, all_is_delivered


@dataclass(frozen=True)
class AskForCode:
    """Somebody wants to come in."""


@dataclass(frozen=True)
class CodeMade:
    """A code was made; only its digest is known."""

    digest: str


@dataclass(frozen=True)
class SendCode:
    """An effect: send the code to whoever asked."""

    code: str


@dataclass(frozen=True)
class Door:
    digest: str = ""


def ask_for_code(state: Door, command: AskForCode) -> list[CodeMade | SendCode]:
    code = secrets.token_hex(16)
    return [CodeMade(sha256(code.encode()).hexdigest()), SendCode(code)]


def code_made(state: Door, event: CodeMade) -> Door:
    return Door(event.digest)


async def send_code(
    effect: SendCode, *, config: Callable[[Mapping[str, str]], Awaitable[None]]
) -> None:
    await config({"code": effect.code})


def doors(delivery: Delivery) -> tuple[Context, EntityRef[Door]]:
    """Wire a door whose codes are delivered so, and name it."""
    context = Context("counters")
    context.event("code_made")(CodeMade)
    door = context.entity("door", Door)
    door.handle(ask_for_code)
    door.update(code_made)
    context.effect(delivery=delivery)(send_code)
    return context, door[uuid4()]


def is_stored(text: str, directory: Path) -> bool:
    """Tell whether any file of the store holds these characters, or the bytes they spell."""
    forms = (text.encode(), bytes.fromhex(text))
    files = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    assert files
    return any(form in content for form in forms for content in files)


async def test_a_code_that_is_sent_at_most_once_is_never_written_down(tmp_path: Path) -> None:
    mailbox = Mailbox()
    context, mine = doors("at_most_once")

    async with perdure.open(context, store=f"sqlite:///{tmp_path}/store", config=mailbox) as app:
        outcome = await accepted(app, mine, AskForCode(), command_id="one")
        code = (await mailbox.next())["code"]
        assert sha256(code.encode()).hexdigest() == outcome.state.digest
        assert is_stored(outcome.state.digest, tmp_path)  # so the search finds what is there
        assert not is_stored(code, tmp_path)

        again = await accepted(app, mine, AskForCode(), command_id="one")
        assert again.repeated
        await all_is_delivered(app)
    assert not is_stored(code, tmp_path)

    async with perdure.open(context, store=f"sqlite:///{tmp_path}/store", config=mailbox) as app:
        assert (await app.model(mine)).digest == outcome.state.digest
        await all_is_delivered(app)
    assert mailbox.is_empty()


async def test_a_code_that_must_get_through_has_to_be_written_down(tmp_path: Path) -> None:
    context, mine = doors("at_least_once")
    asked, may_go = asyncio.Queue[str](), asyncio.Event()

    async def slow_mailer(message: Mapping[str, str]) -> None:
        asked.put_nowait(message["code"])
        await may_go.wait()

    store = f"sqlite:///{tmp_path}/store"
    async with perdure.open(context, store=store, config=slow_mailer) as app:
        await accepted(app, mine, AskForCode())
        async with asyncio.timeout(10):
            code = await asked.get()
        assert is_stored(code, tmp_path)
        may_go.set()
        await all_is_delivered(app)
