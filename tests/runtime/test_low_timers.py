"""Timers that LOW handlers name: one name in the context, whichever command set it."""

from dataclasses import dataclass
from datetime import timedelta

from perdure import After, Cancel, Context, Send
from tests.runtime.support import Opener, opener

__all__ = ["opener"]


@dataclass(frozen=True)
class Remind:
    pass


@dataclass(frozen=True)
class Set:
    minutes: int


@dataclass(frozen=True)
class Unset:
    pass


def reminders() -> Context:
    context = Context("reminders")

    @context.low()
    def remind(command: Remind) -> list[Send]:
        return []

    @context.low()
    def set_one(command: Set) -> list[After]:
        return [After(timedelta(minutes=command.minutes), Send(Remind()), name="the one")]

    @context.low()
    def unset(command: Unset) -> list[Cancel]:
        return [Cancel("the one")]

    return context


async def test_another_command_replaces_it_and_takes_it_back(opener: Opener) -> None:
    async with opener(reminders(), react=False) as app:
        log = app.context("reminders").log
        await app.send(Set(5))
        (first,) = await log.intents("command")
        await app.send(Set(9))
        (second,) = await log.intents("command")
        await app.send(Unset())

        assert second.due > first.due
        assert await log.intents("command") == []
