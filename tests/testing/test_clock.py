"""The environment in a test's hands stands still, and moves as it is told."""

import asyncio
from collections.abc import Coroutine

import pytest

from perdure.ports.environment import Environment
from perdure.testing import FixedNode, ManualClock, ManualEnvironment, SeededChance


async def _asleep(
    clock: ManualClock, *naps: Coroutine[None, None, None]
) -> list[asyncio.Task[None]]:
    """Start naps, and wait until all of them wait for the clock."""
    tasks = [asyncio.create_task(nap) for nap in naps]
    while clock.sleepers < len(tasks):
        await asyncio.sleep(0)
    return tasks


async def _done(*tasks: asyncio.Task[None]) -> list[bool]:
    await asyncio.sleep(0)
    return [task.done() for task in tasks]


def test_time_moves_only_by_advance() -> None:
    clock = ManualClock(start=1_000)
    assert (clock.now(), clock.monotonic(), clock.now()) == (1_000, 0.0, 1_000)

    for _ in range(10):
        clock.advance(0.1)

    assert (clock.now(), clock.monotonic()) == (1_001_000, 1.0)


def test_time_never_goes_back_but_its_face_may() -> None:
    clock = ManualClock(start=0)
    clock.advance(5)

    with pytest.raises(ValueError, match="go back"):
        clock.advance(-1)
    clock.step(-3)

    assert (clock.now(), clock.monotonic()) == (2_000_000, 5.0)


async def test_sleepers_wake_when_their_time_has_come() -> None:
    clock = ManualClock()
    tasks = await _asleep(clock, *map(clock.sleep, (3, 1, 2)))

    clock.advance(1)
    assert await _done(*tasks) == [False, True, False]
    clock.step(100)
    assert await _done(*tasks) == [False, True, False]
    clock.advance(2)
    assert await _done(*tasks) == [True, True, True]
    assert clock.sleepers == 0


async def test_the_earliest_wakes_first() -> None:
    clock = ManualClock()
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = await _asleep(clock, *map(sleep, (3, 1, 2)))
    clock.advance(10)
    await asyncio.gather(*tasks)

    assert woken == [1, 2, 3]


async def test_a_cancelled_sleeper_is_no_sleeper() -> None:
    clock = ManualClock()
    (task,) = await _asleep(clock, clock.sleep(1))

    task.cancel()
    assert await _done(task) == [True]

    assert clock.sleepers == 0
    clock.advance(1)


async def test_sleeping_for_no_time_needs_no_advance() -> None:
    clock = ManualClock()

    await clock.sleep(0)
    await clock.sleep(-1)

    assert clock.sleepers == 0


async def test_the_next_to_wake_is_told_and_no_wait_is_too_short_to_pass() -> None:
    clock = ManualClock()
    assert clock.next_waking() is None
    (gone, *tasks) = await _asleep(clock, *map(clock.sleep, (0.1, 2, 1e-9)))
    gone.cancel()

    assert clock.next_waking() == 1e-6
    clock.advance(1e-6)
    assert await _done(*tasks) == [False, True]
    assert clock.next_waking() == pytest.approx(2 - 1e-6)
    clock.advance(2)
    await asyncio.gather(*tasks)


def test_chance_is_the_same_for_the_same_seed() -> None:
    first, again, other = SeededChance(1), SeededChance(1), SeededChance(2)
    bits = [first.bits(48) for _ in range(20)]

    assert [again.bits(48) for _ in range(20)] == bits
    assert [other.bits(48) for _ in range(20)] != bits
    assert all(0 <= number < 1 << 48 for number in bits)


def test_a_node_knows_who_is_gone() -> None:
    node = FixedNode("one", gone=["two"])

    assert node.name == "one"
    assert [node.is_gone(name) for name in ("one", "two", "three")] == [False, True, False]


def test_the_environment_is_one_for_the_runtime() -> None:
    environment: Environment = ManualEnvironment(node=FixedNode("two"))

    assert environment.node.name == "two"
    assert environment.clock.monotonic() == 0
    assert environment.chance.bits(8) == ManualEnvironment().chance.bits(8)
