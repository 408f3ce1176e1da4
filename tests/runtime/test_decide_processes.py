"""Several processes that decide on one entity of one SQLite store: no lost update, one effect an id."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec

from tests.runtime.deciding import Deposit, Store, accepted, bank_of_accounts, recorded, sqlite
from tests.runtime.depositing import SHARED_AMOUNT, work

__all__ = ["sqlite"]

ROOT = Path(__file__).parents[2]
BOUND_SECONDS = 40.0
NUMBER = 25


async def start(directory: Path, who: int) -> Process:
    """Start a process, and wait until it has opened the store."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.runtime.depositing", str(directory), str(who), str(NUMBER),
        cwd=ROOT, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    assert await line(child) == "open"
    return child


async def line(child: Process) -> str:
    assert child.stdout is not None
    return (await asyncio.wait_for(child.stdout.readline(), BOUND_SECONDS)).decode().strip()


async def test_three_processes_hammer_one_entity_and_the_sum_is_exact(
    sqlite: Store, tmp_path: Path
) -> None:
    bank, account = bank_of_accounts(snapshot_every=10)
    children = [await start(tmp_path / "store", who) for who in (1, 2)]
    async with sqlite.open(bank) as app:
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"go\n")
        told = [await work(app, account, 0, NUMBER)]
        told += [[int(word) for word in (await line(child)).split()] for child in children]
        assert [await child.wait() for child in children] == [0, 0]

        state = await app.model(account.named("shared"))
        events = await recorded(app)
        amounts = [msgspec.json.decode(event.data)["amount"] for event in events]
        done = accepted(await app.send(account.named("shared"), Deposit(1)))

    shared = [each[1::3] for each in told]
    assert shared[0] == shared[1] == shared[2]  # one effect an id, and all are told of that one
    assert amounts.count(SHARED_AMOUNT) == len(set(shared[0])) == NUMBER
    own = [version for each in told for version in (*each[0::3], *each[2::3]) if version]
    assert sorted([*own, *shared[0]]) == list(range(1, len(events) + 1))
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    withdrawals = sum(1 for each in told for version in each[2::3] if version)
    assert state.balance == NUMBER * (SHARED_AMOUNT + 3) - 700 * withdrawals >= 0
    assert state.entries.count(1) == 3 * NUMBER
    assert state.entries.count(-700) == withdrawals
    assert done.version == len(events) + 1
