"""SQL in a commit: the user's own tables move with the events, or not at all."""

import pytest

from perdure.ports.engine import Capability, Log
from perdure.testing.conformance.books import (
    FAILING,
    NOT_RUN,
    OPEN_ANN,
    ORPHAN,
    Books,
    expect,
    failed,
)
from perdure.testing.conformance.samples import (
    ANN,
    Maker,
    commit,
    committed,
    holdings,
    intent,
    read,
)
from perdure.vocabulary.commits import Commit, EntityAt, GuardFailed, Put, Statement


class Statements(Books):
    """What a statement does."""

    async def test_rows_move_with_the_events(self, books: Log, make: Maker) -> None:
        transfer = Commit(
            events=(make.event(),),
            statements=(
                Statement("UPDATE account SET balance = balance - 30 WHERE owner = 'ann'", rows=1),
                Statement("UPDATE account SET balance = balance + 30 WHERE owner = 'ben'", rows=1),
            ),
        )

        receipts = committed(await commit(books, transfer)).receipts

        assert [receipt.version for receipt in receipts] == [1]
        await expect(books, "owner = 'ann' AND balance = 70")
        await expect(books, "owner = 'ben' AND balance = 80")

    async def test_values_are_bound_not_spelled(self, books: Log) -> None:
        mark = self.placeholder
        name = "o'brien; DROP TABLE account"
        insert = f"INSERT INTO account (owner, balance) VALUES ({mark}, {mark})"
        committed(await commit(books, Commit(statements=(Statement(insert, (name, 7), 1),))))

        look = f"UPDATE account SET balance = balance WHERE owner = {mark} AND balance = {mark}"

        committed(await commit(books, Commit(statements=(Statement(look, (name, 7), 1),))))

    async def test_wrong_parameters_fail(self, books: Log) -> None:
        statement = Statement(f"DELETE FROM account WHERE owner = {self.placeholder}")
        before = await holdings(books)

        none = await commit(books, Commit(statements=(statement,)))
        odd = await commit(books, Commit(statements=(Statement(statement.sql, (object(),)),)))

        assert not failed(none).integrity
        assert not failed(odd).integrity
        assert await holdings(books) == before

    async def test_rows_may_be_any_number(self, books: Log) -> None:
        for where in ("owner = 'cat'", "owner = 'ann'", "balance > 0"):
            statement = Statement(f"UPDATE account SET balance = 9 WHERE {where}")
            committed(await commit(books, Commit(statements=(statement,))))
        none = Statement("DELETE FROM account WHERE owner = 'cat'", rows=0)
        committed(await commit(books, Commit(statements=(none,))))

    async def test_a_repeat_runs_no_statement_again(self, books: Log, make: Maker) -> None:
        pay = Statement("UPDATE account SET balance = balance - 30 WHERE owner = 'ann'", rows=1)
        once = Commit(events=(make.event(),), statements=(pay,))

        first, again = await books.commit([once, once])

        assert (committed(first).repeated, committed(again).repeated) == (False, True)
        assert committed(await commit(books, once)).repeated
        await expect(books, "owner = 'ann' AND balance = 70")

    async def test_a_false_guard_runs_no_statement(self, books: Log) -> None:
        guard = EntityAt(ANN, 1)
        delete = Statement("DELETE FROM account")

        verdict = await commit(books, Commit(guards=(guard,), statements=(delete,)))

        assert verdict == GuardFailed(guard, 0)
        await expect(books, "owner = 'ann' AND balance = 100")

    @pytest.mark.parametrize("reason", FAILING)
    async def test_a_failing_statement_leaves_nothing_behind(
        self, books: Log, make: Maker, reason: str
    ) -> None:
        before = await holdings(books)

        verdict = await commit(
            books,
            Commit(
                events=(make.event(),),
                records=(Put("model", "k", b"v"),),
                intents=(intent(b"1" * 16),),
                statements=(Statement("UPDATE account SET balance = 0", (), 2), FAILING[reason]),
            ),
        )

        refused = failed(verdict)
        assert refused.reason
        assert refused.integrity == (reason not in NOT_RUN)
        assert refused.index == 1 or reason == "deferred foreign key"
        assert await holdings(books) == before
        await expect(books, "owner = 'ann' AND balance = 100")

    async def test_a_deferred_constraint_may_be_met_within_the_commit(self, books: Log) -> None:
        child = Statement("INSERT INTO entry (id, owner) VALUES (1, 'cat')", (), 1)
        parent = Statement("INSERT INTO account (owner, balance) VALUES ('cat', 1)", (), 1)

        committed(await commit(books, Commit(statements=(child, parent))))

    async def test_a_deferred_constraint_is_not_met_by_the_next_commit(self, books: Log) -> None:
        parent = Statement("INSERT INTO account (owner, balance) VALUES ('nobody', 1)", (), 1)

        first, second = await books.commit(
            [Commit(statements=(ORPHAN,)), Commit(statements=(parent,))]
        )

        assert failed(first).integrity
        committed(second)

    async def test_what_says_no_is_told_from_what_cannot_be_run(self, books: Log) -> None:
        wrong, unmet = FAILING["not SQL"], FAILING["unique"]

        verdicts = await books.commit(
            [Commit(statements=statements) for statements in ((unmet, wrong), (wrong, unmet))]
        )

        assert [(v.index, v.integrity) for v in map(failed, verdicts)] == [(0, True), (0, False)]

    async def test_without_the_capability_a_statement_is_refused(
        self, log: Log, make: Maker
    ) -> None:
        if Capability.STATEMENTS in self.capabilities:
            pytest.skip("capability declared: STATEMENTS")

        verdicts = await log.commit(
            [Commit(events=(make.event(),), statements=(OPEN_ANN,)), Commit(events=(make.event(),))]
        )

        refused = failed(verdicts[0])
        assert (refused.index, refused.integrity) == (0, False)
        assert "statements" in refused.reason
        assert committed(verdicts[1]).receipts[0].version == 1
        assert len(await read(log)) == 1
