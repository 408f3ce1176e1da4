"""Taking turns: first come first served, and nobody who goes takes the turn along."""

import asyncio

from perdure.runtime.turns import Turns


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Queue:
    """Tasks that take a turn and keep it until they are told to let go."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.having: list[str] = []
        self.had: list[str] = []
        self._let_go: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, *keys: str) -> None:
        self._let_go[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._take(name, keys))
        await settle()

    async def let_go(self, name: str) -> None:
        self.tell(name)
        await settle()

    def tell(self, name: str) -> None:
        self._let_go[name].set()

    def cancel(self, name: str) -> None:
        self._tasks[name].cancel()

    async def end(self) -> None:
        for event in self._let_go.values():
            event.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _take(self, name: str, keys: tuple[str, ...]) -> None:
        async with self.turns.take(keys):
            self.having.append(name)
            self.had.append(name)
            await self._let_go[name].wait()
            self.having.remove(name)


async def test_who_came_first_has_the_turn_first() -> None:
    queue = Queue()
    for name in ("ann", "ben", "cat"):
        await queue.come(name, "a")
    assert queue.having == ["ann"]

    await queue.let_go("ann")
    assert queue.having == ["ben"]
    await queue.let_go("ben")
    assert queue.having == ["cat"]
    await queue.end()


async def test_turns_on_different_keys_do_not_wait_for_one_another() -> None:
    queue = Queue()
    await queue.come("ann", "a")
    await queue.come("ben", "b")

    assert queue.having == ["ann", "ben"]
    await queue.end()


async def test_keys_in_any_order_and_twice_are_one_turn_on_all_of_them() -> None:
    queue = Queue()
    await queue.come("ann", "b", "a", "b")
    await queue.come("ben", "a", "b")
    assert queue.having == ["ann"]

    await queue.let_go("ann")
    assert queue.having == ["ben"]
    await queue.end()


async def test_who_goes_while_waiting_is_passed_over() -> None:
    queue = Queue()
    for name in ("ann", "ben", "cat"):
        await queue.come(name, "a")
    queue.cancel("ben")
    await settle()
    await queue.let_go("ann")

    assert queue.having == ["cat"]
    await queue.end()
    assert queue.had == ["ann", "cat"]


async def test_who_goes_in_the_moment_of_having_the_turn_gives_it_on() -> None:
    queue = Queue()
    for name in ("ann", "ben", "cat"):
        await queue.come(name, "a")
    queue.tell("ann")
    await asyncio.sleep(0)  # ann lets go: the turn is ben's, who does not know yet
    assert queue.having == []
    queue.cancel("ben")
    await settle()

    assert queue.having == ["cat"]
    await queue.end()


async def test_who_goes_while_waiting_for_the_second_gives_the_first_back() -> None:
    queue = Queue()
    await queue.come("ann", "b")
    await queue.come("ben", "a", "b")
    queue.cancel("ben")
    await settle()
    await queue.come("cat", "a")

    assert queue.having == ["ann", "cat"]
    await queue.end()
