"""What the tests of the HTTP surface share: a small shop, a client in process, a client of raw bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2

import perdure
from perdure import App, Context, Settings
from perdure.engines.memory import MemoryEngine, MemoryLog
from perdure.runtime.environment import SystemEnvironment
from perdure.transports.http import HttpApp
from perdure.vocabulary.commits import Commit, Verdict
from perdure.vocabulary.ids import make_event_id

CART = "f2f47a95-fb61-4c5a-a83e-7a92210b09bb"
OTHER_CART = "0e8400e2-9b41-41d4-a716-446655440000"
EVENT = "3307faba-925d-11e7-8383-f132000000f5"
SECOND_EVENT = "570b7e1e-926c-11e7-850b-f132000000f5"
THIRD_EVENT = "bb1dd6b8-926c-11e7-9ade-f132000000f5"
SNACKS = {
    "quantity": 1,
    "price": 31.99,
    "item_id": "a308b1c2-ca65-47dd-a031-a3b8d3afafd4",
    "item": "Elephant snacks",
}
TOOTHBRUSH = {
    "quantity": 2,
    "price": 8.79,
    "item_id": "54b12494-0d4d-4b22-a6b4-0d9ff2d8d1a3",
    "item": "Toothbrush (Elephant)",
}
LEASH = {
    "quantity": 2,
    "price": 23.31,
    "item_id": "deed1ee5-3b0c-4b1c-9a0e-6a3f2b8a7c11",
    "item": "Pachyderm leash",
}

#: Where the id of the nth event of a test begins to count, in ticks: some time in 2017.
_FIRST_TICKS = 137_000_000_000_000_000


@dataclass(frozen=True)
class ItemAdded:
    item_id: UUID
    item: str
    quantity: int
    price: Decimal


@dataclass(frozen=True)
class Line:
    item: str
    quantity: int
    price: Decimal


@dataclass(frozen=True)
class Cart:
    id: UUID | None = None
    items: dict[UUID, Line] = field(default_factory=dict)
    total: Decimal = Decimal("0.00")


@dataclass(frozen=True)
class Sales:
    quantity: int = 0


class Explosion(Exception):
    """What the function under test raises for an item named 'poison'."""


def make_shop(name: str = "store", *, strict: bool = False) -> Context:
    """Make a shop: a cart an entity, the sales of each item, and the sales of all."""
    shop = Context(name, strict=strict)
    shop.event("item_added")(ItemAdded)
    cart = shop.service("cart", Cart)
    sold = shop.service("sold", Sales, by="item")
    total = shop.service("total", Sales, single=True)

    @cart.react
    def item_added(model: Cart, event: ItemAdded, *, entity: UUID) -> Cart:
        if event.item == "poison":
            raise Explosion("secret words of a stack trace")
        held = model.items.get(event.item_id)
        quantity = event.quantity + (held.quantity if held else 0)
        items = {**model.items, event.item_id: Line(event.item, quantity, event.price)}
        return Cart(entity, items, sum((i.quantity * i.price for i in items.values()), Decimal(0)))

    @sold.react
    def item_sold(model: Sales, event: ItemAdded) -> Sales:
        return Sales(model.quantity + event.quantity)

    total.react(item_sold)
    return shop


def event_id(number: int, version: int = 1) -> str:
    """Give the id of the nth event of a test; the higher, the later it happened."""
    return str(UUID(bytes=make_event_id(_FIRST_TICKS + number * 10_000_000, 0, 7)))


class Gate(MemoryEngine):
    """A memory engine whose commits wait while the gate is shut, and that outlives its application.

    With a ``failure``, commits fail; with ``fails_without_events``, only those that record nothing.
    """

    def __init__(self) -> None:
        super().__init__(SystemEnvironment().clock)
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.failure: Exception | None = None
        self.fails_without_events = False
        self.waiting = 0

    async def open(self, context: str, tables: Sequence[str] = ()) -> MemoryLog:
        log = await super().open(context, tables)
        commit = log.commit

        async def gated(commits: Sequence[Commit]) -> list[Verdict]:
            self.waiting += 1
            try:
                await self.open_gate.wait()
            finally:
                self.waiting -= 1
            records = any(commit.events for commit in commits)
            if self.failure is not None and not (self.fails_without_events and records):
                raise self.failure
            return await commit(commits)

        log.commit = gated  # type: ignore[method-assign]
        return log

    async def close(self) -> None:
        """Keep everything for the next application."""


@asynccontextmanager
async def opened(
    *contexts: Context, engine: MemoryEngine | None = None, react: bool = True, **settings: Any
) -> AsyncIterator[HttpApp]:
    """Open an application over a store in memory, and its HTTP surface."""
    chosen = contexts or (make_shop(),)
    if engine is None:
        opening = perdure.open(*chosen, store="memory://", react=react, **settings)
    else:
        environment = SystemEnvironment()
        opening = App(chosen, engine, environment, Settings(**settings), version="t", react=react)
    async with opening as app:
        yield HttpApp(app)


@asynccontextmanager
async def client_of(http: HttpApp) -> AsyncIterator[httpx2.AsyncClient]:
    """Speak to an application in process."""
    transport = httpx2.ASGITransport(app=http)
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        yield client


@asynccontextmanager
async def shop_client(*contexts: Context, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a shop and speak to it in process."""
    async with opened(*contexts, **settings) as http, client_of(http) as client:
        yield client


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    http: HttpApp,
    method: str,
    target: bytes,
    body: bytes | Sequence[bytes] = b"",
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),),
) -> Reply:
    """Ask with exactly these bytes, which no client library has had the chance to mend."""
    path, _, query = target.partition(b"?")
    scope = {
        "type": "http", "method": method, "raw_path": path, "path": path.decode("latin-1"),
        "query_string": query, "headers": list(headers),
    }  # fmt: skip
    parts = [body] if isinstance(body, bytes) else list(body)
    incoming: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}
        for index, part in enumerate(parts)
    ]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await http(scope, receive, send)
    fields = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], fields, b"".join(m.get("body", b"") for m in sent[1:]))


def check_problem(answer: httpx2.Response | Reply, status: int, slug: str) -> dict[str, Any]:
    """Demand a problem document of this kind, and give it."""
    actual = answer.status if isinstance(answer, Reply) else answer.status_code
    document = answer.json()
    assert (actual, document.get("type")) == (status, f"urn:perdure:problem:{slug}"), document
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["instance"] == answer.headers["x-request-id"]
    assert isinstance(document, dict)
    return document
