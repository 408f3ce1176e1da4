"""Stores with something in them that is still to be delivered, or that stands still."""

import asyncio
from pathlib import Path
from uuid import UUID

import perdure
from perdure.runtime import undelivered
from tests.cli.postbox import both, box, post
from tests.cli.support import ENTITY, Cli

POST = "tests.cli.postbox:post"
BOTH = "tests.cli.postbox:both"
OTHER = UUID("5a1e4c9e-3d8b-4b57-9a58-0b8d3a7c6f02")
ABSENT = "0c3b2a10-e5c3-11f1-9c2a-313c25c5fcc8"


def give_out(store: str, *commands: object) -> None:
    """Have the box decide, and nobody deliver what it gives out."""

    async def deciding() -> None:
        async with perdure.open(*both, store=store, react=False) as app:
            for one in commands:
                await app.send(box[ENTITY], one)

    asyncio.run(deciding())


def park(store: str, *commands: object, count: int = 1) -> None:
    """Have the box decide, and wait until so many deliveries stand still."""

    async def delivering() -> None:
        async with perdure.open(post, store=store) as app:
            for one in commands:
                await app.send(box[ENTITY], one)
            log = app.context("post").log
            while len(await undelivered.load(log)) < count:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(delivering(), 20))


def listed(cli: Cli, store: str, *options: object) -> list[dict[str, object]]:
    ended = cli("intents", "list", *options, "--store", store, "--json")
    assert (ended.code, ended.err) == (0, "")
    return ended.rows


def directory_of(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))
