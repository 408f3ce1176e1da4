"""Decisions on the events there are: nobody decides on fewer, whoever writes at the same time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from perdure import (
    Context,
    Emit,
    Envelope,
    Matching,
    Rejected,
    Reply,
    matching,
)
from tests.runtime.deciding import (
    Store,
    accepted,
    memory,
    recorded,
    store,
)

__all__ = ["memory", "store"]


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Invited:
    email: str


@dataclass(frozen=True)
class Invite:
    email: str


def inviting() -> Context:
    context = Context("invite")
    context.event(Invited)

    def needs(command: Invite) -> Matching[Invited]:
        return matching(Invited, tags=[f"email:{command.email}"])

    @context.low(needs)
    def invite(
        command: Invite, found: Sequence[Envelope[Invited]], *, new_id: Callable[[], UUID]
    ) -> list[Any]:
        if found:
            return [Reply(str(found[0].entity))]
        tags = (f"email:{command.email}",)
        entity = new_id()
        return [
            Emit(event=Invited(command.email), entity=entity, tags=tags, fresh=True),
            Reply(str(entity)),
        ]

    return context


@pytest.mark.parametrize("apps", [1, 2])
async def test_of_64_invitations_at_once_there_is_one_customer_an_address(
    store: Store, apps: int
) -> None:
    async with store.open(inviting()) as one, store.open(inviting()) as two:
        senders = [one, two][:apps] * (64 // apps)
        outcomes = await asyncio.gather(
            *(app.send(Invite(f"{n % 3}@you.com")) for n, app in enumerate(senders))
        )
        events = await recorded(one)

    told = [accepted(outcome).reply for outcome in outcomes]
    assert len(events) == 3
    assert {str(event.entity_id) for event in events} == set(told)
    for n in range(3):
        assert len(set(told[n::3])) == 1


async def test_a_raw_event_with_the_tag_counts_and_one_without_does_not(store: Store) -> None:
    context = inviting()
    ann = uuid4()

    async with store.open(context) as app:
        await app.append(context.new(ann, Invited("ann@you.com"), tags=["email:ann@you.com"]))
        await app.append(context.new(uuid4(), Invited("ben@you.com"), tags=["email:ben"]))
        assert accepted(await app.send(Invite("ann@you.com"))).reply == str(ann)
        assert accepted(await app.send(Invite("ben@you.com"))).events


@dataclass(frozen=True)
class Duty:
    doctor: UUID
    on: bool


@dataclass(frozen=True)
class DutyChanged:
    on: bool


def hospital() -> Context:
    """A ward where one doctor at least is on call: no doctor's own events can tell."""
    ward = Context("ward")
    ward.event(DutyChanged)

    @ward.low(lambda command: matching(DutyChanged, tags=["ward:1"]))
    def change(command: Duty, found: Sequence[Envelope[DutyChanged]]) -> list[Emit]:
        on = {event.entity: event.data.on for event in found}
        on[command.doctor] = command.on
        if not any(on.values()):
            raise Rejected("somebody has to stay")
        event = DutyChanged(command.on)
        return [Emit(event=event, entity=command.doctor, tags=("ward:1",))]

    return ward


async def test_of_two_doctors_who_leave_at_once_one_stays(store: Store) -> None:
    doctors = [uuid4(), uuid4()]
    async with store.open(hospital()) as one, store.open(hospital()) as two:
        for _ in range(10):
            for doctor in doctors:
                accepted(await one.send(Duty(doctor, on=True)))
            outcomes = await asyncio.gather(
                one.send(Duty(doctors[0], on=False)), two.send(Duty(doctors[1], on=False))
            )
            assert sorted(isinstance(outcome, Rejected) for outcome in outcomes) == [False, True]
