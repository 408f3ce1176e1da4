"""What the processes of ``test_decide_processes`` do.

``python -m tests.runtime.depositing DIRECTORY WHO NUMBER``. Each says what it was told, on one line.
"""

import asyncio
import sys
from pathlib import Path

from perdure import Accepted, App, Contended, EntityKind
from tests.runtime.deciding import Account, Deposit, Store, Withdraw, bank_of_accounts

#: All processes put in as much under each id that they share.
SHARED_AMOUNT = 1000


async def work(app: App, account: EntityKind[Account], who: int, number: int) -> list[int]:
    """Put money in, under ids of one's own and under ids that all use, and take some out.

    Gives the versions of the events that were made, and 0 for a rejection.
    """
    mine = account.named("shared")

    async def send(command: Deposit | Withdraw, id_: str) -> int:
        while True:
            try:
                outcome = await app.send(mine, command, command_id=id_)
            except Contended:  # nothing was written: it may be sent again
                continue
            return outcome.version if isinstance(outcome, Accepted) else 0

    told: list[int] = []
    for n in range(number):
        told += await asyncio.gather(
            send(Deposit(1), f"{who}-{n}"),
            send(Deposit(SHARED_AMOUNT), f"all-{n}"),
            send(Withdraw(700), f"{who}-{n}"),
        )
    return told


async def main(directory: str, who: str, number: str) -> None:
    bank, account = bank_of_accounts(snapshot_every=10)
    async with Store("sqlite", Path(directory)).open(bank) as app:
        print("open", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)
        print(*await work(app, account, int(who), int(number)), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
